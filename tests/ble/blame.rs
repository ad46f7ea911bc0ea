//! No lock is said to be out of reach because of the radio, or of others that are; and nothing is done late.

use std::time::Duration;

use serde_json::json;

use super::gateway::{Site, book, now, rest};
use super::rig::address;
use super::stage;

#[test]
fn a_lock_is_not_blamed_for_others_that_are_away() {
    stage(
        "blame::a_lock_is_not_blamed_for_others_that_are_away",
        async || {
            let mut site = Site::new(3);
            let devices = [1, 2, 3].map(|number| site.pair(number));
            let at_rest = |site: &Site, device: &str| site.cause(device) == "at_rest";
            site.until("all were read", || {
                devices.iter().all(|device| at_rest(&site, device))
            });
            site.bluez.with(address(1), |lock| lock.in_range = false);
            site.rig.kill();
            let reads = |number: u8| {
                site.bluez.with(address(number), |lock| {
                    let done = lock.lock.done.iter();
                    done.filter(|command| **command == LIST).count()
                })
            };
            let before = [2, 3].map(reads);
            site.rig.run();
            site.until("the others were read", || {
                [2, 3]
                    .map(reads)
                    .iter()
                    .zip(before)
                    .all(|(now, before)| *now > before)
            });
            site.until("the one that is away is told", || {
                site.events("device.disconnected", &devices[0]) > 0
            });
            site.blames_nobody(&[&devices[1], &devices[2]]);
        },
    );
}

/// The command that lists codes.
const LIST: u16 = 0x43;

#[test]
fn a_lock_is_not_blamed_for_a_radio_that_goes_away_in_the_middle() {
    stage(
        "blame::a_lock_is_not_blamed_for_a_radio_that_goes_away_in_the_middle",
        async || {
            let site = Site::new(1);
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            let linked = || site.bluez.with(address(1), |lock| lock.connected);
            for (nth, guest) in ["Ada", "Grace"].into_iter().enumerate() {
                site.until("it is left in peace", || !linked());
                site.bluez
                    .with(address(1), |lock| lock.slow = Duration::from_secs(1));
                book(&site.rig, &device, guest);
                site.until("it is asked", linked);
                match nth {
                    0 => {
                        let mut world = site.bluez.world();
                        world.blocked = true;
                        world.power(false);
                    }
                    _ => site.bluez.world().up = false,
                }
                site.until("the radio is away", || {
                    let heard = site.rig.get("/lockbridge/v1/bluetooth").ok();
                    !heard["bluetooth"]["outage"].is_null()
                });
                site.bluez.with(address(1), |lock| lock.slow = Duration::ZERO);
                let mut world = site.bluez.world();
                (world.blocked, world.up) = (false, true);
                drop(world);
                site.until("it is served", || site.held(1).len() == nth + 1);
            }
            site.blames_nobody(&[&device]);
        },
    );
}

#[test]
fn a_door_is_not_opened_for_somebody_who_has_gone() {
    stage(
        "blame::a_door_is_not_opened_for_somebody_who_has_gone",
        async || {
            let site = Site::with(1, "[locks]\nremote_unlock = true\n");
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            let seen = |seen| site.bluez.with(address(1), |lock| lock.in_range = seen);
            site.until("it is left in peace", || {
                !site.bluez.with(address(1), |lock| lock.connected)
            });
            seen(false);
            let asked = now();
            let unlock = || {
                let path = "/locks/unlock_door";
                let begun = site.rig.post(path, json!({"device_id": device})).ok();
                begun["action_attempt"]["action_attempt_id"].clone()
            };
            let attempt = unlock();
            // Whoever asked has gone by then, and the lock is still being tried.
            while now() < asked + Duration::from_secs(20) {
                rest();
            }
            seen(true);
            site.until("nobody tries any more", || {
                let which = json!({"action_attempt_id": attempt});
                let told = site.rig.post("/action_attempts/get", which).ok();
                told["action_attempt"]["status"] == "error"
            });
            assert!(site.bluez.with(address(1), |lock| lock.lock.locked));
            // For somebody who is there it is.
            site.rig
                .post("/locks/unlock_door", json!({"device_id": device}))
                .ok();
            site.until("it opens", || {
                !site.bluez.with(address(1), |lock| lock.lock.locked)
            });
        },
    );
}

#[test]
fn a_gateway_that_ends_leaves_no_link_behind() {
    stage("blame::a_gateway_that_ends_leaves_no_link_behind", async || {
        let mut site = Site::new(1);
        let device = site.pair(1);
        site.until("it was read", || site.cause(&device) == "at_rest");
        let linked = |site: &Site| site.bluez.with(address(1), |lock| lock.connected);
        site.until("it is left in peace", || !linked(&site));
        site.bluez
            .with(address(1), |lock| lock.slow = Duration::from_secs(2));
        book(&site.rig, &device, "Ada");
        site.until("it is asked", || linked(&site));
        assert_eq!(site.rig.terminate().code(), Some(0));
        site.until("it is left in peace", || !linked(&site));
    });
}
