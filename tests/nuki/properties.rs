//! What must hold for any bytes and any fragmentation.

use lockbridge::lock::nuki::frame::{self, Joiner};
use lockbridge::lock::nuki::message::{Answer, Command};
use lockbridge::lock::nuki::{Date, ErrorCode, SharedKey};
use lockbridge::model::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::lock::wire::{plain, seal};

const KEY: [u8; 32] = [0x42; 32];

/// Cuts bytes into parts of these lengths, in turn.
fn cut<'a>(mut rest: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, after) = rest.split_at((*length).min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// The simulated lock seals, the driver joins and opens; several messages in a row.
    #[test]
    fn sealed_messages_survive_any_fragmentation(
        messages in vec((any::<u16>(), payloads()), 1..5),
        lengths in vec(1..60usize, 1..6),
        nonce in any::<[u8; 24]>(),
    ) {
        let frames: Vec<u8> = messages
            .iter()
            .flat_map(|(command, payload)| seal(&KEY, nonce, 7, *command, payload))
            .collect();
        let mut joiner = Joiner::default();
        let mut heard = Vec::new();
        for part in cut(&frames, &lengths) {
            joiner.push(part);
            while let Some(frame) = joiner.sealed().unwrap() {
                let opened = frame::open(&SharedKey::new(KEY), &frame).unwrap();
                prop_assert_eq!(opened.authorization, 7);
                heard.push((opened.command.0, opened.payload.to_vec()));
            }
        }
        prop_assert_eq!(heard, messages);
    }

    #[test]
    fn plain_messages_survive_any_fragmentation(
        kinds in vec(prop::sample::select(vec![(0x03, 32), (0x04, 32), (0x07, 84), (0x0e, 1), (0x12, 3), (0x4c, 1)]), 1..5),
        fill in any::<u8>(),
        lengths in vec(1..60usize, 1..6),
    ) {
        let messages: Vec<Vec<u8>> = kinds
            .iter()
            .map(|(command, length)| plain(*command, &vec![fill; *length]))
            .collect();
        let mut joiner = Joiner::default();
        let mut heard = Vec::new();
        for part in cut(&messages.concat(), &lengths) {
            joiner.push(part);
            while let Some(message) = joiner.plain().unwrap() {
                prop_assert!(frame::read_plain(&message).is_ok());
                heard.push(message);
            }
        }
        prop_assert_eq!(heard, messages);
    }

    /// What the driver seals, the simulated lock's library opens, and nobody with another key.
    #[test]
    fn both_seal_alike(command in any::<u16>(), payload in payloads(), nonce in any::<[u8; 24]>()) {
        let ours = frame::seal(&SharedKey::new(KEY), 7, &nonce, Command(command), &payload);
        prop_assert_eq!(&ours, &seal(&KEY, nonce, 7, command, &payload));
        prop_assert!(frame::open(&SharedKey::new([0x43; 32]), &ours).is_err());
    }

    #[test]
    fn any_changed_byte_is_refused(
        payload in payloads(),
        at in any::<prop::sample::Index>(),
        change in 1..=255u8,
    ) {
        let mut frame = seal(&KEY, [9; 24], 7, 0x45, &payload);
        let at = at.index(frame.len());
        frame[at] ^= change;
        prop_assert!(frame::open(&SharedKey::new(KEY), &frame).is_err(), "byte {at}");
        let mut message = plain(0x45, &payload);
        let at = at % message.len();
        message[at] ^= change;
        prop_assert!(frame::read_plain(&message).is_err(), "byte {at}");
    }

    #[test]
    fn any_part_of_a_message_is_refused(payload in payloads(), part in any::<prop::sample::Index>()) {
        let frame = seal(&KEY, [9; 24], 7, 0x45, &payload);
        prop_assert!(frame::open(&SharedKey::new(KEY), &frame[..part.index(frame.len())]).is_err());
        let longer = [&frame[..], &[0]].concat();
        prop_assert!(frame::open(&SharedKey::new(KEY), &longer).is_err());
    }

    #[test]
    fn no_payload_panics(command in 0..0x60u16, payload in payloads()) {
        if let Ok(Answer::Code(row)) = Answer::decode(Command(command), &payload) {
            let _ = row.entry();
        }
    }

    #[test]
    fn dates_go_there_and_back(seconds in -62_000_000_000..250_000_000_000_i64) {
        let at = Timestamp(seconds * 1_000);
        prop_assert_eq!(Date::of(at).and_then(Date::instant), Some(at));
    }
}

/// Every byte has a class, and the vendor's table is told from the rest by its names.
#[test]
fn every_error_has_a_class() {
    let named: Vec<u8> = (0..=255)
        .filter(|code| ErrorCode(*code).name().is_some())
        .collect();
    assert_eq!(named.len(), 36);
    for code in 0..=255 {
        let _ = ErrorCode(code).class();
        assert!(ErrorCode(code).to_string().contains(&format!("0x{code:02X}")));
    }
}
