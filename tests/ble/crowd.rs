//! A thousand strangers on the air: watches, lamps, phones.

use std::collections::BTreeSet;
use std::time::Duration;

use lockbridge::lock::ble::{Address, News};

use super::cycles::resident;
use super::gateway::now;
use super::lock::{Kind, SimLock};
use super::rig::{Rig, address};
use super::stage;

const STRANGERS: u16 = 1_000;

fn stranger(number: u16) -> Address {
    let [high, low] = number.to_be_bytes();
    Address([0xc0, 1, 2, 3, high, low])
}

#[test]
fn a_thousand_strangers_take_neither_place_nor_turn_from_a_lock_of_ours() {
    stage(
        "crowd::a_thousand_strangers_take_neither_place_nor_turn_from_a_lock_of_ours",
        async || {
            let rig = Rig::new(2).await;
            rig.radio.set_ours(BTreeSet::from([address(1), address(2)]));
            rig.told(News::Heard(address(1))).await;
            rig.bluez.with(address(1), |lock| {
                lock.advertises_every = Duration::from_secs(3600)
            });
            rig.bluez.with(address(2), |lock| lock.in_range = false);
            let before = resident();
            let strangers =
                (0..STRANGERS).map(|number| (stranger(number), SimLock::new(Kind::Classic, number.into())));
            rig.bluez.come(strangers, Duration::from_secs(10));
            rig.until("each is listed", || {
                let world = rig.bluez.world();
                world
                    .devices
                    .values()
                    .all(|device| device.is_listed() || !device.in_range)
            })
            .await;
            // So much that whoever was heard longest ago was long forgotten.
            let asked = rig.bluez.world().called("GetAll");
            let more = usize::from(STRANGERS);
            rig.until("all are heard", || {
                rig.bluez.world().called("GetAll") >= asked + more
            })
            .await;
            rig.until("there is no place left", || rig.radio.sightings().len() >= 512)
                .await;
            assert!(rig.radio.sightings().len() <= 512 && rig.radio.sighting(address(1)).is_some());
            let began = now();
            assert!(rig.link(1).await.is_ok());
            let linked = now() - began;
            let at = || rig.radio.sighting(address(2)).map(|heard| heard.at);
            let (last, began) = (at(), now());
            rig.bluez.with(address(2), |lock| lock.in_range = true);
            rig.until("it is heard", || at() != last).await;
            println!(
                "among {STRANGERS} strangers: a link after {linked:?}, one that comes is heard after {:?}; KiB {before} \
                 before, {} with the stand-in's own",
                now() - began,
                resident()
            );
            rig.end().await;
        },
    );
}
