//! The page at `/` and who is signed in there: files, sessions, what a cookie may do. The real program, over HTTP.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::page::{OUR_PAGE, Page, SESSION, all, cookie_of, sign_in};
use common::{Answer, BACK, FRONT, Rig, bearer, device};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create_multiple";
const REVEAL: &str = "/lockbridge/v1/access_codes/reveal";

fn two_doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
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
    // It ends, and does not only fall silent.
    let mut told = String::new();
    while stream.read_line(&mut told).unwrap() > 0 {
        assert!(!told.contains("access_code.created"), "{told}");
    }
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
    let own = json!({"device_id": BACK, "code": "271828"});
    rig.post("/access_codes/create", own).ok();
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
    // Nobody says one either, whether it is taken or not: what was answered would tell which.
    let before = rig.everything();
    for code in ["271828", "314159"] {
        for (path, body) in [
            ("/access_codes/get", json!({"device_id": BACK, "code": code})),
            (
                "/lockbridge/v1/dry_run",
                json!({"device_ids": [BACK], "code": code}),
            ),
            ("/access_codes/create", json!({"device_id": BACK, "code": code})),
            (CREATE, json!({"device_ids": [BACK], "code": code})),
            (
                "/access_codes/update",
                json!({"access_code_id": id, "code": code}),
            ),
            (
                "/access_codes/update_multiple",
                json!({"common_code_key": key, "code": code}),
            ),
            (
                &format!("/lockbridge/v1/sim/devices/{BACK}/keypad"),
                json!({"code": code}),
            ),
            (
                &format!("/lockbridge/v1/sim/devices/{BACK}/code"),
                json!({"op": "add", "slot": 20, "code": code}),
            ),
        ] {
            page.post(path, &body)
                .refused(403, "forbidden", "through a cookie no PIN is said");
        }
        page.get(&format!("/access_codes/get?device_id={BACK}&code={code}"))
            .refused(403, "forbidden", "through a cookie no PIN is said");
    }
    assert_eq!(rig.everything(), before);
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
fn neither_another_gateways_cookie_nor_a_proxys_credentials_come_between() {
    let rig = Rig::start(&two_doors());
    let page = Page::of(&rig, &rig.key);
    let own = page.cookie.split("; ").nth(1).unwrap().trim();
    let name = own.split('=').next().unwrap();
    // Of a gateway behind another port of the same host, and of one from before there were several.
    let others = format!("lockbridge_session_00000000=x; lockbridge_session=y; __Host-{name}=z");
    let cookies = format!("cookie: {others}; {own}\r\n");
    rig.call("GET", SESSION, &cookies, "").ok();
    rig.call("GET", SESSION, &format!("cookie: {others}\r\n"), "")
        .refused(401, "unauthorized", "send");
    // A proxy before the gateway asks for a password of its own, and the browser sends it with everything.
    let basic = "authorization: Basic b2ZmaWNlOnNlY3JldA==\r\n";
    for _ in 0..20 {
        rig.call("GET", SESSION, &format!("{cookies}{basic}"), "").ok();
    }
    rig.call("GET", SESSION, basic, "")
        .refused(401, "unauthorized", "send");
    // A key outranks the cookie, if it is a wrong one too.
    for _ in 0..10 {
        rig.call(
            "GET",
            SESSION,
            &format!("{cookies}{}", bearer("seam_lbWrong")),
            "",
        )
        .refused(401, "unauthorized", "not known");
    }
}

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

#[test]
fn looks_at_pins_are_slowed_down_before_they_push_out_what_they_leave() {
    let rig = Rig::start(&two_doors());
    let made = rig.post(CREATE, json!({"device_ids": [FRONT]})).ok();
    let body = json!({"access_code_id": made["access_codes"][0]["access_code_id"]});
    let office = rig.make_key("office", "codes,pins");
    let page = Page::of(&rig, &office);
    let mut shown = 0;
    let slowed = loop {
        let answer = page.post(REVEAL, &body);
        if answer.status != 200 {
            break answer;
        }
        shown += 1;
        assert!(shown < 1000, "nothing slows it down");
    };
    slowed.refused(429, "rate_limited", "more than 60 PINs in a minute");
    assert_eq!(slowed.header("retry-after"), Some("1"));
    assert!(shown >= 60, "{shown}");
    assert_eq!(revealed(&rig).len(), shown, "what is refused leaves no event");
    // Another key has a pace of its own, and a minute later all is well.
    rig.post(REVEAL, body.clone()).ok();
    rig.advance(60);
    page.post(REVEAL, &body).ok();
    assert_eq!(revealed(&rig).len(), shown + 2);
}
