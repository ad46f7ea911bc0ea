//! Locks that confirm a code and lose it: what the real program says of them, and does (I7).

mod common;

use common::{FRONT, Rig, device};
use serde_json::{Value, json};

/// A door whose lock loses what it confirms, thirty seconds after.
fn liar(fault: Value) -> (Rig, String) {
    let rig = Rig::start(&[device(FRONT, "Front door", "slots", "latency = \"5ms\"")]);
    rig.post(&format!("/lockbridge/v1/sim/devices/{FRONT}/fault"), fault)
        .ok();
    let code = rig.post("/access_codes/create", json!({"device_id": FRONT})).ok();
    rig.advance(5);
    let id = code["access_code"]["access_code_id"].as_str().unwrap().to_owned();
    assert_eq!(status(&rig, &id), "set");
    (rig, id)
}

fn status(rig: &Rig, id: &str) -> String {
    let code = rig.post("/access_codes/get", json!({"access_code_id": id})).ok();
    code["access_code"]["status"].as_str().unwrap().to_owned()
}

fn tries(rig: &Rig) -> usize {
    let since = json!({"since": "2000-01-01T00:00:00Z"});
    let listed = rig.post("/events/list", since).ok();
    let lost = |event: &&Value| event["event_type"] == "access_code.deleted_external_to_seam";
    listed["events"].as_array().unwrap().iter().filter(lost).count()
}

#[test]
fn a_code_that_the_lock_loses_is_missed_within_two_minutes_and_set_again() {
    let (rig, id) = liar(json!({"kind": "drop_after", "after_s": 30, "count": 1}));
    rig.advance(40);
    assert!(rig.pins_on(FRONT).is_empty(), "the lock has lost it");
    // Two minutes after it was set.
    rig.advance(75);
    assert_ne!(status(&rig, &id), "set");
    assert_eq!(tries(&rig), 1);
    rig.advance(120);
    assert_eq!(status(&rig, &id), "set");
    assert_eq!(rig.pins_on(FRONT).len(), 1);
}

#[test]
fn a_lock_that_loses_it_each_time_is_told_of_and_left_in_peace() {
    let (rig, id) = liar(json!({"kind": "drop_after", "after_s": 30}));
    rig.advance(3600);
    assert_ne!(status(&rig, &id), "set");
    assert_eq!(tries(&rig), 3, "it was tried so often, and no more");
    let queue = rig.get(&format!("/lockbridge/v1/devices/{FRONT}/queue")).ok();
    assert_eq!(queue["queue"][0]["reason"], "not_kept", "{queue}");
    let told = rig.told(&["why", &id]);
    assert!(told.contains("has not kept"), "{told}");
    rig.advance(6 * 3600);
    assert_eq!(tries(&rig), 3, "it was left in peace until its next check");
    // The lock comes to its senses, and its next check finds it so.
    rig.post(
        &format!("/lockbridge/v1/sim/devices/{FRONT}/fault"),
        json!({"kind": "none"}),
    )
    .ok();
    rig.advance(7 * 3600);
    assert_eq!(status(&rig, &id), "set");
}
