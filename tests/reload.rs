//! SIGHUP: the configuration as it is now, without a new process.

mod common;

use std::fs;

use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

fn front() -> String {
    device(FRONT, "Front door", "slots", "")
}

/// Puts something else where something stands in the configuration, and says so.
fn change(rig: &Rig, from: &str, to: &str) {
    let text = fs::read_to_string(rig.config()).unwrap();
    assert!(text.contains(from));
    fs::write(rig.config(), text.replace(from, to)).unwrap();
    rig.signal("HUP");
}

fn names(rig: &Rig) -> Vec<Value> {
    let listed = rig.post("/devices/list", json!({})).ok();
    let devices = listed["devices"].as_array().unwrap().iter();
    devices
        .map(|device| device["properties"]["name"].clone())
        .collect()
}

#[test]
fn a_lock_that_was_added_is_there_after_sighup_and_what_was_booked_stays() {
    let mut rig = Rig::start(&[front()]);
    let booked = rig
        .post(
            "/access_codes/create",
            json!({"device_id": FRONT, "code": "4711"}),
        )
        .ok();
    let id = &booked["access_code"]["access_code_id"];
    let pid = rig.pid();
    let both = format!("{}\n{}", front(), device(BACK, "Back door", "slots", ""));
    change(&rig, &front(), &both);
    rig.is_ready_again(2);
    assert_eq!(rig.pid(), pid);
    assert_eq!(names(&rig), ["Front door", "Back door"]);
    let code = rig.post("/access_codes/get", json!({"access_code_id": id})).ok();
    assert_eq!(code["access_code"]["code"], "4711");
    rig.post("/access_codes/create", json!({"device_id": BACK})).ok();
    assert!(rig.terminate().success());
}

#[test]
fn a_configuration_with_a_mistake_is_not_taken() {
    let mut rig = Rig::start(&[front()]);
    change(&rig, "Front door\"", "Front door\"\nkeys = 7");
    rig.says(1, "the configuration stays as it was");
    rig.says(1, "keys");
    assert_eq!(names(&rig), ["Front door"]);
    // So does a file that it names and that cannot be used.
    change(&rig, "keys = 7", "");
    rig.says(1, "the configuration is the same");
    let tls = "listen = \"127.0.0.1:0\"\ntls_cert = \"/nonexistent/crt\"\ntls_key = \"/nonexistent/key\"";
    change(&rig, "listen = \"127.0.0.1:0\"", tls);
    rig.says(2, "the configuration stays as it was");
    assert_eq!(names(&rig), ["Front door"]);
    assert!(rig.terminate().success());
}

#[test]
fn the_log_says_more_from_now_on() {
    let mut rig = Rig::start(&[front()]);
    names(&rig);
    assert!(!rig.log().contains("a key is used"));
    change(&rig, "[http]", "[log]\nlevel = \"debug\"\n\n[http]");
    rig.is_ready_again(2);
    names(&rig);
    rig.says(1, "a key is used");
    change(&rig, "level = \"debug\"", "level = \"error\"");
    rig.is_ready_again(3);
    let before = rig.log().matches("a key is used").count();
    names(&rig);
    assert!(rig.terminate().success());
    assert_eq!(rig.log().matches("a key is used").count(), before);
}
