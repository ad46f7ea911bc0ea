//! A card without room, and room made again.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::callers::{full, seed};
use crate::card::Card;
use crate::common::{BACK, FRONT, Rig, device, exchange};
use crate::told;

const MB: u64 = 1 << 20;
/// Less than the reserve of a rig.
const LITTLE: u64 = MB / 2;
const PLENTY: u64 = 100 * MB;
const YEAR: i64 = 365 * 24 * 3600;

fn two_doors() -> [String; 2] {
    [(FRONT, "Front"), (BACK, "Back")].map(|(id, name)| device(id, name, "slots", "capacity = 200"))
}

/// A stay on both doors, from so many seconds from now.
fn book(rig: &Rig, from: i64) {
    let stay = json!({
        "device_ids": [FRONT, BACK],
        "starts_at": rig.time(from),
        "ends_at": rig.time(YEAR),
    });
    rig.post("/access_codes/create_multiple", stay).ok();
}

#[track_caller]
fn all_there(rig: &Rig, stays: usize) {
    for door in [FRONT, BACK] {
        assert_eq!(rig.codes(door).len(), stays);
    }
}

/// Lets an hour pass, if there is still somebody for whom it passes.
fn an_hour_passes(rig: &Rig) -> bool {
    let hour = json!({"advance_s": 3600}).to_string();
    let told = exchange(
        rig.address(),
        "POST",
        "/lockbridge/v1/sim/clock",
        &rig.bearer(),
        &hour,
    );
    told.is_some_and(|told| told.status == 200)
}

#[test]
fn below_the_reserve_new_jobs_are_refused_and_accepted_ones_go_on() {
    let Some(card) = Card::insert() else { return };
    let mut rig = card.rig(&two_doors());
    rig.run();
    book(&rig, 7200);
    let unwanted = rig.post("/access_codes/create", json!({"device_id": FRONT})).ok();
    rig.advance(60);
    assert_eq!(rig.pins_on(FRONT).len(), 1);

    card.leave_room(LITTLE);
    let refused = rig.post("/access_codes/create", json!({"device_id": FRONT}));
    refused.refused(507, "storage_full", told::NEARLY_FULL);
    let ready = rig.get("/readyz");
    assert_eq!((ready.status, &ready.body["storage_low"]), (503, &json!(true)));
    // No card keeps a code on a door, or off it once it was promised.
    let unwanted = &unwanted["access_code"]["access_code_id"];
    rig.post("/access_codes/delete", json!({"access_code_id": unwanted}))
        .ok();
    rig.advance(7200);
    assert_eq!(rig.pins_on(FRONT), rig.pins_on(BACK));
    assert_eq!(rig.pins_on(FRONT).len(), 1);

    card.leave_room(PLENTY);
    rig.post("/access_codes/create", json!({"device_id": FRONT})).ok();
    rig.get("/readyz").ok();
}

#[test]
fn a_card_filled_to_the_last_byte_loses_nothing_and_starts_again() {
    let Some(card) = Card::insert() else { return };
    let mut rig = card.rig(&two_doors());
    rig.run();
    let stays = 40;
    for hour in 0..stays {
        book(&rig, 3600 * hour + 7200);
    }
    card.leave_room(0);
    // What was promised falls due until none of it can be written down any more.
    while an_hour_passes(&rig) {}
    assert_eq!(rig.ended().code(), Some(1));
    let log = rig.log();
    assert!(
        log.contains(told::FAILED) && log.contains(told::NO_SPACE),
        "{log}"
    );

    // Opening needs room, which the ballast makes.
    rig.run();
    rig.says(1, told::BALLAST);
    assert!(!card.data_dir().join("ballast").exists());
    all_there(&rig, stays as usize);
    card.leave_room(LITTLE);
    let refused = rig.post("/access_codes/create", json!({"device_id": FRONT}));
    refused.refused(507, "storage_full", told::NEARLY_FULL);

    // Killed on a full card again, it has nothing more to give up, and says what to do.
    card.leave_room(0);
    rig.kill();
    let status = rig.try_to_run().expect_err("there is no room to open the store");
    assert_eq!(status.code(), Some(1));
    rig.says(1, told::FULL);
    rig.says(1, told::MAKE_ROOM);

    card.leave_room(PLENTY);
    rig.run();
    all_there(&rig, stays as usize);
    assert!(card.data_dir().join("ballast").exists());
    book(&rig, 3600);
}

#[test]
fn wherever_a_card_fills_up_nothing_is_lost() {
    let rounds = if full() { 60 } else { 12 };
    let Some(card) = Card::insert() else { return };
    let seed = seed();
    println!("LOCKBRIDGE_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut rig = card.rig(&two_doors());
    let (mut ended, mut stayed_away) = (0, 0);
    for round in 1..=rounds {
        rig.run();
        for hour in 0..3 {
            book(&rig, 3600 * hour + 1800);
        }
        if rng.random_bool(0.5) {
            // Somebody made room in the wrong place.
            std::fs::remove_file(card.data_dir().join("ballast")).unwrap();
        }
        card.leave_room(rng.random_range(0..40_000));
        ended += usize::from((0..4).any(|_| !an_hour_passes(&rig)));
        rig.kill();
        card.leave_room(rng.random_range(0..40_000));
        if rng.random_bool(0.5) {
            card.cut(rng.random());
            card.power_on();
        }
        // It starts, or says what to do.
        match rig.try_to_run() {
            Ok(()) => rig.kill(),
            Err(status) => {
                stayed_away += 1;
                assert_eq!(status.code(), Some(1), "{}", rig.log());
                rig.says(stayed_away, told::MAKE_ROOM);
            }
        }
        card.leave_room(PLENTY);
        rig.run();
        all_there(&rig, 3 * round);
        rig.kill();
    }
    println!(
        "{rounds} times full: it ended in {ended}, and could not start in {stayed_away} until there was room"
    );
}
