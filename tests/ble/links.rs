//! What a link carries.

use std::time::Duration;

use lockbridge::lock::nuki::{Characteristic, beacon};
use lockbridge::model::{CodeId, Content, Finding, How, Pin, Slot, Step, Timestamp, Window};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use uuid::Uuid;

use super::bluez::Cut;
use super::rig::{Rig, address, driver};
use super::stage;

fn put(digits: &str) -> Step {
    Step::Put {
        code: CodeId(Uuid::from_u128(1)),
        generation: 1,
        slot: Slot(1),
        content: Content {
            pin: Pin::parse(digits).unwrap(),
            name: Some("Ada".to_owned()),
            window: Window::Ongoing,
        },
        stale: Vec::new(),
    }
}

/// One exchange over a link of its own.
async fn exchange(rig: &Rig, number: u8, steps: &[Step]) -> Vec<Finding> {
    let mut link = rig.link(number).await.expect("a link");
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let time = || Some(Timestamp(1_795_600_000_000));
    let mut driver = driver();
    let visiting = driver.exchange(&mut link, &mut rng, &time, steps);
    visiting.await.findings
}

#[test]
fn what_a_lock_says_is_indicated() {
    stage("links::what_a_lock_says_is_indicated", async || {
        let rig = Rig::new(1).await;
        let door = Characteristic::Everyday.uuid();
        let mut link = rig.link(1).await.unwrap();
        link.write_to(door, &[1, 2, 3]).await.unwrap();
        rig.bluez.world().says(address(1), false, &[1, 2, 3]);
        assert_eq!(link.indicated().await, Ok(vec![1, 2, 3]));
        assert!(link.write_to(Uuid::from_u128(9), &[1]).await.is_err());
        drop(link);
        rig.until("the link is down", || {
            !rig.bluez.with(address(1), |lock| lock.connected)
        })
        .await;
        rig.end().await;
    });
}

#[test]
fn a_whole_exchange_goes_over_one_link() {
    stage("links::a_whole_exchange_goes_over_one_link", async || {
        let rig = Rig::new(1).await;
        let steps = [put("345678"), Step::Read];
        let findings = exchange(&rig, 1, &steps).await;
        assert_eq!(findings[0], Finding::Proven(How::ReadBack));
        assert!(
            matches!(&findings[1], Finding::Table(table) if table.len() == 1),
            "{findings:?}"
        );
        let codes = rig.bluez.with(address(1), |lock| lock.lock.codes.clone());
        assert_eq!((codes.len(), codes[0].digits), (1, 345_678));
        assert_eq!(rig.bluez.with(address(1), |lock| lock.connects), 1);
        rig.end().await;
    });
}

#[test]
fn a_link_cut_before_or_after_the_lock_acted_is_told_alike() {
    stage(
        "links::a_link_cut_before_or_after_the_lock_acted_is_told_alike",
        async || {
            let rig = Rig::new(1).await;
            let door = Characteristic::Everyday.uuid();
            for cut in [Cut::BeforeWrite, Cut::AfterWrite] {
                let mut link = rig.link(1).await.unwrap();
                rig.bluez.with(address(1), |lock| lock.cut = Some(cut));
                assert!(link.write_to(door, &[1, 2, 3]).await.is_err(), "{cut:?}");
                while link.indicated().await.is_ok() {}
            }
            assert_eq!(
                exchange(&rig, 1, &[put("345678")]).await,
                [Finding::Proven(How::ReadBack)]
            );
            rig.end().await;
        },
    );
}

#[test]
fn what_a_lock_says_elsewhere_is_no_part_of_the_talk() {
    stage(
        "links::what_a_lock_says_elsewhere_is_no_part_of_the_talk",
        async || {
            let rig = Rig::new(1).await;
            let mut link = rig.link(1).await.unwrap();
            rig.bluez.world().says(address(1), true, &[9; 20]);
            rig.bluez.world().says(address(1), false, &[1]);
            assert_eq!(link.indicated().await, Ok(vec![1]));
            drop(link);
            rig.end().await;
        },
    );
}

#[test]
fn a_lock_that_is_heard_tells_who_it_is() {
    stage("links::a_lock_that_is_heard_tells_who_it_is", async || {
        let rig = Rig::new(1).await;
        rig.until("its beacon", || {
            let sighting = rig.radio.sighting(address(1));
            sighting.is_some_and(|sighting| {
                sighting.manufacturer.contains_key(&0x004c) && sighting.rssi == Some(-60)
            })
        })
        .await;
        let sighting = rig.radio.sighting(address(1)).unwrap();
        let told = beacon(0x004c, &sighting.manufacturer[&0x004c]).expect("a beacon");
        assert_eq!(told.nuki_id, 0x7200_0001);
        rig.end().await;
    });
}

#[test]
fn more_locks_than_links_are_all_served_and_nobody_loses_indications() {
    stage(
        "links::more_locks_than_links_are_all_served_and_nobody_loses_indications",
        async || {
            let rig = Rig::new(12).await;
            // The adapter would bear more than the gateway may use.
            {
                let mut world = rig.bluez.world();
                world.slots = 12;
                for lock in world.devices.values_mut() {
                    lock.slow = Duration::from_millis(50);
                }
            }
            let steps = [Step::Read];
            let all = (1..=12).map(|number| exchange(&rig, number, &steps));
            for findings in futures_util::future::join_all(all).await {
                assert_eq!(findings, [Finding::Table(Vec::new())]);
            }
            assert_eq!(rig.bluez.world().most_links, 3);
            rig.end().await;
        },
    );
}
