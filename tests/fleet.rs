//! Many gateways on one broker: when it is gone and back, so are they all. LOCKBRIDGE_FULL=1 makes a hundred of them;
//! the figures go into docs/fleet.md.

#[path = "mqtt/broker.rs"]
mod broker;
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use broker::{Broker, Listener};
use common::{FRONT, Rig, device};

/// A gateway of a name of its own, with one door.
fn gateway(nth: usize, broker: &Broker) -> Rig {
    let port = broker.port;
    let mut rig = Rig::new(&[
        device(FRONT, "Front door", "slots", ""),
        format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n"),
    ]);
    let config = fs::read_to_string(rig.config()).unwrap();
    fs::write(rig.config(), config.replace("\"gw1\"", &format!("\"gw{nth}\""))).unwrap();
    rig.run();
    rig
}

#[expect(clippy::disallowed_methods, reason = "what is measured goes into a document")]
fn now() -> Instant {
    Instant::now()
}

/// Waits until so many are online; when each of them was, since the beginning of the wait.
fn all_online(ear: &mut Listener, count: usize) -> Vec<Duration> {
    let began = now();
    let mut online = BTreeSet::new();
    let mut times = Vec::new();
    while online.len() < count {
        let heard = ear.find(|heard| heard.payload == "online");
        if online.insert(heard.topic) {
            times.push(now() - began);
        }
    }
    times
}

/// The most that happened within a second.
fn peak(times: &[Duration]) -> usize {
    let within = |from: &Duration| {
        times
            .iter()
            .filter(|at| (*from..*from + Duration::from_secs(1)).contains(at))
            .count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

/// Memory of its own and its share of what it shares, in MB.
fn memory(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
    let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kb / 1024.0
}

#[test]
fn a_broker_that_comes_back_has_all_its_gateways_again() {
    let count = if std::env::var_os("LOCKBRIDGE_FULL").is_some() {
        100
    } else {
        5
    };
    let mut broker = Broker::start("");
    let filter = "lockbridge/villa-7/+/status";
    let mut ear = broker.listen(filter);
    let gateways: Vec<Rig> = (0..count).map(|nth| gateway(nth, &broker)).collect();
    all_online(&mut ear, count);
    let each: f64 =
        gateways.iter().map(|rig| memory(rig.pid())).sum::<f64>() / f64::from(u32::try_from(count).unwrap());
    println!(
        "{count} gateways: {each:.1} MB each, the broker {:.1} MB",
        memory(broker.pid())
    );

    // As after months.
    for rig in &gateways {
        rig.advance(120);
    }
    broker.kill();
    for rig in &gateways {
        rig.says(1, "no connection to the MQTT broker");
    }
    broker.run("");
    let mut ear = broker.listen(filter);
    let times = all_online(&mut ear, count);
    println!(
        "the broker is back: {} of them within a second at most, the last after {:.1?}",
        peak(&times),
        times.last().unwrap()
    );
}
