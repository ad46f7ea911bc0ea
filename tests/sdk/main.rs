//! Seam's own SDKs against the real program: two of each language, the oldest that people still use
//! and the newest, with another endpoint and nothing else changed.
//!
//! ```text
//! main.rs   what is played, and with which locks      *.py     the scenarios for Python's SDKs
//! actor.rs  an SDK: its program, its script           *.mjs    the scenarios for Node's
//! loss.rs   answers that are lost on the way          stage.*  what the scenarios share
//! ```
//!
//! The scripts do the insisting, in the words of their SDK; `tests/run` installs the SDKs.

mod actor;
#[path = "../common/mod.rs"]
mod common;
mod loss;

use actor::Sdk;
use common::{BACK, FRONT, Rig, device};

const CELLAR: &str = "11111111-0000-4000-8000-000000000001";
const SAFE: &str = "11111111-0000-4000-8000-000000000002";

/// Every scenario is a test of its own with each SDK.
macro_rules! each_sdk_plays {
    ($($scenario:ident)*) => {$(
        mod $scenario {
            use super::Sdk;

            #[test]
            fn python_1_210() {
                super::$scenario(&Sdk::python("1.210.0"));
            }

            #[test]
            fn python_3_18() {
                super::$scenario(&Sdk::python("3.18.0"));
            }

            #[test]
            fn node_1_160() {
                super::$scenario(&Sdk::node("1.160.0"));
            }

            #[test]
            fn node_1_245() {
                super::$scenario(&Sdk::node("1.245.0"));
            }
        }
    )*};
}

each_sdk_plays! {
    seeds tour single_codes doors refusals limits reach lost_on_the_way killed_before_the_answer
}

fn two_doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

/// Two doors, one that shares no length with them, and one with room for a single code.
fn house() -> Vec<String> {
    let mut devices = two_doors();
    devices.push(device(CELLAR, "Cellar", "fixed-8", ""));
    devices.push(device(SAFE, "Safe", "slots", "capacity = 1"));
    devices
}

/// The documented examples; one door keeps the window itself, so that it can be read off the lock.
fn seeds(sdk: &Sdk) {
    let rig = Rig::start(&[
        device(FRONT, "Front door", "keypad-6", "lengths = [4, 5, 6]"),
        device(BACK, "Back door", "slots", "window = \"seconds\""),
    ]);
    sdk.play("seeds", &rig, &[]);
}

/// Everything that is read, group by group, and page by page.
fn tour(sdk: &Sdk) {
    sdk.play("tour", &Rig::start(&house()), &[]);
}

/// Access codes one by one: made, changed in every way, deleted.
fn single_codes(sdk: &Sdk) {
    sdk.play("single_codes", &Rig::start(&house()), &[]);
}

/// Door commands, and those that wait for them. They do so in real time, so that the gateway does not
/// wait for long for a lock that does not answer.
fn doors(sdk: &Sdk) {
    let rig = Rig::start(&[
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", "patience = \"1s\""),
    ]);
    sdk.play("doors", &rig, &[]);
}

/// Every refusal is the SDK's own error.
fn refusals(sdk: &Sdk) {
    let rig = Rig::start(&house());
    let blind = rig.make_key("blind", "codes");
    let mute = rig.make_key("mute", "operate");
    sdk.play("refusals", &rig, &[("BLIND", &blind), ("MUTE", &mute)]);
}

/// What is refused because there is too much of it.
fn limits(sdk: &Sdk) {
    let mut sections = two_doors();
    sections.push("[limits]\ncodes = 3\nupdates_per_minute = 2\n".to_owned());
    sdk.play("limits", &Rig::start(&sections), &[]);
}

/// A lock out of reach, seen through the SDK alone.
fn reach(sdk: &Sdk) {
    sdk.play("reach", &Rig::start(&two_doors()), &[]);
}

fn lost_on_the_way(sdk: &Sdk) {
    loss::lose_an_answer(sdk, Rig::start(&two_doors()), loss::Gateway::Lives);
}

fn killed_before_the_answer(sdk: &Sdk) {
    loss::lose_an_answer(sdk, Rig::start(&two_doors()), loss::Gateway::IsKilled);
}
