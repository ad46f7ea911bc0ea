//! What the real program does while its clock cannot be trusted (I9). Needs Debian's `mosquitto` and
//! `mosquitto-clients`.

#[path = "mqtt/broker.rs"]
mod broker;
mod common;

use std::io::Write;
use std::process::Command;

use broker::{Broker, Listener};
use common::{FRONT, Rig, device};
use serde_json::{Value, json};

const BASE: &str = "lockbridge/villa-7/gw1";
const CLOCK: &str = "/lockbridge/v1/sim/clock";
const DAY: i64 = 86_400;

/// A gateway with one door, that nothing vouches for unless the test does.
fn with(source: &str) -> Rig {
    Rig::start(&parts(source))
}

fn parts(source: &str) -> [String; 2] {
    let clock = format!("[clock]\nsource = \"{source}\"\n");
    [clock, device(FRONT, "Front door", "slots", "latency = \"5ms\"")]
}

/// The words that start a program as if the machine had been started a minute ago; none, with a loud
/// word, where no namespace can be made.
fn after_a_reboot(rig: &Rig) -> Option<Vec<String>> {
    let config = rig.config();
    let dir = config.parent().unwrap();
    std::fs::write(dir.join("boot_id"), "5f2b0c1e-9d3a-4c57-8e61-0a7b9c4d2e10\n").unwrap();
    std::fs::write(dir.join("uptime"), "60.00 60.00\n").unwrap();
    let script = "mount --bind \"$0/boot_id\" /proc/sys/kernel/random/boot_id \\
        && mount --bind \"$0/uptime\" /proc/uptime && exec \"$@\"";
    // Root may; everybody else where user namespaces are allowed.
    for rights in [&["--mount"][..], &["--map-root-user", "--mount"]] {
        let dir = dir.to_str().unwrap();
        let words = [&["unshare"], rights, &["sh", "-c", script, dir]].concat();
        let tried = Command::new(words[0]).args(&words[1..]).arg("true").output();
        if tried.is_ok_and(|tried| tried.status.success()) {
            return Some(words.into_iter().map(str::to_owned).collect());
        }
    }
    let notice =
        b"\n!! NOTICE: NOT tested with a clock years back after a reboot: no namespace can be made\n";
    // Past the test's own capture: who runs the tests must see it.
    std::io::stderr().write_all(notice).unwrap();
    None
}

/// Waits until both topics have told that the clock is so by now.
#[track_caller]
fn heard(info: &mut Listener, events: &mut Listener, trust: &str) -> Value {
    let kind = format!("lockbridge.clock.{trust}");
    events.find(|event| event.json()["event_type"] == *kind);
    let told = info.find(|info| info.json()["clock"]["trust"] == *trust);
    told.json()["clock"].clone()
}

fn set(rig: &Rig, what: Value) {
    rig.post(CLOCK, what).ok();
}

/// What is said about the clock.
fn told(rig: &Rig) -> Value {
    rig.get("/readyz").ok()["clock"].clone()
}

/// Books the door from a time to a time, in seconds from now by the system's clock.
fn book(rig: &Rig, from: i64, until: i64) -> Value {
    let window = json!({"device_id": FRONT, "starts_at": rig.time(from), "ends_at": rig.time(until)});
    rig.post("/access_codes/create", window).ok()["access_code"].clone()
}

fn kinds(rig: &Rig) -> Vec<String> {
    let listed = rig
        .post("/events/list", json!({"since": "2000-01-01T00:00:00Z"}))
        .ok();
    let kind = |event: &Value| event["event_type"].as_str().unwrap().to_owned();
    let clock = |kind: &String| kind.starts_with("lockbridge.clock.");
    listed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(kind)
        .filter(clock)
        .collect()
}

#[test]
fn a_clock_years_back_after_a_reboot_changes_nothing_on_the_door_until_it_is_set_right() {
    let broker = Broker::start("");
    let mut info = broker.listen(&format!("{BASE}/info"));
    let mut events = broker.listen(&format!("{BASE}/event"));
    let [clock, door] = parts("none");
    let mqtt = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port);
    let mut rig = Rig::start(&[clock, mqtt, door]);
    let Some(rebooted) = after_a_reboot(&rig) else {
        return;
    };
    set(&rig, json!({"trusted": true}));
    heard(&mut info, &mut events, "trusted");
    let stays = book(&rig, -3600, DAY);
    let comes = book(&rig, 2 * DAY, 3 * DAY);
    let linked = json!({"device_id": FRONT, "common_code_key": "linked", "starts_at": rig.time(2 * DAY),
        "ends_at": rig.time(3 * DAY)});
    rig.post("/access_codes/create", linked).ok();
    let due_then = book(&rig, 9 * DAY, 12 * DAY);
    rig.advance(60);
    let digits = |code: &Value| code["code"].as_str().unwrap().to_owned();
    assert_eq!(rig.pins_on(FRONT), [digits(&stays)]);
    let ten_days_on = rig.time(10 * DAY);
    rig.kill();

    // The machine comes back without a network: its clock shows some time of years ago.
    rig.inside = rebooted;
    rig.run();
    set(&rig, json!({"now": rig.time(-3 * 365 * DAY)}));
    rig.advance(600);
    assert_eq!(rig.pins_on(FRONT), [digits(&stays)]);
    assert_eq!(told(&rig)["trust"], "untrusted");
    assert_eq!(heard(&mut info, &mut events, "untrusted")["source"], "none");
    let code = rig
        .post(
            "/access_codes/get",
            json!({"access_code_id": comes["access_code_id"]}),
        )
        .ok();
    let warnings = code["access_code"]["warnings"].to_string();
    assert!(warnings.contains("clock_untrusted"), "{warnings}");
    let receipt = rig.get("/lockbridge/v1/groups/linked").ok();
    assert_eq!(receipt["clock"]["trust"], "untrusted", "{receipt}");
    let ready = rig.get("/readyz").ok();
    assert!(
        ready["clock"]["ahead_ms"].as_i64().unwrap() < -2 * 365 * DAY * 1000,
        "{ready}"
    );

    // Set right, ten days after the last time that was known. A second later what ended is gone, what is
    // due is there, and what came and went never was.
    set(&rig, json!({"now": ten_days_on}));
    set(&rig, json!({"trusted": true}));
    assert_eq!(told(&rig)["trust"], "trusted");
    rig.advance(1);
    assert_eq!(rig.pins_on(FRONT), [digits(&due_then)]);
    assert_eq!(heard(&mut info, &mut events, "trusted")["ahead_ms"], 0);
    rig.advance(2 * DAY as u64);
    assert!(rig.pins_on(FRONT).is_empty());
    let expected =
        ["untrusted", "trusted", "untrusted", "trusted"].map(|word| format!("lockbridge.clock.{word}"));
    assert_eq!(kinds(&rig), expected);
    assert_eq!(set_codes(&rig), [id(&stays), id(&due_then)]);
}

/// The codes that ever opened the door, in the order in which they began to.
fn set_codes(rig: &Rig) -> Vec<String> {
    let of_a_kind = json!({"since": "2000-01-01T00:00:00Z", "event_type": "access_code.set_on_device"});
    let listed = rig.post("/events/list", of_a_kind).ok();
    listed["events"].as_array().unwrap().iter().map(id).collect()
}

fn id(of: &Value) -> String {
    of["access_code_id"].as_str().unwrap().to_owned()
}

#[test]
fn one_wrong_answer_from_2038_empties_no_building() {
    let rig = with("system");
    let pin = book(&rig, -3600, DAY)["code"].as_str().unwrap().to_owned();
    rig.advance(60);
    let before = rig.time(0);
    set(&rig, json!({"now": "2038-01-19T03:14:07Z"}));
    rig.advance(600);
    assert_eq!(
        (told(&rig)["trust"].clone(), rig.pins_on(FRONT)),
        (json!("wild"), vec![pin.clone()])
    );
    // It goes back by itself.
    set(&rig, json!({"now": before}));
    assert_eq!(told(&rig)["trust"], "trusted");
    rig.advance(60);
    assert_eq!(rig.pins_on(FRONT), [pin]);
    assert_eq!(kinds(&rig), ["lockbridge.clock.wild", "lockbridge.clock.trusted"]);
}

#[test]
fn a_wild_clock_is_believed_once_it_has_stood_or_somebody_vouches_for_it() {
    let rig = with("system");
    book(&rig, -3600, DAY);
    rig.advance(60);
    set(&rig, json!({"now": rig.time(40 * DAY)}));
    rig.advance(10 * 60);
    assert_eq!(
        (told(&rig)["trust"].clone(), rig.pins_on(FRONT).len()),
        (json!("wild"), 1)
    );
    rig.advance(6 * 60);
    assert_eq!(
        (told(&rig)["trust"].clone(), rig.pins_on(FRONT).len()),
        (json!("trusted"), 0)
    );

    set(&rig, json!({"now": rig.time(40 * DAY)}));
    rig.advance(1);
    assert_eq!(told(&rig)["trust"], "wild");
    let errors = |log: &str| {
        let is_alarm = |line: &&str| line.contains("ERROR") && line.contains("`lockbridge clock accept`");
        log.lines().filter(is_alarm).count()
    };
    rig.logged(|log| errors(log) == 2);
    let config = rig.config();
    assert_eq!(
        rig.told(&["clock", "accept", "--config", config.to_str().unwrap()]),
        "the clock is trusted\n"
    );
    assert_eq!(told(&rig)["trust"], "trusted");
    rig.logged(|log| log.matches("the clock is trusted again").count() == 2);
}

#[test]
fn what_has_ended_by_the_time_that_is_proven_is_refused_and_all_else_taken() {
    let rig = with("none");
    set(&rig, json!({"trusted": true}));
    rig.advance(60);
    set(&rig, json!({"trusted": false}));
    rig.logged(|log| log.contains("WARN") && log.contains("nothing vouches for the clock"));
    let times =
        |from, until| json!({"device_id": FRONT, "starts_at": rig.time(from), "ends_at": rig.time(until)});
    let past = rig.post("/access_codes/create", times(-7200, -3600));
    past.refused(400, "invalid_input", "ends_at");
    let code = rig.post("/access_codes/create", times(3600, 7200)).ok();
    assert_eq!(
        code["access_code"]["warnings"][0]["warning_code"],
        "clock_untrusted"
    );
    // Time goes on as it did: this boot's clock was right a minute ago.
    rig.advance(3601);
    assert_eq!(rig.pins_on(FRONT).len(), 1);
}
