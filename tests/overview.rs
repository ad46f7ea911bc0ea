//! What the page shows at a glance, and what it tries before it asks for it: doors, groups, dry runs. The real program, over HTTP.

mod common;

use common::page::{Page, all};
use common::{BACK, FRONT, Rig, bearer, device};
use serde_json::{Value, json};

const SAFE: &str = "11111111-0000-4000-8000-000000000002";
const CELLAR: &str = "11111111-0000-4000-8000-000000000001";
const CREATE: &str = "/access_codes/create_multiple";
const DRY_RUN: &str = "/lockbridge/v1/dry_run";

fn two_doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

#[test]
fn every_door_is_seen_at_a_glance() {
    let rig = Rig::start(&two_doors());
    let page = Page::of(&rig, &rig.key);
    rig.advance(60);
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    page.post(
        "/access_codes/create_multiple",
        &json!({"device_ids": [FRONT, BACK]}),
    )
    .ok();
    rig.advance(60);
    let told = page.get("/lockbridge/v1/doors").ok();
    assert!(told["now"].is_string());
    assert_eq!(told["clock"]["trust"], "trusted");
    let doors = told["doors"].as_array().unwrap();
    let names: Vec<_> = doors.iter().map(|door| door["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Back door", "Front door"]);
    let (back, front) = (&doors[0], &doors[1]);
    assert_eq!(back["device_id"], BACK);
    for (name, value) in [
        ("online", json!(true)),
        ("pending", json!(0)),
        ("reason", Value::Null),
        ("hint", Value::Null),
        ("slots_used", json!(1)),
        ("slots_free", json!(29)),
        ("driver", json!("sim")),
        ("paired", json!(false)),
        ("removed", json!(false)),
        ("drift", json!(false)),
    ] {
        assert_eq!(back[name], value, "{name}");
    }
    assert!(back["last_seen"].is_string());
    assert_eq!(
        (&front["online"], &front["pending"], &front["reason"]),
        (&json!(false), &json!(1), &json!("device_silent"))
    );
    assert!(front["next_try"].is_string());
    assert!(front["hint"].as_str().unwrap().contains("batteries"));
    let why = page.get(&format!("/lockbridge/v1/devices/{FRONT}/why")).ok();
    assert_eq!(front["sentence"], why["why"]["sentence"]);
    // Neither is there for a key that may see no codes.
    let operate = bearer(&rig.make_key("porter", "operate"));
    for path in ["/lockbridge/v1/doors", "/lockbridge/v1/groups"] {
        rig.call("GET", path, &operate, "")
            .refused(403, "forbidden", "codes");
    }
}

#[test]
fn groups_come_in_the_order_of_their_stays_and_go_once_their_codes_are_gone() {
    let rig = Rig::start(&two_doors());
    let page = Page::of(&rig, &rig.key);
    let stay = |name: &str, from: i64, to: i64| {
        let times = json!({
            "device_ids": [FRONT, BACK],
            "name": name,
            "starts_at": rig.time(from * 86_400),
            "ends_at": rig.time(to * 86_400),
        });
        page.post("/access_codes/create_multiple", &times).ok()
    };
    // Days go by, and a session does not last that long.
    let groups = |path: &str| Page::of(&rig, &rig.key).get(path).ok();
    let names = |told: &Value| -> Vec<String> {
        let groups = told["groups"].as_array().unwrap().iter();
        groups
            .map(|group| group["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let path = "/lockbridge/v1/groups";
    let none = groups(path);
    assert_eq!(
        (&none["groups"], &none["pagination"]["has_next_page"]),
        (&json!([]), &json!(false))
    );
    for (name, from, to) in [
        ("third", 9, 12),
        ("first", 0, 2),
        ("fourth", 20, 21),
        ("second", 3, 5),
    ] {
        stay(name, from, to);
    }
    rig.advance(300);
    let told = groups(path);
    assert_eq!(names(&told), ["first", "second", "third", "fourth"]);
    let first = &told["groups"][0];
    let key = first["common_code_key"].as_str().unwrap();
    let mut receipt = page.get(&format!("{path}/{key}")).ok();
    for of_answer in ["clock", "now", "ok"] {
        receipt.as_object_mut().unwrap().remove(of_answer);
    }
    assert_eq!(*first, receipt, "the same receipt");

    // Page by page; what comes in meanwhile moves no page.
    let one = groups(&format!("{path}?limit=2"));
    assert_eq!(names(&one), ["first", "second"]);
    assert_eq!(one["pagination"]["has_next_page"], true);
    stay("between", 1, 2);
    let cursor = one["pagination"]["next_page_cursor"].as_str().unwrap();
    let two = groups(&format!("{path}?limit=2&page_cursor={cursor}"));
    assert_eq!(names(&two), ["third", "fourth"]);
    assert_eq!(two["pagination"]["has_next_page"], false);

    // What is over goes once no lock holds it any more.
    rig.advance(86_400);
    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    rig.advance(3 * 86_400);
    let told = groups(path);
    assert_eq!(names(&told), ["first", "between", "second", "third", "fourth"]);
    assert_eq!(told["groups"][0]["receipts"][1]["status"], "removing");
    rig.post("/devices/simulate/connect", json!({"device_id": BACK}))
        .ok();
    rig.advance(3600);
    assert_eq!(names(&groups(path)), ["second", "third", "fourth"]);
}

/// What a job leaves behind: in locks, on record, among events.
fn on_record(rig: &Rig) -> Value {
    let listed = rig.get("/devices/list").ok();
    let doors = listed["devices"].as_array().unwrap().iter().map(|door| {
        let id = door["device_id"].as_str().unwrap();
        let codes = rig.codes(id).into_iter();
        let codes: Vec<Value> = codes
            .map(|code| json!([code["access_code_id"], code["status"]]))
            .collect();
        json!([rig.table(id), codes])
    });
    let mut ready = rig.get("/readyz").ok();
    ready.as_object_mut().unwrap().remove("clock");
    let events = rig.get("/events/list?since=2000-01-01T00:00:00Z").ok();
    json!([doors.collect::<Vec<_>>(), ready, events])
}

/// Asks for a dry run first and for the job then, and insists that both come to the same.
#[track_caller]
fn foretold(rig: &Rig, job: &Value) -> Value {
    // All that was asked for before is done, but for doors that do not answer.
    rig.advance(600);
    let before = on_record(rig);
    let told = rig.post(DRY_RUN, job.clone()).ok()["dry_run"].clone();
    assert_eq!(before, on_record(rig), "a dry run changes nothing");
    let mut codes = Vec::new();
    all(&told, "code", &mut codes);
    assert_eq!(codes, [Value::Null; 0], "a dry run tells no PIN");

    let answer = rig.post(CREATE, job.clone());
    let doors = told["doors"].as_array().unwrap();
    assert_eq!(told["possible"], answer.status == 200, "{told} {}", answer.body);
    if answer.status != 200 {
        let error = &answer.body["error"];
        assert_eq!(told["refusal"]["type"], error["type"]);
        assert_eq!(told["refusal"]["message"], error["message"]);
        assert_eq!(told["length"], Value::Null);
        for reason in error["data"]["reasons"].as_array().into_iter().flatten() {
            let door = doors.iter().find(|door| door["device_id"] == reason["device_id"]);
            match door {
                Some(door) => assert_eq!(door["reasons"], json!([reason])),
                None => assert_eq!(reason["reason"], "device_not_found"),
            }
        }
        assert!(doors.iter().all(|door| door["share"] == "none"));
        return told;
    }
    assert_eq!(told["refusal"], Value::Null);
    let made = answer.ok();
    let made = made["access_codes"].as_array().unwrap();
    assert_eq!(made.len(), doors.len());
    let shared = doors.iter().position(|door| door["share"] == "shared").unwrap();
    let shared = made[shared]["code"].as_str().unwrap();
    assert_eq!(told["length"], shared.len());
    for (door, code) in doors.iter().zip(made) {
        assert_eq!(door["device_id"], code["device_id"]);
        assert_eq!(door["share"] == "shared", code["code"] == shared, "{door} {code}");
    }
    told
}

#[test]
fn a_dry_run_says_what_create_multiple_then_does() {
    let mut doors = two_doors();
    doors.push(device(CELLAR, "Cellar", "keypad-6", ""));
    doors.push(device(SAFE, "Safe", "fixed-8", ""));
    let rig = Rig::start(&doors);
    rig.advance(60);
    let share = |told: &Value| -> Vec<String> {
        let doors = told["doors"].as_array().unwrap().iter();
        doors
            .map(|door| door["share"].as_str().unwrap().to_owned())
            .collect()
    };
    let told = foretold(
        &rig,
        &json!({"device_ids": [FRONT, BACK], "preferred_code_length": 5}),
    );
    assert_eq!(
        (&told["length"], share(&told)),
        (&json!(5), vec!["shared".to_owned(); 2])
    );
    let told = foretold(&rig, &json!({"device_ids": [CELLAR, FRONT]}));
    assert_eq!(told["length"], 6);

    let all = json!([FRONT, SAFE, BACK]);
    let told = foretold(&rig, &json!({"device_ids": all}));
    assert_eq!(told["refusal"]["type"], "cannot_share");
    assert!(
        told["doors"][1]["reasons"][0]["message"]
            .as_str()
            .unwrap()
            .contains("takes 8 digits")
    );
    let own = json!({"device_ids": all, "behavior_when_code_cannot_be_shared": "create_random_code"});
    assert_eq!(share(&foretold(&rig, &own)), ["shared", "own_pin", "shared"]);

    foretold(&rig, &json!({"device_ids": [FRONT, BACK], "code": "271828"}));
    let told = foretold(&rig, &json!({"device_ids": [FRONT, BACK], "code": "271828"}));
    assert_eq!(told["refusal"]["type"], "duplicate_access_code");
    let told = foretold(&rig, &json!({"device_ids": [FRONT, SAFE], "code": "314159"}));
    assert!(told["doors"][0]["reasons"] == json!([]) && told["doors"][1]["reasons"] != json!([]));
    let told = foretold(
        &rig,
        &json!({"device_ids": [FRONT, "99999999-0000-4000-8000-000000000009"]}),
    );
    assert_eq!(told["refusal"]["type"], "device_not_found");
    let over = json!({"device_ids": [FRONT], "starts_at": rig.time(-7200), "ends_at": rig.time(-3600)});
    foretold(&rig, &over);

    // A door that does not answer: the job is taken, and says what it will wait for.
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    let told = foretold(&rig, &json!({"device_ids": [FRONT, BACK]}));
    assert_eq!(told["doors"][0]["reasons"][0]["reason"], "device_silent");
    assert_eq!(told["doors"][1]["reasons"], json!([]));
    let now_or_never = json!({"device_ids": [FRONT, BACK], "attempt_for_offline_device": false});
    assert_eq!(foretold(&rig, &now_or_never)["refusal"]["type"], "device_offline");

    // What cannot be read is refused as a job would be; so is a PIN of who may not see any.
    rig.post(DRY_RUN, json!({"device_ids": [FRONT, FRONT]}))
        .refused(400, "invalid_input", "more than once");
    let codes = bearer(&rig.make_key("codes", "codes"));
    let try_pin = json!({"device_ids": [FRONT], "code": "271828"}).to_string();
    rig.call("POST", DRY_RUN, &codes, &try_pin)
        .refused(403, "forbidden", "pins");
    let page = Page::of(&rig, &rig.key);
    page.post(DRY_RUN, &json!({"device_ids": [FRONT]})).ok();
}

#[test]
fn a_dry_run_finds_when_a_lock_is_full() {
    let doors = [
        device(FRONT, "Front door", "slots", "capacity = 1"),
        device(BACK, "Back door", "slots", ""),
    ];
    let rig = Rig::start(&doors);
    rig.advance(60);
    let (from, until) = (rig.time(86_400), rig.time(3 * 86_400));
    let taken = json!({"device_ids": [FRONT, BACK], "starts_at": from, "ends_at": until});
    foretold(&rig, &taken);
    let week = json!({
        "device_ids": [FRONT, BACK],
        "starts_at": rig.time(3600),
        "ends_at": rig.time(7 * 86_400),
        "behavior_when_code_cannot_be_shared": "create_random_code",
    });
    let told = foretold(&rig, &week);
    assert_eq!(told["refusal"]["type"], "no_space_for_access_code_on_device");
    let (front, back) = (&told["doors"][0], &told["doors"][1]);
    assert_eq!(front["full"], json!([{"from": from, "until": until}]));
    assert_eq!(
        front["reasons"][0]["reason"],
        "no_space_for_access_code_on_device"
    );
    assert_eq!((&back["full"], &back["reasons"]), (&json!([]), &json!([])));
    // After it there is room, and a code that is never over fills it for good.
    let rest = json!({"device_ids": [FRONT], "starts_at": until, "ends_at": rig.time(7 * 86_400)});
    assert_eq!(foretold(&rig, &rest)["doors"][0]["full"], json!([]));
    let other =
        json!({"device_ids": [FRONT], "starts_at": rig.time(8 * 86_400), "ends_at": rig.time(9 * 86_400)});
    foretold(&rig, &other);
    let told = foretold(&rig, &json!({"device_ids": [FRONT]}));
    assert_eq!(told["doors"][0]["full"].as_array().unwrap().len(), 2, "{told}");
}

#[test]
fn it_is_told_how_well_a_door_is_heard() {
    let rig = Rig::start(&two_doors());
    rig.advance(60);
    let heard = || {
        let told = rig.post(DRY_RUN, json!({"device_ids": [FRONT]})).ok();
        let door = &told["dry_run"]["doors"][0];
        let hours = (
            door["heard_hours"].as_u64().unwrap(),
            door["watched_hours"].as_u64().unwrap(),
        );
        let doors = rig.get("/lockbridge/v1/doors").ok();
        let same = doors["doors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|door| door["device_id"] == FRONT);
        let same = same.unwrap();
        assert_eq!(
            json!([hours.0, hours.1]),
            json!([same["heard_hours"], same["watched_hours"]])
        );
        hours
    };
    assert_eq!(heard(), (1, 1), "it was read at the start");
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    rig.advance(3 * 3600);
    rig.post("/access_codes/create", json!({"device_id": FRONT})).ok();
    rig.advance(60);
    assert_eq!(heard(), (1, 2), "it was asked in vain");
    rig.post("/devices/simulate/connect", json!({"device_id": FRONT}))
        .ok();
    rig.advance(60);
    assert_eq!(heard(), (2, 2));
}
