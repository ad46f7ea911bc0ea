//! What is said, without a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::gateway::view::Heard;
use crate::model::{Addressing, Alphabet, Capabilities, NativeWindow, ReadBack, Timestamp};

const HOME: &str = "homeassistant";
/// What every version that reads messages about whole devices knows at their top, in `device` and in `origin`.
const TOP: [&str; 3] = ["device", "origin", "components"];
const DEVICE: [&str; 6] = [
    "identifiers",
    "name",
    "model",
    "manufacturer",
    "sw_version",
    "via_device",
];
const ORIGIN: [&str; 2] = ["name", "sw_version"];

fn tree() -> Tree {
    Tree::new("villa-7", "gw1", "lockbridge/villa-7/reply/", HOME)
}

fn lock(remote_unlock: bool) -> DeviceView {
    DeviceView {
        device: DeviceId(Uuid::NAMESPACE_DNS),
        name: "Front door".into(),
        nickname: None,
        metadata: BTreeMap::new(),
        driver: "nuki".into(),
        capabilities: Capabilities {
            lengths: BTreeSet::from([6]),
            alphabet: Alphabet::DIGITS,
            forbidden_prefixes: Vec::new(),
            forbidden_patterns: BTreeSet::new(),
            capacity: 100,
            reserved: BTreeSet::new(),
            closed: None,
            name_limit: 20,
            read_back: ReadBack::Full,
            window: NativeWindow::Seconds,
            door: true,
            addressing: Addressing::Chosen,
            batch: false,
            patience: Duration::from_secs(10),
        },
        locked: None,
        remote_unlock,
        online: true,
        radio_away: None,
        battery: None,
        advertised: None,
        removed: false,
        simulated: false,
        last_seen: None,
        offline_since: None,
        created_at: Timestamp(0),
        pending: 0,
        overdue: 0,
        overdue_since: None,
        heard: Heard { hours: 0, of: 0 },
        next_try: None,
        reason: None,
        slots_used: 0,
        unmanaged: 0,
        suspects: 0,
        drift: false,
    }
}

/// Every message in a form, of a gateway with one lock: where it goes, and what it says if anything.
fn all(form: Discovery, lock: &DeviceView) -> Vec<(String, Option<Value>)> {
    let tree = tree();
    let gateway = announcements(form, Whose::Gateway).into_iter();
    let gateway = gateway.map(|one| (one.topic(&tree).into_string(), one.of_gateway(&tree)));
    let theirs = announcements(form, Whose::Lock(lock.device)).into_iter();
    let theirs = theirs.map(|one| {
        (
            one.topic(&tree).into_string(),
            one.of_lock(&tree, &Lock::of(lock).unwrap()),
        )
    });
    gateway.chain(theirs).collect()
}

fn keys(told: &Value) -> Vec<&str> {
    told.as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// The entities of a message about a whole device.
fn components(told: &Value) -> impl Iterator<Item = (&String, &Value)> {
    told["components"].as_object().expect("components").iter()
}

#[test]
fn nothing_at_the_top_makes_a_version_refuse_the_whole() {
    for (topic, told) in all(Discovery::Device, &lock(true)) {
        let told = told.unwrap();
        for (part, known) in [
            (&told, &TOP[..]),
            (&told["device"], &DEVICE),
            (&told["origin"], &ORIGIN),
        ] {
            assert!(
                keys(part).iter().all(|key| known.contains(key)),
                "{topic}: {:?}",
                keys(part)
            );
        }
        assert!(told["device"]["identifiers"][0].is_string() && told["origin"]["name"].is_string());
        assert!(told.to_string().len() < 16_000, "{topic}");
    }
}

#[test]
fn ids_are_unique_and_the_same_in_both_forms() {
    let lock = lock(true);
    let ids_of_devices = all(Discovery::Device, &lock).into_iter().flat_map(|(_, told)| {
        let told = told.unwrap();
        let ids: Vec<Value> = components(&told)
            .filter(|(_, one)| one.as_object().unwrap().len() > 1)
            .map(|(_, one)| one["unique_id"].clone())
            .collect();
        ids
    });
    let whole: Vec<String> = ids_of_devices.map(|id| id.as_str().unwrap().to_owned()).collect();
    let single = all(Discovery::Component, &lock).into_iter();
    let single = single.filter_map(|(_, told)| Some(told?["unique_id"].as_str()?.to_owned()));
    let unique: BTreeSet<String> = whole.iter().cloned().collect();
    assert_eq!(unique.len(), whole.len());
    assert_eq!(unique, single.collect());
    assert!(unique.contains(&format!("lockbridge-villa-7-ID-gw1-{}-lock", lock.device)));
}

#[test]
fn each_goes_to_a_place_of_its_own_that_home_assistant_reads() {
    for form in [Discovery::Device, Discovery::Component] {
        let topics: Vec<String> = all(form, &lock(false))
            .into_iter()
            .map(|(topic, _)| topic)
            .collect();
        let unique: BTreeSet<&String> = topics.iter().collect();
        assert_eq!(unique.len(), topics.len());
        for topic in topics {
            let levels: Vec<&str> = topic.split('/').collect();
            assert_eq!((levels.len(), levels[0], levels[4]), (5, HOME, "config"));
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(
                levels[1..4].iter().all(|level| level.chars().all(fits)),
                "{topic}"
            );
        }
    }
    assert!(all(Discovery::Off, &lock(true)).is_empty());
}

#[test]
fn a_lock_that_may_not_be_opened_from_afar_has_no_topic_for_it_in_any_form() {
    let whole = |remote_unlock| {
        let told = all(Discovery::Device, &lock(remote_unlock));
        told.into_iter().find_map(|(topic, told)| {
            told.filter(|_| topic.ends_with(&format!("/{}/config", Uuid::NAMESPACE_DNS)))
        })
    };
    let (open, shut) = (whole(true).unwrap(), whole(false).unwrap());
    let set = format!("lockbridge/villa-7/gw1/device/{}/set", Uuid::NAMESPACE_DNS);
    assert_eq!(open["components"]["lock"]["command_topic"], set.as_str());
    // By their platform alone, which takes away what was there before the setting was changed.
    assert_eq!(open["components"]["bolt"], json!({ "platform": "binary_sensor" }));
    assert_eq!(shut["components"]["lock"], json!({ "platform": "lock" }));
    assert_eq!(shut["components"]["bolt"]["device_class"], "lock");
    assert!(!shut.to_string().contains("/set"));
    for (topic, told) in all(Discovery::Component, &lock(false)) {
        assert!(
            told.is_some() != topic.starts_with("homeassistant/lock/"),
            "{topic}"
        );
        assert!(!told.unwrap_or_default().to_string().contains("/set"), "{topic}");
    }
}

#[test]
fn what_a_lock_has_is_what_it_is_told_with() {
    for lock in [lock(true), lock(false)] {
        let known = Lock::of(&lock).unwrap();
        for form in [Discovery::Device, Discovery::Component] {
            for one in announcements(form, Whose::Lock(lock.device)) {
                assert_eq!(
                    one.is_of(&known),
                    one.of_lock(&tree(), &known).is_some(),
                    "{one:?}"
                );
            }
        }
    }
}

#[test]
fn what_the_lock_says_needs_both_to_be_online_and_what_the_gateway_knows_the_gateway() {
    let told = all(Discovery::Device, &lock(true));
    let topics = |entity: &Value| -> Vec<String> {
        let levels = entity["availability"].as_array().into_iter().flatten();
        levels
            .map(|one| one["topic"].as_str().unwrap().to_owned())
            .collect()
    };
    let gateway = "lockbridge/villa-7/gw1/status".to_owned();
    let device = format!("lockbridge/villa-7/gw1/device/{}/status", Uuid::NAMESPACE_DNS);
    for (_, message) in &told {
        for (word, one) in components(message.as_ref().unwrap()) {
            let expected = match word.as_str() {
                "online" | "bolt" => vec![],
                "lock" | "battery" | "signal" | "activity" => vec![gateway.clone(), device.clone()],
                "check" if topics(one).len() == 2 => vec![gateway.clone(), device.clone()],
                _ => vec![gateway.clone()],
            };
            assert_eq!(topics(one), expected, "{word}");
            assert!(expected.is_empty() || one["availability_mode"] == "all", "{word}");
        }
    }
}

#[test]
fn a_lock_goes_by_the_name_that_its_owner_gave_it_and_belongs_to_its_gateway() {
    let mut lock = lock(true);
    lock.nickname = Some("Blue door".into());
    let told = all(Discovery::Device, &lock);
    let [gateway, device] = [0, 1].map(|n| told[n].1.as_ref().unwrap()["device"].clone());
    assert_eq!(device["name"], "Blue door");
    assert_eq!(device["via_device"], gateway["identifiers"][0]);
    assert_ne!(device["identifiers"], gateway["identifiers"]);
}

#[test]
fn a_lock_that_left_is_told_with_all_that_it_may_have_had() {
    let (tree, id) = (tree(), DeviceId(Uuid::NAMESPACE_DNS));
    let whole = announcements(Discovery::Device, Whose::Lock(id));
    let told = whole[0].of_lock(&tree, &Lock::gone(id)).unwrap();
    let theirs = all(Discovery::Device, &lock(true));
    let theirs = theirs[1].1.as_ref().unwrap();
    assert_eq!(told["device"]["identifiers"], theirs["device"]["identifiers"]);
    assert_eq!(components(&told).count(), OF_A_LOCK.len());
    assert!(components(&told).all(|(_, one)| one["unique_id"].is_string()));
    let mut left = lock(true);
    left.removed = true;
    assert!(Lock::of(&left).is_none());
}
