//! The broker is away while two hundred jobs are done, and comes back knowing nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker::Broker;
use crate::common::{BACK, FRONT, Rig};
use crate::told::{is_event, numbers};
use crate::{BASE, REPLY, Scene, both, is_online};

/// From the first word after the outage until everything is shown. Here it takes a fraction.
const SOON: Duration = Duration::from_secs(5);

/// Stays that begin in an hour, so that their jobs are accepted now and done then.
const LATER: usize = 8;

/// Rounds of five jobs.
const ROUNDS: usize = 40;

/// Books, moves and cancels over HTTP. The jobs.
fn round(rig: &Rig, nth: usize) -> Vec<String> {
    let mut jobs = Vec::new();
    let mut ask = |verb: &str, body: Value| {
        let answer = rig.post(&format!("/access_codes/{verb}"), body);
        jobs.push(answer.header("lockbridge-job-id").expect("a job").to_owned());
        answer.ok()
    };
    let made = ask(
        "create_multiple",
        json!({"device_ids": [FRONT, BACK], "name": format!("guest {nth}")}),
    );
    let codes = made["access_codes"].as_array().unwrap();
    let key = &codes[0]["common_code_key"];
    for name in ["once", "twice"] {
        let name = format!("guest {nth} {name}");
        ask("update_multiple", json!({"common_code_key": key, "name": name}));
    }
    for code in codes {
        ask("delete", json!({"access_code_id": code["access_code_id"]}));
    }
    // The locks catch up, or they would be full.
    rig.advance(5);
    jobs
}

#[test]
#[allow(clippy::disallowed_methods, reason = "what is said of time is measured")]
fn an_outage_of_two_hundred_jobs_is_made_good() {
    let mut scene = Scene::at(Broker::start(""), "backoff_max = \"1s\"");
    let mut jobs: BTreeSet<String> = BTreeSet::new();
    let mut groups = BTreeSet::new();
    for nth in 0..LATER {
        let mut stay = both(&format!("later-{nth}"));
        stay["starts_at"] = scene.rig.time(3600).into();
        stay["ends_at"] = scene.rig.time(100_000).into();
        stay["progress"] = true.into();
        let told = scene.ask("create_multiple", &format!("c{nth}"), &stay);
        assert_eq!(told["phase"], "accepted");
        let key = told["access_codes"][0]["common_code_key"].as_str().unwrap();
        let level = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes());
        groups.insert(format!("{BASE}/group/{level}"));
        jobs.insert(format!("later-{nth}"));
    }
    let last = format!("later-{}", LATER - 1);
    scene
        .ear
        .find(|heard| is_event(heard) && heard.json()["job_id"] == last.as_str());
    let mut events: BTreeSet<u64> = numbers(&scene.ear.heard).into_iter().collect();

    scene.broker.kill();
    scene
        .rig
        .logged(|log| log.contains("no connection to the MQTT broker"));
    for nth in 0..ROUNDS {
        jobs.extend(round(&scene.rig, nth));
    }
    scene.rig.advance(3600);
    assert_eq!(jobs.len(), LATER + 5 * ROUNDS);
    assert_eq!(scene.rig.get("/readyz").ok()["jobs_open"], 0);

    // Nothing may be said before somebody listens.
    scene.rig.while_it_stands_still(|| {
        scene.broker.run("");
        scene.ear = scene.broker.listen("lockbridge/#");
    });
    scene.ear.find(|_| true);
    let begun = Instant::now();
    scene.ear.find(is_online);
    let taken = begun.elapsed();
    println!("{} jobs are shown after {taken:?}", jobs.len());
    assert!(taken < SOON, "{taken:?}");

    // The whole tree, before `online`, and of everything the newest only.
    let states = scene
        .ear
        .heard
        .iter()
        .filter(|heard| !is_event(heard) && heard.topic != REPLY);
    let mut shown = BTreeMap::new();
    for heard in states {
        let earlier = shown.insert(heard.topic.as_str(), heard.payload.as_str());
        assert_eq!(earlier, None, "{heard:?}");
    }
    let mut tree: BTreeSet<String> = jobs.iter().map(|job| format!("{BASE}/job/{job}")).collect();
    for job in &tree {
        assert!(
            shown[job.as_str()].contains(r#""phase":"done""#),
            "{job}: {}",
            shown[job.as_str()]
        );
    }
    for group in &groups {
        assert!(shown[group.as_str()].contains(r#""all_proven":true"#), "{group}");
    }
    tree.extend(groups);
    tree.extend(["status", "info", "summary"].map(|rest| format!("{BASE}/{rest}")));
    for door in [FRONT, BACK] {
        tree.extend(["status", "state"].map(|rest| format!("{BASE}/device/{door}/{rest}")));
    }
    let kept = scene.broker.retained();
    assert_eq!(kept.keys().cloned().collect::<BTreeSet<_>>(), tree);

    // Every answer that somebody waited for, each once.
    let answers = scene.ear.heard.iter().filter(|heard| heard.topic == REPLY);
    let mut done: Vec<String> = answers
        .map(|heard| {
            let told = heard.json();
            assert_eq!(told["phase"], "done", "{told}");
            told["job_id"].as_str().unwrap().to_owned()
        })
        .collect();
    done.sort();
    assert_eq!(
        done,
        (0..LATER).map(|nth| format!("later-{nth}")).collect::<Vec<_>>()
    );

    // Every event, in order, up to one that came afterwards.
    scene.ask(
        "update_multiple",
        "end",
        &json!({"job_id": "end", "common_code_key": "none"}),
    );
    scene.ask("create_multiple", "end", &both("after"));
    scene
        .ear
        .find(|heard| is_event(heard) && heard.json()["job_id"] == "after");
    let after = numbers(&scene.ear.heard);
    assert!(after.is_sorted_by(|one, next| one < next), "{after:?}");
    events.extend(&after);
    let all: BTreeSet<u64> = (1..=*after.last().unwrap()).collect();
    assert_eq!(events, all);
    println!("{} events came afterwards", after.len());
}
