//! Many locks, few links, and what goes wrong on the way: cut links, locks that come and go, a daemon that restarts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::bluez::{Bluez, Cut};
use super::gateway::{Site, at, now, rest};
use super::rig::address;
use super::stage;

/// For all of it to come right, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(900);

/// The long form is wanted.
pub fn full() -> bool {
    std::env::var_os("LOCKBRIDGE_FULL").is_some()
}

/// What each lock is to hold: digits and window.
type Wanted = BTreeMap<u8, Vec<(String, Option<(i64, i64)>)>>;

/// A site whose locks are all paired, with their device ids.
fn paired(locks: u8) -> (Site, BTreeMap<u8, String>) {
    let site = Site::new(locks);
    for device in site.bluez.world().devices.values_mut() {
        device.lock.pairing = true;
    }
    let ids = (1..=locks).map(|number| (number, site.pair(number))).collect();
    (site, ids)
}

fn comes_right(site: &Site, what: &str, wanted: &Wanted) {
    let right = |number: u8| {
        let mut held = site.held(number);
        held.sort();
        held == wanted[&number]
    };
    site.within(PATIENCE, what, || wanted.keys().all(|number| right(*number)));
}

/// What one wish for the whole group comes to while each door's link is cut once: how many cuts struck.
fn cut_once(site: &Site, ids: &BTreeMap<u8, String>, spared: usize, wish: impl FnOnce() -> Wanted) -> usize {
    for number in ids.keys() {
        // Of two classic locks and two Ultras one each is cut before the write has an effect, and one after.
        let cut = match number {
            1 | 2 => Cut::BeforeWrite,
            _ => Cut::AfterWrite,
        };
        site.bluez.with(address(*number), |lock| {
            (lock.cut, lock.spared) = (Some(cut), spared);
        });
    }
    let wanted = wish();
    let right = || {
        ids.keys().all(|number| {
            let held = site.held(*number);
            assert!(held.len() <= 1, "more than one code on a door: {held:?}");
            held == wanted[number]
        })
    };
    site.within(PATIENCE, "one code per door", right);
    site.within(PATIENCE, "nothing waits", || {
        site.rig.get("/readyz").ok()["commands_waiting"] == 0
    });
    let doors = site.bluez.world();
    doors.devices.values().filter(|door| door.cut.is_none()).count()
}

#[test]
fn a_link_may_be_cut_at_every_write_of_a_group() {
    stage("storm::a_link_may_be_cut_at_every_write_of_a_group", async || {
        let (site, ids) = paired(4);
        let began = now();
        let all: Vec<&String> = ids.values().collect();
        let on_all = |entry: Option<(&str, (i64, i64))>| -> Wanted {
            let row: Vec<_> = entry
                .map(|(pin, window)| (pin.to_owned(), Some(window)))
                .into_iter()
                .collect();
            ids.keys().map(|number| (*number, row.clone())).collect()
        };
        let mut cuts = 0;
        // The writes of a visit are cut one by one, until there is none so late.
        let mut spared = 0;
        let struck = loop {
            let (starts, ends) = (at(3600), at(7200));
            let mut codes = Vec::new();
            let set = cut_once(&site, &ids, spared, || {
                let stay =
                    json!({"device_ids": all, "name": "Ada", "starts_at": starts.1, "ends_at": ends.1});
                let mut made = site.rig.post("/access_codes/create_multiple", stay).ok();
                codes = std::mem::take(made["access_codes"].as_array_mut().unwrap());
                on_all(Some((codes[0]["code"].as_str().unwrap(), (starts.0, ends.0))))
            });
            let (pin, key) = (codes[0]["code"].as_str().unwrap(), &codes[0]["common_code_key"]);
            let (starts, ends) = (at(5400), at(9000));
            let moved = cut_once(&site, &ids, spared, || {
                let moved = json!({"common_code_key": key, "starts_at": starts.1, "ends_at": ends.1});
                site.rig.post("/access_codes/update_multiple", moved).ok();
                on_all(Some((pin, (starts.0, ends.0))))
            });
            let gone = cut_once(&site, &ids, spared, || {
                for code in &codes {
                    let which = json!({"access_code_id": code["access_code_id"]});
                    site.rig.post("/access_codes/delete", which).ok();
                }
                on_all(None)
            });
            let struck = [set, moved, gone];
            println!(
                "cut at write {} of a visit: {struck:?} doors, setting, moving, removing; {:?}",
                spared + 1,
                now() - began
            );
            cuts += struck.iter().sum::<usize>();
            spared += if full() { 1 } else { 3 };
            if struck == [0; 3] || !full() && spared > 6 {
                break struck;
            }
        };
        println!("{cuts} cuts struck");
        if full() {
            assert_eq!(struck, [0; 3], "there is a later write");
        }
        // A look, a change, a look again: each a challenge and what is asked, on every door.
        assert!(cuts >= if full() { 3 * 6 * 4 } else { 3 * 2 * 4 }, "{cuts}");
    });
}

/// What happens to a house while it is worked in: locks come and go, and the daemon restarts so often.
fn trouble(bluez: &Bluez, locks: u8, restarts: usize, over: &AtomicBool) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut restarted = 0;
    let mut round = 0;
    while !over.load(Ordering::Relaxed) || restarted < restarts {
        round += 1;
        let number = address(rng.random_range(1..=locks));
        let stays = rng.random_bool(0.7);
        if !stays {
            bluez.world().lose(number);
        }
        bluez.with(number, |lock| lock.in_range = stays);
        if round % 40 == 0 && restarted < restarts {
            restarted += 1;
            bluez.world().up = false;
            pause(Duration::from_millis(500));
            bluez.world().up = true;
        }
        pause(Duration::from_millis(100));
    }
    for device in bluez.world().devices.values_mut() {
        device.in_range = true;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the world's own pace, which nobody waits for"
)]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

fn open_files(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// Sessions with the daemon that live: each has a thread of its own.
fn sessions(process: u32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "bluetooth").count()
}

#[test]
fn many_locks_over_few_links_come_right_whatever_happens() {
    stage(
        "storm::many_locks_over_few_links_come_right_whatever_happens",
        async || {
            let (locks, jobs, restarts) = if full() { (40, 200, 5) } else { (6, 18, 1) };
            let (site, ids) = paired(locks);
            let rig = &site.rig;
            let book = |number: u8, nth: i64| -> Value {
                let (starts, ends) = (at(3600 + nth), at(7200 + nth));
                let stay = json!({"device_id": ids[&number], "starts_at": starts.1, "ends_at": ends.1});
                let mut code = rig.post("/access_codes/create", stay).ok()["access_code"].take();
                code["window"] = json!([starts.0, ends.0]);
                code
            };
            let row = |code: &Value| {
                let window = (
                    code["window"][0].as_i64().unwrap(),
                    code["window"][1].as_i64().unwrap(),
                );
                (code["code"].as_str().unwrap().to_owned(), Some(window))
            };
            // One lock alone, for comparison.
            let began = now();
            let mut wanted: Wanted = ids.keys().map(|number| (*number, Vec::new())).collect();
            wanted.get_mut(&1).unwrap().push(row(&book(1, 0)));
            comes_right(&site, "one lock alone", &wanted);
            let alone = now() - began;
            let (files, rules) = (open_files(rig.pid()), site.bus.match_rules());

            let over = AtomicBool::new(false);
            let began = now();
            #[expect(clippy::disallowed_methods, reason = "the world goes on beside")]
            std::thread::scope(|scope| {
                scope.spawn(|| trouble(&site.bluez, locks, restarts, &over));
                for nth in 1..=jobs {
                    let number = u8::try_from(nth % i64::from(locks)).unwrap() + 1;
                    let code = book(number, nth);
                    wanted.get_mut(&number).unwrap().push(row(&code));
                    for _ in 0..5 {
                        rest();
                    }
                }
                over.store(true, Ordering::Relaxed);
            });
            let calm = now();
            wanted.values_mut().for_each(|rows| rows.sort());
            comes_right(&site, "every lock holds what it is to hold", &wanted);
            println!(
                "{jobs} jobs on {locks} locks over 3 links, {restarts} restarts: {:?} in all, of which {:?} to book them \
                 amid the trouble and {:?} after it; one lock alone {alone:?}, so {:?} at best for a visit each",
                now() - began,
                calm - began,
                now() - calm,
                alone * u32::from(locks) / 3,
            );

            // Nobody is deaf: each is asked once more, in peace.
            let began = now();
            for number in ids.keys() {
                let code = book(*number, 1000);
                wanted.get_mut(number).unwrap().push(row(&code));
            }
            wanted.values_mut().for_each(|rows| rows.sort());
            comes_right(&site, "one more for each", &wanted);
            println!("one more for each in peace: {:?}", now() - began);
            let linked = || {
                let world = site.bluez.world();
                world.devices.values().filter(|device| device.connected).count()
            };
            site.within(PATIENCE, "all are left in peace", || linked() == 0);
            let (files_now, rules_now) = (open_files(rig.pid()), site.bus.match_rules());
            let (sessions, links) = (sessions(rig.pid()), site.bluez.world().most_links);
            println!(
                "files {files} -> {files_now}, rules of the bus {rules} -> {rules_now}, sessions {sessions}, at most \
                 {links} links at once"
            );
            assert!(sessions == 1 && links <= 3);
            // Fewer than there were links since the last restart: one that is left behind by each would show.
            assert!(files_now <= files + 4, "files");
            assert!(rules_now <= rules + 8, "rules of the bus");
        },
    );
}
