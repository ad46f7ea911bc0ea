//! Signed receipts: what they say of a stay from its first door to its last, and that nothing that was altered
//! verifies.

mod common;

use std::path::Path;

use common::{BACK, FRONT, Rig, device};
use lockbridge::signature::{PublicKey, Signature};
use serde_json::{Value, json};

fn doors() -> [String; 2] {
    [
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "write-only", ""),
    ]
}

/// A stay on both doors, from in an hour until in a day: its key and its PIN.
fn stay(rig: &Rig) -> (String, String) {
    let stay = json!({
        "device_ids": [FRONT, BACK], "name": "Jane", "starts_at": rig.time(3600), "ends_at": rig.time(86_400),
        // So long that no signature and no id has these digits in it by chance.
        "preferred_code_length": 8,
    });
    let made = rig.post("/access_codes/create_multiple", stay).ok();
    let text = |key: &str| made["access_codes"][0][key].as_str().unwrap().to_owned();
    (text("common_code_key"), text("code"))
}

fn signed(rig: &Rig, group: &str) -> Value {
    let path = format!("/lockbridge/v1/groups/{group}/signed");
    rig.get(&path).ok()["signed_receipt"].clone()
}

fn statement(receipt: &Value) -> Value {
    serde_json::from_str(receipt["statement"].as_str().unwrap()).unwrap()
}

/// Writes files of a receipt and a key, and has the program check them: whether it verifies, and what it says.
fn verify(rig: &Rig, receipt: &str, key: Option<&str>) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| -> String {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let receipt = write("receipt.json", receipt);
    let key = key.map(|key| format!("--key={}", write("key.json", key)));
    let mut arguments = vec!["verify-receipt", &receipt];
    arguments.extend(key.as_deref());
    let output = rig.command(&arguments);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_receipt_tells_of_the_whole_stay_and_verifies_without_a_gateway() {
    let mut rig = Rig::start(&doors());
    let (group, pin) = stay(&rig);
    // For everybody: it is public.
    let key = rig
        .call("GET", "/lockbridge/v1/receipt-key", "", "")
        .ok()
        .to_string();
    let recorded = signed(&rig, &group);
    rig.advance(3600);
    let proven = signed(&rig, &group);
    rig.advance(86_400);
    let removed = signed(&rig, &group);
    for receipt in [&recorded, &proven, &removed] {
        let text = receipt.to_string();
        assert!(!text.contains(&pin) && !text.contains("Jane"), "{text}");
    }
    // From the command line it is the same, but for its time.
    let by_hand = rig.told(&["receipt", &group, "--signed"]);
    assert_eq!(
        rig.told(&["receipt-key"]).contains("ed25519"),
        key.contains("ed25519")
    );
    assert!(rig.terminate().success());

    let (verifies, said) = verify(&rig, &recorded.to_string(), Some(&key));
    assert!(
        verifies && said.contains("Front door: the lock never said that it held the code"),
        "{said}"
    );
    let (verifies, said) = verify(&rig, &proven.to_string(), Some(&key));
    let door = |name: &str| {
        said.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(
        verifies && said.contains("Proven on all 2 doors on record at "),
        "{said}"
    );
    assert!(
        door("Front door: proven at ").contains("Z by read-back, to open from "),
        "{said}"
    );
    assert!(
        door("Back door: proven at ").contains("Z by the lock's acknowledgement, to open from "),
        "{said}"
    );
    let (verifies, said) = verify(&rig, &removed.to_string(), Some(&key));
    let door = |name: &str| {
        said.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(
        verifies && said.contains("Off all 2 doors on record at "),
        "{said}"
    );
    assert!(
        door("Front door: proven at ").contains("; off the door at "),
        "{said}"
    );
    assert!(verify(&rig, &by_hand, Some(&key)).0);

    // Ten minutes before the start, and at the end.
    let (was, is) = (statement(&proven), statement(&removed));
    let [starts_at, ends_at] = ["starts_at", "ends_at"].map(|key| minute(&is["doors_on_record"][0][key]));
    assert!(minute(&was["doors_on_record"][0]["proven"]["at"]) < starts_at);
    assert_eq!(minute(&is["doors_on_record"][0]["removed"]["at"]), ends_at);
    assert_eq!(was["doors_on_record"][0]["removed"], Value::Null);
    assert_eq!(
        is["doors_on_record"][0]["proven"],
        was["doors_on_record"][0]["proven"]
    );
}

/// A time to the minute.
fn minute(time: &Value) -> String {
    time.as_str().unwrap()[..16].to_owned()
}

#[test]
fn nothing_that_was_altered_verifies() {
    let rig = Rig::start(&doors());
    let (group, _) = stay(&rig);
    rig.advance(3600);
    let receipt = signed(&rig, &group);
    let key = rig.get("/lockbridge/v1/receipt-key").ok()["receipt_key"]["public_key"].clone();
    let key = key.as_str().unwrap();
    let public = PublicKey::parse(key).unwrap();
    let text = |key: &str| receipt[key].as_str().unwrap().to_owned();
    let verifies = |statement: &[u8], signature: &[u8]| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let signature = text(signature).and_then(|text| Signature::parse(&text));
        text(statement).is_some_and(|text| signature.is_some_and(|signed| public.verifies(&text, &signed)))
    };
    let (statement, signature) = (text("statement").into_bytes(), text("signature").into_bytes());
    assert!(verifies(&statement, &signature));
    // One bit of every byte of what is said, and every one of the signature.
    for at in 0..statement.len() {
        let mut altered = statement.clone();
        altered[at] ^= 1 << (at % 8);
        assert!(!verifies(&altered, &signature), "byte {at} of the statement");
    }
    for at in 0..signature.len() * 8 {
        let mut altered = signature.clone();
        altered[at / 8] ^= 1 << (at % 8);
        assert!(!verifies(&statement, &altered), "bit {at} of the signature");
    }

    // The same through the program: what is said, the signature, the key, the file.
    let whole = receipt.to_string();
    assert!(verify(&rig, &whole, Some(key)).0);
    assert!(verify(&rig, &whole, None).0, "the gateway is asked for its key");
    let altered = |from: &str, to: &str| {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole);
        verify(&rig, &text, Some(key))
    };
    for (from, to) in [
        ("Front", "Frond"),
        ("read_back", "acknowledged"),
        ("\"signature\":\"", "\"signature\":\"0"),
    ] {
        let (verifies, said) = altered(from, to);
        assert!(!verifies && said.contains("NOT VERIFIED"), "{said}");
    }
    let other = lockbridge::signature::SigningKey::of(&[7; 32]);
    let (verifies, said) = verify(&rig, &whole, Some(&other.public().to_string()));
    assert!(!verifies && said.contains("names another one"), "{said}");
    // Signed by somebody else, who says so.
    let forged = json!({
        "statement": text("statement"),
        "signature": other.sign(&text("statement")).to_string(),
        "public_key": other.public().to_string(),
    });
    assert!(!verify(&rig, &forged.to_string(), Some(key)).0);
    for nonsense in ["", "{}", "[1]", "null", "not JSON"] {
        let (verifies, said) = verify(&rig, nonsense, Some(key));
        assert!(!verifies && said.contains("this is no signed receipt"), "{said}");
        let (verifies, said) = verify(&rig, &whole, Some(nonsense));
        assert!(!verifies && said.contains("holds no Ed25519 key"), "{said}");
    }
}

#[test]
fn what_was_deleted_is_told_and_what_came_back_is_not_gone() {
    let mut rig = Rig::start(&doors());
    let (group, pin) = stay(&rig);
    rig.advance(3600);
    let slot = rig.table(FRONT)[0]["slot"].clone();
    for device in [FRONT, BACK] {
        let code = rig.codes(device)[0]["access_code_id"].clone();
        rig.post("/access_codes/delete", json!({"access_code_id": code}))
            .ok();
    }
    rig.advance(10);
    let path = format!("/lockbridge/v1/groups/{group}");
    rig.get(&path).refused(404, "access_code_not_found", "");
    let removed = |rig: &Rig| -> Vec<bool> {
        let said = statement(&signed(rig, &group));
        let doors = said["doors_on_record"].as_array().unwrap().clone();
        assert!(doors.iter().all(|door| !door["proven"].is_null()), "{said}");
        doors.iter().map(|door| !door["removed"].is_null()).collect()
    };
    assert_eq!(removed(&rig), [true, true]);
    assert!(rig.terminate().success());
    rig.run();
    assert_eq!(removed(&rig), [true, true], "over a start");

    // The lock forgets the removal; the second look finds it, and it is removed once more.
    let path = format!("/lockbridge/v1/sim/devices/{FRONT}/code");
    rig.post(&path, json!({"op": "add", "slot": slot, "code": pin}))
        .ok();
    let fault = format!("/lockbridge/v1/sim/devices/{FRONT}/fault");
    rig.post(&fault, json!({"kind": "refuse"})).ok();
    rig.advance(120);
    assert_eq!(rig.pins_on(FRONT), [pin.as_str()]);
    assert_eq!(removed(&rig), [false, true]);
    rig.post(&fault, json!({"kind": "none"})).ok();
    rig.advance(3600);
    assert!(rig.table(FRONT).is_empty());
    assert_eq!(removed(&rig), [true, true]);

    // The same with one that ended.
    let (group, pin) = stay(&rig);
    rig.advance(3600);
    let slot = rig.table(FRONT)[0]["slot"].clone();
    rig.advance(82_800);
    let removed = |rig: &Rig| !statement(&signed(rig, &group))["doors_on_record"][0]["removed"].is_null();
    assert!(removed(&rig));
    rig.post(&path, json!({"op": "add", "slot": slot, "code": pin}))
        .ok();
    rig.post(&fault, json!({"kind": "refuse"})).ok();
    rig.advance(120);
    assert!(!removed(&rig));
    let receipt = rig.get(&format!("/lockbridge/v1/groups/{group}")).ok()["receipts"][0].clone();
    assert!(
        receipt["removed"].is_null() && !receipt["last_proven"].is_null(),
        "{receipt}"
    );
    rig.post(&fault, json!({"kind": "none"})).ok();
    rig.advance(3600);
    assert!(removed(&rig));

    let nobody = rig.get("/lockbridge/v1/groups/nobody/signed");
    nobody.refused(404, "access_code_not_found", "common_code_key");
    let keyless = rig.call("GET", &format!("/lockbridge/v1/groups/{group}/signed"), "", "");
    keyless.refused(401, "unauthorized", "");
}

/// What the program says of a receipt that verifies.
#[track_caller]
fn said(rig: &Rig, group: &str) -> String {
    let (verifies, said) = verify(rig, &signed(rig, group).to_string(), None);
    assert!(verifies, "{said}");
    said
}

/// Trust in the clock that comes later vouches for no earlier time.
#[test]
fn a_time_is_vouched_for_if_the_clock_was_then() {
    let clock = "[clock]\nsource = \"none\"\n".to_owned();
    let [front, back] = doors();
    let rig = Rig::start(&[clock, front, back]);
    let trust = |trusted: bool| {
        rig.post("/lockbridge/v1/sim/clock", json!({"trusted": trusted}))
            .ok()
    };
    let made = rig
        .post(
            "/access_codes/create_multiple",
            json!({"device_ids": [FRONT, BACK]}),
        )
        .ok();
    let group = made["access_codes"][0]["common_code_key"].as_str().unwrap();
    rig.advance(60);
    let told = rig.told(&["receipt", group]);
    assert!(
        told.starts_with(&format!("{group}, ongoing: proven 2 of 2\n")),
        "{told}"
    );
    trust(true);
    let receipt = statement(&signed(&rig, group));
    assert_eq!(receipt["clock_trusted"], true);
    for door in receipt["doors_on_record"].as_array().unwrap() {
        assert_eq!(door["proven"]["clock_trusted"], false, "{door}");
    }
    let unvouched = "(nothing vouched for the clock)";
    let told = said(&rig, group);
    assert_eq!(
        told.matches(unvouched).count(),
        3,
        "each door, and all of them: {told}"
    );

    // Off the door it goes while the clock is trusted; that it has been there is no surer for it.
    let code = made["access_codes"][0]["access_code_id"].clone();
    rig.post("/access_codes/delete", json!({"access_code_id": code}))
        .ok();
    rig.advance(10);
    trust(false);
    let receipt = statement(&signed(&rig, group));
    let front = &receipt["doors_on_record"][0];
    assert_eq!(receipt["clock_trusted"], false);
    assert_eq!(front["proven"]["clock_trusted"], false);
    assert_eq!(front["removed"]["clock_trusted"], true);
    let told = said(&rig, group);
    assert_eq!(
        told.matches(unvouched).count(),
        3,
        "when it was said, and each door: {told}"
    );
}

/// A lock that held a code once does not hold it for good.
#[test]
fn what_a_lock_holds_no_more_as_recorded_is_not_proven_on_all() {
    let rig = Rig::start(&doors());
    let (group, pin) = stay(&rig);
    // Ten minutes before the start it is set; the lock is looked at once more within two.
    rig.advance(3010);
    assert!(said(&rig, &group).contains("Proven on all 2 doors on record at "));
    // The times are the gateway's to keep: the lock goes on holding the code, and spoke of the old ones.
    let times = json!({"common_code_key": group, "ends_at": rig.time(100_000)});
    let before = statement(&signed(&rig, &group))["doors_on_record"][0].clone();
    rig.post("/access_codes/update_multiple", times).ok();
    let door = statement(&signed(&rig, &group))["doors_on_record"][0].clone();
    assert_eq!(door["proven"], before["proven"]);
    assert_eq!(door["proven"]["ends_at"], before["ends_at"]);
    assert_ne!(door["ends_at"], before["ends_at"]);
    assert_eq!(door["as_recorded"], true);
    assert!(said(&rig, &group).contains("; recorded since to open from "));

    // Somebody takes it off, and the lock takes it no more.
    let path = format!("/lockbridge/v1/sim/devices/{FRONT}");
    rig.post(&format!("{path}/fault"), json!({"kind": "refuse"})).ok();
    rig.post(&format!("{path}/code"), json!({"op": "remove", "code": pin}))
        .ok();
    rig.advance(120);
    let door = statement(&signed(&rig, &group))["doors_on_record"][0].clone();
    assert_eq!(
        (&door["as_recorded"], &door["proven"]["at"]),
        (&json!(false), &before["proven"]["at"])
    );
    let told = said(&rig, &group);
    assert!(!told.contains("Proven on all"), "{told}");
    assert!(
        told.contains("Of 2 doors on record 1 hold the code as recorded"),
        "{told}"
    );
    let front = told
        .lines()
        .find(|line| line.starts_with("Front door: "))
        .unwrap();
    assert!(front.ends_with("; not proven as recorded any more"), "{front}");
}

/// The key is the store's: it stays over starts, and is another one beside another store.
#[test]
fn the_key_stays() {
    let mut rig = Rig::start(&doors());
    let key = |rig: &Rig| rig.get("/lockbridge/v1/receipt-key").ok();
    let first = key(&rig);
    assert!(rig.terminate().success());
    rig.run();
    assert_eq!(key(&rig), first);
    assert_ne!(key(&Rig::start(&doors())), first);
    let stored = std::fs::read(Path::new(&rig.data_dir()).join("store-key")).unwrap();
    let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!first.to_string().contains(&hex));
}

#[test]
fn a_receipt_has_the_name_and_the_times_of_who_is_there_now() {
    let rig = Rig::start(&doors());
    let add = |device: &str, name: &str, from: i64, until: i64| {
        let code = json!({
            "device_id": device, "common_code_key": "room-1", "name": name,
            "starts_at": rig.time(from), "ends_at": rig.time(until),
        });
        rig.post("/access_codes/create", code).ok()["access_code"].clone()
    };
    let told = || {
        let before = rig.time(0);
        let receipt = rig.get("/lockbridge/v1/groups/room-1").ok();
        // By the gateway's own clock one sees what is due.
        let now = receipt["now"].as_str().unwrap_or_else(|| panic!("{receipt}"));
        assert!(*before <= *now && *now <= *rig.time(0), "{now}");
        assert_eq!(receipt["clock"]["trust"], "trusted");
        let listed = rig.get("/lockbridge/v1/groups").ok()["groups"][0].clone();
        for field in ["name", "starts_at", "ends_at"] {
            assert_eq!(listed[field], receipt[field], "{field}");
        }
        receipt
    };
    add(FRONT, "Jane", 60, 3600);
    let next = add(BACK, "John", 60, 86_400);
    rig.advance(600);
    assert_eq!(told()["name"], "Jane");
    // Her stay ends while her lock is away, so that her code is over and not yet off.
    rig.post("/devices/simulate/disconnect", json!({"device_id": FRONT}))
        .ok();
    rig.advance(3600);
    let receipt = told();
    assert_eq!(receipt["members"], 2);
    for field in ["name", "starts_at", "ends_at"] {
        assert_eq!(receipt[field], next[field], "{field}");
    }
    // With all of them over it has the first.
    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    rig.post(
        "/access_codes/delete",
        json!({"access_code_id": next["access_code_id"]}),
    )
    .ok();
    assert_eq!(told()["name"], "Jane");
}
