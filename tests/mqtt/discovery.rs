//! What Home Assistant is told at a real broker; `tests/home-assistant` shows what it makes of that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};

use crate::broker::{Broker, Heard, Listener, listen_to};
use crate::common::{BACK, FRONT, Rig, device};
use crate::{BASE, Scene, both, is_offline, is_online, shows};

const NODE: &str = "lockbridge-villa-7-ID-gw1";
const BIRTH: &str = "homeassistant/status";

/// What each platform knows of an entity; one unknown key is dropped there without a word.
const COMMON: [&str; 10] = [
    "unique_id",
    "qos",
    "availability",
    "availability_mode",
    "name",
    "icon",
    "entity_category",
    "device_class",
    "json_attributes_topic",
    "json_attributes_template",
];
const PLATFORMS: [(&str, &[&str]); 5] = [
    (
        "lock",
        &["state_topic", "command_topic", "optimistic", "value_template"],
    ),
    (
        "binary_sensor",
        &["state_topic", "value_template", "payload_on", "payload_off"],
    ),
    (
        "sensor",
        &[
            "state_topic",
            "value_template",
            "state_class",
            "unit_of_measurement",
        ],
    ),
    ("event", &["state_topic", "value_template", "event_types"]),
    ("button", &["command_topic", "payload_press"]),
];

impl Scene {
    /// At a broker, with a form of discovery.
    fn told_in(broker: Broker, form: &str) -> Scene {
        Scene::at(broker, &format!("discovery = \"{form}\""))
    }

    /// What the broker keeps for Home Assistant, by topic.
    fn kept(&self) -> BTreeMap<String, Value> {
        let kept = self.broker.retained().into_iter();
        kept.filter(|(topic, _)| topic.starts_with("homeassistant/"))
            .map(|(topic, told)| (topic, serde_json::from_str(&told).unwrap()))
            .collect()
    }
}

fn of_device(id: &str) -> String {
    format!("homeassistant/device/{NODE}/{id}/config")
}

/// The platform and the properties of every entity that is told, in whichever form.
fn entities(kept: &BTreeMap<String, Value>) -> Vec<(String, Value)> {
    let whole = |told: &Value| -> Vec<(String, Value)> {
        let components = told["components"].as_object().unwrap().values().cloned();
        let told = components.filter(|one| one.as_object().unwrap().len() > 1);
        told.map(|mut one| {
            let platform = one.as_object_mut().unwrap().remove("platform").unwrap();
            (platform.as_str().unwrap().to_owned(), one)
        })
        .collect()
    };
    kept.iter()
        .flat_map(|(topic, told)| match topic.split('/').nth(1).unwrap() {
            "device" => whole(told),
            platform => {
                let mut one = told.clone();
                for about in ["device", "origin"] {
                    assert!(one.as_object_mut().unwrap().remove(about).is_some(), "{topic}");
                }
                vec![(platform.to_owned(), one)]
            }
        })
        .collect()
}

/// Insists that Home Assistant knows every key, and finds at the broker all that it is to look at.
fn are_sound(entities: &[(String, Value)], retained: &BTreeMap<String, String>) {
    let mut ids = BTreeSet::new();
    for (platform, one) in entities {
        let (_, known) = PLATFORMS
            .iter()
            .find(|(name, _)| name == platform)
            .expect(platform);
        for key in one.as_object().unwrap().keys() {
            assert!(
                COMMON.contains(&key.as_str()) || known.contains(&key.as_str()),
                "{platform}: {key}"
            );
        }
        let id = one["unique_id"].as_str().unwrap();
        assert!(ids.insert(id), "twice: {id}");
        let levels = one["availability"].as_array().into_iter().flatten();
        let mut looked_at: Vec<&Value> = levels.map(|level| &level["topic"]).collect();
        looked_at.push(&one["json_attributes_topic"]);
        // Events are kept nowhere.
        looked_at.extend(one.get("state_topic").filter(|_| platform != "event"));
        for topic in looked_at.into_iter().filter_map(Value::as_str) {
            assert!(retained.contains_key(topic), "{id} looks at {topic}");
        }
    }
}

/// Waits for an empty message on each of these topics.
fn are_taken_away(ear: &mut Listener, topics: &BTreeSet<String>) {
    let gone = |heard: &[Heard]| -> BTreeSet<String> {
        let empty = heard.iter().filter(|heard| heard.payload.is_empty());
        empty.map(|heard| heard.topic.clone()).collect()
    };
    while !topics.is_subset(&gone(&ear.heard)) {
        ear.find(|heard| heard.payload.is_empty());
    }
}

#[test]
fn nothing_is_told_unless_it_is_asked_for() {
    let broker = Broker::start("");
    let mut ear = broker.listen("homeassistant/#");
    let left = format!("homeassistant/lock/{NODE}/{FRONT}-lock/config");
    let others = "homeassistant/lock/somebody-else/front/config";
    for topic in [left.as_str(), others] {
        broker.publish(topic, "{}", &["-r"]);
    }
    let mut scene = Scene::at(broker, "");
    // What was told before it was turned off is taken away; what others tell is not.
    are_taken_away(&mut ear, &BTreeSet::from([left]));
    scene.ask("create_multiple", "1", &both("stay-1"));
    scene.done("stay-1");
    assert_eq!(scene.kept().into_keys().collect::<Vec<_>>(), [others]);
}

#[test]
fn what_a_lock_is_no_more_since_its_setting_was_changed_is_taken_away() {
    let broker = Broker::start("");
    let mut ear = broker.listen("homeassistant/#");
    let [bolt, lock] = [("binary_sensor", "bolt"), ("lock", "lock")]
        .map(|(platform, word)| format!("homeassistant/{platform}/{NODE}/{FRONT}-{word}/config"));
    // Told while it could not be moved from afar, as it can be now.
    broker.publish(&bolt, "{}", &["-r"]);
    let scene = Scene::told_in(broker, "component");
    are_taken_away(&mut ear, &BTreeSet::from([bolt.clone()]));
    let kept = scene.kept();
    assert!(kept.contains_key(&lock) && !kept.contains_key(&bolt));
}

#[test]
fn each_device_is_told_in_one_message_that_home_assistant_takes() {
    let mut scene = Scene::told_in(Broker::start(""), "device");
    let told = scene.ask("create_multiple", "1", &both("stay-1"));
    let pin = told["access_codes"][0]["code"].as_str().unwrap().to_owned();
    scene.done("stay-1");
    let kept = scene.kept();
    let topics = ["gateway", FRONT, BACK].map(of_device);
    assert_eq!(
        kept.keys().collect::<BTreeSet<_>>(),
        topics.iter().collect::<BTreeSet<_>>()
    );
    are_sound(&entities(&kept), &scene.broker.retained());
    assert_eq!(entities(&kept).len(), 9 + 2 * 9);
    for (topic, told) in &kept {
        let text = told.to_string();
        assert!(text.len() < 16_000, "{topic}: {} bytes", text.len());
        assert!(!shows(&text, &pin) && !text.contains("Jane"), "{topic}: {text}");
    }
    assert_eq!(kept[&topics[1]]["device"]["name"], "Front door");
}

#[test]
fn each_entity_is_told_in_a_message_of_its_own_where_that_is_asked_for() {
    let mut scene = Scene::told_in(Broker::start(""), "device");
    let whole = scene.kept();
    // Another form takes away what was told in the first.
    let mut ear = scene.broker.listen("homeassistant/#");
    scene.rig.terminate();
    scene.ear.find(is_offline);
    let config = std::fs::read_to_string(scene.rig.config()).unwrap();
    let config = config.replace("discovery = \"device\"", "discovery = \"component\"");
    std::fs::write(scene.rig.config(), config).unwrap();
    scene.rig.run();
    scene.ear.find(is_online);
    are_taken_away(&mut ear, &whole.keys().cloned().collect());
    let single = scene.kept();
    are_sound(&entities(&single), &scene.broker.retained());
    let by_id = |kept: &BTreeMap<String, Value>| -> BTreeMap<String, (String, Value)> {
        let with_id = |(platform, one): (String, Value)| {
            let id = one["unique_id"].as_str().unwrap().to_owned();
            (id, (platform, one))
        };
        entities(kept).into_iter().map(with_id).collect()
    };
    assert_eq!(by_id(&single), by_id(&whole));
    assert_eq!(single.len(), 9 + 2 * 9);
}

/// The gateway's configuration without its back door.
fn without_back_door(rig: &Rig) {
    let config = std::fs::read_to_string(rig.config()).unwrap();
    let (before, after) = config.split_once("[[device]]").unwrap();
    let front = after
        .split("[[device]]")
        .find(|section| section.contains(FRONT))
        .unwrap();
    std::fs::write(rig.config(), format!("{before}[[device]]{front}")).unwrap();
}

#[test]
fn a_lock_that_left_is_taken_away_and_told_once_more_to_a_home_assistant_that_was_away() {
    let mut scene = Scene::told_in(Broker::start(""), "device");
    let before = scene.kept();
    let back = of_device(BACK);
    scene.rig.terminate();
    scene.ear.find(is_offline);
    without_back_door(&scene.rig);
    let mut ear = listen_to(scene.broker.port, "homeassistant/#", &["--retain-as-published"]);
    scene.rig.run();
    are_taken_away(&mut ear, &BTreeSet::from([back.clone()]));
    scene.ear.find(is_online);
    assert!(!scene.kept().contains_key(&back) && scene.kept().contains_key(&of_device(FRONT)));

    // It forgets only what it knows since its own start.
    scene.broker.publish(BIRTH, "online", &[]);
    let again = ear.find(|heard| heard.topic == back && !heard.payload.is_empty());
    assert!(!again.retained, "who comes later is not to find it");
    let (again, before) = (again.json(), &before[&back]);
    let ids = |told: &Value| {
        let all = told["components"].as_object().unwrap().values();
        let ids = all.filter_map(|one| one["unique_id"].as_str().map(str::to_owned));
        (
            told["device"]["identifiers"].clone(),
            ids.collect::<BTreeSet<_>>(),
        )
    };
    assert_eq!(ids(&again).0, ids(before).0);
    assert!(
        ids(&again).1.is_superset(&ids(before).1),
        "and whatever it was before"
    );
    let end = ear.find(|heard| heard.topic == back);
    assert!(end.payload.is_empty() && end.retained);
    assert!(!scene.kept().contains_key(&back));
}

#[test]
fn a_lock_that_leaves_meanwhile_is_taken_away() {
    let scene = Scene::told_in(Broker::start(""), "device");
    let mut ear = scene.broker.listen("homeassistant/#");
    scene
        .rig
        .post("/devices/simulate/remove", json!({"device_id": BACK}))
        .ok();
    are_taken_away(&mut ear, &BTreeSet::from([of_device(BACK)]));
    assert!(!scene.kept().contains_key(&of_device(BACK)));
}

#[test]
fn all_is_told_again_when_home_assistant_comes_up() {
    let scene = Scene::told_in(Broker::start(""), "device");
    let mut expected = scene.kept();
    let mut ear = scene.broker.listen("homeassistant/#");
    ear.heard.clear();
    scene.broker.publish(BIRTH, "online", &[]);
    ear.on(BIRTH);
    while !expected.is_empty() {
        let heard = ear.find(|heard| heard.topic != BIRTH);
        assert_eq!(expected.remove(&heard.topic), Some(heard.json()));
    }
}

/// A name of a guest is with what happens only where it may be shown.
#[test]
fn who_came_is_told_only_where_names_are_shown() {
    for (names, expected) in [("hide", Value::Null), ("show", json!("Jane Guest"))] {
        let mut scene = Scene::at(Broker::start(""), &format!("names = \"{names}\""));
        scene.ask("create_multiple", "1", &both("stay-1"));
        let topic = format!("{BASE}/device/{FRONT}/event");
        let set = |heard: &Heard| heard.topic == topic && heard.payload.contains("access_code.set_on_device");
        let set = scene.ear.find(set).json();
        assert_eq!(
            (&set["access_code_name"], set.get("code")),
            (&expected, None),
            "{set}"
        );
    }
}

#[test]
fn a_group_that_needs_somebody_says_so_and_is_counted() {
    let mut scene = Scene::set();
    let is_summary = |heard: &Heard| heard.topic == format!("{BASE}/summary");
    let summary = |says: Value| {
        move |heard: &Heard| {
            let says = says.as_object().unwrap();
            is_summary(heard) && says.iter().all(|(key, value)| heard.json()[key] == *value)
        }
    };
    let group = |problem: bool| {
        move |heard: &Heard| heard.topic.contains("/group/") && heard.json()["problem"] == problem
    };
    // Between topics there is no order.
    let heard_or_found = |ear: &mut Listener, wanted: &dyn Fn(&Heard) -> bool| {
        let heard = ear.heard.iter().rfind(|heard| wanted(heard)).cloned();
        heard.unwrap_or_else(|| ear.find(wanted)).json()
    };
    let reach = |scene: &Scene, what: &str| {
        let path = format!("/devices/simulate/{what}");
        scene.rig.post(&path, json!({"device_id": FRONT})).ok();
    };
    reach(&scene, "disconnect");
    let mut ask = both("stay-1");
    (ask["starts_at"], ask["ends_at"]) = (scene.rig.time(7200).into(), scene.rig.time(90_000).into());
    scene.ask("create_multiple", "1", &ask);
    // Nobody needs to know two hours before.
    heard_or_found(&mut scene.ear, &group(false));
    // It is not due yet; but within the hour, and one of its locks is away.
    scene.rig.advance(4000);
    let told = heard_or_found(&mut scene.ear, &group(true));
    let doors = told["receipts"].as_array().unwrap();
    let door = |id: &str| doors.iter().find(|door| door["device_id"] == id).unwrap();
    assert_eq!(
        (&door(FRONT)["problem"], &door(BACK)["problem"]),
        (&json!(true), &json!(false)),
    );
    let counted = json!({"groups": 1, "groups_running": 0, "groups_with_problem": 1, "codes_overdue": 0});
    let told = heard_or_found(&mut scene.ear, &summary(counted));
    let topic = scene
        .ear
        .heard
        .iter()
        .rfind(|heard| heard.topic.contains("/group/"));
    assert!(
        topic
            .unwrap()
            .topic
            .ends_with(told["problem_groups"][0].as_str().unwrap())
    );
    // Its time has come, and each minute of it is told.
    scene.rig.advance(3500);
    let overdue = |heard: &Heard| {
        is_summary(heard)
            && heard.json()["codes_overdue"] == 1
            && heard.json()["oldest_overdue_s"].as_u64() >= Some(60)
    };
    heard_or_found(&mut scene.ear, &overdue);
    reach(&scene, "connect");
    scene.ear.find(group(false));
    let counted =
        json!({"groups_running": 1, "groups_with_problem": 0, "codes_overdue": 0, "oldest_overdue_s": 0});
    heard_or_found(&mut scene.ear, &summary(counted));
}

/// What a broker that forgot everything is told of fifty locks; how long that took is printed.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the time is printed, and nothing rests on it"
)]
fn fifty_locks_are_told_whole_to_a_broker_that_forgot_them() {
    let mut broker = Broker::start("");
    let ids: Vec<String> = (0..50)
        .map(|n| format!("00000000-0000-4000-8000-{n:012}"))
        .collect();
    let doors = ids
        .iter()
        .map(|id| device(id, &format!("Room {id}"), "slots", ""));
    let mqtt = format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\ndiscovery = \"device\"\nbackoff_max = \"1s\"\n",
        broker.port
    );
    let mut rig = Rig::new(&[mqtt].into_iter().chain(doors).collect::<Vec<_>>());
    let mut ear = broker.listen("lockbridge/#");
    rig.run();
    ear.find(is_online);
    broker.kill();
    rig.logged(|log| log.contains("no connection to the MQTT broker"));
    broker.run("");
    let mut ear = broker.listen("#");
    rig.says(2, "connected to the MQTT broker");
    let began = Instant::now();
    ear.find(is_online);
    let took = began.elapsed();
    let retained = broker.retained();
    for id in &ids {
        for topic in [
            format!("{BASE}/device/{id}/status"),
            format!("{BASE}/device/{id}/state"),
            of_device(id),
        ] {
            assert!(retained.contains_key(&topic), "{topic}");
        }
    }
    for topic in ["status", "info", "summary"] {
        assert!(retained.contains_key(&format!("{BASE}/{topic}")), "{topic}");
    }
    let bytes = |below: &str| -> usize {
        let those = retained.iter().filter(|(topic, _)| topic.starts_with(below));
        those.map(|(topic, payload)| topic.len() + payload.len()).sum()
    };
    println!(
        "50 locks: {} messages, {} bytes of state, {} bytes of discovery, within {took:?} of the connection",
        retained.len(),
        bytes("lockbridge/"),
        bytes("homeassistant/"),
    );
}
