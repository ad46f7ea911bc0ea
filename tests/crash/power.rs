//! Power cuts: what was acknowledged was on the card, so that it is there afterwards.
//!
//! The card keeps what was synced and, of what was not, whatever the seed says: nothing, some of
//! it, any sectors of it. `LOCKBRIDGE_CUTS=n` says how often (25; with `LOCKBRIDGE_FULL=1` 200).

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::callers::{full, number, seed};
use crate::card::Card;
use crate::common::{BACK, FRONT, Rig, device};
use crate::load::Load;

#[test]
fn what_was_acknowledged_survives_every_power_cut_whole_and_once() {
    let Some(card) = Card::insert() else { return };
    let cuts = number("LOCKBRIDGE_CUTS").unwrap_or(if full() { 200 } else { 25 });
    let seed = seed();
    println!("LOCKBRIDGE_SEED={seed} LOCKBRIDGE_CUTS={cuts}");
    let load = Load::new(seed);
    let mut rig = card.rig(&load.parts());
    load.bear(&mut rig, cuts, |rng| {
        card.cut(rng.random());
        card.power_on();
    });
}

/// The judge must be able to say no.
#[test]
fn a_card_that_only_says_that_it_synced_loses_what_was_acknowledged() {
    let tries = if full() { 40 } else { 8 };
    let mut rng = SmallRng::seed_from_u64(seed());
    let (mut lost, mut refused) = (0, 0);
    for _ in 0..tries {
        let Some(card) = Card::insert() else { return };
        let doors = [
            device(FRONT, "Front", "slots", ""),
            device(BACK, "Back", "slots", ""),
        ];
        let mut rig = card.rig(&doors);
        let both = json!({"device_ids": [FRONT, BACK]});
        let book = |rig: &Rig| {
            let booked = rig.post("/access_codes/create_multiple", both.clone()).ok();
            text(&booked["access_codes"][0]["common_code_key"])
        };
        rig.run();
        let safe = book(&rig);
        card.let_syncs_be("lying");
        let promised: Vec<String> = (0..10).map(|_| book(&rig)).collect();
        rig.kill();
        card.cut(rng.random());
        card.power_on();
        card.let_syncs_be("honest");
        if let Err(status) = rig.try_to_run() {
            assert_eq!(status.code(), Some(3), "{}", rig.log());
            refused += 1;
            continue;
        }
        let [front, back] = [FRONT, BACK].map(|door| {
            let codes = rig.codes(door);
            let keys: BTreeSet<String> = codes.iter().map(|code| text(&code["common_code_key"])).collect();
            keys
        });
        assert_eq!(front, back, "half a group");
        assert!(front.contains(&safe), "it was on the card before");
        lost += promised.iter().filter(|key| !front.contains(*key)).count();
    }
    println!(
        "{tries} cards that lied: {lost} of {} groups lost, {refused} stores refused",
        10 * (tries - refused)
    );
    assert!(lost > 0);
}

/// A key that was printed is a key that is known, and so is the directory that was made for it.
#[test]
fn a_first_key_survives_a_power_cut() {
    for seed in 0..8 {
        let Some(card) = Card::insert() else { return };
        let mut rig = Rig::on(&card.data_dir(), &[device(FRONT, "Front", "slots", "")]);
        card.cut(seed);
        card.power_on();
        rig.run();
        assert!(rig.codes(FRONT).is_empty());
    }
}

/// A directory that somebody else made, who did not wait for it to be on the card.
#[test]
fn the_directory_itself_survives_a_power_cut() {
    for seed in 0..8 {
        let Some(card) = Card::insert() else { return };
        std::fs::create_dir(card.data_dir()).unwrap();
        let mut rig = card.rig(&[device(FRONT, "Front", "slots", "")]);
        rig.run();
        rig.post("/access_codes/create", json!({"device_id": FRONT})).ok();
        rig.kill();
        card.cut(seed);
        card.power_on();
        rig.run();
        assert_eq!(rig.codes(FRONT).len(), 1);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
