//! What is told beside answers and state: events; and what is heard beside jobs: checks, words to
//! devices, the birth of Home Assistant.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::broker::{Broker, Heard};
use crate::common::FRONT;
use crate::{BASE, REPLY, Scene, both, gateway, is_offline, is_online, shows};

pub fn is_event(heard: &Heard) -> bool {
    heard.topic == format!("{BASE}/event")
        || heard.topic.starts_with(&format!("{BASE}/device/")) && heard.topic.ends_with("/event")
}

fn event(kind: &'static str) -> impl Fn(&Heard) -> bool {
    move |heard| is_event(heard) && heard.json()["event_type"] == kind
}

/// The numbers of all events heard so far, in the order in which they came.
pub fn numbers(heard: &[Heard]) -> Vec<u64> {
    let events = heard.iter().filter(|heard| is_event(heard));
    events.filter_map(|heard| heard.json()["seq"].as_u64()).collect()
}

fn words(scene: &Scene, word: &str, more: &[&str]) {
    let topic = format!("{BASE}/device/{FRONT}/set");
    scene.broker.publish(&topic, word, more);
}

#[test]
fn events_are_told_in_their_order_without_gaps_and_without_pins() {
    let mut scene = Scene::set();
    let told = scene.ask("create_multiple", "1", &both("stay-1"));
    let pin = told["access_codes"][0]["code"].as_str().unwrap().to_owned();
    scene.done("stay-1");
    let id = &told["access_codes"][0]["access_code_id"];
    scene.ask("delete", "2", &json!({"job_id": "gone-1", "access_code_id": id}));
    let done = scene
        .ear
        .find(|heard| {
            is_event(heard)
                && heard.json()["job_id"] == "gone-1"
                && heard.json()["event_type"] == "lockbridge.job.done"
        })
        .json();
    let numbers = numbers(&scene.ear.heard);
    let last = done["seq"].as_u64().unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());

    for heard in scene.ear.heard.iter().filter(|heard| is_event(heard)) {
        let body = heard.json();
        assert!(!heard.retained && body.get("code").is_none(), "{heard:?}");
        assert!(
            !shows(&heard.payload, &pin) && !heard.payload.contains("Jane"),
            "{heard:?}"
        );
        let device = body["device_id"].as_str();
        let expected = device.map_or(format!("{BASE}/event"), |id| format!("{BASE}/device/{id}/event"));
        assert_eq!(heard.topic, expected);
    }
    assert!(
        scene
            .broker
            .retained()
            .keys()
            .all(|topic| !topic.ends_with("/event"))
    );
}

#[test]
fn a_start_goes_on_where_the_last_one_stopped() {
    let mut scene = Scene::set();
    scene.ask("create_multiple", "1", &both("stay-1"));
    scene.done("stay-1");
    scene.rig.terminate();
    scene.ear.find(is_offline);
    scene.rig.run();
    scene.ask("create_multiple", "2", &both("stay-2"));
    let done = event("lockbridge.job.done");
    scene
        .ear
        .find(|heard| done(heard) && heard.json()["job_id"] == "stay-2");
    let numbers = numbers(&scene.ear.heard);
    let known: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(numbers, known.into_iter().collect::<Vec<_>>(), "each once");
    assert_eq!(numbers.len() as u64, *numbers.last().unwrap(), "without gaps");
}

#[test]
fn what_nobody_sent_in_time_is_told_to_be_lost() {
    let mut broker = Broker::planned();
    let mut rig = gateway(&broker, "[limits]\nevents = 5\n");
    rig.run();
    for n in 0..4 {
        let body = json!({"device_ids": [FRONT], "name": format!("guest {n}")});
        rig.call(
            "POST",
            "/access_codes/create_multiple",
            &rig.bearer(),
            &body.to_string(),
        )
        .ok();
    }
    broker.run("");
    let mut ear = broker.listen("lockbridge/#");
    ear.find(is_online);
    let lost = ear.find(event("lockbridge.events_lost")).json();
    assert_eq!(lost["from"], 1);
    let next = ear
        .find(|heard| is_event(heard) && heard.json()["seq"].is_u64())
        .json();
    assert_eq!(next["seq"].as_u64(), lost["to"].as_u64().map(|to| to + 1));
}

#[test]
fn a_check_finds_what_was_changed_by_hand() {
    let mut scene = Scene::set();
    scene.ask("create_multiple", "1", &both("stay-1"));
    scene.done("stay-1");
    let slot = scene.rig.table(FRONT)[0]["slot"].clone();
    let by_hand = format!("/lockbridge/v1/sim/devices/{FRONT}/code");
    scene
        .rig
        .post(&by_hand, json!({"op": "remove", "slot": slot}))
        .ok();
    let told = scene.ask("verify", "2", &json!({"device_id": FRONT}));
    assert_eq!((&told["ok"], &told["job_id"]), (&json!(true), &Value::Null));
    scene.ear.find(event("access_code.deleted_external_to_seam"));
    let unknown = json!({"device_id": "00000000-0000-0000-0000-000000000001", "job_id": "mine"});
    let told = scene.ask("verify", "3", &unknown);
    assert_eq!(
        (&told["reasons"][0]["reason"], &told["job_id"]),
        (&json!("device_not_found"), &json!("mine"))
    );
}

#[test]
fn a_word_moves_the_bolt_and_one_that_was_kept_does_not() {
    let mut scene = Scene::set();
    let locked = |scene: &Scene| {
        let lock = scene.rig.get(&format!("/locks/get?device_id={FRONT}")).ok();
        lock["device"]["properties"]["locked"].clone()
    };
    words(&scene, "LOCK", &[]);
    scene.ear.find(event("lock.locked"));
    assert_eq!(locked(&scene), true);
    words(&scene, "UNLOCK", &["-r"]);
    // Heard too, but as something that the broker kept; the next is obeyed after it was judged.
    let cleared = |heard: &Heard| heard.topic.ends_with("/set") && heard.payload.is_empty();
    scene.ear.find(cleared);
    assert_eq!(locked(&scene), true);
    words(&scene, "OPEN SESAME", &[]);
    words(&scene, "UNLOCK", &[]);
    scene.ear.find(event("lock.unlocked"));
    assert_eq!(locked(&scene), false);
}

#[test]
fn a_word_that_waited_for_a_gateway_that_was_away_moves_no_bolt() {
    // One that stores messages with QoS 0 too.
    let mut scene = Scene::at(Broker::start("queue_qos0_messages true"), "");
    scene.rig.terminate();
    scene.ear.find(is_offline);
    words(&scene, "UNLOCK", &[]);
    scene.rig.run();
    scene.ear.find(is_online);
    scene.rig.logged(|log| log.contains("had waited at the broker"));
    // Obeyed after that one was judged.
    words(&scene, "LOCK", &[]);
    scene.ear.find(event("lock.locked"));
    let unlocked = event("lock.unlocked");
    assert!(!scene.ear.heard.iter().any(unlocked), "{}", scene.rig.log());
}

#[test]
fn everything_is_told_again_when_home_assistant_comes_up() {
    let mut scene = Scene::set();
    let state = format!("{BASE}/device/{FRONT}/state");
    scene.broker.publish("homeassistant/status", "offline", &[]);
    scene.broker.publish("homeassistant/status", "online", &[]);
    scene.ear.on(&state);
    scene.ear.find(is_online);
    assert!(numbers(&scene.ear.heard).is_empty(), "events are not told again");
}

#[test]
fn what_is_no_more_is_taken_off_the_broker() {
    let broker = Broker::start("");
    let left: Vec<String> = [
        "job/of-another-life",
        "group/8e94044d-a4d1-4691-9f7e-e97d3e8a0b73",
        "device/00000000-0000-0000-0000-000000000001/state",
    ]
    .map(|rest| format!("{BASE}/{rest}"))
    .into();
    for topic in &left {
        broker.publish(topic, "{}", &["-r"]);
    }
    broker.publish("lockbridge/villa-7/gw2/job/of-another-gateway", "{}", &["-r"]);
    let mut scene = Scene::at(broker, "");
    // Some before the gateway says that it is there.
    let is_gone = |topic: &String, heard: &[Heard]| {
        let mut heard = heard.iter();
        heard.any(|heard| heard.topic == *topic && heard.payload.is_empty())
    };
    while !left.iter().all(|topic| is_gone(topic, &scene.ear.heard)) {
        scene.ear.find(|heard| heard.payload.is_empty());
    }
    // After that the gateway does not listen to what it says itself.
    scene.ask("create_multiple", "1", &both("stay-1"));
    scene.done("stay-1");
    let kept = scene.broker.retained();
    assert!(left.iter().all(|topic| !kept.contains_key(topic)), "{kept:#?}");
    assert!(kept.contains_key("lockbridge/villa-7/gw2/job/of-another-gateway"));
    assert!(kept.contains_key(&format!("{BASE}/job/stay-1")));
    assert!(
        scene
            .ear
            .heard
            .iter()
            .all(|heard| heard.topic != REPLY || !heard.payload.is_empty())
    );
}

#[test]
fn info_says_that_the_card_is_nearly_full() {
    let mut scene = Scene::set();
    let low = |scene: &Scene| {
        let told = scene.broker.retained();
        let info: Value = serde_json::from_str(&told[&format!("{BASE}/info")]).unwrap();
        info["storage_low"].clone()
    };
    assert_eq!(low(&scene), false);
    let config = std::fs::read_to_string(scene.rig.config()).unwrap();
    let more = config.replace("reserve_mb = 1\n", "reserve_mb = 1_000_000\n");
    std::fs::write(scene.rig.config(), more).unwrap();
    scene.rig.kill();
    scene.ear.find(is_offline);
    scene.rig.run();
    scene.ear.find(is_online);
    assert_eq!(low(&scene), true);
}
