//! What goes wrong, and heals.

use std::collections::BTreeSet;
use std::time::Duration;

use lockbridge::lock::ble::{News, NoLink};
use lockbridge::lock::nuki::Characteristic;
use lockbridge::model::Outage;

use super::bus::Bus;
use super::rig::{Rig, address};
use super::stage;

#[test]
fn a_lock_that_refuses_now_and_then_is_linked_to() {
    stage(
        "trouble::a_lock_that_refuses_now_and_then_is_linked_to",
        async || {
            let rig = Rig::new(1).await;
            rig.bluez.with(address(1), |lock| lock.refuses = 4);
            assert!(rig.link(1).await.is_ok());
            rig.bluez.with(address(1), |lock| lock.refuses = 100);
            // The link before it was dropped only now.
            assert_eq!(rig.link(1).await.err(), Some(NoLink::Failed));
            rig.end().await;
        },
    );
}

#[test]
fn a_link_that_ends_as_soon_as_it_came_about_is_tried_again_at_once() {
    stage(
        "trouble::a_link_that_ends_as_soon_as_it_came_about_is_tried_again_at_once",
        async || {
            let rig = Rig::new(1).await;
            // Three waits for services that never come would be longer than anybody waits for a link.
            rig.bluez.with(address(1), |lock| lock.dies_young = 3);
            assert!(rig.link(1).await.is_ok());
            rig.end().await;
        },
    );
}

#[test]
fn a_daemon_that_restarts_ends_links_and_all_goes_on() {
    stage(
        "trouble::a_daemon_that_restarts_ends_links_and_all_goes_on",
        async || {
            let rig = Rig::new(2).await;
            let mut link = rig.link(1).await.unwrap();
            rig.bluez.world().up = false;
            assert!(link.indicated().await.is_err());
            rig.told(News::Down(Outage::Daemon)).await;
            assert_eq!(rig.link(2).await.err(), Some(NoLink::Radio(Outage::Daemon)));
            drop(link);
            rig.news.lock().unwrap().clear();
            rig.bluez.world().up = true;
            rig.told(News::Up).await;
            rig.until("it listens again", || rig.bluez.world().is_scanning())
                .await;
            for number in 1..=2 {
                let mut link = rig.link(number).await.unwrap();
                let door = Characteristic::Everyday.uuid();
                link.write_to(door, &[1]).await.unwrap();
                // Subscriptions were lost with the daemon: this one is new.
                rig.bluez.world().says(address(number), false, &[1]);
                assert_eq!(link.indicated().await, Ok(vec![1]));
            }
            rig.end().await;
        },
    );
}

#[test]
fn an_adapter_that_comes_back_under_another_name_is_used() {
    stage(
        "trouble::an_adapter_that_comes_back_under_another_name_is_used",
        async || {
            let rig = Rig::new(1).await;
            let mut link = rig.link(1).await.unwrap();
            rig.bluez.world().unplug();
            assert!(link.indicated().await.is_err());
            rig.told(News::Down(Outage::Adapter)).await;
            rig.bluez.world().plug("hci1");
            let again = rig.link_at_last(1).await;
            assert!(rig.bluez.with(address(1), |lock| lock.connected));
            drop(again);
            rig.end().await;
        },
    );
}

#[test]
fn an_adapter_that_is_not_there_at_first_is_used_when_it_comes() {
    stage(
        "trouble::an_adapter_that_is_not_there_at_first_is_used_when_it_comes",
        async || {
            let rig = Rig::begin(1, |bluez| bluez.world().adapter = None);
            rig.told(News::Down(Outage::Adapter)).await;
            rig.bluez.world().plug("hci0");
            rig.told(News::Up).await;
            assert!(rig.link(1).await.is_ok());
            rig.end().await;
        },
    );
}

#[test]
fn a_bus_that_dies_and_comes_back_is_used_again() {
    stage(
        "trouble::a_bus_that_dies_and_comes_back_is_used_again",
        async || {
            let mut rig = Rig::new(1).await;
            let mut link = rig.link(1).await.unwrap();
            rig.bus = None;
            assert!(link.indicated().await.is_err());
            rig.told(News::Down(Outage::Bus)).await;
            rig.bus = Some(Bus::start());
            drop(link);
            drop(rig.link_at_last(1).await);
            rig.end().await;
        },
    );
}

#[test]
fn an_adapter_that_is_switched_off_is_switched_on_again() {
    stage(
        "trouble::an_adapter_that_is_switched_off_is_switched_on_again",
        async || {
            let rig = Rig::new(1).await;
            let mut link = rig.link(1).await.unwrap();
            rig.bluez.world().power(false);
            assert!(link.indicated().await.is_err());
            drop(link);
            rig.until("power", || rig.bluez.world().powered).await;
            assert!(rig.link(1).await.is_ok());
            rig.end().await;
        },
    );
}

#[test]
fn an_adapter_that_stays_off_is_told() {
    stage("trouble::an_adapter_that_stays_off_is_told", async || {
        let rig = Rig::begin(1, |bluez| {
            let mut world = bluez.world();
            (world.powered, world.blocked) = (false, true);
        });
        rig.told(News::Down(Outage::AdapterOff)).await;
        rig.bluez.world().blocked = false;
        drop(rig.link_at_last(1).await);
        rig.end().await;
    });
}

#[test]
fn a_link_that_is_up_in_name_only_is_taken_down_first() {
    stage(
        "trouble::a_link_that_is_up_in_name_only_is_taken_down_first",
        async || {
            let rig = Rig::new(1).await;
            drop(rig.link(1).await.unwrap());
            rig.until("down", || !rig.bluez.with(address(1), |lock| lock.connected))
                .await;
            rig.bluez.with(address(1), |lock| lock.phantom = true);
            assert!(rig.link(1).await.is_ok());
            assert!(!rig.bluez.with(address(1), |lock| lock.phantom));
            rig.end().await;
        },
    );
}

#[test]
fn what_the_daemon_is_stuck_with_is_forgotten_and_found_again() {
    stage(
        "trouble::what_the_daemon_is_stuck_with_is_forgotten_and_found_again",
        async || {
            let rig = Rig::new(1).await;
            rig.bluez.world().stuck.insert(address(1));
            let link = rig.link(1).await.unwrap();
            assert_eq!(rig.bluez.world().called("RemoveDevice"), 1);
            drop(link);
            rig.end().await;
        },
    );
}

#[test]
fn a_silent_lock_keeps_nobody_waiting_and_is_offered_when_it_is_heard() {
    stage(
        "trouble::a_silent_lock_keeps_nobody_waiting_and_is_offered_when_it_is_heard",
        async || {
            let rig = Rig::begin(2, |bluez| bluez.with(address(1), |lock| lock.in_range = false));
            rig.told(News::Heard(address(2))).await;
            // Never heard, it is not listed: it waits without costing the radio anything.
            let (silent, other) = tokio::join!(
                async {
                    tokio::select! {
                        link = rig.link(1) => link.is_ok(),
                        () = rig.until("the other one", || rig.bluez.with(address(2), |lock| lock.connects > 0)) => {
                            rig.bluez.with(address(1), |lock| lock.in_range = true);
                            rig.link(1).await.is_ok()
                        }
                    }
                },
                rig.link(2)
            );
            assert!(silent && other.is_ok());
            rig.told(News::Heard(address(1))).await;
            drop(other);
            rig.end().await;
        },
    );
}

#[test]
fn an_attempt_that_nobody_waits_for_is_ended_inside_the_daemon() {
    stage(
        "trouble::an_attempt_that_nobody_waits_for_is_ended_inside_the_daemon",
        async || {
            let rig = Rig::new(2).await;
            drop(rig.link(1).await.unwrap());
            rig.until("down", || !rig.bluez.with(address(1), |lock| lock.connected))
                .await;
            rig.bluez.with(address(1), |lock| lock.in_range = false);
            let connects = rig.bluez.world().called("Connect");
            tokio::select! {
                link = rig.link(1) => panic!("{:?}", link.err()),
                () = rig.until("an attempt", || rig.bluez.world().called("Connect") > connects) => {}
            }
            let under_way = || rig.bluez.with(address(1), |lock| lock.is_connecting());
            rig.until("the attempt is ended", || !under_way()).await;
            assert_eq!(
                rig.bluez.with(address(1), |lock| lock.gave_up),
                0,
                "not by the kernel"
            );
            // The radio is free at once, and the lock can be asked again.
            assert!(rig.link(2).await.is_ok());
            rig.bluez.with(address(1), |lock| lock.in_range = true);
            assert!(rig.link(1).await.is_ok());
            rig.end().await;
        },
    );
}

#[test]
fn what_somebody_else_made_the_daemon_forget_is_forgotten() {
    stage(
        "trouble::what_somebody_else_made_the_daemon_forget_is_forgotten",
        async || {
            let rig = Rig::new(2).await;
            let other = rig.link(2).await.unwrap();
            {
                let mut world = rig.bluez.world();
                world.stuck.insert(address(1));
                world.outrun = true;
            }
            drop(rig.link(1).await.unwrap());
            assert!(
                rig.bluez.with(address(2), |lock| lock.connected),
                "nobody else's link"
            );
            let down = |news: &News| matches!(news, News::Down(_) | News::Cut);
            assert!(!rig.news.lock().unwrap().iter().any(down));
            drop(other);
            rig.end().await;
        },
    );
}

#[test]
fn a_controller_that_is_wedged_is_switched_off_and_on() {
    stage(
        "trouble::a_controller_that_is_wedged_is_switched_off_and_on",
        async || {
            let rig = Rig::begin(1, |bluez| bluez.world().wedged = true);
            rig.told(News::Down(Outage::Daemon)).await;
            assert!(!rig.news.lock().unwrap().contains(&News::Up), "it never listened");
            rig.told(News::Up).await;
            assert!(!rig.bluez.world().wedged);
            assert!(rig.link(1).await.is_ok());
            rig.end().await;
        },
    );
}

#[test]
fn a_link_that_an_earlier_run_left_behind_is_taken_down() {
    stage(
        "trouble::a_link_that_an_earlier_run_left_behind_is_taken_down",
        async || {
            let rig = Rig::new(2).await;
            for number in 1..=2 {
                drop(rig.link(number).await.unwrap());
            }
            let connected = |number| rig.bluez.with(address(number), |lock| lock.connected);
            rig.until("both are down", || !connected(1) && !connected(2))
                .await;
            rig.radio.set_ours(BTreeSet::from([address(1)]));
            // A daemon that begins anew finds both linked, and nobody asks for either.
            rig.bluez.world().up = false;
            rig.told(News::Down(Outage::Daemon)).await;
            for number in 1..=2 {
                rig.bluez.with(address(number), |lock| lock.connected = true);
            }
            rig.news.lock().unwrap().clear();
            rig.bluez.world().up = true;
            rig.told(News::Up).await;
            rig.until("ours is down", || !connected(1)).await;
            assert!(connected(2), "somebody else's");
            rig.end().await;
        },
    );
}

#[test]
fn a_lock_that_says_a_word_only_once_is_heard() {
    stage(
        "trouble::a_lock_that_says_a_word_only_once_is_heard",
        async || {
            let rig = Rig::begin(1, |bluez| {
                bluez.with(address(1), |lock| {
                    lock.in_range = false;
                    lock.advertises_every = Duration::from_secs(3600);
                });
            });
            rig.told(News::Up).await;
            rig.bluez.with(address(1), |lock| lock.in_range = true);
            rig.told(News::Heard(address(1))).await;
            rig.end().await;
        },
    );
}
