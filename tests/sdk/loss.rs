//! An answer that is lost between the gateway and the SDK.
//!
//! The script speaks to a go-between, which passes its first request on and hangs up before there can
//! be an answer. Once the codes are on the gateway's card it hangs up on the SDK too, which knows
//! nothing, and has to ask again.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use crate::actor::{Sdk, insist_on_the_end};
use crate::common::{BACK, FRONT, Rig};

/// However slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Looks at the gateway, of which each takes its time.
const LOOKS: usize = 10_000;
/// The beginning of a next request: a server that has more to read does not look whether its caller
/// is still there, and carries the request out. Else it might as well drop it, which proves nothing.
const MORE_TO_READ: &[u8] = b"GET ";

/// What becomes of the gateway between its commit and the repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    Lives,
    IsKilled,
}

pub fn lose_an_answer(sdk: &Sdk, mut rig: Rig, fate: Gateway) {
    // The same port after a restart, as in real life.
    let config = std::fs::read_to_string(rig.config()).unwrap();
    std::fs::write(rig.config(), config.replace("127.0.0.1:0", rig.address())).unwrap();

    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = between.local_addr().unwrap().to_string();
    let guests = guests(between);
    let repeats = if sdk.repeats { "sdk" } else { "caller" };
    let script = sdk.start("lost", &rig, &endpoint, &[("REPEATS", repeats)]);

    let Ok(mut first) = guests.recv_timeout(PATIENCE) else {
        insist_on_the_end(script);
        panic!("it never called");
    };
    let request = whole_request(&mut first);
    // It finds the request, and that nobody waits for the answer, at once.
    rig.while_it_stands_still(|| {
        let mut gateway = TcpStream::connect(rig.address()).unwrap();
        gateway.write_all(&[&request, MORE_TO_READ].concat()).unwrap();
    });
    let committed = (0..LOOKS).any(|_| rig.codes(FRONT).len() + rig.codes(BACK).len() == 2);
    assert!(committed, "a request that came whole was not carried out");
    if fate == Gateway::IsKilled {
        let address = rig.address().to_owned();
        rig.kill();
        rig.run();
        assert_eq!(rig.address(), address);
    }
    // Only now, so that whoever repeats meets the gateway again.
    drop(first);

    let address = rig.address().to_owned();
    pass_on(guests, address);
    insist_on_the_end(script);
}

/// Whoever calls the go-between, in the order of their calls.
#[allow(clippy::disallowed_methods, reason = "it waits for callers")]
fn guests(between: TcpListener) -> mpsc::Receiver<TcpStream> {
    let (sender, guests) = mpsc::channel();
    std::thread::spawn(move || {
        for guest in between.incoming().map_while(Result::ok) {
            if sender.send(guest).is_err() {
                return;
            }
        }
    });
    guests
}

/// From here on the go-between keeps nothing back.
#[allow(clippy::disallowed_methods, reason = "each direction waits for bytes")]
fn pass_on(guests: mpsc::Receiver<TcpStream>, address: String) {
    std::thread::spawn(move || {
        for guest in guests {
            let gateway = TcpStream::connect(&address).unwrap();
            for (mut from, mut to) in [
                (guest.try_clone().unwrap(), gateway.try_clone().unwrap()),
                (gateway, guest),
            ] {
                std::thread::spawn(move || {
                    // Either side may hang up at any time.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
}

/// Head and body, as they come.
fn whole_request(guest: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = guest.read(&mut piece).unwrap();
        assert!(read > 0, "the request ends early");
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).expect("a length");
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            return request;
        }
    }
}
