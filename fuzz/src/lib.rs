//! What is done with bytes from the air, or from a server, one function per target. A property that does not hold panics.
//!
//! The tests run the same functions with a stable toolchain over mutated pieces of the corpus.

use lockbridge::lock::nuki::frame::{self, Joiner};
use lockbridge::lock::nuki::message::{Answer, Command};
use lockbridge::lock::nuki::{Applicant, Model, Pairing, SecurityPin, SharedKey, Turn, beacon};
use lockbridge::lock::zwave;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The key of the published and recorded frames, so that a fuzzer gets past the seal.
pub const KEY: [u8; 32] = [
    0x6e, 0x35, 0x6b, 0xdf, 0xed, 0xc9, 0x3f, 0x32, 0x1b, 0xdc, 0xc4, 0x55, 0xfc, 0xb6, 0x5c, 0x4b, 0xc5,
    0xdd, 0x98, 0x4c, 0xc6, 0xdf, 0x5e, 0x25, 0xef, 0xb0, 0xc9, 0x16, 0xa6, 0x97, 0xcd, 0xb3,
];

/// A target and its name, which is that of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] = [
    ("nuki_usdio", usdio),
    ("nuki_gdio", gdio),
    ("nuki_message", message),
    ("nuki_beacon", advertisement),
    ("zwave_server", server),
];

/// Sealed frames, as they come: the first byte says how long the indications are.
pub fn usdio(data: &[u8]) {
    let Some((length, bytes)) = data.split_first() else {
        return;
    };
    let key = SharedKey::new(KEY);
    let mut joiner = Joiner::default();
    for indication in bytes.chunks(usize::from(*length).max(1)) {
        joiner.push(indication);
        while let Ok(Some(frame)) = joiner.sealed() {
            if let Ok(opened) = frame::open(&key, &frame) {
                let nonce = frame[..24].try_into().expect("it was opened");
                let again = frame::seal(&key, opened.authorization, nonce, opened.command, &opened.payload);
                assert_eq!(again, frame);
                let _ = Answer::decode(opened.command, &opened.payload);
            }
        }
    }
}

/// Plain messages of a pairing, as they come: the first byte says how long the indications are, and, by its
/// lowest bit, which model pairs.
pub fn gdio(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let length = usize::from(first >> 1).max(1);
    let mut joiner = Joiner::default();
    for indication in bytes.chunks(length) {
        joiner.push(indication);
        let _ = joiner.error_report();
        while let Ok(Some(message)) = joiner.plain() {
            if let Ok((command, payload)) = frame::read_plain(&message) {
                assert_eq!(frame::plain(command, payload), message);
            }
        }
    }
    let pin = match first & 1 {
        0 => SecurityPin::parse(Model::Classic, "1234"),
        _ => SecurityPin::parse(Model::Ultra, "123456"),
    };
    let applicant = Applicant {
        app_id: 1,
        name: "fuzz".to_owned(),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut pairing, _) = Pairing::begin(applicant, pin.expect("digits"), &mut rng);
    for indication in bytes.chunks(length) {
        pairing = match pairing.hear(indication, &mut rng) {
            Ok(Turn::Listen(pairing) | Turn::Say(pairing, _)) => pairing,
            Ok(Turn::Done(_)) => panic!("a pairing with somebody who does not know the key"),
            Err(_) => return,
        };
    }
}

/// What is in a frame: a command and its payload.
pub fn message(data: &[u8]) {
    let Some((command, payload)) = data.split_first_chunk() else {
        return;
    };
    if let Ok(answer) = Answer::decode(Command(u16::from_le_bytes(*command)), payload) {
        let _ = format!("{answer:?}");
        if let Answer::Code(row) = answer {
            let _ = row.entry();
        }
    }
}

/// What an advertisement says: the company's number, and its data.
pub fn advertisement(data: &[u8]) {
    let Some((company, data)) = data.split_first_chunk() else {
        return;
    };
    let _ = beacon(u16::from_le_bytes(*company), data);
}

/// A message of the server of Z-Wave JS: its first words, an answer, or an event.
pub fn server(data: &[u8]) {
    zwave::understand(&String::from_utf8_lossy(data));
}
