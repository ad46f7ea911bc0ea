//! The whole program at a real broker. Needs Debian's `mosquitto` and `mosquitto-clients`.

mod broker;
mod callers;
#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod discovery;
mod line;
mod names;
mod outage;
mod script;
mod size;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use broker::{Broker, Heard, Listener};
use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

const BASE: &str = "lockbridge/villa-7/gw1";
const REPLY: &str = "lockbridge/villa-7/reply/cloud";

/// A gateway at a broker, and somebody who hears everything.
struct Scene {
    broker: Broker,
    rig: Rig,
    ear: Listener,
}

impl Scene {
    fn set() -> Scene {
        Scene::at(Broker::start(""), "")
    }

    /// At a running broker, with further lines for `[mqtt]`.
    fn at(broker: Broker, more: &str) -> Scene {
        let mut ear = broker.listen("lockbridge/#");
        let mut rig = gateway(&broker, more);
        rig.run();
        ear.find(is_online);
        Scene { broker, rig, ear }
    }

    /// Sends a command that wants an answer.
    fn send(&self, verb: &str, correlation: &str, body: &Value) {
        self.send_text(verb, correlation, &body.to_string());
    }

    fn send_text(&self, verb: &str, correlation: &str, payload: &str) {
        let mut with = vec!["-D", "publish", "response-topic", REPLY];
        with.extend(["-D", "publish", "correlation-data", correlation]);
        self.broker.publish(&format!("{BASE}/cmd/{verb}"), payload, &with);
    }

    #[track_caller]
    fn answer(&mut self) -> (Heard, Value) {
        let heard = self.ear.on(REPLY);
        let body = heard.json();
        (heard, body)
    }

    #[track_caller]
    fn ask(&mut self, verb: &str, correlation: &str, body: &Value) -> Value {
        self.send(verb, correlation, body);
        let (heard, told) = self.answer();
        assert_eq!(heard.correlation, correlation, "{told}");
        told
    }

    #[track_caller]
    fn done(&mut self, job: &str) -> Value {
        let topic = format!("{BASE}/job/{job}");
        let done = |heard: &Heard| heard.topic == topic && heard.payload.contains(r#""phase":"done""#);
        self.ear.find(done).json()
    }
}

/// A gateway with two doors that does not run yet.
fn gateway(broker: &Broker, more: &str) -> Rig {
    gateway_at(broker.port, more)
}

fn gateway_at(port: u16, more: &str) -> Rig {
    let quick = "latency = \"5ms\"";
    Rig::new(&[
        format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n{more}\n"),
        device(FRONT, "Front door", "slots", quick),
        device(BACK, "Back door", "slots", quick),
    ])
}

fn is_online(heard: &Heard) -> bool {
    heard.topic == format!("{BASE}/status") && heard.payload == "online"
}

fn is_offline(heard: &Heard) -> bool {
    heard.topic == format!("{BASE}/status") && heard.payload == "offline"
}

fn both(job: &str) -> Value {
    json!({"job_id": job, "device_ids": [FRONT, BACK], "name": "Jane Guest"})
}

/// Whether a PIN stands in a text by itself: as a run of digits inside an id it is none.
fn shows(text: &str, pin: &str) -> bool {
    let is_outside = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-');
    text.match_indices(pin).any(|(at, _)| {
        is_outside(text[..at].chars().next_back()) && is_outside(text[at + pin.len()..].chars().next())
    })
}

#[test]
fn one_command_gives_one_pin_on_all_doors_and_one_more_moves_them_all() {
    let mut scene = Scene::set();
    let mut ask = both("stay-1");
    ask["preferred_code_length"] = 6.into();
    ask["progress"] = true.into();
    let told = scene.ask("create_multiple", "c1", &ask);
    assert_eq!(
        (&told["job_id"], &told["phase"]),
        (&json!("stay-1"), &json!("accepted"))
    );
    assert_eq!((&told["ok"], &told["reasons"]), (&json!(true), &json!([])));
    let codes = told["access_codes"].as_array().expect("codes");
    let pin = codes[0]["code"].as_str().expect("shown to the caller").to_owned();
    let key = codes[0]["common_code_key"].as_str().expect("a key").to_owned();
    assert_eq!((codes.len(), pin.len()), (2, 6));
    assert!(
        codes
            .iter()
            .all(|code| code["code"] == *pin && code["common_code_key"] == *key)
    );

    let (heard, done) = scene.answer();
    assert_eq!((&done["phase"], &done["settled"]), (&json!("done"), &json!(2)));
    assert_eq!(
        (heard.correlation.as_str(), done["receipts"][0]["code"].as_str()),
        ("c1", Some(&*pin))
    );
    let expiry: u32 = heard.expiry.parse().expect("answers do not stay for ever");
    assert!((86_300..=86_400).contains(&expiry), "{expiry}");
    for door in [FRONT, BACK] {
        assert_eq!(scene.rig.pins_on(door), [pin.as_str()]);
    }

    let window = json!({
        "job_id": "move-1", "common_code_key": key,
        "starts_at": "2040-01-01T15:00:00.000Z", "ends_at": "2040-01-03T11:00:00.000Z",
    });
    let told = scene.ask("update_multiple", "c2", &window);
    assert_eq!((&told["phase"], &told["ok"]), (&json!("accepted"), &json!(true)));
    // It is due in years: until then both doors lose it again, and the job is not done.
    let topic = format!("{BASE}/job/move-1");
    let unset = |receipt: &Value| receipt["status"] == "unset";
    let off = |heard: &Heard| {
        heard.topic == topic
            && heard.json()["receipts"]
                .as_array()
                .is_some_and(|all| all.iter().all(unset))
    };
    let moved = scene.ear.find(off).json();
    assert_eq!(
        (&moved["phase"], &moved["settled"]),
        (&json!("accepted"), &json!(0))
    );
    for receipt in moved["receipts"].as_array().expect("receipts") {
        assert_eq!(
            (&receipt["code"], &receipt["starts_at"]),
            (&Value::Null, &window["starts_at"])
        );
    }
    assert!(scene.rig.pins_on(FRONT).is_empty() && scene.rig.pins_on(BACK).is_empty());

    let first = codes[0]["access_code_id"].clone();
    let told = scene.ask(
        "delete",
        "c3",
        &json!({"job_id": "gone-1", "access_code_id": first}),
    );
    assert_eq!(told["phase"], "accepted");
    scene.done("gone-1");

    let kept = scene.broker.retained();
    let of = |part: &str| kept.keys().filter(|topic| topic.contains(part)).count();
    assert_eq!(
        (of("/job/"), of("/group/"), of("/device/")),
        (3, 1, 4),
        "{kept:#?}"
    );
    for (topic, payload) in &kept {
        assert!(
            !shows(payload, &pin) && !payload.contains("Jane"),
            "{topic}: {payload}"
        );
    }
    for heard in scene.ear.heard.iter().filter(|heard| heard.topic != REPLY) {
        assert!(!shows(&heard.payload, &pin), "{heard:?}");
    }
    assert!(!shows(&scene.rig.log(), &pin));
}

#[test]
fn the_same_job_again_gets_the_same_answer_and_makes_no_second_code() {
    let mut scene = Scene::set();
    let first = scene.ask("create_multiple", "1", &both("stay-1"));
    scene.done("stay-1");
    let again = scene.ask("create_multiple", "2", &both("stay-1"));
    assert_eq!(first, again);
    assert_eq!(scene.rig.pins_on(FRONT).len(), 1);

    let mut other = both("stay-1");
    other["name"] = "Somebody Else".into();
    let reused = scene.ask("create_multiple", "3", &other);
    assert_eq!(
        (&reused["phase"], &reused["job_id"]),
        (&json!("rejected"), &json!("stay-1"))
    );
    assert_eq!(reused["reasons"][0]["reason"], "job_id_reused");
    assert_eq!(reused["error"]["type"], "job_id_reused");
    // The job that has the id is shown as it was.
    let kept = scene.broker.retained();
    assert!(kept[&format!("{BASE}/job/stay-1")].contains(r#""phase":"done""#));
    assert_eq!(scene.rig.pins_on(FRONT).len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_its_reason_and_changes_nothing() {
    let mut scene = Scene::set();
    for (payload, reason) in [
        (r#"{"job_id": "#, "invalid_json"),
        ("[]", "invalid_input"),
        (r#"{"device_ids": []}"#, "invalid_input"),
        (r##"{"job_id": "#", "device_ids": []}"##, "invalid_input"),
        (r#"{"job_id": "a/b", "device_ids": []}"#, "invalid_input"),
        (r#"{"job_id": "bad-1", "device_ids": []}"#, "invalid_input"),
        (
            r#"{"job_id": "bad-2", "device_ids": ["00000000-0000-4000-8000-000000000000"]}"#,
            "device_not_found",
        ),
    ] {
        scene.send_text("create_multiple", "c", payload);
        let (_, told) = scene.answer();
        assert_eq!(told["phase"], "rejected", "{payload}: {told}");
        assert_eq!(told["reasons"][0]["reason"], reason, "{payload}: {told}");
        assert_eq!(told["error"]["type"], reason, "{payload}: {told}");
        assert!(told["reasons"][0]["hint"].is_string() && told["reasons"][0]["retryable"].is_boolean());
    }
    scene.send("creat_multiple", "c", &both("bad-3"));
    let (_, told) = scene.answer();
    assert_eq!(told["reasons"][0]["reason"], "not_found");
    let hint = told["reasons"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("topic"), "{hint}");

    // A refusal is on record, and is shown to those who ask without a response topic.
    let topic = format!("{BASE}/cmd/delete");
    scene
        .broker
        .publish(&topic, r#"{"job_id": "bad-4", "access_code_id": "x"}"#, &[]);
    let shown = scene.ear.on(&format!("{BASE}/job/bad-4"));
    assert_eq!(
        (&shown.json()["phase"], &shown.json()["reason"]),
        (&json!("rejected"), &json!("invalid_input"))
    );
    // An answer goes nowhere but below the prefix.
    let elsewhere = [
        "-D",
        "publish",
        "response-topic",
        "lockbridge/villa/gw2/cmd/delete",
    ];
    scene.broker.publish(
        &topic,
        r#"{"job_id": "bad-5", "access_code_id": "x"}"#,
        &elsewhere,
    );
    let shown = scene.ear.on(&format!("{BASE}/job/bad-5"));
    assert_eq!(shown.json()["reason"], "reply_not_allowed");
    assert!(scene.ear.heard.iter().all(|heard| !heard.topic.contains("gw2")));
    // The plain twin of a response topic.
    let twin = json!({"job_id": "bad-6", "access_code_id": "x", "reply_to": REPLY});
    scene.broker.publish(&topic, &twin.to_string(), &[]);
    assert_eq!(scene.answer().1["job_id"], "bad-6");
    assert!(scene.rig.pins_on(FRONT).is_empty());
}

#[test]
fn a_command_that_no_answer_tells_of_is_in_the_log_with_its_topic() {
    let scene = Scene::set();
    let topic = format!("{BASE}/cmd/create_multiple");
    // What clears a retained command is none, and comes first.
    scene.broker.publish_lines(&topic, "\n", &["-r"]);
    scene.broker.publish_lines(&topic, "\n", &[]);
    scene.broker.publish(&topic, r#"{"device_ids": "8264"}"#, &[]);
    scene.rig.logged(|log| log.contains("a command was refused"));
    let log = scene.rig.log();
    let warned: Vec<&str> = log.lines().filter(|line| line.contains("command")).collect();
    let [empty, refused] = warned[..] else {
        panic!("{log}")
    };
    assert!(
        empty.contains("empty command") && empty.contains(&topic),
        "{empty}"
    );
    let says = [topic.as_str(), "invalid_input", "job_id: is required"];
    assert!(says.iter().all(|word| refused.contains(word)), "{refused}");
    assert!(!log.contains("8264"), "{log}");
}

#[test]
fn a_retained_command_is_refused_and_cleared() {
    let broker = Broker::start("");
    let mut ear = broker.listen("lockbridge/#");
    let topic = format!("{BASE}/cmd/create_multiple");
    // Kept from before the gateway came, and a new one while it is there.
    let with = ["-r", "-D", "publish", "response-topic", REPLY];
    broker.publish(&topic, &both("old").to_string(), &with);
    let mut rig = gateway(&broker, "");
    rig.run();
    for job in ["old", "new"] {
        if job == "new" {
            broker.publish(&topic, &both("new").to_string(), &with);
        }
        ear.find(|heard| heard.topic == topic && heard.payload.is_empty());
        let told = ear.on(REPLY).json();
        assert_eq!(told["job_id"], job);
        assert_eq!(told["reasons"][0]["reason"], "retained_command");
    }
    assert!(!broker.retained().contains_key(&topic));
    assert!(rig.pins_on(FRONT).is_empty());
}

#[test]
fn a_broker_that_forgot_everything_is_told_everything() {
    let mut scene = Scene::set();
    scene.ask("create_multiple", "c", &both("stay-1"));
    let proven = |heard: &Heard| heard.topic.contains("/group/") && heard.json()["all_proven"] == true;
    scene.done("stay-1");
    if !scene.ear.heard.iter().any(proven) {
        scene.ear.find(proven);
    }
    let before = scene.broker.retained();
    scene.broker.kill();
    scene.broker.run("");
    scene.ear = scene.broker.listen("lockbridge/#");
    scene.ear.find(is_online);
    let after = scene.broker.retained();
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    let group = |kept: &BTreeMap<String, String>| {
        let found = kept.iter().find(|(topic, _)| topic.contains("/group/"));
        found.map(|(_, payload)| payload.clone())
    };
    assert_eq!(group(&before), group(&after));
    // And commands arrive again.
    let told = scene.ask("create_multiple", "c", &both("stay-2"));
    assert_eq!(told["phase"], "accepted");
}

#[test]
fn a_gateway_works_without_a_broker_and_finds_it_when_it_comes() {
    let mut broker = Broker::planned();
    let mut rig = gateway(&broker, "");
    rig.run();
    let made = rig
        .post("/access_codes/create_multiple", json!({"device_ids": [FRONT]}))
        .ok();
    broker.run("");
    let mut ear = broker.listen("lockbridge/#");
    ear.find(is_online);
    let seen = |part: &str| {
        ear.heard
            .iter()
            .filter(|heard| heard.topic.contains(part))
            .count()
    };
    // All is shown before `online`, jobs that came over HTTP among it.
    assert!(
        seen("/device/") == 4 && seen("/job/") == 1 && seen("/group/") == 1,
        "{:#?}",
        ear.heard
    );
    assert_eq!(made["access_codes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_clean_stop_says_offline_and_what_comes_meanwhile_is_done_afterwards() {
    let mut scene = Scene::set();
    assert!(scene.rig.terminate().success());
    scene.ear.find(is_offline);
    // To an absent gateway: the broker keeps it with our session.
    scene.send("create_multiple", "late", &both("stay-1"));
    scene.rig.run();
    let (heard, told) = scene.answer();
    assert_eq!(
        (heard.correlation.as_str(), &told["phase"]),
        ("late", &json!("accepted"))
    );
    scene.done("stay-1");
    assert_eq!(scene.rig.pins_on(FRONT).len(), 1);
    assert_eq!(scene.rig.pins_on(FRONT), scene.rig.pins_on(BACK));
}

#[test]
fn a_gateway_killed_at_any_moment_does_every_job_once() {
    let mut scene = Scene::set();
    let mut pins = BTreeSet::new();
    for (nth, moment) in ["sent", "answered", "accepted", "done"].into_iter().enumerate() {
        let job = format!("stay-{moment}");
        let shown = format!("{BASE}/job/{job}");
        scene.send("create_multiple", moment, &both(&job));
        match moment {
            "sent" => {}
            "answered" => drop(scene.answer()),
            "accepted" => drop(scene.ear.on(&shown)),
            _ => drop(scene.done(&job)),
        }
        scene.rig.kill();
        // Nobody said goodbye, so that the broker does.
        scene.ear.find(is_offline);
        scene.rig.run();
        // Until it is done, whatever was heard of it before.
        scene.ear.find(is_online);
        scene.ear = scene.broker.listen("lockbridge/#");
        scene.done(&job);
        let again = scene.ask("create_multiple", "again", &both(&job));
        for (door, code) in [FRONT, BACK]
            .into_iter()
            .zip(again["access_codes"].as_array().unwrap())
        {
            let (pin, on_lock) = (code["code"].as_str().unwrap().to_owned(), scene.rig.pins_on(door));
            assert!(
                on_lock.contains(&pin) && on_lock.len() == nth + 1,
                "{moment}: {on_lock:?}"
            );
            pins.insert(pin);
        }
        assert_eq!(pins.len(), nth + 1, "{moment}");
    }
}

#[test]
fn what_ended_is_shown_for_a_day() {
    let mut scene = Scene::set();
    scene.send("create_multiple", "c", &both("stay-1"));
    scene.done("stay-1");
    let topic = format!("{BASE}/job/stay-1");
    let expiry = scene
        .ear
        .heard
        .iter()
        .filter(|heard| heard.topic == topic)
        .map(|heard| &heard.expiry);
    let expiry: Vec<u32> = expiry.filter_map(|expiry| expiry.parse().ok()).collect();
    assert!(
        expiry.iter().all(|left| (86_000..=86_400).contains(left)) && expiry.len() == 1,
        "{expiry:?}"
    );
    scene.rig.advance(24 * 3600 + 60);
    scene
        .ear
        .find(|heard| heard.topic == topic && heard.payload.is_empty());
    assert!(!scene.broker.retained().contains_key(&topic));
}

#[test]
fn large_commands_arrive_and_larger_ones_break_nothing() {
    let mut scene = Scene::set();
    let padded = |job: &str, size| {
        let mut body = both(job);
        body["padding"] = "x".repeat(size).into();
        body
    };
    for (job, size) in [("12k", 12_000), ("200k", 200_000)] {
        let told = scene.ask("create_multiple", job, &padded(job, size));
        assert_eq!(told["phase"], "accepted", "{job}");
    }
    scene.send("create_multiple", "300k", &padded("300k", 300_000));
    let told = scene.ask("create_multiple", "after", &both("after"));
    assert_eq!(
        told["job_id"], "after",
        "the broker keeps to itself what is too large"
    );
}

#[test]
fn a_flood_is_answered_whole_whether_it_waited_or_comes_now() {
    let mut scene = Scene::set();
    let names = |flood: &str| (0..200).map(|n| format!("{flood}-{n}")).collect::<Vec<_>>();
    for flood in ["now", "waited"] {
        if flood == "waited" {
            assert!(scene.rig.terminate().success());
        }
        let command = |job: &String| format!("{}\n", json!({"job_id": job, "common_code_key": "none"}));
        let lines: String = names(flood).iter().map(command).collect();
        let with = ["-D", "publish", "response-topic", REPLY];
        scene
            .broker
            .publish_lines(&format!("{BASE}/cmd/update_multiple"), &lines, &with);
        if flood == "waited" {
            scene.rig.run();
        }
        let mut open: BTreeSet<String> = names(flood).into_iter().collect();
        while !open.is_empty() {
            let (_, told) = scene.answer();
            assert_eq!(told["reasons"][0]["reason"], "access_code_not_found");
            open.remove(told["job_id"].as_str().unwrap());
        }
    }
    assert!(!scene.rig.log().contains("no connection"), "{}", scene.rig.log());
}

#[test]
fn names_of_guests_are_shown_only_where_the_operator_says_so() {
    let mut scene = Scene::at(Broker::start(""), "names = \"show\"");
    scene.ask("create_multiple", "c", &both("stay-1"));
    let named = |heard: &Heard| heard.topic.contains("/group/") && heard.json()["name"] == "Jane Guest";
    scene.ear.find(named);
}

#[test]
fn answers_that_the_broker_refuses_are_kept() {
    // Everybody may do everything but publish answers.
    let mut broker = Broker::planned();
    let acl = broker.file("acl", &format!("topic readwrite {BASE}/#\ntopic read #\n"));
    broker.run(&format!("acl_file {}", acl.display()));
    let mut scene = Scene::at(broker, "");
    scene.send("create_multiple", "patience", &both("stay-1"));
    scene.done("stay-1");
    assert!(
        scene.rig.log().contains("refused an answer"),
        "{}",
        scene.rig.log()
    );
    scene.broker.kill();
    scene.broker.run("");
    scene.ear = scene.broker.listen("lockbridge/#");
    let (heard, told) = scene.answer();
    assert_eq!(
        (heard.correlation.as_str(), &told["job_id"]),
        ("patience", &json!("stay-1"))
    );
}
