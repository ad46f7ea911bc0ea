//! API keys over their lives, against the real program: wrong ones, used ones, and ones of the same name.

mod common;

use std::fs;

use common::{FRONT, Rig, bearer, device};
use serde_json::json;

const CREATE: &str = "/access_codes/create";

fn one_door() -> Vec<String> {
    vec![device(FRONT, "Front door", "slots", "")]
}

#[test]
fn who_shows_wrong_keys_is_slowed_down_and_nobody_else() {
    let rig = Rig::start(&one_door());
    let wrong = bearer("seam_lbWrongKeyThatNobodyEverMade0123456789");
    let show = || rig.call("GET", "/devices/list", &wrong, "");
    for _ in 0..10 {
        show().refused(401, "unauthorized", "not known");
    }
    let slowed = show();
    slowed.refused(429, "rate_limited", "wrong API keys");
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    // Behind the same address.
    rig.get("/devices/list").ok();
    rig.call("GET", "/devices/list", "", "")
        .refused(401, "unauthorized", "send");
    rig.advance(wait);
    show().refused(401, "unauthorized", "not known");

    let log = rig.log();
    let lines = log.lines().filter(|line| line.contains("not known"));
    assert_eq!(lines.count(), 1, "{log}");
    assert!(log.contains("127.0.0.1") && !log.contains("Wrong"), "{log}");
}

/// The line of a key in `keys list`.
fn listed(rig: &Rig, name: &str) -> String {
    let list = rig.told(&["keys", "list"]);
    let line = list.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("no {name} in {list}")).to_owned()
}

#[test]
fn the_list_says_when_a_key_was_last_used() {
    let mut rig = Rig::start(&one_door());
    let (office, _idle) = (rig.make_key("office", "codes"), rig.make_key("idle", "codes"));
    assert!(listed(&rig, "office").ends_with(" -"));
    rig.post("/lockbridge/v1/sim/clock", json!({"now": "2030-01-01T12:30:00Z"}))
        .ok();
    rig.call("GET", "/devices/list", &bearer(&office), "").ok();
    assert!(rig.terminate().success());
    for _ in 0..2 {
        let office = listed(&rig, "office");
        assert!(office.contains(" 2030-01-01T12:"), "{office}");
        assert!(listed(&rig, "idle").ends_with(" -"));
        // A start forgets nothing, and whoever is killed has it from before.
        rig.run();
        rig.kill();
    }
    let data = std::fs::read_to_string(rig.data_dir().join("keys-used.json")).unwrap();
    assert!(!data.contains(&office) && !data.contains("office"), "{data}");
}

#[test]
fn a_key_does_not_inherit_from_one_of_its_name() {
    let mut rig = Rig::start(&one_door());
    let body = json!({"device_id": FRONT}).to_string();
    let make = |rig: &Rig, key: &str| {
        let headers = format!("{}idempotency-key: stay-1\r\n", bearer(key));
        let made = rig.call("POST", CREATE, &headers, &body).ok();
        made["access_code"]["access_code_id"].clone()
    };
    let first = rig.make_key("office", "codes");
    let code = make(&rig, &first);
    assert_eq!(make(&rig, &first), code);
    rig.kill();
    rig.run();
    assert_eq!(make(&rig, &first), code, "a start changes nothing");
    assert!(rig.command(&["keys", "revoke", "office"]).status.success());
    let second = rig.make_key("office", "codes");
    assert_ne!(make(&rig, &second), code);
    assert_eq!(rig.codes(FRONT).len(), 2);
}

#[test]
fn a_file_of_keys_that_cannot_be_understood_is_told_of_before_anybody_calls() {
    let mut rig = Rig::start(&one_door());
    rig.kill();
    let file = rig.data_dir().join("keys.json");
    let kept = fs::read(&file).unwrap();
    fs::write(&file, "garbage").unwrap();
    rig.run();
    assert!(rig.log().contains("no API key is accepted"), "{}", rig.log());
    let refused = rig.call("GET", "/devices/list", &bearer(&rig.key), "");
    refused.refused(401, "unauthorized", "cannot read its API keys");
    let fit = rig.command(&["selftest"]);
    let told = String::from_utf8_lossy(&fit.stderr);
    assert!(
        !fit.status.success() && told.contains("FAIL  no API key is accepted"),
        "{told}"
    );
    fs::write(&file, kept).unwrap();
    rig.get("/devices/list").ok();
}
