//! What the link to a broker costs.

use crate::broker::Broker;
use crate::common::{BACK, FRONT, Rig, device};
use crate::{gateway, is_online};

/// Memory of its own that a program has written to, in kB.
pub fn memory(rig: &Rig) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_client_takes_less_than_a_megabyte() {
    let doors = [
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ];
    let without = Rig::start(&doors);
    let broker = Broker::start("");
    let mut ear = broker.listen("lockbridge/#");
    let mut with = gateway(&broker, "");
    with.run();
    ear.find(is_online);
    let (without, with) = (memory(&without), memory(&with));
    println!("without a broker {without} kB, at one {with} kB");
    assert!(with < without + 1024, "{without} kB and {with} kB");
}
