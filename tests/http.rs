//! Seam's API over plain HTTP, against the real program and simulated locks.

mod common;

use common::{BACK, FRONT, Rig, bearer, device};
use lockbridge::api::endpoint::{Call, ENDPOINTS, Endpoint, Method, Needs};
use lockbridge::api::parameter::Kind;
use serde_json::{Value, json};

const CELLAR: &str = "11111111-0000-4000-8000-000000000001";
const SAFE: &str = "11111111-0000-4000-8000-000000000002";
const NOBODY: &str = "99999999-0000-4000-8000-000000000009";

const CREATE: &str = "/access_codes/create_multiple";
const UPDATE: &str = "/access_codes/update_multiple";

fn two_doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

fn jane(rig: &Rig) -> Value {
    json!({
        "device_ids": [FRONT, BACK],
        "name": "Jane's reservation",
        "starts_at": rig.time(3600),
        "ends_at": rig.time(2 * 86_400),
        "preferred_code_length": 4,
    })
}

#[test]
fn a_reservation_from_booking_to_late_checkout() {
    let rig = Rig::start(&two_doors());
    let request = jane(&rig);
    let answer = rig.call("PUT", CREATE, &rig.bearer(), &request.to_string());
    assert!(answer.header("lockbridge-job-id").is_some());
    let created = answer.ok();
    let codes = created["access_codes"].as_array().unwrap();
    assert_eq!(codes.len(), 2);
    let (front, back) = (&codes[0], &codes[1]);
    assert_eq!(
        (&front["device_id"], &back["device_id"]),
        (&json!(FRONT), &json!(BACK))
    );
    let pin = front["code"].as_str().unwrap();
    assert_eq!(pin.len(), 4);
    assert_eq!(front["code"], back["code"]);
    let key = front["common_code_key"].as_str().unwrap();
    assert!(key.starts_with("auto_set_by_create_multiple_"));
    assert_eq!(front["common_code_key"], back["common_code_key"]);
    for code in codes {
        assert_eq!(code["name"], "Jane's reservation");
        assert_eq!(code["type"], "time_bound");
        assert_eq!(code["starts_at"], request["starts_at"]);
        assert_eq!(code["ends_at"], request["ends_at"]);
        assert_eq!(code["status"], "unset");
        assert_eq!(
            code["pending_mutations"][0]["mutation_code"],
            "deferring_creation"
        );
    }
    assert!(rig.table(FRONT).is_empty() && rig.table(BACK).is_empty());

    // Its time comes near: both locks hold it, and the receipt says on what word.
    rig.advance(3600);
    for door in [FRONT, BACK] {
        assert_eq!(rig.pins_on(door), [pin]);
        assert!(rig.opens(door, pin));
        assert_eq!(rig.codes(door)[0]["status"], "set");
    }
    let receipt = rig.get(&format!("/lockbridge/v1/groups/{key}")).ok();
    assert_eq!((&receipt["proven"], &receipt["members"]), (&json!(2), &json!(2)));
    assert_eq!(receipt["all_proven"], true);
    assert_eq!(receipt["receipts"][0]["proven"]["how"], "read_back");
    let told = rig.told(&["receipt", key]);
    assert!(told.contains("proven 2 of 2") && !told.contains(pin), "{told}");
    assert!(rig.told(&["codes", "--show-pins"]).contains(pin));

    // A later checkout moves both, and neither PIN nor key.
    let later = rig.time(4 * 86_400);
    let moved = rig.call(
        "PATCH",
        UPDATE,
        &rig.bearer(),
        &json!({"common_code_key": key, "ends_at": later}).to_string(),
    );
    assert_eq!(moved.ok(), json!({"ok": true}));
    for door in [FRONT, BACK] {
        let code = &rig.codes(door)[0];
        assert_eq!(code["ends_at"], later);
        assert_eq!(code["starts_at"], request["starts_at"]);
        assert_eq!(code["common_code_key"], key);
        assert_eq!(code["code"], pin);
    }
    rig.advance(3 * 86_400);
    assert!(rig.opens(FRONT, pin), "the stay was extended");
    rig.advance(2 * 86_400);
    for door in [FRONT, BACK] {
        assert!(!rig.opens(door, pin), "the stay is over");
        assert!(rig.codes(door).is_empty());
    }
    let ended = rig.post(
        "/access_codes/get",
        json!({"access_code_id": front["access_code_id"]}),
    );
    assert_eq!(ended.ok()["access_code"]["status"], "unset");
    assert!(!rig.log().contains(pin));
}

#[test]
fn a_custom_code_goes_to_every_member_and_links_none() {
    let rig = Rig::start(&two_doors());
    let created = rig
        .post(CREATE, json!({"device_ids": [FRONT, BACK], "code": "271828"}))
        .ok();
    for code in created["access_codes"].as_array().unwrap() {
        assert_eq!(code["code"], "271828");
        assert_eq!(code["common_code_key"], Value::Null);
        assert_eq!(
            (&code["type"], &code["status"]),
            (&json!("ongoing"), &json!("setting"))
        );
    }
    rig.advance(300);
    assert_eq!(rig.pins_on(FRONT), ["271828"]);
    assert_eq!(rig.pins_on(BACK), ["271828"]);

    // Found by its PIN, and deleted alone.
    let path = format!("/access_codes/get?code=271828&device_id={FRONT}&_strict=true");
    let found = rig.get(&path).ok();
    let id = found["access_code"]["access_code_id"].as_str().unwrap();
    let path = format!("/access_codes/delete?access_code_id={id}&_strict=true");
    let deleted = rig.call("DELETE", &path, &rig.bearer(), "");
    assert_eq!(deleted.ok(), json!({"ok": true}));
    rig.advance(300);
    assert!(rig.table(FRONT).is_empty());
    assert_eq!(rig.pins_on(BACK), ["271828"]);
    rig.get(&format!("/access_codes/get?access_code_id={id}"))
        .refused(404, "access_code_not_found", "no such access code");
}

#[test]
fn a_key_sees_what_its_scopes_allow() {
    let rig = Rig::start(&two_doors());
    let (blind, mute) = (rig.make_key("blind", "codes"), rig.make_key("mute", "operate"));
    let request = json!({"device_ids": [FRONT]}).to_string();
    let created = rig.call("POST", CREATE, &bearer(&blind), &request).ok();
    let code = &created["access_codes"][0];
    assert_eq!(code["code"], Value::Null);
    let pin = rig.codes(FRONT)[0]["code"].as_str().unwrap().to_owned();
    let by_pin = json!({"device_id": FRONT, "code": pin}).to_string();
    rig.call("POST", "/access_codes/get", &bearer(&blind), &by_pin)
        .refused(403, "forbidden", "`pins`");
    rig.call("POST", CREATE, &bearer(&mute), &request)
        .refused(403, "forbidden", "`codes`");
    rig.call("GET", "/lockbridge/v1/sim/clock", &bearer(&blind), "")
        .refused(403, "forbidden", "`admin`");
    assert!(rig.command(&["keys", "revoke", "blind"]).status.success());
    rig.call("POST", CREATE, &bearer(&blind), &request)
        .refused(401, "unauthorized", "not known");
    let listed = rig.told(&["keys", "list"]);
    assert!(listed.contains("mute") && !listed.contains("blind") && !listed.contains("seam_"));
}

/// A house in which everything that can be in the way is in the way.
fn crowded() -> Rig {
    let mut devices = two_doors();
    devices.push(device(CELLAR, "Cellar", "fixed-8", ""));
    devices.push(device(SAFE, "Safe", "slots", "capacity = 1"));
    let rig = Rig::start(&devices);
    for (doors, code) in [(json!([BACK]), "314159"), (json!([SAFE]), "161803")] {
        rig.post(CREATE, json!({"device_ids": doors, "code": code})).ok();
    }
    rig.advance(600);
    rig
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let rig = crowded();
    let (soon, later, past) = (rig.time(3600), rig.time(7200), rig.time(-3600));
    let before = rig.everything();
    let with = |more: Value| {
        let mut body = json!({"device_ids": [FRONT, BACK]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let invalid = |more: Value, says: &'static str| (CREATE, with(more), 400, "invalid_input", says);
    let cases = [
        (
            CREATE,
            json!({"device_ids": [FRONT, NOBODY]}),
            404,
            "device_not_found",
            NOBODY,
        ),
        (CREATE, json!({}), 400, "invalid_input", "device_ids"),
        invalid(json!({"device_ids": []}), "device_ids"),
        invalid(json!({"device_ids": [FRONT, BACK, FRONT]}), FRONT),
        invalid(json!({"device_ids": [FRONT, "the other"]}), "the other"),
        invalid(json!({"code": "12a4"}), "code"),
        invalid(json!({"code": "123"}), "4 to 12 digits"),
        invalid(json!({"code": "1234567890123"}), "4 to 12 digits"),
        invalid(
            json!({"code": "1234567"}),
            "Front door: takes codes of 4, 5, 6 digits",
        ),
        invalid(json!({"code": 123456}), "code: must be a string"),
        invalid(json!({"preferred_code_length": 3}), "preferred_code_length"),
        invalid(json!({"starts_at": soon}), "ends_at"),
        invalid(json!({"ends_at": later}), "starts_at"),
        invalid(
            json!({"starts_at": later, "ends_at": soon}),
            "must be after starts_at",
        ),
        invalid(
            json!({"starts_at": past, "ends_at": past}),
            "must be after starts_at",
        ),
        invalid(
            json!({"starts_at": "2020-01-01T00:00:00Z", "ends_at": past}),
            "ends_at",
        ),
        invalid(
            json!({"starts_at": "2030-01-01T00:00:00", "ends_at": later}),
            "offset",
        ),
        invalid(json!({"device_ids": FRONT}), "device_ids"),
        invalid(json!({"name": {"first": "Jane"}}), "name: must be a string"),
        invalid(
            json!({"behavior_when_code_cannot_be_shared": "ask"}),
            "create_random_code",
        ),
        invalid(json!({"is_offline_access_code": true}), "offline access codes"),
        (
            CREATE,
            with(json!({"code": "314159"})),
            409,
            "duplicate_access_code",
            "Back door",
        ),
        (
            CREATE,
            json!({"device_ids": [FRONT, SAFE]}),
            409,
            "no_space_for_access_code_on_device",
            "Safe",
        ),
        (
            CREATE,
            json!({"device_ids": [FRONT, CELLAR]}),
            400,
            "cannot_share",
            "",
        ),
        (
            UPDATE,
            json!({"common_code_key": "auto_set_by_nobody", "name": "x"}),
            404,
            "access_code_not_found",
            "key",
        ),
        (
            UPDATE,
            json!({"ends_at": later}),
            400,
            "invalid_input",
            "common_code_key",
        ),
        (
            "/access_codes/delete",
            json!({"access_code_id": NOBODY}),
            404,
            "access_code_not_found",
            "",
        ),
        (
            "/access_codes/get",
            json!({"device_id": FRONT}),
            400,
            "invalid_input",
            "device_id and code",
        ),
        (
            "/access_codes/list",
            json!({}),
            400,
            "invalid_input",
            "access_code_ids",
        ),
        (
            "/access_codes/list",
            json!({"device_id": NOBODY}),
            404,
            "device_not_found",
            "",
        ),
    ];
    for (path, body, status, kind, says) in cases {
        let answer = rig.post(path, body.clone());
        answer.refused(status, kind, says);
        if kind == "invalid_input" {
            let named = answer.body["error"]["validation_errors"].as_object();
            assert!(named.is_some(), "{body}: {}", answer.body);
        }
        assert!(answer.header("lockbridge-job-id").is_none());
    }

    let every_member = rig.post(CREATE, with(json!({"code": "1234567"})));
    let reasons = every_member.body["error"]["data"]["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 2);
    assert_eq!(
        (&reasons[1]["device_id"], &reasons[1]["retryable"]),
        (&json!(BACK), &json!(false))
    );

    let everything = with(json!({})).to_string();
    for (headers, body, status, kind, says) in [
        (
            rig.bearer(),
            "{\"device_ids\": [",
            400,
            "invalid_json",
            "not JSON",
        ),
        (rig.bearer(), "[1]", 400, "invalid_input", "one JSON object"),
        (
            String::new(),
            everything.as_str(),
            401,
            "unauthorized",
            "authorization",
        ),
        (
            bearer("seam_wrong"),
            everything.as_str(),
            401,
            "unauthorized",
            "not known",
        ),
        (bearer(""), everything.as_str(), 401, "unauthorized", "not known"),
        (
            format!("{}idempotency-key: {}\r\n", rig.bearer(), "k".repeat(256)),
            everything.as_str(),
            400,
            "invalid_input",
            "Idempotency-Key",
        ),
        (
            format!("{}idempotency-key: Häuschen\r\n", rig.bearer()),
            everything.as_str(),
            400,
            "invalid_input",
            "Idempotency-Key",
        ),
    ] {
        rig.call("POST", CREATE, &headers, body)
            .refused(status, kind, says);
    }
    let padding = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    rig.call("POST", CREATE, &rig.bearer(), &padding)
        .refused(413, "payload_too_large", "65536");
    let wrong_method = rig.call("DELETE", CREATE, &rig.bearer(), "");
    wrong_method.refused(405, "method_not_allowed", "");
    assert!(
        wrong_method
            .header("allow")
            .is_some_and(|allow| allow.contains("PUT"))
    );
    for path in ["/access_codes/created", "/lockbridge/v1/groups/%FF"] {
        rig.get(path).refused(404, "not_found", "path");
    }

    rig.advance(600);
    let after = rig.everything();
    assert_eq!(before["devices"], after["devices"]);
    assert_eq!(before["ready"]["groups"], after["ready"]["groups"]);
}

#[test]
fn a_lock_out_of_reach_is_waited_for_unless_the_caller_will_not() {
    let mut rig = Rig::start(&two_doors());
    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    let device = rig.post("/devices/get", json!({"name": "Back door"})).ok();
    assert_eq!(device["device"]["properties"]["online"], false);
    let both = json!({"device_ids": [FRONT, BACK], "attempt_for_offline_device": false});
    rig.post(CREATE, both).refused(409, "device_offline", "Back door");

    let created = rig.post(CREATE, json!({"device_ids": [FRONT, BACK]})).ok();
    let pin = created["access_codes"][1]["code"].as_str().unwrap().to_owned();
    let key = created["access_codes"][0]["common_code_key"]
        .as_str()
        .unwrap()
        .to_owned();
    rig.advance(600);
    assert_eq!(rig.pins_on(FRONT), [pin.as_str()]);
    assert!(rig.table(BACK).is_empty());
    let waiting = &rig.codes(BACK)[0];
    assert_eq!(waiting["status"], "setting");
    assert_eq!(waiting["errors"][0]["error_code"], "device_offline");
    assert_eq!(waiting["pending_mutations"][0]["mutation_code"], "creating");
    let queue = rig.told(&["queue"]);
    assert!(
        queue.contains("Back door") && queue.contains("device_silent"),
        "{queue}"
    );
    assert!(!queue.contains("Front door") && !queue.contains(&pin), "{queue}");
    let receipt = rig.get(&format!("/lockbridge/v1/groups/{key}")).ok();
    assert_eq!((&receipt["proven"], &receipt["members"]), (&json!(1), &json!(2)));
    assert_eq!(receipt["receipts"][1]["waiting"]["reason"], "device_silent");

    rig.kill();
    rig.run();
    rig.post("/devices/simulate/connect", json!({"device_id": BACK}))
        .ok();
    rig.advance(600);
    for door in [FRONT, BACK] {
        assert_eq!(rig.pins_on(door), [pin.as_str()], "once, and the same");
        assert_eq!(rig.codes(door)[0]["status"], "set");
    }
    let queue = rig.told(&["queue"]);
    assert!(!queue.contains("door"), "{queue}");
}

#[test]
fn a_repeated_request_with_a_handle_is_one_job() {
    let mut rig = Rig::start(&two_doors());
    let request = jane(&rig).to_string();
    let with_handle = |rig: &Rig, body: &str| {
        let headers = format!("{}idempotency-key: booking 4711\r\n", rig.bearer());
        rig.call("PUT", CREATE, &headers, body)
    };
    let first = with_handle(&rig, &request);
    let (job, codes) = (first.header("lockbridge-job-id").map(str::to_owned), first.ok());
    let again = with_handle(&rig, &request);
    assert_eq!(again.header("lockbridge-job-id"), job.as_deref());
    assert_eq!(again.ok()["access_codes"], codes["access_codes"]);
    rig.kill();
    rig.run();
    let after = with_handle(&rig, &request);
    assert_eq!(after.header("lockbridge-job-id"), job.as_deref());
    assert_eq!(after.ok()["access_codes"], codes["access_codes"]);
    with_handle(&rig, &json!({"device_ids": [FRONT]}).to_string()).refused(409, "job_id_reused", "");
    assert_eq!((rig.codes(FRONT).len(), rig.codes(BACK).len()), (1, 1));
    let job = rig.get(&format!("/lockbridge/v1/jobs/{}", job.unwrap())).ok();
    assert_eq!(job["job"]["phase"], "accepted");
    // Without a handle it is another booking.
    rig.call("PUT", CREATE, &rig.bearer(), &request).ok();
    assert_eq!((rig.codes(FRONT).len(), rig.codes(BACK).len()), (2, 2));
}

#[test]
fn those_that_cannot_share_get_pins_of_their_own_if_asked() {
    let mut devices = two_doors();
    devices.push(device(CELLAR, "Cellar", "fixed-8", ""));
    let rig = Rig::start(&devices);
    let request = json!({
        "device_ids": [FRONT, CELLAR, BACK],
        "behavior_when_code_cannot_be_shared": "create_random_code",
    });
    let created = rig.post(CREATE, request).ok();
    let pin = |n: usize| created["access_codes"][n]["code"].as_str().unwrap();
    assert_eq!(pin(0), pin(2));
    assert_eq!(pin(1).len(), 8);
    rig.advance(300);
    assert_eq!(rig.pins_on(CELLAR), [pin(1)]);
    let key = created["access_codes"][1]["common_code_key"].as_str().unwrap();
    let receipt = rig.get(&format!("/lockbridge/v1/groups/{key}")).ok();
    let own = |n: usize| receipt["receipts"][n]["own_pin"] == true;
    assert_eq!((own(0), own(1), own(2)), (false, true, false));
}

#[test]
fn time_that_is_skipped_is_lived_through() {
    let rig = Rig::start(&two_doors());
    let fault = format!("/lockbridge/v1/sim/devices/{FRONT}/fault");
    rig.post(&fault, json!({"kind": "refuse", "count": 2})).ok();
    rig.post(CREATE, json!({"device_ids": [FRONT], "code": "4711"}))
        .ok();
    rig.advance(20);
    // Refused at once, not at the end of the advance: else the minute would begin there.
    let by_now = rig.time(45);
    let queue = rig.get(&format!("/lockbridge/v1/devices/{FRONT}/queue")).ok();
    let row = &queue["queue"][0];
    assert_eq!(
        (&row["tries"], &row["reason"]),
        (&json!(1), &json!("refused_by_device"))
    );
    assert!(row["next_try"].as_str().unwrap() < by_now.as_str(), "{row}");
    assert_eq!(
        rig.codes(FRONT)[0]["errors"][0]["error_code"],
        "failed_to_set_on_device"
    );
    // After one minute, and two more.
    rig.advance(200);
    assert_eq!(rig.pins_on(FRONT), ["4711"]);
    assert_eq!(rig.codes(FRONT)[0]["status"], "set");
}

#[test]
fn a_device_that_was_removed_takes_no_new_jobs() {
    let rig = Rig::start(&two_doors());
    rig.post("/devices/simulate/remove", json!({"device_id": BACK}))
        .ok();
    let device = rig.post("/devices/get", json!({"device_id": BACK})).ok();
    assert_eq!(device["device"]["errors"][0]["error_code"], "device_removed");
    rig.post(CREATE, json!({"device_ids": [FRONT, BACK]}))
        .refused(409, "device_removed", "Back door");
    assert!(rig.codes(FRONT).is_empty());
    rig.post("/devices/simulate/remove", json!({"device_id": NOBODY}))
        .refused(404, "device_not_found", "");
}

#[test]
fn lists_come_in_pages() {
    let rig = Rig::start(&two_doors());
    for name in ["first", "second", "third"] {
        rig.post(CREATE, json!({"device_ids": [FRONT], "name": name}))
            .ok();
    }
    let mut names = Vec::new();
    let mut cursor = Value::Null;
    for _ in 0..3 {
        let page = rig.post(
            "/access_codes/list",
            json!({"device_id": FRONT, "limit": 2, "page_cursor": cursor}),
        );
        let page = page.ok();
        let codes = page["access_codes"].as_array().unwrap().clone();
        names.extend(codes.iter().map(|code| code["name"].as_str().unwrap().to_owned()));
        cursor = page["pagination"]["next_page_cursor"].clone();
        if page["pagination"]["has_next_page"] == false {
            break;
        }
    }
    assert_eq!((names.len(), cursor), (3, Value::Null));
    names.sort();
    assert_eq!(names, ["first", "second", "third"]);
    let found = rig
        .post("/access_codes/list", json!({"device_id": FRONT, "search": "SEC"}))
        .ok();
    assert_eq!(found["access_codes"].as_array().unwrap().len(), 1);
    // As older SDKs send a call without parameters.
    let form = format!(
        "authorization: Bearer {}\r\ncontent-type: application/x-www-form-urlencoded\r\n",
        rig.key
    );
    let devices = rig.call("POST", "/devices/list", &form, "").ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 2);
    assert_eq!(devices["pagination"]["has_next_page"], false);
}

#[test]
fn it_ends_when_it_is_told_to_and_says_why_it_does_not_begin() {
    let mut rig = Rig::start(&two_doors());
    assert_eq!(rig.call("GET", "/health", "", "").ok(), json!({"ok": true}));
    let second = rig.command(&["run"]);
    assert_eq!(second.status.code(), Some(4), "{second:?}");
    assert_eq!(rig.terminate().code(), Some(0));
    let nobody = rig.command(&["devices"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert_eq!(rig.command(&["fly"]).status.code(), Some(2));
    let log = rig.data_dir().join("store").join("db");
    std::fs::write(log, "no store").unwrap();
    let damaged = rig.command(&["run"]);
    assert_eq!(damaged.status.code(), Some(3), "{damaged:?}");
    std::fs::write(rig.config(), "[gateway]\nsight = \"villa-7\"\n").unwrap();
    assert_eq!(rig.command(&["run"]).status.code(), Some(2));
}

#[test]
fn queries_are_read_as_seam_reads_them() {
    let rig = Rig::start(&two_doors());
    let noted = json!({"device_id": FRONT, "name": "Gate", "custom_metadata": {"floor": "2", "lift": true}});
    rig.call("PATCH", "/devices/update", &rig.bearer(), &noted.to_string())
        .ok();
    let found = |query: &str| {
        let listed = rig.get(&format!("/devices/list?{query}")).ok();
        listed["devices"].as_array().unwrap().len()
    };
    let both = format!("{FRONT}%2C{BACK}");
    for (query, devices) in [
        (format!("device_ids={FRONT}&device_ids={BACK}&_strict=true"), 2),
        (format!("device_ids={both}"), 2),
        (format!("device_ids[]={FRONT}&limit=1"), 1),
        ("custom_metadata_has.floor=2&_strict=true".into(), 1),
        (
            "custom_metadata_has.lift=true&custom_metadata_has.floor=2".into(),
            1,
        ),
        ("custom_metadata_has.floor=3".into(), 0),
        ("search=gate&_strict=true".into(), 1),
        (
            "include_if=can_remotely_lock&exclude_if=can_program_offline_access_codes".into(),
            2,
        ),
        ("exclude_if=can_unlock_with_code".into(), 0),
        (
            "device_type=sim_lock&manufacturer=unknown&unheard_of=1&unheard_of=2".into(),
            2,
        ),
        ("device_types=august_lock".into(), 0),
        ("created_before=2020-01-01T00:00:00Z".into(), 0),
        ("space_id=11111111-0000-4000-8000-000000000001".into(), 0),
        ("customer_key=&limit=&_strict=true".into(), 2),
    ] {
        assert_eq!(found(&query), devices, "{query}");
    }
    for (query, named) in [
        (format!("device_ids={both}&_strict=true"), "device_ids"),
        (
            format!("connected_account_id={FRONT}&connected_account_id={BACK}"),
            "connected_account_id",
        ),
        ("limit=0".into(), "limit"),
        ("limit=ten".into(), "limit"),
        ("page_cursor=here".into(), "page_cursor"),
        ("created_before=yesterday".into(), "created_before"),
        ("include_if=can_fly".into(), "include_if"),
        ("space_id=attic".into(), "space_id"),
    ] {
        rig.get(&format!("/devices/list?{query}"))
            .refused(400, "invalid_input", named);
    }
    // As in Seam's own examples: GET with a body, which wins over the query.
    let path = format!("/devices/get?device_id={BACK}");
    let body = json!({"device_id": FRONT, "name": null}).to_string();
    let device = rig.call("GET", &path, &rig.bearer(), &body).ok();
    assert_eq!(
        (
            &device["device"]["display_name"],
            &device["device"]["properties"]["appearance"]["name"]
        ),
        (&json!("Gate"), &json!("Front door"))
    );
    let lock = rig.get("/locks/get?name=Gate&_strict=true").ok();
    assert_eq!(lock["lock"], device["device"]);
    let locks = rig.get("/locks/list").ok();
    assert_eq!(locks["locks"], locks["devices"]);
    assert!(locks.get("pagination").is_none());
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// A path that can be called.
fn path_of(endpoint: &Endpoint) -> String {
    let path = endpoint.path.replace("{device_id}", FRONT);
    path.replace("{common_code_key}", "nobody")
        .replace("{job_id}", "nobody")
}

#[test]
fn every_endpoint_takes_its_methods_and_keeps_its_scopes() {
    let rig = Rig::start(&two_doors());
    let keys: Vec<(&str, String)> = ["codes", "pins", "operate", "admin"]
        .into_iter()
        .map(|scope| (scope, bearer(&rig.make_key(scope, scope))))
        .collect();
    for endpoint in ENDPOINTS {
        let path = path_of(endpoint);
        for method in [
            Method::Get,
            Method::Post,
            Method::Put,
            Method::Patch,
            Method::Delete,
        ] {
            // A body that no call can read: nothing is changed on the way.
            let answer = rig.call(word(method), &path, &rig.bearer(), "[]");
            let asks = |other: &&Endpoint| other.path == endpoint.path && other.methods.contains(&method);
            let asked = ENDPOINTS.iter().find(asks);
            let is_taken = asked.is_some();
            assert_eq!(answer.status != 405, is_taken, "{} {path}", word(method));
            let unknown = rig.call(word(method), &path, "", "[]").status;
            let needs_key = asked.is_some_and(|asked| asked.needs != Needs::Nothing);
            assert_eq!(unknown == 401, needs_key, "{} {path}", word(method));
        }
        let allowed: Vec<&str> = match endpoint.needs {
            Needs::Nothing | Needs::Key | Needs::Session => keys.iter().map(|(scope, _)| *scope).collect(),
            Needs::OneOf(scopes) => scopes.iter().map(|scope| scope.word()).collect(),
        };
        for (scope, bearer) in &keys {
            let answer = rig.call(word(endpoint.methods[0]), &path, bearer, "[]");
            assert_eq!(
                answer.status != 403,
                allowed.contains(scope),
                "{path} with {scope}"
            );
        }
    }
}

#[test]
fn every_parameter_of_the_wrong_kind_is_refused() {
    let rig = Rig::start(&two_doors());
    for endpoint in ENDPOINTS {
        let path = path_of(endpoint);
        for parameter in endpoint.parameters {
            if endpoint.path.contains(parameter.name) {
                continue;
            }
            let wrong = match parameter.kind {
                Kind::Notes { .. } | Kind::Object(_) => json!(7),
                _ => json!({"not": "this"}),
            };
            let body = json!({parameter.name: wrong}).to_string();
            let answer = rig.call(word(endpoint.methods[0]), &path, &rig.bearer(), &body);
            answer.refused(400, "invalid_input", &format!("{}: must be", parameter.name));
            let named = &answer.body["error"]["validation_errors"][parameter.name];
            assert!(named["_errors"][0].is_string(), "{path}: {}", answer.body);
        }
    }
    let after = rig.everything();
    assert_eq!(
        (&after["ready"]["access_codes"], &after["ready"]["groups"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn codes_that_cannot_be_had_are_refused_by_device() {
    let rig = Rig::start(&two_doors());
    for name in [
        "is_offline_access_code",
        "use_offline_access_code",
        "is_one_time_use",
    ] {
        for (path, body) in [
            ("/access_codes/create", json!({"device_id": FRONT, name: true})),
            (CREATE, json!({"device_ids": [BACK, FRONT], name: true})),
        ] {
            let answer = rig.post(path, body);
            answer.refused(400, "invalid_input", name);
            assert!(
                answer.body["error"].to_string().contains(FRONT),
                "{}",
                answer.body
            );
        }
        let created = json!({"device_id": FRONT, name: false, "max_time_rounding": "1h", "sync": false});
        rig.post("/access_codes/create", created).ok();
    }
}

#[test]
fn what_happened_is_listed_with_what_belongs_to_it() {
    let rig = Rig::start(&two_doors());
    let blind = bearer(&rig.make_key("blind", "codes"));
    let created = rig
        .post(
            "/access_codes/create",
            json!({"device_id": FRONT, "code": "271828"}),
        )
        .ok();
    let id = created["access_code"]["access_code_id"].as_str().unwrap();
    rig.advance(300);
    let since = rig.time(-86_400);
    let listed = |more: Value, headers: &str| {
        let mut body = json!({"since": since});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = rig.call("POST", "/events/list", headers, &body.to_string()).ok();
        answer["events"].as_array().unwrap().clone()
    };
    let all = listed(json!({}), &rig.bearer());
    let types: Vec<&str> = all
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "access_code.created",
            "lockbridge.job.accepted",
            "access_code.set_on_device",
            "lockbridge.job.done"
        ]
    );
    assert!(all[1].get("device_id").is_none() && all[1]["job_id"] == all[0]["job_id"]);
    let of_code =
        json!({"access_code_ids": [id], "device_id": FRONT, "event_types": ["access_code.set_on_device"]});
    let set = &listed(of_code.clone(), &rig.bearer())[0];
    assert_eq!(
        (&set["code"], &set["access_code_id"]),
        (&json!("271828"), &json!(id))
    );
    assert_eq!(listed(of_code, &blind)[0]["code"], Value::Null);
    for nothing in [
        json!({"device_id": BACK}),
        json!({"customer_key": "x"}),
        json!({"connected_account_id": FRONT}),
        json!({"event_type": "device.connected"}),
        json!({"unstable_offset": 4}),
        json!({"between": ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"]}),
    ] {
        assert!(listed(nothing.clone(), &rig.bearer()).is_empty(), "{nothing}");
    }
    assert_eq!(listed(json!({"limit": 1}), &rig.bearer()), all[..1]);
    let by_id = rig.post("/events/get", json!({"event_id": set["event_id"]})).ok();
    assert_eq!(by_id["event"], *set);
    let newest = rig.post("/events/get", json!({"device_id": FRONT})).ok();
    assert_eq!(newest["event"], *set);
    rig.post("/events/get", json!({"event_id": NOBODY}))
        .refused(404, "event_not_found", "");
    for (path, says) in [("/events/get", "event_id"), ("/events/list", "between")] {
        rig.post(path, json!({})).refused(400, "invalid_input", says);
    }
}

#[test]
fn the_rest_of_what_can_be_asked() {
    let rig = Rig::start(&two_doors());
    assert!(ENDPOINTS.iter().any(|endpoint| endpoint.call == Call::Document));
    assert_eq!(rig.call("GET", "/openapi.json", "", "").body["openapi"], "3.1.0");
    let workspace = rig.get("/workspaces/get").ok();
    assert_eq!(
        (
            &workspace["workspace"]["name"],
            &workspace["workspace"]["is_sandbox"]
        ),
        (&json!("villa-7"), &json!(true))
    );
    let path = format!("/access_codes/generate_code?device_id={FRONT}&_strict=true");
    let generated = rig.get(&path).ok();
    let code = generated["generated_code"]["code"].as_str().unwrap();
    assert!((4..=6).contains(&code.len()));
    let attempt = rig.post("/locks/lock_door", json!({"device_id": FRONT})).ok();
    let attempt = &attempt["action_attempt"];
    assert_eq!(
        (&attempt["status"], &attempt["result"]),
        (&json!("pending"), &Value::Null)
    );
    rig.advance(10);
    let id = attempt["action_attempt_id"].as_str().unwrap();
    let after = rig
        .get(&format!("/action_attempts/get?action_attempt_id={id}"))
        .ok();
    assert_eq!(
        after["action_attempt"],
        json!({
            "action_attempt_id": id,
            "action_type": "LOCK_DOOR",
            "status": "success",
            "result": {"was_confirmed_by_device": true},
            "error": null,
        })
    );
    let listed = rig
        .post("/action_attempts/list", json!({"device_id": FRONT}))
        .ok();
    assert_eq!(listed["action_attempts"], json!([after["action_attempt"]]));
    assert_eq!(listed["pagination"]["has_next_page"], false);
    rig.get(&format!("/action_attempts/get?action_attempt_id={NOBODY}"))
        .refused(404, "action_attempt_not_found", "");
    let device = rig.post("/devices/get", json!({"device_id": FRONT})).ok();
    assert_eq!(device["device"]["properties"]["locked"], true);
}

#[test]
fn who_may_not_see_pins_may_not_try_them_either() {
    let rig = Rig::start(&two_doors());
    let booked = rig.post(CREATE, json!({"device_ids": [FRONT, BACK]})).ok();
    let code = &booked["access_codes"][0];
    let blind = bearer(&rig.make_key("blind", "codes"));
    rig.advance(600);
    let before = rig.everything();
    for (path, body) in [
        (CREATE, json!({"device_ids": [FRONT], "code": code["code"]})),
        (
            "/access_codes/create",
            json!({"device_id": FRONT, "code": code["code"]}),
        ),
        (
            "/access_codes/create",
            json!({"device_id": FRONT, "code": "4711", "common_code_key": code["common_code_key"]}),
        ),
        (
            "/access_codes/update",
            json!({"access_code_id": code["access_code_id"], "code": "4711"}),
        ),
        ("/access_codes/generate_code", json!({"device_id": FRONT})),
        (
            "/access_codes/get",
            json!({"device_id": FRONT, "code": code["code"]}),
        ),
    ] {
        rig.call("POST", path, &blind, &body.to_string())
            .refused(403, "forbidden", "pins");
    }
    assert_eq!(rig.everything(), before);
    // Without a PIN of its own it books as ever, and finds nothing by one.
    let answer = rig.call(
        "POST",
        CREATE,
        &blind,
        &json!({"device_ids": [FRONT]}).to_string(),
    );
    assert_eq!(answer.ok()["access_codes"][0]["code"], Value::Null);
    let search = json!({"device_id": FRONT, "search": code["code"]}).to_string();
    let found = rig.call("POST", "/access_codes/list", &blind, &search).ok();
    assert_eq!(found["access_codes"], json!([]));
}

#[test]
fn a_code_that_is_over_leaves_every_list() {
    let rig = Rig::start(&two_doors());
    let stay = json!({"device_id": FRONT, "starts_at": rig.time(0), "ends_at": rig.time(600)});
    let booked = rig.post("/access_codes/create", stay).ok();
    let id = &booked["access_code"]["access_code_id"];
    rig.advance(700);
    for filter in [
        json!({"device_id": FRONT}),
        json!({"access_code_ids": [id]}),
        json!({"device_id": FRONT, "access_code_ids": [id]}),
    ] {
        let listed = rig.post("/access_codes/list", filter).ok();
        assert_eq!(listed["access_codes"], json!([]));
    }
    let got = rig.post("/access_codes/get", json!({"access_code_id": id})).ok();
    assert_eq!(got["access_code"]["status"], "unset");
}
