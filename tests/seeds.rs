//! Seam's own example requests, sent by the tools that everybody has: curl, and mosquitto's
//! clients at a real mosquitto.
//!
//! `data/` holds the requests as documented. Their dates are past, so all four are moved by one
//! whole number of days; hours, and the distances between them, stay as they are.

#[path = "mqtt/broker.rs"]
mod broker;
mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use broker::{Broker, Listener};
use common::{BACK, FRONT, Rig, device};
use lockbridge::api::time;
use lockbridge::model::Timestamp;
use serde_json::{Value, json};

const CREATE: &str = include_str!("data/create_multiple.json");
const UPDATE: &str = include_str!("data/update_multiple.json");
const DAY: i64 = 86_400_000;
const BASE: &str = "lockbridge/villa-7/gw1";
const REPLY: &str = "lockbridge/villa-7/reply/cloud";

/// Both doors keep windows themselves, so that the window can be read off the lock.
fn doors() -> [String; 2] {
    [
        device(FRONT, "Front door", "keypad-6", "lengths = [4, 5, 6]"),
        device(BACK, "Back door", "slots", "window = \"seconds\""),
    ]
}

fn at(text: &Value) -> i64 {
    time::parse(text.as_str().expect("a time")).expect("a time").0
}

/// The two requests, moved so that the stay begins in two to three days: near enough for locks
/// with windows to hold it ahead of time.
fn requests(rig: &Rig) -> (Value, Value) {
    let mut requests: [Value; 2] = [CREATE, UPDATE].map(|text| serde_json::from_str(text).unwrap());
    let now = time::parse(&rig.time(0)).unwrap().0;
    let days = (now - at(&requests[0]["starts_at"])).div_euclid(DAY) + 3;
    for request in &mut requests {
        for name in ["starts_at", "ends_at"] {
            let moved = Timestamp(at(&request[name]) + days * DAY);
            request[name] = time::text(moved).unwrap().into();
        }
    }
    let [create, update] = requests;
    (create, update)
}

/// One PIN, one key, on both doors and in both locks, with the window that was asked for.
/// Returns PIN and key.
fn created(rig: &Rig, request: &Value, answer: &Value) -> (String, String) {
    let codes = answer["access_codes"].as_array().expect("codes");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (pin, key) = (text(&codes[0]["code"]), text(&codes[0]["common_code_key"]));
    assert_eq!((codes.len(), pin.len()), (2, 4));
    for (code, device) in codes.iter().zip(request["device_ids"].as_array().unwrap()) {
        assert_eq!(code["device_id"], *device);
        assert_eq!(
            (text(&code["code"]), text(&code["common_code_key"])),
            (pin.clone(), key.clone())
        );
        assert_eq!(code["name"], "Jane's reservation");
    }
    in_place(rig, request, &pin, &key);
    (pin, key)
}

/// What the gateway says and what the locks truly hold is this PIN in this window, and no more.
fn in_place(rig: &Rig, request: &Value, pin: &str, key: &str) {
    rig.advance(300);
    let window = |row: &Value| (at(&row["starts_at"]), at(&row["ends_at"]));
    for door in [FRONT, BACK] {
        let codes = rig.codes(door);
        assert_eq!(
            (codes.len(), window(&codes[0])),
            (1, window(request)),
            "{codes:?}"
        );
        assert_eq!(
            (&codes[0]["code"], &codes[0]["common_code_key"]),
            (&json!(pin), &json!(key))
        );
        let table = rig.table(door);
        assert_eq!(
            (table.len(), window(&table[0])),
            (1, window(request)),
            "{table:?}"
        );
        assert_eq!(table[0]["code"], pin);
        assert!(!rig.opens(door, pin), "its time has not come");
    }
}

/// Later, the doors open and close as the moved window says.
fn lived(rig: &Rig, update: &Value, pin: &str) {
    for (moment, opens) in [("starts_at", true), ("ends_at", false)] {
        let left = at(&update[moment]) - time::parse(&rig.time(0)).unwrap().0;
        rig.advance(u64::try_from(left / 1000).unwrap() + 1);
        assert!(
            [FRONT, BACK].iter().all(|door| rig.opens(door, pin) == opens),
            "{moment}"
        );
    }
}

fn curl(rig: &Rig, method: &str, path: &str, body: &Value) -> Value {
    // The key goes in through a pipe: arguments are for all to see.
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--config", "-"])
        .args(["--request", method, "--data", &body.to_string()])
        .arg(format!("http://{}{path}", rig.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl");
    let headers = format!(
        "header = \"authorization: Bearer {}\"\nheader = \"content-type: application/json\"\n",
        rig.key
    );
    curl.stdin.take().unwrap().write_all(headers.as_bytes()).unwrap();
    let output = curl.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn by_curl() {
    let rig = Rig::start(&doors());
    let (create, mut update) = requests(&rig);
    let answer = curl(&rig, "POST", "/access_codes/create_multiple", &create);
    assert_eq!(answer["ok"], true, "{answer}");
    let (pin, key) = created(&rig, &create, &answer);
    update["common_code_key"] = key.clone().into();
    let answer = curl(&rig, "PATCH", "/access_codes/update_multiple", &update);
    assert_eq!(answer, json!({"ok": true}));
    in_place(&rig, &update, &pin, &key);
    lived(&rig, &update, &pin);
}

/// Sends a command, and returns the answer that carries its correlation data.
fn ask(broker: &Broker, ear: &mut Listener, verb: &str, body: &Value) -> Value {
    let correlation = body["job_id"].as_str().unwrap();
    let mut with = vec!["-D", "publish", "response-topic", REPLY];
    with.extend(["-D", "publish", "correlation-data", correlation]);
    broker.publish(&format!("{BASE}/cmd/{verb}"), &body.to_string(), &with);
    let heard = ear.on(REPLY);
    assert_eq!(heard.correlation, correlation);
    let told = heard.json();
    assert_eq!(
        (&told["ok"], &told["phase"]),
        (&json!(true), &json!("accepted")),
        "{told}"
    );
    assert_eq!(told["job_id"], body["job_id"]);
    told
}

#[test]
fn by_mosquitto_pub() {
    let broker = Broker::start("");
    let mut ear = broker.listen("lockbridge/#");
    let [front, back] = doors();
    let mqtt = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port);
    let rig = Rig::start(&[mqtt, front, back]);
    ear.find(|heard| heard.topic == format!("{BASE}/status") && heard.payload == "online");
    let (mut create, mut update) = requests(&rig);
    create["job_id"] = "jane-1".into();
    let answer = ask(&broker, &mut ear, "create_multiple", &create);
    let (pin, key) = created(&rig, &create, &answer);
    update["job_id"] = "jane-2".into();
    update["common_code_key"] = key.clone().into();
    ask(&broker, &mut ear, "update_multiple", &update);
    in_place(&rig, &update, &pin, &key);
    lived(&rig, &update, &pin);
}
