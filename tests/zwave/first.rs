//! A lock that the driver meets while the gateway watches. By default it would erase its codes.

use serde_json::json;

use crate::net::{
    Net, all_are, book, broker, codes, device, log_hides, nobody_was_silent, topics_hide, until,
};

const EARLY: u16 = 4;
const LATE: u16 = 6;
const THEIRS: &str = "90905566";
const PIN: &str = "28460173";

/// I6: the gateway has the driver keep what a lock holds; and a lock of which nothing is known yet is no lock without
/// codes.
#[test]
fn a_lock_that_is_met_late_keeps_its_codes() {
    let net = Net::start(&["--clear-codes", "--no-server"]);
    net.by_hand(LATE, "add", 1, Some(THEIRS));
    net.fault(LATE, "dead");
    net.post("/server/start", &json!({"wait": false}));
    let (_broker, mut listener, mqtt) = broker();
    let rig = net.gateway(&[EARLY], &[mqtt]);
    let late = net.id(LATE);
    until(&rig, "it is there", || !device(&rig, &late).is_null());
    let body = json!({"device_ids": [late], "code": PIN});
    let refused = rig.post("/access_codes/create_multiple", body);
    refused.refused(409, "device_offline", "has not yet found out");
    net.fault(LATE, "none");
    net.another_client(&json!({"command": "node.refresh_info", "nodeId": LATE}));
    until(&rig, "its table is known", || {
        device(&rig, &late)["properties"]["lockbridge"]["unmanaged_codes"] == 1
    });
    let made = codes(&book(&rig, &[late], &json!({"code": PIN})));
    until(&rig, "it has its code", || all_are(&rig, &made, "set"));
    assert_eq!(net.pins(LATE), [THEIRS, PIN]);
    assert_eq!(net.frames(LATE, "clear_alls"), 0);
    log_hides(&rig, &[THEIRS, PIN]);
    topics_hide(&rig, &mut listener, &[THEIRS, PIN]);
}

/// I4: a lock that takes long for each slot is slow, and not silent. The long form takes longer than a minute and
/// a half for thirty slots.
#[test]
fn a_slow_table_is_a_table() {
    let net = Net::start(&["--report-timeout", "10000"]);
    net.by_hand(LATE, "add", 1, Some(THEIRS));
    let ms = if crate::full() { 3500 } else { 300 };
    net.fault_with(LATE, &json!({"kind": "slow", "ms": ms}));
    let (_broker, mut listener, mqtt) = broker();
    let rig = net.gateway(&[EARLY], &[mqtt]);
    until(&rig, "its table is known", || {
        device(&rig, &net.id(LATE))["properties"]["lockbridge"]["unmanaged_codes"] == 1
    });
    nobody_was_silent(&rig);
    log_hides(&rig, &[THEIRS]);
    topics_hide(&rig, &mut listener, &[THEIRS]);
}
