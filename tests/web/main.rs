//! The page in a browser: Debian's Chromium, driven by the scripts that stand here, against the real
//! program with simulated locks.
//!
//! The scripts do the insisting. `tests/run` installs the browser and what drives it.

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;

use common::{BACK, FRONT, Rig, device};

const CELLAR: &str = "11111111-0000-4000-8000-000000000001";
const SAFE: &str = "11111111-0000-4000-8000-000000000002";

/// Two doors, one that shares no length with them, and one with room for a single code.
fn house() -> Rig {
    Rig::start(&[
        device(FRONT, "Front door", "slots", "patience = \"1s\""),
        device(BACK, "Back door", "slots", "patience = \"1s\""),
        device(CELLAR, "Cellar", "fixed-8", ""),
        device(SAFE, "Safe", "slots", "capacity = 1"),
    ])
}

/// Plays a scenario to its end with a gateway of its own.
#[track_caller]
fn play(scenario: &str) {
    let rig = house();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web");
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("node")
        .arg(scripts.join(format!("{scenario}.mjs")))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // What a browser keeps goes with the test.
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("ENDPOINT", format!("http://{}", rig.address()))
        .env("GATEWAY", rig.address())
        .env("KEY", &rig.key)
        .env("BLIND", rig.make_key("blind", "codes"))
        .output()
        .expect("Node is there: tests/run installs it");
    let told = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.ends_with("played to the end\n"),
        "{}\n{told}{said}",
        output.status
    );
}

/// A group is made, waits for a lock, is proven before the watcher's eyes, moved and ended.
#[test]
fn a_stay_from_its_making_to_its_end() {
    play("stay");
}

/// A group is over when the last lock says so.
#[test]
fn a_group_ends_at_a_door_that_does_not_answer() {
    play("ends");
}

/// New times and the end reach the doors that are there, and the page names the one that left.
#[test]
fn a_door_that_left_holds_up_no_other() {
    play("leaves");
}

/// A stay ends by its times, at one door before the other.
#[test]
fn what_is_over_is_said_to_be_over() {
    play("over");
}

/// More groups than one answer brings.
#[test]
fn every_group_can_be_reached() {
    play("many");
}

/// A lock that is full, one with other rules, and nothing made.
#[test]
fn a_dry_run_finds_the_full_lock() {
    play("dry_run");
}

/// PINs come on demand, are on record, and go by themselves.
#[test]
fn a_pin_is_shown_on_demand_and_hidden_again() {
    play("reveal");
}

/// Signing in and making a group.
#[test]
fn the_keyboard_is_enough() {
    play("keyboard");
}

/// Axe, on every view.
#[test]
fn everybody_can_use_every_view() {
    play("views");
}

/// Weight, origin, policy, sessions.
#[test]
fn the_page_keeps_to_itself() {
    play("policy");
}

/// The page says that it is not live, and catches up.
#[test]
fn a_cut_line_is_told_and_caught_up() {
    play("live");
}

/// Without Bluetooth as the gateway answers; the steps by answers that the script makes up.
#[test]
fn a_lock_is_paired_step_by_step() {
    play("pair");
}
