//! Locks out of reach, and links that are cut in the middle: what is accepted is done, once, and
//! everybody can see what it waits for.

#[path = "mqtt/broker.rs"]
mod broker;
mod common;

use std::io::Write;
use std::net::TcpStream;

use broker::{Broker, Heard, Listener};
use common::{BACK, FRONT, Rig, bearer, device};
use lockbridge::api::time;
use serde_json::{Value, json};
use uuid::Uuid;

const BASE: &str = "lockbridge/villa-7/gw1";
const REPLY: &str = "lockbridge/villa-7/reply/cloud";
const CREATE: &str = "/access_codes/create_multiple";

/// Whether two texts are one moment. A next try is kept as a moment of the monotonic clock, and
/// told by the wall clock: either is rounded to the millisecond.
fn same(one: &str, other: &str) -> bool {
    let at = |text: &str| time::parse(text).ok().map(|at| at.0);
    at(one)
        .zip(at(other))
        .is_some_and(|(one, other)| (one - other).abs() <= 10)
}

/// What is told of the back door, the same on every way.
struct Waits {
    key: String,
    pin: String,
}

impl Waits {
    fn queue(rig: &Rig) -> Value {
        let queue = rig.get(&format!("/lockbridge/v1/devices/{BACK}/queue")).ok();
        assert_eq!(queue["queue"].as_array().map(Vec::len), Some(1), "{queue}");
        queue["queue"][0].clone()
    }

    /// Lets tries go by until the next one is so far away that everything can be looked at
    /// before it.
    fn row(rig: &Rig) -> Value {
        loop {
            let row = Waits::queue(rig);
            let at = |text: &str| time::parse(text).unwrap().0;
            let left = row["next_try"]
                .as_str()
                .map_or(0, |next| (at(next) - at(&rig.time(0))) / 1000);
            if left >= 25 && row["reason"] == "device_silent" {
                return row;
            }
            // To the try, and over its second of silence.
            rig.advance(u64::try_from(left.max(0)).unwrap() + 2);
        }
    }

    /// Insists that reason and next try are seen on all ways.
    fn seen(&self, rig: &Rig, broker: &Broker, ear: &mut Listener) {
        let row = Waits::row(rig);
        assert!(row["tries"].as_u64().is_some_and(|tries| tries > 0), "{row}");
        let next_try = row["next_try"].as_str().unwrap();
        let waits = |told: &Value| {
            told["reason"] == "device_silent"
                && told["next_try"].as_str().is_some_and(|at| same(at, next_try))
        };
        let member = |receipt: &Value| {
            assert_eq!((&receipt["proven"], &receipt["members"]), (&json!(1), &json!(2)));
            assert_eq!(receipt["receipts"][1]["device_id"], BACK);
            receipt["receipts"][1]["waiting"].clone()
        };
        let receipt = rig.get(&format!("/lockbridge/v1/groups/{}", self.key)).ok();
        assert!(waits(&member(&receipt)), "{receipt}");

        // Once it was published, it is what the broker keeps.
        let state = format!("{BASE}/device/{BACK}/state");
        let level = Uuid::new_v5(&Uuid::NAMESPACE_OID, self.key.as_bytes());
        let group = format!("{BASE}/group/{level}");
        let told_by_device = |heard: &Heard| heard.topic == state && waits(&heard.json());
        let told_by_group =
            |heard: &Heard| heard.topic == group && waits(&heard.json()["receipts"][1]["waiting"]);
        if !ear.heard.iter().any(told_by_device) {
            ear.find(told_by_device);
        }
        if !ear.heard.iter().any(told_by_group) {
            ear.find(told_by_group);
        }
        let kept = broker.retained();
        let device: Value = serde_json::from_str(&kept[&state]).unwrap();
        assert_eq!(
            (&device["pending"], &device["online"]),
            (&json!(1), &json!(false))
        );
        assert!(waits(&device), "{device}");
        let receipt: Value = serde_json::from_str(&kept[&group]).unwrap();
        assert!(waits(&member(&receipt)), "{receipt}");

        let shown = |line: &str| {
            let tells = |word: &str| same(word, next_try);
            line.contains("device_silent") && line.split_whitespace().any(tells)
        };
        let queue = rig.told(&["queue"]);
        let line = queue.lines().find(|line| line.starts_with("Back door"));
        assert!(line.is_some_and(shown), "{row}:\n{queue}");
        assert!(!queue.contains("Front door"), "{queue}");
        let told = rig.told(&["receipt", &self.key]);
        assert!(told.contains("proven 1 of 2"), "{told}");
        assert!(told.lines().any(shown), "{row}:\n{told}");
        assert!(rig.table(BACK).is_empty());
        assert_eq!(rig.pins_on(FRONT), [self.pin.as_str()]);
    }
}

#[test]
fn a_lock_out_of_reach_is_set_once_when_it_is_back_and_its_wait_is_seen_on_all_ways() {
    let broker = Broker::start("");
    let mut ear = broker.listen("lockbridge/#");
    let online = |heard: &Heard| heard.topic == format!("{BASE}/status") && heard.payload == "online";
    let mut rig = Rig::start(&[
        format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port),
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]);
    ear.find(online);
    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    broker.publish(
        &format!("{BASE}/cmd/create_multiple"),
        &json!({"job_id": "stay-1", "device_ids": [FRONT, BACK]}).to_string(),
        &["-D", "publish", "response-topic", REPLY],
    );
    let told = ear.on(REPLY).json();
    assert_eq!(told["phase"], "accepted", "{told}");
    let text = |name: &str| told["access_codes"][1][name].as_str().unwrap().to_owned();
    let waits = Waits {
        key: text("common_code_key"),
        pin: text("code"),
    };
    rig.advance(120);
    waits.seen(&rig, &broker, &mut ear);

    rig.kill();
    // What the broker keeps from before proves nothing: only what is heard from here on does.
    let mut ear = broker.listen("lockbridge/#");
    rig.run();
    ear.find(online);
    ear.heard.retain(|heard| !heard.retained);
    waits.seen(&rig, &broker, &mut ear);

    rig.post("/devices/simulate/connect", json!({"device_id": BACK}))
        .ok();
    rig.advance(600);
    for door in [FRONT, BACK] {
        assert_eq!(rig.pins_on(door), [waits.pin.as_str()], "once, and the same");
        assert_eq!(rig.codes(door)[0]["status"], "set");
    }
    let job = rig.get("/lockbridge/v1/jobs/stay-1").ok();
    assert_eq!(job["job"]["phase"], "done");
    assert!(!rig.told(&["queue"]).contains("door"));
    let state = format!("{BASE}/device/{BACK}/state");
    ear.find(|heard| heard.topic == state && heard.json()["pending"] == 0 && heard.json()["online"] == true);
}

/// Moves time on, and does not wait: the answer would come only once no step is under way. The caller stays on the line.
fn push_on(rig: &Rig, seconds: u64) -> TcpStream {
    let body = json!({"advance_s": seconds}).to_string();
    let request = format!(
        "POST /lockbridge/v1/sim/clock HTTP/1.1\r\nhost: {}\r\n{}content-length: {}\r\n\r\n{body}",
        rig.address(),
        rig.bearer(),
        body.len()
    );
    let mut gateway = TcpStream::connect(rig.address()).unwrap();
    gateway.write_all(request.as_bytes()).unwrap();
    gateway
}

/// The lock took the code, and the gateway ends before it hears so; then the code is deleted.
fn cut_after_the_write(profile: &str) {
    // The change falls into the middle of a step, a minute before its answer.
    let slow = "latency = \"2m\"\npatience = \"10m\"";
    let mut rig = Rig::start(&[device(FRONT, "Front door", profile, slow)]);
    let created = rig.post(CREATE, json!({"device_ids": [FRONT]})).ok();
    let code = created["access_codes"][0].clone();
    let mut caller = push_on(&rig, 10);
    while rig.table(FRONT).is_empty() {
        caller = push_on(&rig, 10);
    }
    drop(caller);
    assert_eq!(rig.codes(FRONT)[0]["status"], "setting", "{profile}");
    rig.kill();
    rig.run();
    assert_eq!(
        rig.codes(FRONT)[0]["status"],
        "setting",
        "{profile}: its answer was stored"
    );
    assert_eq!(rig.pins_on(FRONT), [code["code"].as_str().unwrap()]);
    let which = json!({"access_code_id": code["access_code_id"]});
    rig.post("/access_codes/delete", which.clone()).ok();
    rig.advance(4 * 3600);
    assert!(rig.table(FRONT).is_empty(), "{profile}: {:?}", rig.table(FRONT));
    rig.post("/access_codes/get", which)
        .refused(404, "access_code_not_found", "");
    let queue = rig.get(&format!("/lockbridge/v1/devices/{FRONT}/queue")).ok();
    assert_eq!(queue["queue"], json!([]));
}

#[test]
fn a_cut_after_a_write_then_a_delete_leaves_slots_empty() {
    cut_after_the_write("slots");
}

#[test]
fn a_cut_after_a_write_then_a_delete_leaves_a_keypad_empty() {
    cut_after_the_write("keypad-6");
}

#[test]
fn a_cut_after_a_write_then_a_delete_leaves_a_masked_lock_empty() {
    cut_after_the_write("masked");
}

#[test]
fn a_cut_after_a_write_then_a_delete_leaves_a_write_only_lock_empty() {
    cut_after_the_write("write-only");
}

#[test]
fn why_is_told_in_the_same_sentence_by_the_command_line_and_over_http() {
    let rig = Rig::start(&[
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Cellar", "slots", ""),
    ]);
    let why_device = |id: &str| rig.get(&format!("/lockbridge/v1/devices/{id}/why"));
    let why_code = |id: &str| rig.get(&format!("/lockbridge/v1/access_codes/{id}/why"));
    let sentence = |told: Value, cause: &str| {
        assert_eq!(told["why"]["cause"], cause, "{told}");
        format!("{}\n", told["why"]["sentence"].as_str().unwrap())
    };
    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    let body = json!({"device_ids": [FRONT, BACK], "name": "Jane Doe"});
    let booked = rig.post(CREATE, body).ok();
    rig.advance(60);
    let member = |nth: usize| booked["access_codes"][nth].clone();
    let id = |nth: usize| member(nth)["access_code_id"].as_str().unwrap().to_owned();

    let cellar = sentence(why_device(BACK).ok(), "device_silent");
    assert!(cellar.starts_with("Cellar has been silent since "), "{cellar}");
    assert_eq!(rig.told(&["why", "Cellar"]), cellar);
    assert_eq!(rig.told(&["why", BACK]), cellar);
    let waits = sentence(why_code(&id(1)).ok(), "device_silent");
    assert!(waits.contains("move the gateway nearer, or add one"), "{waits}");
    assert_eq!(rig.told(&["why", &id(1)]), waits);
    let set = sentence(why_code(&id(0)).ok(), "proven");
    assert_eq!(rig.told(&["why", &id(0)]), set);
    let rest = sentence(why_device(FRONT).ok(), "at_rest");
    assert_eq!(rig.told(&["why", "Front door"]), rest);
    // Neither the guest nor the digits.
    let pin = member(0)["code"].as_str().unwrap().to_owned();
    for told in [&cellar, &waits, &set, &rest] {
        assert!(!told.contains("Jane") && !told.contains(&pin), "{told}");
    }

    // Where no lock answers, it is not the lock that is looked at first.
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    let all = sentence(why_device(BACK).ok(), "device_silent");
    assert!(all.contains("like the other lock on its radio"), "{all}");
    assert!(all.contains("Look at the gateway's radio first"), "{all}");

    // Who may not ask, and what there is not.
    let nobody = Uuid::nil().to_string();
    why_device(&nobody).refused(404, "device_not_found", "no such device");
    why_code(&nobody).refused(404, "access_code_not_found", "no such access code");
    let door = bearer(&rig.make_key("door", "operate"));
    rig.call("GET", &format!("/lockbridge/v1/devices/{BACK}/why"), &door, "")
        .refused(403, "forbidden", "codes");
    for unknown in ["Attic", &nobody] {
        let told = rig.command(&["why", unknown]);
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        assert!(String::from_utf8_lossy(&told.stderr).contains("no "), "{told:?}");
    }
}
