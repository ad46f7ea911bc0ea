//! The MQTT room against a real broker. Needs Debian's `mosquitto` and `mosquitto-clients`.

mod broker;
mod gateway;

use std::time::Duration;

use broker::{Broker, Heard, Listener, until};
use gateway::{BACK, BASE, FRONT, House, REPLY};
use serde_json::{Value, json};

/// A gateway at a broker, and somebody who hears everything.
struct Scene {
    broker: Broker,
    house: House,
    ear: Listener,
}

impl Scene {
    async fn set() -> Scene {
        Scene::with("", "").await
    }

    /// With further lines for the broker's configuration, and for our `[mqtt]`.
    async fn with(broker: &str, mqtt: &str) -> Scene {
        let broker = Broker::start(broker).await;
        let mut ear = broker.listen("lockbridge/#").await;
        let house = House::open(broker.port, mqtt);
        ear.find(is_online).await;
        Scene { broker, house, ear }
    }

    /// Sends a command that wants an answer.
    async fn send(&self, verb: &str, correlation: &str, body: &Value) {
        self.send_as(verb, correlation, &body.to_string(), &[]).await;
    }

    async fn send_as(&self, verb: &str, correlation: &str, payload: &str, more: &[&str]) {
        let topic = format!("{BASE}/cmd/{verb}");
        let mut with = vec!["-D", "publish", "response-topic", REPLY];
        with.extend(["-D", "publish", "correlation-data", correlation]);
        with.extend(more);
        self.broker.publish(&topic, payload, &with).await;
    }

    async fn answer(&mut self) -> (Heard, Value) {
        let heard = self.ear.on(REPLY).await;
        let body = heard.json();
        (heard, body)
    }

    async fn ask(&mut self, verb: &str, correlation: &str, body: &Value) -> Value {
        self.send(verb, correlation, body).await;
        let (heard, told) = self.answer().await;
        assert_eq!(heard.correlation, correlation, "{told}");
        told
    }

    async fn done(&mut self, job: &str) -> Value {
        let topic = format!("{BASE}/job/{job}");
        let done = |heard: &Heard| heard.topic == topic && heard.json()["phase"] == "done";
        self.ear.find(done).await.json()
    }
}

fn is_online(heard: &Heard) -> bool {
    heard.topic == format!("{BASE}/status") && heard.payload == "online"
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

#[tokio::test]
async fn one_command_gives_one_pin_on_all_doors_and_one_more_moves_them_all() {
    let mut scene = Scene::set().await;
    let mut ask = both("stay-1");
    ask["preferred_code_length"] = 6.into();
    ask["progress"] = true.into();
    let told = scene.ask("create_multiple", "c1", &ask).await;
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

    let (heard, done) = scene.answer().await;
    assert_eq!((&done["phase"], &done["settled"]), (&json!("done"), &json!(2)));
    assert_eq!(
        (heard.correlation.as_str(), done["receipts"][0]["code"].as_str()),
        ("c1", Some(&*pin))
    );
    let expiry: u32 = heard.expiry.parse().expect("answers do not stay for ever");
    assert!((86_300..=86_400).contains(&expiry), "{expiry}");
    for door in [FRONT, BACK] {
        assert_eq!(scene.house.pins(door), [pin.as_str()]);
    }

    let window = json!({
        "job_id": "move-1", "common_code_key": key,
        "starts_at": "2040-01-01T15:00:00.000Z", "ends_at": "2040-01-03T11:00:00.000Z",
    });
    let told = scene.ask("update_multiple", "c2", &window).await;
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
    let moved = scene.ear.find(off).await.json();
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
    assert!(scene.house.pins(FRONT).is_empty() && scene.house.pins(BACK).is_empty());

    let first = codes[0]["access_code_id"].clone();
    let told = scene
        .ask(
            "delete",
            "c3",
            &json!({"job_id": "gone-1", "access_code_id": first}),
        )
        .await;
    assert_eq!(told["phase"], "accepted");
    scene.done("gone-1").await;

    let kept = scene.broker.retained().await;
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
    scene.house.close().await;
}

#[tokio::test]
async fn the_same_job_again_gets_the_same_answer_and_makes_no_second_code() {
    let mut scene = Scene::set().await;
    let first = scene.ask("create_multiple", "1", &both("stay-1")).await;
    scene.done("stay-1").await;
    let again = scene.ask("create_multiple", "2", &both("stay-1")).await;
    assert_eq!(first, again);
    assert_eq!(scene.house.pins(FRONT).len(), 1);

    let mut other = both("stay-1");
    other["name"] = "Somebody Else".into();
    let reused = scene.ask("create_multiple", "3", &other).await;
    assert_eq!(
        (&reused["phase"], &reused["job_id"]),
        (&json!("rejected"), &json!("stay-1"))
    );
    assert_eq!(reused["reasons"][0]["reason"], "job_id_reused");
    assert_eq!(reused["error"]["type"], "job_id_reused");
    // The job that has the id is shown as it was.
    let kept = scene.broker.retained().await;
    assert!(kept[&format!("{BASE}/job/stay-1")].contains(r#""phase":"done""#));
    assert_eq!(scene.house.pins(FRONT).len(), 1);
    scene.house.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_reason_and_changes_nothing() {
    let mut scene = Scene::set().await;
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
        scene.send_as("create_multiple", "c", payload, &[]).await;
        let (_, told) = scene.answer().await;
        assert_eq!(told["phase"], "rejected", "{payload}: {told}");
        assert_eq!(told["reasons"][0]["reason"], reason, "{payload}: {told}");
        assert_eq!(told["error"]["type"], reason, "{payload}: {told}");
        assert!(told["reasons"][0]["hint"].is_string() && told["reasons"][0]["retryable"].is_boolean());
    }
    scene
        .send_as("creat_multiple", "c", &both("bad-3").to_string(), &[])
        .await;
    let (_, told) = scene.answer().await;
    assert_eq!(told["reasons"][0]["reason"], "not_found");

    // A refusal is on record, and is shown to those who ask without a response topic.
    let topic = format!("{BASE}/cmd/delete");
    scene
        .broker
        .publish(&topic, r#"{"job_id": "bad-4", "access_code_id": "x"}"#, &[])
        .await;
    let shown = scene.ear.on(&format!("{BASE}/job/bad-4")).await;
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
    scene
        .broker
        .publish(
            &topic,
            r#"{"job_id": "bad-5", "access_code_id": "x"}"#,
            &elsewhere,
        )
        .await;
    let shown = scene.ear.on(&format!("{BASE}/job/bad-5")).await;
    assert_eq!(shown.json()["reason"], "reply_not_allowed");
    assert!(scene.ear.heard.iter().all(|heard| !heard.topic.contains("gw2")));
    // The plain twin of a response topic.
    let twin = json!({"job_id": "bad-6", "access_code_id": "x", "reply_to": REPLY});
    scene.broker.publish(&topic, &twin.to_string(), &[]).await;
    assert_eq!(scene.answer().await.1["job_id"], "bad-6");
    assert!(scene.house.pins(FRONT).is_empty());
    scene.house.close().await;
}

#[tokio::test]
async fn a_retained_command_is_refused_and_cleared() {
    let broker = Broker::start("").await;
    let mut ear = broker.listen("lockbridge/#").await;
    let topic = format!("{BASE}/cmd/create_multiple");
    // Kept from before the gateway came, and a new one while it is there.
    let with = ["-r", "-D", "publish", "response-topic", REPLY];
    broker.publish(&topic, &both("old").to_string(), &with).await;
    let house = House::open(broker.port, "");
    for job in ["old", "new"] {
        if job == "new" {
            broker.publish(&topic, &both("new").to_string(), &with).await;
        }
        let cleared = |heard: &Heard| heard.topic == topic && heard.payload.is_empty();
        ear.find(cleared).await;
        let told = ear.on(REPLY).await.json();
        assert_eq!(
            (&told["job_id"], &told["reasons"][0]["reason"]),
            (&json!(job), &json!("retained_command"))
        );
    }
    assert!(!broker.retained().await.contains_key(&topic));
    assert!(house.pins(FRONT).is_empty());
    house.close().await;
}

#[tokio::test]
async fn a_broker_that_forgot_everything_is_told_everything() {
    let mut scene = Scene::set().await;
    scene.ask("create_multiple", "c", &both("stay-1")).await;
    scene.done("stay-1").await;
    // Until the last picture of this was shown.
    let before = loop {
        let kept = scene.broker.retained().await;
        if kept
            .values()
            .any(|payload| payload.contains(r#""all_proven":true"#))
        {
            break kept;
        }
    };
    scene.broker.kill().await;
    scene.broker.run().await;
    scene.ear = scene.broker.listen("lockbridge/#").await;
    scene.ear.find(is_online).await;
    let after = scene.broker.retained().await;
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    let group = |kept: &std::collections::BTreeMap<String, String>| {
        let (_, payload) = kept
            .iter()
            .find(|(topic, _)| topic.contains("/group/"))
            .expect("a group");
        payload.clone()
    };
    assert_eq!(group(&before), group(&after));
    // And commands arrive again.
    let told = scene.ask("create_multiple", "c", &both("stay-2")).await;
    assert_eq!(told["phase"], "accepted");
    scene.house.close().await;
}

#[tokio::test]
async fn a_gateway_works_without_a_broker_and_finds_it_when_it_comes() {
    let mut broker = Broker::planned("");
    let house = House::open(broker.port, "");
    let seen = house.core.look(|gateway, _| gateway.device_ids().count()).await;
    assert_eq!(seen, Ok(2));
    broker.run().await;
    let mut ear = broker.listen("lockbridge/#").await;
    ear.find(is_online).await;
    let devices = ear.heard.iter().filter(|heard| heard.topic.contains("/device/"));
    assert_eq!(devices.count(), 4, "all is shown before `online`");
    house.close().await;
}

#[tokio::test]
async fn a_clean_stop_says_offline_and_what_comes_meanwhile_is_done_afterwards() {
    let mut scene = Scene::set().await;
    scene.house.disconnect().await;
    let offline = |heard: &Heard| heard.topic == format!("{BASE}/status") && heard.payload == "offline";
    scene.ear.find(offline).await;
    // To an absent gateway: the broker keeps it with our session.
    scene.send("create_multiple", "late", &both("stay-1")).await;
    scene.house.connect();
    let (heard, told) = scene.answer().await;
    assert_eq!(
        (heard.correlation.as_str(), &told["phase"]),
        ("late", &json!("accepted"))
    );
    scene.done("stay-1").await;
    assert_eq!(scene.house.pins(FRONT), scene.house.pins(BACK));
    scene.house.close().await;
}

#[tokio::test]
async fn what_ended_is_shown_for_a_day() {
    let mut scene = Scene::set().await;
    scene.send("create_multiple", "c", &both("stay-1")).await;
    scene.done("stay-1").await;
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
    until(scene.house.core.advance(Duration::from_secs(24 * 3600 + 60)))
        .await
        .expect("it runs");
    let cleared = |heard: &Heard| heard.topic == topic && heard.payload.is_empty();
    scene.ear.find(cleared).await;
    assert!(!scene.broker.retained().await.contains_key(&topic));
    scene.house.close().await;
}

#[tokio::test]
async fn large_commands_arrive_and_larger_ones_break_nothing() {
    let mut scene = Scene::set().await;
    for (job, size) in [("12k", 12_000), ("200k", 200_000)] {
        let mut body = both(job);
        body["padding"] = "x".repeat(size).into();
        assert_eq!(
            scene.ask("create_multiple", job, &body).await["phase"],
            "accepted",
            "{job}"
        );
    }
    let mut body = both("300k");
    body["padding"] = "x".repeat(300_000).into();
    scene.send("create_multiple", "300k", &body).await;
    let told = scene.ask("create_multiple", "after", &both("after")).await;
    assert_eq!(
        told["job_id"], "after",
        "the broker keeps to itself what is too large"
    );
    scene.house.close().await;
}

#[tokio::test]
async fn names_of_guests_are_shown_only_where_the_operator_says_so() {
    let mut scene = Scene::with("", "names = \"show\"").await;
    scene.ask("create_multiple", "c", &both("stay-1")).await;
    let named = |heard: &Heard| heard.topic.contains("/group/") && heard.json()["name"] == "Jane Guest";
    scene.ear.find(named).await;
    scene.house.close().await;
}

#[tokio::test]
async fn answers_that_the_broker_refuses_are_kept() {
    let acl = tempfile::NamedTempFile::new().expect("a file");
    // Anonymous clients may do everything but publish answers.
    std::fs::write(
        acl.path(),
        "topic readwrite lockbridge/villa/gw1/#\ntopic read #\n",
    )
    .expect("written");
    let mut scene = Scene::with(&format!("acl_file {}", acl.path().display()), "").await;
    scene.send("create_multiple", "c", &both("stay-1")).await;
    scene.done("stay-1").await;
    let kept = scene
        .house
        .core
        .look(|gateway, _| gateway.replies().count())
        .await;
    assert_eq!(kept, Ok(1));
    scene.house.close().await;
}
