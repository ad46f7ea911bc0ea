//! Exports of the real program, and gateways made of them.
//!
//! `LOCKBRIDGE_SEED=n` draws the moments of the kills again; with `LOCKBRIDGE_FULL=1` there are 200.

mod common;

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{BACK, FRONT, Rig, device};
use lockbridge::model::Timestamp;
use lockbridge::store::{
    Earlier, Exporter, MemoryStore, Options, RecoveryKey, SealKey, SledStore, Store, Tree, Unsealed, Vault,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create";
const EXPORT: &str = "/lockbridge/v1/export";
const HANDLE: &str = "idempotency-key: booking 7\r\n";

fn doors() -> [String; 2] {
    let quick = "latency = \"5ms\"";
    [
        device(FRONT, "Front door", "keypad-6", quick),
        device(BACK, "Back door", "slots", quick),
    ]
}

/// A gateway with a recovery key, which lies in the file beside the configuration.
fn with_recovery_key() -> (Rig, PathBuf) {
    let rig = Rig::new(&doors());
    let key = rig.told(&["init"]);
    let file = rig.config().with_file_name("recovery-key");
    fs::write(&file, key).unwrap();
    (rig, file)
}

/// Another machine at the same doors: what belongs to the locks is there, and nothing else.
fn another_machine(old: &Rig) -> Rig {
    let mut new = Rig::new(&doors());
    let (from, to) = (old.data_dir().join("sim"), new.data_dir().join("sim"));
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    // API keys are no part of an export; here they are taken along, so that callers stay who they are.
    fs::copy(old.data_dir().join("keys.json"), new.data_dir().join("keys.json")).unwrap();
    new.key = old.key.clone();
    new
}

fn import(rig: &Rig, export: &Path, key: &Path) -> std::process::Output {
    let (export, key) = (export.to_str().unwrap(), key.to_str().unwrap());
    rig.command(&["import", export, "--recovery-key-file", key])
}

#[track_caller]
fn refused(output: &std::process::Output, status: i32, says: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{told}");
    assert!(told.contains(says), "`{told}` does not say `{says}`");
    assert!(output.stdout.is_empty());
}

/// The exports of a gateway, oldest first.
fn exports(rig: &Rig) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(rig.data_dir().join("exports")) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "age"));
    paths.sort();
    paths
}

/// What a reader of the stream is told first who has seen the events up to `after`.
fn first_message(rig: &Rig, after: u64) -> Value {
    let mut stream = TcpStream::connect(rig.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "GET /lockbridge/v1/stream?after={after} HTTP/1.0\r\n{}\r\n",
        rig.bearer()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let data = lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    serde_json::from_str(&data.take(1).next().expect("a message")).unwrap()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Where moments are drawn from, and what draws them again.
fn drawn() -> (u64, SmallRng) {
    let seed = number("LOCKBRIDGE_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    (seed, SmallRng::seed_from_u64(seed))
}

#[test]
fn everything_comes_back_on_another_machine() {
    let (mut rig, key) = with_recovery_key();
    rig.run();
    let stay = json!({"device_ids": [FRONT, BACK], "name": "Jane", "starts_at": rig.time(0), "ends_at": rig.time(86_400)});
    let booked = rig.post("/access_codes/create_multiple", stay).ok();
    rig.advance(600);
    // One waits in the queue, and its booking has a handle.
    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    let body = json!({"device_id": BACK, "code": "271828", "name": "Joe"}).to_string();
    let headers = format!("{}{HANDLE}", rig.bearer());
    let first = rig.call("POST", CREATE, &headers, &body).ok();
    let file = rig.config().with_file_name("copy.age");
    let told = rig.told(&["export", "--to", file.to_str().unwrap()]);
    assert!(told.contains("copied to"), "{told}");
    let made = rig.post(EXPORT, json!({})).ok();
    let last_event = made["export"]["last_event"].as_u64().unwrap();
    let path = Path::new(made["export"]["path"].as_str().unwrap());
    assert_eq!(made["export"]["bytes"], fs::metadata(path).unwrap().len());

    // After the export: another guest's code, one taken off, one that comes due.
    let after = json!({"device_id": FRONT, "code": "718293", "name": "Later"});
    rig.post(CREATE, after).ok();
    let gone = booked["access_codes"][1]["access_code_id"].clone();
    rig.post("/devices/simulate/connect", json!({"device_id": BACK}))
        .ok();
    rig.post("/access_codes/delete", json!({"access_code_id": gone}))
        .ok();
    rig.advance(600);
    let (front, back) = (rig.pins_on(FRONT), rig.pins_on(BACK));
    assert_eq!(
        (front.len(), back.as_slice()),
        (2, ["271828".to_owned()].as_slice())
    );
    rig.kill();

    let mut new = another_machine(&rig);
    let output = import(&new, &file, &key);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(
        said.contains("3 access codes, 1 waiting commands, 2 jobs"),
        "{said}"
    );
    assert_ne!(
        fs::read(new.data_dir().join("store-key")).unwrap(),
        fs::read(rig.data_dir().join("store-key")).unwrap()
    );
    new.run();
    new.advance(60);
    // The same codes with the same PINs; what is on the locks is theirs, or left alone.
    let ids = |codes: &[Value]| -> Vec<Value> {
        codes
            .iter()
            .map(|code| json!([code["access_code_id"], code["code"], code["ends_at"]]))
            .collect()
    };
    let members = booked["access_codes"].as_array().unwrap();
    assert_eq!(ids(&new.codes(FRONT)), ids(&members[..1]));
    assert_eq!(new.codes(FRONT)[0]["status"], "set");
    assert_eq!(
        ids(&new.codes(BACK)),
        ids(&[members[1].clone(), first["access_code"].clone()])
    );
    assert_eq!((new.pins_on(FRONT), new.pins_on(BACK)), (front, back));
    let queue = new.get(&format!("/lockbridge/v1/devices/{BACK}/queue")).ok();
    assert_eq!(queue["queue"][0]["reason"], "gone_since_export", "{queue}");
    assert_eq!(queue["queue"][0]["access_code_id"], gone);
    assert_eq!(queue["queue"].as_array().unwrap().len(), 1);
    let door = new.post("/devices/get", json!({"device_id": FRONT})).ok();
    assert_eq!(door["device"]["properties"]["lockbridge"]["suspect_codes"], 1);
    assert_eq!(
        door["device"]["warnings"][0]["warning_code"],
        "suspect_access_codes"
    );
    // The booking again gets its first answer, and makes no second code.
    let again = new.call("POST", CREATE, &headers, &body).ok();
    assert_eq!(
        again["access_code"]["access_code_id"],
        first["access_code"]["access_code_id"]
    );
    assert_eq!(new.codes(BACK).len(), 2);
    // Whoever followed is told what it will never see.
    let lost = first_message(&new, last_event);
    assert_eq!(lost["event_type"], "lockbridge.events_lost");
    assert!(lost["to"].as_u64().unwrap() > last_event + 999_999);
    assert_eq!(
        first_message(&new, lost["to"].as_u64().unwrap())["event_type"],
        "lockbridge.restored"
    );
    // As the hint says; nobody else's call does it.
    new.call("POST", &format!("/lockbridge/v1/devices/{BACK}/verify"), "", "")
        .refused(401, "unauthorized", "send");
    new.told(&["verify", BACK]);
    new.advance(60);
    let queue = new.get(&format!("/lockbridge/v1/devices/{BACK}/queue")).ok();
    assert_eq!(queue["queue"], json!([]), "{queue}");
    assert_eq!(new.pins_on(BACK).len(), 2);
    let nobody = new.command(&["verify", "Cellar"]);
    refused(&nobody, 1, "there is no device Cellar");
    // At the end of the stay nothing of it opens any more.
    new.advance(86_400);
    assert_eq!(
        (new.pins_on(FRONT), new.pins_on(BACK)),
        (vec!["718293".to_owned()], vec!["271828".to_owned()])
    );
}

#[test]
fn what_cannot_be_imported_is_refused_and_leaves_nothing_behind() {
    let (mut rig, key) = with_recovery_key();
    rig.run();
    rig.post(CREATE, json!({"device_id": FRONT})).ok();
    let made = rig.post(EXPORT, json!({})).ok();
    let export = PathBuf::from(made["export"]["path"].as_str().unwrap());
    // Never over a store, whether its gateway runs or not.
    refused(&import(&rig, &export, &key), 1, "has a store");
    rig.kill();
    refused(&import(&rig, &export, &key), 1, "has a store");

    let new = Rig::new(&doors());
    let before = || {
        let entries = fs::read_dir(new.data_dir()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let nothing = before();
    let (_other, wrong) = with_recovery_key();
    refused(&import(&new, &export, &wrong), 1, "sealed to another one");
    refused(&import(&new, &export, &export), 1, "recovery key");
    refused(&import(&new, &key, &key), 3, "cannot be used");
    refused(
        &import(&new, &new.config().with_file_name("none"), &key),
        1,
        "none",
    );
    let sealed = fs::read(&export).unwrap();
    let spoilt = new.config().with_file_name("spoilt.age");
    for at in (0..sealed.len()).step_by(sealed.len() / 20) {
        let mut altered = sealed.clone();
        altered[at] ^= 0x10;
        fs::write(&spoilt, &altered).unwrap();
        assert!(!import(&new, &spoilt, &key).status.success(), "byte {at}");
        fs::write(&spoilt, &sealed[..at]).unwrap();
        let cut = import(&new, &spoilt, &key);
        refused(&cut, 3, "/spoilt.age: this export cannot be used: it is ");
        assert!(
            !String::from_utf8_lossy(&cut.stderr).contains("store"),
            "cut to {at}"
        );
    }
    assert_eq!(before(), nothing);
    // The key comes from stdin too, and never from the command line.
    let text = fs::read_to_string(&key).unwrap();
    let with_key = ["import", export.to_str().unwrap(), "--recovery-key", text.trim()];
    assert_eq!(new.command(&with_key).status.code(), Some(2));
    assert!(
        new.command_with(
            &["import", export.to_str().unwrap(), "--recovery-key-file", "-"],
            &text
        )
        .status
        .success()
    );
}

#[test]
fn an_export_an_hour_as_long_as_something_changes() {
    let (mut rig, _) = with_recovery_key();
    rig.run();
    let made = |rig: &Rig| rig.log().lines().filter(|line| line.contains("exported")).count();
    rig.says(1, "exported");
    rig.advance(7200);
    rig.post(CREATE, json!({"device_id": FRONT})).ok();
    let before = made(&rig);
    rig.advance(3590);
    assert_eq!(made(&rig), before);
    rig.advance(20);
    rig.says(before + 1, "exported");
    rig.advance(6 * 3600);
    assert_eq!(made(&rig), before + 1, "nothing has changed");
    assert_eq!(exports(&rig).len(), 2);
}

#[test]
fn without_a_recovery_key_it_runs_and_says_so() {
    let mut rig = Rig::start(&doors());
    rig.says(1, "no exports are made");
    rig.post(EXPORT, json!({}))
        .refused(409, "no_recovery_key", "lockbridge init");
    // A key that is made while it runs is heeded.
    let key = rig.told(&["init"]);
    assert!(key.starts_with("AGE-SECRET-KEY-1") && key.lines().count() == 1);
    let made = rig.post(EXPORT, json!({})).ok();
    let sealed = fs::read(made["export"]["path"].as_str().unwrap()).unwrap();
    assert!(Unsealed::open(&sealed, &RecoveryKey::parse(&key).unwrap()).is_ok());
    // It is made once, and another one on purpose only.
    refused(&rig.command(&["init"]), 1, "--new-recovery-key");
    let newer = rig.command(&["init", "--new-recovery-key"]);
    let advice = String::from_utf8(newer.stderr).unwrap();
    assert!(advice.contains("say `lockbridge export`"), "{advice}");
    let newer = String::from_utf8(newer.stdout).unwrap();
    let made = rig.post(EXPORT, json!({})).ok();
    let sealed = fs::read(made["export"]["path"].as_str().unwrap()).unwrap();
    assert!(Unsealed::open(&sealed, &RecoveryKey::parse(&key).unwrap()).is_err());
    assert!(Unsealed::open(&sealed, &RecoveryKey::parse(&newer).unwrap()).is_ok());
    let scopes = rig.make_key("caller", "codes,pins,operate");
    let answer = rig.call("POST", EXPORT, &common::bearer(&scopes), "{}");
    answer.refused(403, "forbidden", "admin");
    assert!(rig.terminate().success());
}

#[test]
fn a_recovery_key_that_comes_late_is_used_within_the_hour() {
    let mut rig = Rig::start(&doors());
    rig.post(CREATE, json!({"device_id": FRONT})).ok();
    rig.advance(5 * 3600);
    let silence = rig.log();
    assert!(
        !silence.contains("exported") && !silence.contains("no export was made"),
        "{silence}"
    );
    assert_eq!(silence.matches("no exports are made").count(), 1);
    // Whether anything changes then or not.
    let key = rig.told(&["init"]);
    rig.advance(3600);
    rig.says(1, "exported");
    let newest = exports(&rig).pop().expect("an export");
    assert!(Unsealed::open(&fs::read(newest).unwrap(), &RecoveryKey::parse(&key).unwrap()).is_ok());
    rig.advance(5 * 3600);
    assert_eq!(exports(&rig).len(), 1, "nothing has changed");
    assert!(rig.terminate().success());
}

#[test]
fn after_an_import_one_wrong_answer_from_2038_empties_no_building() {
    let (mut rig, key) = with_recovery_key();
    rig.run();
    let stay = json!({"device_ids": [FRONT, BACK], "starts_at": rig.time(0), "ends_at": rig.time(86_400)});
    rig.post("/access_codes/create_multiple", stay).ok();
    rig.advance(600);
    let made = rig.post(EXPORT, json!({})).ok();
    let before = (rig.pins_on(FRONT), rig.pins_on(BACK));
    rig.kill();
    let mut new = another_machine(&rig);
    let untrusted = fs::read_to_string(new.config()).unwrap() + "[clock]\nsource = \"none\"\n";
    fs::write(new.config(), untrusted).unwrap();
    let output = import(&new, Path::new(made["export"]["path"].as_str().unwrap()), &key);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("`lockbridge clock accept`"), "{output:?}");
    new.run();
    let set = |what: Value| new.post("/lockbridge/v1/sim/clock", what).ok();
    set(json!({"now": "2038-01-19T03:14:07Z"}));
    set(json!({"trusted": true}));
    new.advance(600);
    assert_eq!(new.get("/readyz").ok()["clock"]["trust"], "wild");
    assert_eq!((new.pins_on(FRONT), new.pins_on(BACK)), before);
    assert_eq!((new.codes(FRONT).len(), new.codes(BACK).len()), (1, 1));
    // An operator who knows better is heard.
    new.told(&["clock", "accept"]);
    new.advance(60);
    assert_eq!((new.pins_on(FRONT).len(), new.pins_on(BACK).len()), (0, 0));
}

#[test]
fn two_whole_exports_are_kept_whatever_is_cut() {
    let kills = if number("LOCKBRIDGE_FULL") == Some(1) {
        200
    } else {
        15
    };
    let (seed, mut rng) = drawn();
    println!("LOCKBRIDGE_SEED={seed}");
    let (mut rig, key) = with_recovery_key();
    let key = RecoveryKey::parse(&fs::read_to_string(key).unwrap()).unwrap();
    rig.run();
    for _ in 0..2 {
        rig.post(CREATE, json!({"device_id": FRONT})).ok();
        rig.post(EXPORT, json!({})).ok();
    }
    let (mut cut, mut newest) = (0, exports(&rig));
    for round in 0..kills {
        // Each is another one: the same again would be taken for a repeat of one without an answer.
        let booking = json!({"device_id": BACK, "name": format!("round {round}")});
        let code = rig.post(CREATE, booking).ok();
        // Not waited for: whatever is under way at a moment that is drawn is cut.
        let mut stream = TcpStream::connect(rig.address()).unwrap();
        let head = format!(
            "POST {EXPORT} HTTP/1.1\r\nhost: h\r\n{}content-length: 2\r\n\r\n{{}}",
            rig.bearer()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (_open, moment) = channel::<()>();
        let moment = moment.recv_timeout(Duration::from_micros(rng.random_range(1..6_000)));
        assert!(moment.is_err());
        rig.kill();
        let mut answer = Vec::new();
        // It may be cut as well as missing.
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        cut += usize::from(answer.is_empty());
        let found = exports(&rig);
        assert!((2..=3).contains(&found.len()), "round {round}: {found:?}");
        for path in &found {
            let opened = Unsealed::open(&fs::read(path).unwrap(), &key);
            assert!(opened.is_ok(), "round {round}: {}", path.display());
        }
        assert!(found.last() >= newest.last(), "round {round}: the newest is gone");
        newest = found;
        rig.run();
        let id = code["access_code"]["access_code_id"].clone();
        rig.post("/access_codes/delete", json!({"access_code_id": id}))
            .ok();
        rig.advance(120);
    }
    println!("{cut} of {kills} exports were cut before they were answered");
}

#[test]
fn an_import_that_is_killed_leaves_a_whole_store_or_none() {
    let kills = if number("LOCKBRIDGE_FULL") == Some(1) {
        100
    } else {
        8
    };
    let (seed, mut rng) = drawn();
    println!("LOCKBRIDGE_SEED={seed}");
    let (mut rig, key) = with_recovery_key();
    rig.run();
    for n in 1..=90 {
        let booking = json!({
            "device_ids": [FRONT, BACK],
            "name": format!("stay {n}"),
            "starts_at": rig.time(100_000 * n),
            "ends_at": rig.time(100_000 * n + 90_000),
        });
        rig.post("/access_codes/create_multiple", booking).ok();
    }
    let made = rig.post(EXPORT, json!({})).ok();
    let export = made["export"]["path"].as_str().unwrap();
    let arguments = ["import", export, "--recovery-key-file", key.to_str().unwrap()];
    let (mut whole, mut none) = (0, 0);
    for round in 0..kills {
        let mut new = another_machine(&rig);
        // The moments are drawn, not waited for: whatever is under way then is cut.
        let moment = Duration::from_micros(rng.random_range(1..400_000));
        new.kill_at(&arguments, || {
            let (_open, never) = channel::<()>();
            assert!(never.recv_timeout(moment).is_err());
        });
        if new.data_dir().join("store").exists() {
            whole += 1;
        } else {
            none += 1;
            let again = new.command(&arguments);
            assert!(again.status.success(), "round {round}: {again:?}");
        }
        new.run();
        let codes = (new.codes(FRONT).len(), new.codes(BACK).len());
        assert_eq!(codes, (90, 90), "round {round}");
    }
    println!("{whole} killed imports left a whole store, {none} none");
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "prints how long it took, and decides nothing"
)]
fn ten_thousand_records() {
    use std::time::Instant;
    let dir = tempfile::tempdir().unwrap();
    let key = || SealKey::new([7; SealKey::BYTES]);
    RecoveryKey::make(dir.path(), Earlier::Keep).unwrap();
    let options = Options {
        reserve: 0,
        ballast: 0,
        ..Options::default()
    };
    let mut store = SledStore::open(dir.path(), options).unwrap();
    let (mut vault, _) = Vault::open(&mut store, &key(), [1; 16]).unwrap();
    for batch in 0..100u32 {
        let mut changes = Vec::new();
        for at in 0..100u32 {
            let key = (batch * 100 + at).to_be_bytes();
            vault.put(&mut changes, Tree::Codes, &key, &[at as u8; 700]);
        }
        store.commit(&changes).unwrap();
    }
    store.sync().unwrap();
    let exporter = Exporter::new(dir.path(), key(), None, 0, String::new());
    let began = Instant::now();
    let copy = MemoryStore::copy_of(&store).unwrap();
    let copied = began.elapsed();
    let made = exporter.export(&copy, Timestamp(0), 1).unwrap();
    println!(
        "copied in {copied:?}, exported after {:?}: {} bytes",
        began.elapsed(),
        made.bytes
    );
    assert!(made.bytes > 7_000_000);
}
