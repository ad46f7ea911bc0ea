//! What befalls single codes, devices and doors, over HTTP, against the real program and simulated locks.

mod common;

use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

const KEYPAD: &str = "11111111-0000-4000-8000-000000000001";
const SAFE: &str = "11111111-0000-4000-8000-000000000002";

const CREATE: &str = "/access_codes/create";
const UPDATE: &str = "/access_codes/update";

fn doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
        device(KEYPAD, "Garden", "keypad-6", ""),
        device(SAFE, "Safe", "fixed-8", ""),
    ]
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// Creates one code, and returns it.
fn create(rig: &Rig, body: Value) -> Value {
    let created = rig.post(CREATE, body).ok();
    created["access_code"].clone()
}

fn code(rig: &Rig, id: &str) -> Value {
    let got = rig.post("/access_codes/get", json!({"access_code_id": id})).ok();
    got["access_code"].clone()
}

/// The types of all events about one code, oldest first.
fn told_of(rig: &Rig, id: &str) -> Vec<Value> {
    let since = json!({"since": "2020-01-01T00:00:00Z", "access_code_id": id});
    let listed = rig.post("/events/list", since).ok();
    let mut events = listed["events"].as_array().unwrap().clone();
    events.retain(|event| event["access_code_id"] == id);
    events
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(event, "event_type")).collect()
}

#[test]
fn codes_with_one_key_have_one_pin() {
    let rig = Rig::start(&doors());
    let one = create(
        &rig,
        json!({"device_id": FRONT, "common_code_key": "unit 7", "name": "Jane"}),
    );
    let two = create(&rig, json!({"device_id": BACK, "common_code_key": "unit 7"}));
    assert_eq!(one["code"], two["code"]);
    assert_eq!(
        (&one["common_code_key"], &two["common_code_key"]),
        (&json!("unit 7"), &json!("unit 7"))
    );
    let linked = |device: &str, code: Value| {
        rig.post(
            CREATE,
            json!({"device_id": device, "common_code_key": "unit 7", "code": code}),
        )
    };
    linked(KEYPAD, json!("987654")).refused(400, "invalid_input", "another PIN");
    linked(SAFE, Value::Null).refused(400, "cannot_share", "Safe");
    linked(FRONT, Value::Null).refused(409, "duplicate_access_code", "Front door");
    // The group is one like any other, after a restart too.
    let mut rig = rig;
    rig.kill();
    rig.run();
    let until = rig.time(3600);
    let late = json!({"common_code_key": "unit 7", "starts_at": rig.time(0), "ends_at": until});
    rig.post("/access_codes/update_multiple", late).ok();
    for id in [text(&one, "access_code_id"), text(&two, "access_code_id")] {
        assert_eq!(code(&rig, id)["ends_at"], until);
    }
    rig.advance(3600 + 60);
    assert!(rig.pins_on(FRONT).is_empty() && rig.pins_on(BACK).is_empty());
}

#[test]
fn a_new_pin_takes_the_place_of_the_old_one() {
    let rig = Rig::start(&doors());
    let booked = rig.post(
        "/access_codes/create_multiple",
        json!({"device_ids": [FRONT, BACK], "name": "Jane"}),
    );
    let booked = booked.ok();
    let front = &booked["access_codes"][0];
    let (id, old) = (text(front, "access_code_id"), text(front, "code"));
    rig.advance(60);
    assert_eq!(code(&rig, id)["status"], "set");

    // Out of reach: the old PIN still opens, and nobody says that the new one does.
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    rig.post(UPDATE, json!({"access_code_id": id, "code": "739154"}))
        .ok();
    let waiting = code(&rig, id);
    assert_eq!(
        (&waiting["code"], &waiting["status"]),
        (&json!("739154"), &json!("setting"))
    );
    let pending = &waiting["pending_mutations"][0];
    assert_eq!(pending["mutation_code"], "updating_code");
    assert_eq!(pending["from"]["code"], old);
    assert_eq!(pending["to"]["code"], "739154");
    assert_eq!(rig.pins_on(FRONT), [old]);
    rig.advance(30);
    assert_eq!(code(&rig, id)["status"], "setting");
    // Neither of the two is free meanwhile.
    for taken in [old, "739154"] {
        rig.post(CREATE, json!({"device_id": FRONT, "code": taken}))
            .refused(409, "duplicate_access_code", "Front door");
    }
    rig.post("/devices/simulate/connect", json!({"device_id": FRONT}))
        .ok();
    rig.advance(60);
    assert_eq!(code(&rig, id)["status"], "set");
    assert_eq!(rig.pins_on(FRONT), ["739154"]);
    assert!(!rig.opens(FRONT, old) && rig.opens(FRONT, "739154"));
    assert_eq!(rig.pins_on(BACK), [old]);

    let key = text(front, "common_code_key");
    let receipt = rig.get(&format!("/lockbridge/v1/groups/{key}")).ok();
    assert_eq!((&receipt["proven"], &receipt["members"]), (&json!(2), &json!(2)));
    let events = told_of(&rig, id);
    let told = types(&events);
    for kind in [
        "access_code.changed",
        "access_code.mutations_requested",
        "access_code.delay_in_setting_on_device",
    ] {
        assert!(told.contains(&kind), "{told:?}");
    }
    let changed = events
        .iter()
        .find(|event| event["event_type"] == "access_code.code_changed")
        .unwrap();
    assert_eq!(
        (&changed["from"]["code"], &changed["to"]["code"]),
        (&json!(old), &json!("739154"))
    );
    // The same again changes nothing.
    rig.post(UPDATE, json!({"access_code_id": id, "code": "739154"}))
        .ok();
    assert_eq!(told_of(&rig, id).len(), events.len());
}

#[test]
fn times_come_and_go() {
    let rig = Rig::start(&doors());
    let code_id = create(&rig, json!({"device_id": FRONT, "code": "4711"}));
    let id = text(&code_id, "access_code_id");
    let update = |mut body: Value| {
        body["access_code_id"] = json!(id);
        rig.post(UPDATE, body)
    };
    rig.advance(60);
    update(json!({"ends_at": rig.time(3600)})).refused(400, "invalid_input", "both");
    update(json!({"type": "time_bound"})).refused(400, "invalid_input", "starts_at");
    // So far ahead that it comes off the lock again.
    update(json!({"starts_at": rig.time(7200), "ends_at": rig.time(10_800)})).ok();
    rig.advance(60);
    assert!(rig.pins_on(FRONT).is_empty());
    assert_eq!(code(&rig, id)["status"], "unset");
    update(json!({"starts_at": rig.time(10)})).ok();
    rig.advance(60);
    assert_eq!(rig.pins_on(FRONT), ["4711"]);
    update(json!({"ends_at": rig.time(-5)})).refused(400, "invalid_input", "");
    update(json!({"type": "ongoing", "starts_at": null, "ends_at": null})).ok();
    let now = code(&rig, id);
    assert_eq!((&now["type"], &now["ends_at"]), (&json!("ongoing"), &Value::Null));
    rig.advance(86_400);
    assert_eq!(rig.pins_on(FRONT), ["4711"]);
    update(json!({"name": "John"})).ok();
    assert_eq!(code(&rig, id)["name"], "John");
    let events = told_of(&rig, id);
    let renamed = events
        .iter()
        .rfind(|event| event["event_type"] == "access_code.changed")
        .unwrap();
    assert_eq!(renamed["changed_properties"][0]["property"], "name");
}

#[test]
fn a_door_moves_at_once_or_never() {
    let rig = Rig::start(&doors());
    let bolt = || rig.get(&format!("/lockbridge/v1/sim/devices/{FRONT}/table")).ok()["locked"].clone();
    let command = |path: &str| {
        let asked = rig.post(path, json!({"device_id": FRONT})).ok();
        assert_eq!(asked["action_attempt"]["status"], "pending");
        asked["action_attempt"]["action_attempt_id"].clone()
    };
    let outcome = |id: &Value| {
        let got = rig
            .post("/action_attempts/get", json!({"action_attempt_id": id}))
            .ok();
        got["action_attempt"].clone()
    };
    let device = || rig.post("/devices/get", json!({"device_id": FRONT})).ok()["device"].clone();
    assert_eq!(bolt(), true);
    let attempt = command("/locks/unlock_door");
    rig.advance(5);
    let done = outcome(&attempt);
    assert_eq!(
        (&done["status"], &done["action_type"]),
        (&json!("success"), &json!("UNLOCK_DOOR"))
    );
    assert_eq!(bolt(), false);
    assert_eq!(device()["properties"]["locked"], false);
    let since = json!({"since": "2020-01-01T00:00:00Z", "event_type": "lock.unlocked"});
    let events = rig.post("/events/list", since).ok();
    assert_eq!(events["events"][0]["action_attempt_id"], attempt);

    // A door out of reach: told so, and it does not move once it is back.
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    let attempt = command("/locks/lock_door");
    rig.advance(30);
    let failed = outcome(&attempt);
    assert_eq!(
        (&failed["status"], &failed["result"]),
        (&json!("error"), &Value::Null)
    );
    assert!(!text(&failed["error"], "message").is_empty());
    rig.post("/devices/simulate/connect", json!({"device_id": FRONT}))
        .ok();
    rig.advance(3600);
    assert_eq!(bolt(), false);

    // A lock that says no.
    let fault = format!("/lockbridge/v1/sim/devices/{FRONT}/fault");
    rig.post(&fault, json!({"kind": "refuse", "count": 1})).ok();
    let attempt = command("/locks/lock_door");
    rig.advance(5);
    assert_eq!(outcome(&attempt)["status"], "error");
    let attempts = rig
        .post("/action_attempts/list", json!({"device_id": FRONT}))
        .ok();
    assert_eq!(attempts["action_attempts"].as_array().map(Vec::len), Some(3));
}

#[test]
fn each_device_has_its_minute() {
    let limits = "[limits]\ncreations_per_minute = 2\ndoor_commands_per_minute = 1\n";
    let mut all = doors();
    all.push(limits.to_owned());
    let rig = Rig::start(&all);
    for _ in 0..2 {
        create(&rig, json!({"device_id": FRONT}));
    }
    let both = json!({"device_ids": [BACK, FRONT]});
    let refused = rig.post("/access_codes/create_multiple", both);
    refused.refused(429, "rate_limited", "2 creations");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert!(rig.codes(BACK).is_empty());
    // Refused ones do not count, and time heals.
    create(&rig, json!({"device_id": BACK}));
    rig.advance(wait);
    create(&rig, json!({"device_id": FRONT}));
    rig.post("/locks/lock_door", json!({"device_id": FRONT})).ok();
    rig.post("/locks/lock_door", json!({"device_id": FRONT}))
        .refused(429, "rate_limited", "door commands");
    rig.post("/locks/unlock_door", json!({"device_id": FRONT})).ok();
}

#[test]
fn what_is_said_of_a_device_outlasts_a_restart() {
    let mut rig = Rig::start(&doors());
    let update = json!({
        "device_id": FRONT, "name": "Main entrance", "custom_metadata": {"floor": "2", "lift": true},
    });
    rig.post("/devices/update", update).ok();
    let gone = json!({"device_id": FRONT, "custom_metadata": {"lift": null, "key": "k7"}});
    rig.post("/devices/update", gone).ok();
    let report = |lengths: Value| {
        let body = json!({"device_id": FRONT, "supported_code_lengths": lengths});
        rig.post("/access_codes/report_device_constraints", body)
    };
    report(json!([9, 10])).refused(400, "invalid_input", "4, 5, 6");
    report(json!([5, 6, 7])).ok();
    let known = |rig: &Rig| {
        let device = rig.post("/devices/get", json!({"device_id": FRONT})).ok()["device"].clone();
        assert_eq!(device["display_name"], "Main entrance");
        assert_eq!(device["properties"]["appearance"]["name"], "Front door");
        assert_eq!(device["custom_metadata"], json!({"floor": "2", "key": "k7"}));
        assert_eq!(device["properties"]["supported_code_lengths"], json!([5, 6]));
        device["created_at"].clone()
    };
    let created_at = known(&rig);
    rig.kill();
    rig.run();
    assert_eq!(known(&rig), created_at);
    assert_eq!(text(&create(&rig, json!({"device_id": FRONT})), "code").len(), 5);
    rig.post(CREATE, json!({"device_id": FRONT, "code": "4711"}))
        .refused(400, "invalid_input", "5, 6");
    let generated = rig
        .post("/access_codes/generate_code", json!({"device_id": KEYPAD}))
        .ok();
    let pin = text(&generated["generated_code"], "code");
    assert!(pin.len() == 6 && !pin.contains('0') && !pin.starts_with("12"));
    assert!(rig.codes(KEYPAD).is_empty());
}

#[test]
fn a_change_by_hand_is_told_and_put_right() {
    let rig = Rig::start(&doors());
    let booked = create(&rig, json!({"device_id": KEYPAD, "code": "739154"}));
    let id = text(&booked, "access_code_id");
    rig.advance(10);
    let hand = format!("/lockbridge/v1/sim/devices/{KEYPAD}/code");
    rig.post(&hand, json!({"op": "remove", "code": "739154"})).ok();
    // The second look finds it, and the code waits a minute after that.
    rig.advance(100);
    let lost = code(&rig, id);
    assert_eq!(lost["status"], "setting");
    let error = &lost["errors"][0];
    assert_eq!(
        (&error["error_code"], &error["change_type"]),
        (&json!("conflicting_external_modification"), &json!("removed"))
    );
    rig.advance(120);
    let again = code(&rig, id);
    assert_eq!((&again["status"], &again["errors"]), (&json!("set"), &json!([])));
    assert_eq!(rig.pins_on(KEYPAD), ["739154"]);
    assert!(types(&told_of(&rig, id)).contains(&"access_code.deleted_external_to_seam"));
}

#[test]
fn a_lock_with_its_own_schedule_holds_the_code_first_and_opens_later() {
    let rig = Rig::start(&doors());
    let stay = json!({"device_id": KEYPAD, "starts_at": rig.time(3600), "ends_at": rig.time(7200)});
    let booked = create(&rig, stay);
    let id = text(&booked, "access_code_id");
    rig.advance(60);
    let held = code(&rig, id);
    assert_eq!(
        (&held["status"], &held["is_scheduled_on_device"]),
        (&json!("unset"), &json!(true))
    );
    assert_eq!(
        types(&told_of(&rig, id)),
        ["access_code.created", "access_code.scheduled_on_device"]
    );
    rig.advance(3600);
    assert_eq!(code(&rig, id)["status"], "set");
    let events = told_of(&rig, id);
    assert_eq!(types(&events)[2..], ["access_code.set_on_device"]);
    assert_eq!(events[2]["code"], booked["code"]);
}
