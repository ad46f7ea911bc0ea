//! A store that an earlier version left, under the program of today.
//!
//! `tests/data/store-9879250.tar.gz` is what the program of commit 9879250 kept, after an orderly end: the format is
//! today's, the records lack the fields that were added since. In it Jane has a code on both doors, Joe one on the front
//! door in 2098, and one on the back door was set and deleted.

mod common;

use std::path::Path;
use std::process::Command;

use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

/// Name, PIN and status of each code of a device.
fn codes(rig: &Rig, device: &str) -> Vec<[String; 3]> {
    let text = |code: &Value, key: &str| code[key].as_str().unwrap().to_owned();
    let codes = rig.codes(device);
    codes
        .iter()
        .map(|code| ["name", "code", "status"].map(|key| text(code, key)))
        .collect()
}

#[test]
fn codes_of_an_earlier_version_are_kept_and_can_be_changed() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store-9879250.tar.gz");
    let data = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(kept)
        .arg("-C")
        .arg(data.path())
        .status();
    assert!(unpacked.unwrap().success());

    let doors = [
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ];
    let mut rig = Rig::on(data.path(), &doors);
    rig.run();
    let jane = ["Jane", "4711", "set"].map(str::to_owned);
    let joe = ["Joe", "5822", "unset"].map(str::to_owned);
    assert_eq!(codes(&rig, FRONT), [jane.clone(), joe.clone()]);
    assert_eq!(codes(&rig, BACK), std::slice::from_ref(&jane));
    assert_eq!(
        (rig.pins_on(FRONT), rig.pins_on(BACK)),
        (vec!["4711".into()], vec!["4711".into()])
    );
    let events = rig
        .post(
            "/events/list",
            json!({"since": "2026-11-26T00:00:00Z", "event_type": "access_code.created"}),
        )
        .ok();
    assert_eq!(events["events"].as_array().unwrap().len(), 4, "{events}");

    let on_back = rig.codes(BACK)[0]["access_code_id"].clone();
    rig.post("/access_codes/delete", json!({"access_code_id": on_back}))
        .ok();
    rig.advance(300);
    assert!(rig.pins_on(BACK).is_empty());
    rig.kill();
    rig.run();
    assert_eq!(codes(&rig, FRONT), [jane, joe]);
    assert!(codes(&rig, BACK).is_empty());
    assert_eq!(rig.pins_on(FRONT), ["4711"]);
}
