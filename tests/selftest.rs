//! `lockbridge selftest`: what it finds, and how it ends.

mod common;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use common::{FRONT, Rig, device};

/// What it says of one thing, and whether it is content with all.
fn selftest(rig: &Rig, what: &str) -> (bool, String) {
    let output = rig.command(&["selftest"]);
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    let line = told.lines().find(|line| line.starts_with(what));
    (output.status.success(), line.expect(&told).to_owned())
}

#[test]
fn a_gateway_that_runs_is_fit() {
    let rig = Rig::start(&[device(FRONT, "Front door", "slots", "")]);
    for what in ["gateway", "store", "clock", "files", "room"] {
        let (fit, line) = selftest(&rig, what);
        assert!(fit, "{line}");
        assert!(line[what.len()..].trim_start().starts_with("ok "), "{line}");
    }
    // Where the test runs it may be on a RAM disk, which is doubtful and no more.
    assert!(selftest(&rig, "sync").0);
    let left = fs::read_dir(rig.data_dir()).unwrap();
    assert!(
        !left
            .map(|file| file.unwrap().file_name())
            .any(|name| name.to_string_lossy().contains("selftest"))
    );
}

#[test]
fn a_gateway_that_does_not_run_is_not() {
    let rig = Rig::new(&[]);
    let (fit, line) = selftest(&rig, "gateway");
    assert!(!fit && line.contains("FAIL"), "{line}");
    assert!(line.contains("no gateway answers"), "{line}");
}

#[test]
fn a_store_that_others_may_look_into_is_named() {
    let rig = Rig::start(&[]);
    fs::set_permissions(rig.data_dir(), Permissions::from_mode(0o755)).unwrap();
    let (fit, line) = selftest(&rig, "files");
    assert!(!fit && line.contains("FAIL"), "{line}");
    assert!(line.contains("chmod go="), "{line}");
}

#[test]
fn a_broker_is_looked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let rig = Rig::start(&[format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n")]);
    assert!(selftest(&rig, "broker").0);
    drop(listener);
    let (fit, line) = selftest(&rig, "broker");
    assert!(!fit && line.contains("FAIL"), "{line}");
}

#[test]
fn room_that_is_to_be_kept_and_is_not_there_is_missed() {
    let rig = Rig::start(&[]);
    let config = fs::read_to_string(rig.config()).unwrap();
    fs::write(
        rig.config(),
        config.replace("reserve_mb = 1\n", "reserve_mb = 1000000\n"),
    )
    .unwrap();
    let (fit, line) = selftest(&rig, "room");
    assert!(!fit && line.contains("make room"), "{line}");
}

#[test]
fn a_mistake_made_since_the_start_keeps_nobody_from_looking_at_what_runs() {
    let rig = Rig::start(&[device(FRONT, "Front door", "slots", "")]);
    let config = fs::read_to_string(rig.config()).unwrap();
    fs::write(
        rig.config(),
        format!(
            "{config}\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\nkey = \"$CREDENTIALS_DIRECTORY/k\"\nzebra = 1\n"
        ),
    )
    .unwrap();
    for words in [["status"].as_slice(), &["devices"], &["codes"], &["keys", "list"]] {
        let output = rig.command(words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
    }
    let output = rig.command(&["check-config"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("zebra"));
}

#[test]
fn a_gateway_that_makes_no_exports_is_doubted() {
    let rig = Rig::start(&[]);
    let (fit, line) = selftest(&rig, "exports");
    assert!(
        fit && line.contains("doubt") && line.contains("lockbridge init"),
        "{line}"
    );
    rig.told(&["init"]);
    let (_, line) = selftest(&rig, "exports");
    assert!(line.contains("ok "), "{line}");
}

#[test]
fn nobody_is_asked_for_a_security_pin_in_vain() {
    let rig = Rig::start(&[]);
    let output = rig.command(&["pair", "nuki", "zz"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("'zz'") && told.contains("not a Bluetooth address"),
        "{told}"
    );
    let output = rig.command(&["pair", "nuki", "54:D2:72:AA:BB:CC"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no [ble] section"), "{told}");
}
