//! What a network of thirty nodes adds to the gateway's memory.

use serde_json::json;

use crate::common::Rig;
use crate::net::{Net, broker, log_hides, topics_hide, until};

/// Kilobytes that it may add.
const MOST: u64 = 2048;
const THEIRS: &str = "90905566";

#[test]
fn thirty_nodes_add_two_megabytes_at_most() {
    let net = Net::start(&["--locks", "22", "--no-server"]);
    // Each has a code that only a read of its table shows.
    (10..32).for_each(|node| net.by_hand(node, "add", 1, Some(THEIRS)));
    let (_broker, mut listener, mqtt) = broker();
    let mut rig = Rig::new(&[net.config(""), mqtt]);
    rig.run();
    rig.says(2, "no connection to the Z-Wave server");
    let _ = rig.post("/devices/list", json!({})).ok();
    let before = kilobytes(&rig);
    net.post("/server/start", &json!({"wait": false}));
    until(&rig, "all tables are read", || {
        let listed = rig.post("/devices/list", json!({})).ok();
        let devices = listed["devices"].as_array().unwrap();
        let read = |device: &&serde_json::Value| device["properties"]["lockbridge"]["unmanaged_codes"] == 1;
        devices.iter().filter(read).count() == 22
    });
    let after = kilobytes(&rig);
    println!("resident: {before} kB before, {after} kB with a network of thirty nodes");
    assert!(after <= before + MOST, "{before} kB before, {after} kB after");
    log_hides(&rig, &[THEIRS]);
    topics_hide(&rig, &mut listener, &[THEIRS]);
}

/// Resident memory of the gateway's own, without what files lend it.
fn kilobytes(rig: &Rig) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
