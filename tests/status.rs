//! `lockbridge status` and `lockbridge watch`, `/readyz` and `/lockbridge/v1/status`: the truth, in one look.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

fn doors() -> [String; 2] {
    [
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

/// How `status` ends, and what it prints.
fn status(rig: &Rig, more: &[&str]) -> (Option<i32>, String) {
    let output = rig.command(&[&["status"], more].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// The problems that `status --json` names, by their words.
fn problems(rig: &Rig) -> Vec<String> {
    let (code, text) = status(rig, &["--json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    let problems = status["problems"].as_array().unwrap();
    assert_eq!(code, Some(i32::from(!problems.is_empty())));
    let word = |problem: &Value| problem["problem"].as_str().unwrap().to_owned();
    problems.iter().map(word).collect()
}

fn stay(rig: &Rig) -> String {
    let stay = json!({
        "device_ids": [FRONT, BACK], "name": "Jane", "starts_at": rig.time(3600), "ends_at": rig.time(86_400),
    });
    let made = rig.post("/access_codes/create_multiple", stay).ok();
    made["access_codes"][0]["common_code_key"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn it_ends_with_one_while_something_needs_a_person() {
    let mut rig = Rig::start(&doors());
    rig.advance(1);
    let (code, text) = status(&rig, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with("villa-7/gw1, lockbridge ") && text.ends_with("\nNothing needs a person.\n"),
        "{text}"
    );
    assert!(problems(&rig).is_empty());

    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    let group = stay(&rig);
    rig.advance(60);
    // The guest comes within the hour.
    assert_eq!(problems(&rig), ["device_offline", "group_problem"]);
    rig.advance(3600 + 120);
    assert_eq!(problems(&rig), ["overdue", "group_problem"]);
    let (code, text) = status(&rig, &[]);
    assert_eq!(code, Some(1));
    for said in [
        "Back door",
        "offline",
        "1 code, 1 overdue, the oldest since ",
        "Needs a person:\n- ",
        &group,
    ] {
        assert!(text.contains(said), "no `{said}` in\n{text}");
    }
    let ready = rig.call("GET", "/readyz", "", "");
    assert_eq!(ready.status, 200, "it takes new work all the same");
    assert_eq!(ready.body["commands_overdue"], 1);
    assert_eq!(ready.body["groups_unproven"], 1);
    let status = rig.get("/lockbridge/v1/status").ok()["status"].clone();
    assert_eq!(ready.body["overdue_since"], status["doors"][1]["overdue_since"]);
    let starts_at = rig.codes(FRONT)[0]["starts_at"].clone();
    assert_eq!(
        ready.body["overdue_since"], starts_at,
        "from then on the guest may come in"
    );

    rig.post("/devices/simulate/connect", json!({"device_id": BACK}))
        .ok();
    rig.advance(60);
    assert!(problems(&rig).is_empty());

    rig.post("/lockbridge/v1/sim/clock", json!({"trusted": false}))
        .ok();
    assert_eq!(problems(&rig), ["clock_untrusted"]);
    rig.terminate();
    let output = rig.command(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no gateway answers")
    );
}

/// A removal is late from the end of the stay on.
#[test]
fn a_code_that_stays_too_long_is_overdue() {
    let rig = Rig::start(&doors());
    stay(&rig);
    rig.advance(7200);
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    let ends_at = rig.codes(FRONT)[0]["ends_at"].clone();
    rig.advance(86_400);
    let ready = rig.get("/readyz").body;
    assert_eq!(ready["commands_overdue"], 1, "{ready}");
    assert_eq!(ready["overdue_since"], ends_at);
    assert_eq!(problems(&rig), ["overdue", "group_problem"]);
}

#[test]
fn a_broker_that_is_away_is_told_of() {
    let mut rig = Rig::new(&doors());
    let mut text = std::fs::read_to_string(rig.config()).unwrap();
    // Nobody listens there.
    text.push_str("\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n");
    std::fs::write(rig.config(), text).unwrap();
    rig.run();
    let ready = rig.call("GET", "/readyz", "", "");
    assert_eq!((ready.status, &ready.body["ok"]), (200, &json!(true)));
    assert_eq!(ready.body["broker"], json!({"connected": false}));
    assert_eq!(problems(&rig), ["broker_away"]);
}

/// Where stdout is no terminal each event is a line; a reader that leaves ends it.
#[test]
fn watch_writes_a_line_for_each_event() {
    let rig = Rig::start(&doors());
    rig.advance(1);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_lockbridge"))
        .arg("--config")
        .arg(rig.config())
        .arg("watch")
        .env_remove("RUNTIME_DIRECTORY")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let title = lines.next().unwrap();
    assert!(title.starts_with("TIME"), "{title}");
    stay(&rig);
    let line = lines.next().unwrap();
    assert!(
        line.contains("access_code.created") && line.contains("Front door"),
        "{line}"
    );
    assert!(!line.contains('\x1b'), "{line}");
    drop(lines);
    stay(&rig);
    assert_eq!(watch.wait().unwrap().code(), Some(1));
}
