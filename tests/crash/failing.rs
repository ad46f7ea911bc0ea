//! A card whose syncs fail: nothing is promised from then on, and nothing that was is lost.

use std::collections::BTreeSet;

use serde_json::json;

use crate::callers::full;
use crate::card::Card;
use crate::common::{BACK, FRONT, Rig, device, exchange};
use crate::told;

/// The groups of a door by their keys.
fn groups(rig: &Rig, door: &str) -> BTreeSet<String> {
    let codes = rig.codes(door);
    let keys = codes
        .iter()
        .map(|code| code["common_code_key"].as_str().unwrap().to_owned());
    keys.collect()
}

#[test]
fn after_a_failed_sync_nothing_is_promised_and_nothing_promised_is_lost() {
    let rounds = if full() { 30 } else { 5 };
    let Some(card) = Card::insert() else { return };
    let doors = [(FRONT, "Front"), (BACK, "Back")];
    let mut rig = card.rig(&doors.map(|(id, name)| device(id, name, "slots", "capacity = 200")));
    let path = "/access_codes/create_multiple";
    let both = json!({"device_ids": [FRONT, BACK]});
    let mut promised = BTreeSet::new();
    for round in 0..rounds {
        rig.run();
        let booked = rig.post(path, both.clone()).ok();
        promised.insert(
            booked["access_codes"][0]["common_code_key"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        card.let_syncs_be("failing");
        // Whoever asks is told nothing, or that nobody knows.
        let answer = exchange(rig.address(), "POST", path, &rig.bearer(), &both.to_string());
        assert!(answer.is_none_or(|answer| answer.status == 503));
        assert_eq!(rig.ended().code(), Some(1));
        rig.says(round + 1, told::FAILED);
        // Nor does it start on such a card.
        assert_eq!(rig.try_to_run().unwrap_err().code(), Some(1));
        assert!(rig.log().contains(told::FAILED));
        card.cut(round as u64);
        card.power_on();
        card.let_syncs_be("honest");
        rig.run();
        let (front, back) = (groups(&rig, FRONT), groups(&rig, BACK));
        assert_eq!(front, back, "half a group");
        assert!(front.is_superset(&promised), "lost: {promised:?} {front:?}");
        rig.kill();
    }
}
