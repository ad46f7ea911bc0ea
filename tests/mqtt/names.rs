//! Two gateways with one name, each with a data directory of its own, at a broker that has room for one.

use std::process::ExitStatus;
use std::time::Duration;

use serde_json::json;

use crate::broker::Broker;
use crate::common::Rig;
use crate::{BASE, REPLY, Scene, both, gateway, is_online};

/// It ended as another instance does, and said what to do.
#[track_caller]
fn left(rig: &Rig, status: ExitStatus) {
    let log = rig.log();
    assert_eq!(status.code(), Some(4), "{log}");
    let last = log.lines().last().expect("it said something");
    assert!(
        last.contains("\"gw1\"") && last.contains("\"villa-7\"") && last.contains("[gateway] id"),
        "{last}"
    );
}

#[test]
fn of_two_gateways_with_one_name_the_newcomer_leaves_and_the_other_works_on() {
    let mut scene = Scene::set();
    scene.ask("create_multiple", "1", &both("stay-1"));
    scene.done("stay-1");
    scene.rig.advance(60);
    let mut second = gateway(&scene.broker, "");
    second.run();
    let status = second.ended();
    left(&second, status);

    let told = scene.ask("create_multiple", "2", &both("stay-2"));
    assert_eq!(told["phase"], "accepted");
    scene.done("stay-2");
    // What stands at the broker is the first one's again.
    let kept = scene.broker.retained();
    assert_eq!(kept[&format!("{BASE}/status")], "online");
    assert!(kept.contains_key(&format!("{BASE}/info")) && kept.contains_key(&format!("{BASE}/job/stay-1")));
    let log = scene.rig.log();
    assert!(
        log.contains("ERROR") && log.contains("another gateway with our name"),
        "{log}"
    );
}

#[test]
fn of_two_that_start_together_one_stays() {
    let broker = Broker::start("");
    let mut ear = broker.listen("lockbridge/#");
    let [mut one, mut two] = [gateway(&broker, ""), gateway(&broker, "")];
    one.run();
    two.run();
    let glance = Duration::from_millis(100);
    let ended = (0..600)
        .map(|_| (one.ended_within(glance), two.ended_within(glance)))
        .find(|ended| *ended != (None, None));
    let (gone, status, stays) = match ended.expect("one leaves") {
        (Some(status), None) => (&one, status, &two),
        (None, Some(status)) => (&two, status, &one),
        _ => panic!("both are gone: {} {}", one.log(), two.log()),
    };
    left(gone, status);
    ear.find(is_online);
    // It is no newcomer any more, and answers.
    stays.advance(60);
    let with = ["-D", "publish", "response-topic", REPLY];
    let command = json!({"job_id": "j", "common_code_key": "none"}).to_string();
    broker.publish(&format!("{BASE}/cmd/update_multiple"), &command, &with);
    assert_eq!(
        ear.on(REPLY).json()["reasons"][0]["reason"],
        "access_code_not_found"
    );
}
