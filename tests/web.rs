//! The page at `/` and what stands behind it: files, sessions, what a cookie may do. The real program, over HTTP.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{Answer, BACK, FRONT, Rig, bearer, device};
use serde_json::{Value, json};

const SESSION: &str = "/lockbridge/v1/session";
/// What a browser says of a request of our own page.
const OUR_PAGE: &str = "content-type: application/json\r\nsec-fetch-site: same-origin\r\n";

fn two_doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

fn sign_in(rig: &Rig, key: &str) -> Answer {
    rig.call("POST", SESSION, OUR_PAGE, &json!({"api_key": key}).to_string())
}

/// What a signed-in browser sends: a whole line.
fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").expect("a cookie is set");
    let pair = cookie.split(';').next().unwrap();
    assert!(pair.starts_with("lockbridge_session="), "{cookie}");
    format!("cookie: other=1; {pair}\r\n")
}

/// A page of which somebody is signed in with a key.
struct Page<'a> {
    rig: &'a Rig,
    cookie: String,
}

impl Page<'_> {
    fn of<'a>(rig: &'a Rig, key: &str) -> Page<'a> {
        let answer = sign_in(rig, key);
        let cookie = cookie_of(&answer);
        answer.ok();
        Page { rig, cookie }
    }

    fn get(&self, path: &str) -> Answer {
        self.rig.call("GET", path, &self.cookie, "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, OUR_PAGE, body)
    }

    fn call(&self, method: &str, path: &str, headers: &str, body: &Value) -> Answer {
        let headers = format!("{}{headers}", self.cookie);
        self.rig.call(method, path, &headers, &body.to_string())
    }
}

const SAFE: &str = "11111111-0000-4000-8000-000000000002";
const CELLAR: &str = "11111111-0000-4000-8000-000000000001";
const CREATE: &str = "/access_codes/create_multiple";
const DRY_RUN: &str = "/lockbridge/v1/dry_run";

/// Every value under a key, wherever it stands.
fn all(value: &Value, key: &str, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key).cloned());
            members.values().for_each(|member| all(member, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

#[test]
fn the_page_needs_no_key_and_lets_nothing_in() {
    let rig = Rig::start(&two_doors());
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/web/app.js", "text/javascript; charset=utf-8"),
        ("/web/app.css", "text/css; charset=utf-8"),
        ("/web/icon.svg", "image/svg+xml"),
    ] {
        let answer = rig.call("GET", path, "", "");
        assert_eq!(answer.status, 200, "{path}");
        for (name, value) in [
            ("content-type", kind),
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                 form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let tag = answer.header("etag").unwrap();
        let again = rig.call("GET", path, &format!("if-none-match: {tag}\r\n"), "");
        assert_eq!((again.status, &again.body), (304, &json!("")), "{path}");
        let other = rig.call("GET", path, "if-none-match: \"other\"\r\n", "");
        assert_eq!(other.body, answer.body, "{path}");
        rig.call("POST", path, OUR_PAGE, "{}")
            .refused(405, "method_not_allowed", "other methods");
    }
    rig.call("GET", "/web/other.js", "", "")
        .refused(404, "not_found", "no such path");
}

#[test]
fn a_cookie_stands_for_its_key_until_somebody_signs_out() {
    let mut rig = Rig::start(&two_doors());
    let office = rig.make_key("office", "codes,pins");
    let answer = sign_in(&rig, &office);
    let set = answer.header("set-cookie").unwrap().to_owned();
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains(&office), "{set}");
    let page = Page {
        rig: &rig,
        cookie: cookie_of(&answer),
    };
    let session = answer.ok()["session"].clone();
    assert_eq!(
        (&session["name"], &session["scopes"]),
        (&json!("office"), &json!(["codes", "pins"]))
    );
    let gateway = json!({"site": "villa-7", "id": "gw1", "version": env!("CARGO_PKG_VERSION")});
    assert_eq!(session["gateway"], gateway);
    assert_eq!(page.get(SESSION).ok()["session"], session);
    assert_eq!(
        page.get("/devices/list").ok()["devices"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    // What its key may not, it may not.
    page.post("/locks/lock_door", &json!({"device_id": FRONT}))
        .refused(403, "forbidden", "operate");
    // The list of keys tells that this one is in use.
    rig.advance(600);
    page.get("/devices/list").ok();

    // Twice signed in, once signed out.
    let other = Page::of(&rig, &office);
    let gone = page.call("DELETE", SESSION, OUR_PAGE, &json!({}));
    assert!(gone.header("set-cookie").unwrap().contains("Max-Age=0"));
    gone.ok();
    page.get("/devices/list")
        .refused(401, "unauthorized", "sign in again");
    page.get(SESSION).refused(401, "unauthorized", "sign in again");
    other.get(SESSION).ok();
    // Half a day later it is over by itself.
    rig.advance(12 * 3600);
    other.get(SESSION).refused(401, "unauthorized", "sign in again");
    rig.get(SESSION)
        .refused(401, "unauthorized", "nobody is signed in");
    rig.call("GET", SESSION, "", "")
        .refused(401, "unauthorized", "send");

    // A start signs everybody out.
    let cookie = Page::of(&rig, &office).cookie;
    assert!(rig.terminate().success());
    assert!(!rig.log().contains(&office) && !rig.log().contains(set.split(['=', ';']).nth(1).unwrap()));
    rig.run();
    rig.call("GET", SESSION, &cookie, "")
        .refused(401, "unauthorized", "sign in again");
}

#[test]
fn a_wrong_key_signs_nobody_in_and_many_are_slowed_down() {
    let rig = Rig::start(&two_doors());
    for _ in 0..10 {
        let answer = sign_in(&rig, "seam_lbWrong");
        answer.refused(401, "unauthorized", "not known");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let slowed = sign_in(&rig, "seam_lbWrong");
    slowed.refused(429, "rate_limited", "wrong API keys");
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    // Whoever has a right one is no guesser.
    sign_in(&rig, &rig.key).ok();
    rig.advance(wait);
    sign_in(&rig, "seam_lbWrong").refused(401, "unauthorized", "not known");
    rig.call("POST", SESSION, OUR_PAGE, "{}")
        .refused(400, "invalid_input", "api_key: is required");
    // Over the Unix socket the system says who calls.
    let socket = rig.data_dir().join("lockbridge.sock");
    let body = json!({"api_key": rig.key}).to_string();
    common::exchange(socket.to_str().unwrap(), "POST", SESSION, OUR_PAGE, &body)
        .unwrap()
        .refused(403, "forbidden", "Unix socket");
    assert!(!rig.log().contains("Wrong"), "{}", rig.log());
}

#[test]
fn what_another_site_makes_a_browser_send_changes_nothing() {
    let rig = Rig::start(&two_doors());
    let page = Page::of(&rig, &rig.key);
    let body = json!({"device_ids": [FRONT]});
    let before = rig.everything();
    let json = "content-type: application/json\r\n";
    for headers in [
        String::new(),
        json.to_owned(),
        format!("{json}sec-fetch-site: cross-site\r\n"),
        format!("{json}sec-fetch-site: same-site\r\n"),
        format!("{json}origin: http://elsewhere.example\r\n"),
        format!("{json}origin: http://localhost:1\r\n"),
        "sec-fetch-site: same-origin\r\n".to_owned(),
        "content-type: text/plain\r\nsec-fetch-site: same-origin\r\n".to_owned(),
        "content-type: application/x-www-form-urlencoded\r\norigin: http://localhost\r\n".to_owned(),
    ] {
        for (method, path) in [
            ("POST", "/access_codes/create_multiple"),
            ("POST", "/locks/unlock_door"),
            ("DELETE", SESSION),
            ("POST", "/lockbridge/v1/sim/clock"),
        ] {
            page.call(method, path, &headers, &body)
                .refused(403, "forbidden", "cookie");
        }
        let key = json!({"api_key": rig.key}).to_string();
        let answer = rig.call("POST", SESSION, &headers, &key);
        answer.refused(403, "forbidden", "cookie");
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(rig.everything(), before);
    // Browsers of old say where a request comes from in other words.
    let headers = format!("{json}origin: http://localhost\r\n");
    page.call("POST", "/access_codes/create_multiple", &headers, &body)
        .ok();
}

#[test]
fn a_revoked_key_ends_its_sessions_and_their_streams() {
    let rig = Rig::start(&two_doors());
    let office = rig.make_key("office", "codes");
    let page = Page::of(&rig, &office);
    let mut stream = BufReader::new(TcpStream::connect(rig.address()).unwrap());
    let request = format!(
        "GET /lockbridge/v1/stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}\r\n",
        page.cookie
    );
    let patience = Some(Duration::from_secs(60));
    stream.get_ref().set_read_timeout(patience).unwrap();
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    assert!(head.contains("text/event-stream"), "{head}");
    assert!(rig.command(&["keys", "revoke", "office"]).status.success());
    // Something happens, and whoever follows is looked at: to this one nothing more is told.
    rig.post("/access_codes/create", json!({"device_id": FRONT})).ok();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert!(!told.contains("access_code.created"), "{told}");
    page.get(SESSION).refused(401, "unauthorized", "sign in again");
    rig.make_key("office", "codes");
    page.get(SESSION).refused(401, "unauthorized", "sign in again");
}

#[test]
fn through_a_cookie_no_pin_is_shown() {
    let rig = Rig::start(&two_doors());
    let page = Page::of(&rig, &rig.key);
    let masked = |answer: Answer| {
        let (body, mut codes) = (answer.ok(), Vec::new());
        all(&body, "code", &mut codes);
        assert!(!codes.is_empty(), "{body}");
        assert!(codes.iter().all(Value::is_null), "{body}");
        body
    };
    let made = page.post(
        "/access_codes/create_multiple",
        &json!({"device_ids": [FRONT, BACK], "name": "Jane"}),
    );
    let job = made.header("lockbridge-job-id").unwrap().to_owned();
    let made = masked(made);
    let own = page.post(
        "/access_codes/create",
        &json!({"device_id": BACK, "code": "271828"}),
    );
    masked(own);
    rig.advance(300);
    let code = &made["access_codes"][0];
    let (id, key) = (&code["access_code_id"], code["common_code_key"].as_str().unwrap());
    masked(page.get(&format!("/lockbridge/v1/jobs/{job}")));
    masked(page.get(&format!("/lockbridge/v1/groups/{key}")));
    masked(page.post("/access_codes/get", &json!({"access_code_id": id})));
    masked(page.post("/access_codes/list", &json!({"device_id": BACK})));
    masked(page.post("/events/list", &json!({"since": "2000-01-01T00:00:00Z"})));
    // What is nothing but a PIN is not told at all, and digits find nothing.
    page.post("/access_codes/generate_code", &json!({"device_id": FRONT}))
        .refused(403, "forbidden", "cookie");
    page.get(&format!("/lockbridge/v1/sim/devices/{BACK}/table"))
        .refused(403, "forbidden", "cookie");
    let found = page.post(
        "/access_codes/list",
        &json!({"device_id": BACK, "search": "271828"}),
    );
    assert_eq!(found.ok()["access_codes"], json!([]));
    // The key itself may see them all.
    let shown = rig.post("/access_codes/get", json!({"access_code_id": id})).ok();
    assert!(shown["access_code"]["code"].is_string());
    let only_codes = rig.make_key("codes only", "codes");
    let masked = rig.call(
        "GET",
        &format!("/lockbridge/v1/groups/{key}"),
        &bearer(&only_codes),
        "",
    );
    assert_eq!(masked.ok()["receipts"][0]["code"], Value::Null);
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
    for of_answer in ["clock", "ok"] {
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

const REVEAL: &str = "/lockbridge/v1/access_codes/reveal";

/// The events of PINs that were shown.
fn revealed(rig: &Rig) -> Vec<Value> {
    let listed = rig.post(
        "/events/list",
        json!({"since": "2000-01-01T00:00:00Z", "event_type": "lockbridge.access_code.revealed"}),
    );
    listed.ok()["events"].as_array().unwrap().clone()
}

#[test]
fn a_pin_is_shown_to_who_asks_for_it_and_that_is_on_record() {
    let mut rig = Rig::start(&two_doors());
    let made = rig
        .post(CREATE, json!({"device_ids": [FRONT], "name": "Jane"}))
        .ok();
    let code = &made["access_codes"][0];
    let (id, pin) = (&code["access_code_id"], code["code"].as_str().unwrap());
    let office = rig.make_key("office", "codes,pins");
    let body = json!({"access_code_id": id});
    let shown = {
        let page = Page::of(&rig, &office);
        page.post(REVEAL, &body).ok()
    };
    assert_eq!(shown["access_code"], json!({"access_code_id": id, "code": pin}));

    // On the card before it was told: a power cut takes nothing back.
    rig.kill();
    rig.run();
    let events = revealed(&rig);
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(
        (
            &event["access_code_id"],
            &event["device_id"],
            &event["revealed_to"]
        ),
        (id, &json!(FRONT), &json!("office"))
    );
    assert!(
        event.get("code").is_none() && !event.to_string().contains(pin),
        "{event}"
    );

    // With a key of its own, and over the Unix socket.
    rig.post(REVEAL, body.clone()).ok();
    let socket = rig.data_dir().join("lockbridge.sock");
    let json_body = "content-type: application/json\r\n";
    common::exchange(
        socket.to_str().unwrap(),
        "POST",
        REVEAL,
        json_body,
        &body.to_string(),
    )
    .unwrap()
    .ok();
    let events = revealed(&rig);
    assert_eq!(events.len(), 3);
    assert_eq!(events[1]["revealed_to"], "everything");
    assert!(events[2]["revealed_to"].as_str().unwrap().starts_with("uid:"));

    // Whoever may not see it does not, and leaves no such event; nor does what does not exist.
    let blind = rig.make_key("blind", "codes,operate,admin");
    rig.call("POST", REVEAL, &bearer(&blind), &body.to_string())
        .refused(403, "forbidden", "`pins`");
    Page::of(&rig, &blind)
        .post(REVEAL, &body)
        .refused(403, "forbidden", "`pins`");
    let page = Page::of(&rig, &office);
    page.call("POST", REVEAL, "content-type: application/json\r\n", &body)
        .refused(403, "forbidden", "cookie");
    page.post(REVEAL, &json!({"access_code_id": FRONT})).refused(
        404,
        "access_code_not_found",
        "no such access code",
    );
    page.post(REVEAL, &json!({}))
        .refused(400, "invalid_input", "access_code_id: is required");
    assert_eq!(revealed(&rig).len(), 3);
    assert!(!rig.log().contains(pin));
}
