//! Pairings that go wrong, and leave nothing behind that is of no use, and nothing undone that was.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use serde_json::json;

use super::bluez::Cut;
use super::common::leaks::{Written, base64, hex, leaks};
use super::gateway::{CLASSIC_PIN, Site, ULTRA_PIN, book, failed};
use super::rig::address;
use super::stage;

#[test]
fn an_ultra_is_told_a_security_pin_once_whatever_becomes_of_its_answer() {
    stage(
        "pairing::an_ultra_is_told_a_security_pin_once_whatever_becomes_of_its_answer",
        async || {
            let site = Site::new(2);
            for (pin, wrong_pins, users) in [("111111", 1, 0), (ULTRA_PIN, 1, 1)] {
                // The fourth write tells it.
                site.bluez.with(address(2), |lock| {
                    (lock.cut, lock.spared, lock.lock.pairing) = (Some(Cut::AfterWrite), 3, true);
                });
                let said = failed(&site.say_pair(2, pin));
                assert!(said.contains("the lock's users in the Nuki app"), "{said}");
                let wrong = site.bluez.with(address(2), |lock| lock.lock.wrong_pins);
                assert_eq!((wrong, site.users(2)), (wrong_pins, users));
                assert!(!site.is_paired(2));
            }
            let said = failed(&site.say_pair(2, "111111"));
            assert!(
                said.contains("refuses the security PIN") && said.contains("hold the button"),
                "{said}"
            );
        },
    );
}

#[test]
fn a_lock_that_takes_no_security_pin_for_a_while_is_paired_all_the_same() {
    stage(
        "pairing::a_lock_that_takes_no_security_pin_for_a_while_is_paired_all_the_same",
        async || {
            let site = Site::new(1);
            site.bluez.with(address(1), |lock| {
                (lock.lock.wrong_pins, lock.lock.pairing) = (3, true);
            });
            let said = failed(&site.say_pair(1, CLASSIC_PIN));
            assert!(said.contains("wait half an hour"), "{said}");
            assert_eq!(site.users(1), 1);
            assert!(site.is_paired(1));
            // Nor is it told one until then, whoever asks.
            let writes = site.bluez.with(address(1), |lock| lock.writes);
            let device = device_of(&site, "Lock 1");
            book(&site.rig, &device, "Ada");
            site.until("it is not asked", || site.cause(&device) == "credential_refused");
            let said = failed(&site.say_pair(1, CLASSIC_PIN));
            assert!(said.contains("wait half an hour"), "{said}");
            assert_eq!(site.bluez.with(address(1), |lock| lock.writes), writes);
        },
    );
}

fn device_of(site: &Site, name: &str) -> String {
    let found = site.rig.post("/devices/get", json!({"name": name})).ok();
    found["device"]["device_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_mistyped_security_pin_puts_no_lock_out_of_service() {
    stage(
        "pairing::a_mistyped_security_pin_puts_no_lock_out_of_service",
        async || {
            let site = Site::new(1);
            let device = site.pair(1);
            let said = failed(&site.say_pair(1, "1111"));
            assert!(said.contains("refuses the security PIN"), "{said}");
            book(&site.rig, &device, "Ada");
            site.until("it is served as before", || site.held(1).len() == 1);
            assert_eq!(site.bluez.with(address(1), |lock| lock.lock.wrong_pins), 1);
        },
    );
}

/// Pairs with a lock that does not let itself be linked to until it is the button's turn, so that a key that is known
/// counts as one of before a reset; and does something meanwhile.
fn pair_anew(site: &Site, meanwhile: impl FnOnce()) -> Output {
    site.bluez.with(address(1), |lock| lock.refuses = usize::MAX);
    let pairing = site.begin_to_pair(1, CLASSIC_PIN);
    site.until("the button", || site.has_reached("button"));
    site.bluez.with(address(1), |lock| {
        (lock.refuses, lock.lock.pairing) = (0, true);
    });
    meanwhile();
    let output = pairing.wait_with_output().unwrap();
    site.bluez.with(address(1), |lock| lock.lock.pairing = false);
    output
}

/// Begins to pair with a lock, and kills the gateway once the key is kept and before the lock is told so.
fn kill_before_the_last_word(site: &mut Site) {
    // The fifth write of a pairing tells the lock that its key is kept.
    site.bluez.with(address(1), |lock| lock.stalls_after = Some(4));
    let output = pair_anew(site, || {
        site.until("its key is kept", || site.has_reached("kept"));
        site.rig.signal("KILL");
        // What the daemon had not sent yet is lost.
        site.bluez.world().lose(address(1));
    });
    assert!(!output.status.success());
    site.rig.kill();
    site.bluez.with(address(1), |lock| lock.stalls_after = None);
    site.rig.run();
}

#[test]
fn a_pairing_anew_that_is_killed_before_its_last_word_leaves_the_old_one_in_use() {
    stage(
        "pairing::a_pairing_anew_that_is_killed_before_its_last_word_leaves_the_old_one_in_use",
        async || {
            let mut site = Site::new(1);
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            kill_before_the_last_word(&mut site);
            assert_eq!(site.users(1), 1, "the old one alone");
            book(&site.rig, &device, "Ada");
            site.until("it is served as before", || site.held(1).len() == 1);
            assert_eq!(site.bluez.with(address(1), |lock| lock.lock.wrong_pins), 0);
            // And after another start, without looking for the new key any more.
            site.rig.kill();
            site.rig.run();
            book(&site.rig, &device, "Grace");
            site.until("it is served", || site.held(1).len() == 2);
        },
    );
}

#[test]
fn a_first_pairing_that_is_killed_before_its_last_word_can_be_made_again() {
    stage(
        "pairing::a_first_pairing_that_is_killed_before_its_last_word_can_be_made_again",
        async || {
            let mut site = Site::new(1);
            kill_before_the_last_word(&mut site);
            assert_eq!(site.users(1), 0);
            let device = device_of(&site, "Lock 1");
            let output = pair_anew(&site, || {});
            assert!(output.status.success(), "{output:?}");
            assert_eq!(site.users(1), 1);
            book(&site.rig, &device, "Ada");
            site.until("it is served", || site.held(1).len() == 1);
        },
    );
}

#[test]
fn what_waits_for_a_lock_does_not_keep_it_from_being_paired_anew() {
    stage(
        "pairing::what_waits_for_a_lock_does_not_keep_it_from_being_paired_anew",
        async || {
            let site = Site::new(1);
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            // It was reset, and is asked for all that it held and is to hold.
            site.bluez.with(address(1), |lock| lock.lock.users.clear());
            let output = pair_anew(&site, || {
                book(&site.rig, &device, "Ada");
                // As long as its ring stays lit.
                site.within(Duration::from_secs(30), "it is paired", || site.users(1) == 1);
            });
            assert!(output.status.success(), "{output:?}\n{}", site.rig.log());
            site.until("it is served", || site.held(1).len() == 1);
            assert_eq!(site.users(1), 1);
        },
    );
}

#[test]
fn a_lock_that_is_forgotten_in_the_middle_of_an_exchange_stays_forgotten() {
    stage(
        "pairing::a_lock_that_is_forgotten_in_the_middle_of_an_exchange_stays_forgotten",
        async || {
            let mut site = Site::new(1);
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            let linked = |site: &Site| site.bluez.with(address(1), |lock| lock.connected);
            site.until("it is left in peace", || !linked(&site));
            // It lets itself be read, and refuses what comes then.
            site.bluez.with(address(1), |lock| {
                lock.lock.forgets_pin_after = Some(lock.lock.done.len() + 1);
                lock.slow = Duration::from_secs(1);
            });
            let writes = |site: &Site| site.bluez.with(address(1), |lock| lock.writes);
            let before = writes(&site);
            book(&site.rig, &device, "Ada");
            // One that still waits for its link would be given up.
            site.until("it is asked", || writes(&site) > before);
            // Longer than anybody waits for an exchange to end before a lock is forgotten.
            site.bluez
                .with(address(1), |lock| lock.slow = Duration::from_secs(8));
            site.rig.told(&["unpair", "Lock 1", "--force"]);
            assert_eq!(site.bluez.with(address(1), |lock| lock.lock.wrong_pins), 0);
            site.until("it has refused", || {
                !linked(&site) && site.bluez.with(address(1), |lock| lock.lock.wrong_pins) == 1
            });
            site.rig.kill();
            site.rig.run();
            site.until("it is heard", || {
                site.rig.told(&["scan", "--once"]).contains("Nuki_72000001")
            });
            assert!(!site.is_paired(1));
        },
    );
}

#[test]
fn a_lock_in_reach_deletes_us_when_it_is_forgotten() {
    stage(
        "pairing::a_lock_in_reach_deletes_us_when_it_is_forgotten",
        async || {
            let site = Site::new(2);
            for number in 1..=2 {
                let device = site.pair(number);
                site.until("it was read", || site.cause(&device) == "at_rest");
                let told = site.rig.told(&["unpair", &format!("Lock {number}")]);
                assert!(told.contains("deleted this gateway from its users"), "{told}");
                assert!(site.users(number) == 0 && !site.is_paired(number));
            }
            // Its answer is lost: nobody knows, and that is said.
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            site.until("it is left in peace", || {
                !site.bluez.with(address(1), |lock| lock.connected)
            });
            site.bluez.with(address(1), |lock| {
                (lock.cut, lock.spared) = (Some(Cut::AfterWrite), 1);
            });
            let told = site.rig.told(&["unpair", "Lock 1"]);
            assert!(
                told.contains("did not answer") && told.contains("\"lockbridge gw1\""),
                "{told}"
            );
            assert!(site.users(1) == 0 && !site.is_paired(1));
            // It is away.
            let device = site.pair(2);
            site.until("it was read", || site.cause(&device) == "at_rest");
            site.bluez.world().lose(address(2));
            site.bluez.with(address(2), |lock| lock.in_range = false);
            let unpairing = site.begin_to_unpair("Lock 2");
            // Nobody could take off what it would be given meanwhile.
            site.until("it takes no more", || site.cause(&device) == "device_removed");
            let refused = site
                .rig
                .post("/access_codes/create", json!({"device_id": device}));
            assert_eq!(
                refused.body["error"]["type"], "device_removed",
                "{}",
                refused.body
            );
            let busy = failed(&site.rig.command(&["unpair", "Lock 2"]));
            assert!(busy.contains("another pairing, test or unpairing"), "{busy}");
            let told = unpairing.wait_with_output().unwrap().stdout;
            let told = String::from_utf8(told).unwrap();
            assert!(
                told.contains("could not be asked") && told.contains("\"lockbridge gw1\""),
                "{told}"
            );
            assert!(site.users(2) == 1 && !site.is_paired(2));
        },
    );
}

#[test]
fn a_lock_that_takes_no_security_pin_when_it_is_forgotten_is_told_none_for_a_while() {
    stage(
        "pairing::a_lock_that_takes_no_security_pin_when_it_is_forgotten_is_told_none_for_a_while",
        async || {
            let site = Site::new(1);
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            site.bluez.with(address(1), |lock| lock.lock.wrong_pins = 3);
            let told = site.rig.told(&["unpair", "Lock 1"]);
            assert!(told.contains("without a security PIN that it accepts"), "{told}");
            let writes = site.bluez.with(address(1), |lock| lock.writes);
            let said = failed(&site.say_pair(1, CLASSIC_PIN));
            assert!(said.contains("wait half an hour"), "{said}");
            assert_eq!(site.bluez.with(address(1), |lock| lock.writes), writes);
        },
    );
}

#[test]
fn a_lock_that_may_know_us_twice_is_not_said_to_have_forgotten_us() {
    stage(
        "pairing::a_lock_that_may_know_us_twice_is_not_said_to_have_forgotten_us",
        async || {
            let mut site = Site::new(1);
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            // Its key seems to be of no use, and is.
            let output = pair_anew(&site, || {});
            assert!(output.status.success() && site.users(1) == 2, "{output:?}");
            site.rig.kill();
            site.rig.run();
            site.until("it was read", || site.cause(&device) == "at_rest");
            let told = site.rig.told(&["unpair", "Lock 1"]);
            assert!(
                told.contains("from an earlier pairing") && told.contains("\"lockbridge gw1\""),
                "{told}"
            );
            assert_eq!(site.users(1), 1);
        },
    );
}

#[test]
fn no_pairing_that_goes_wrong_tells_a_secret() {
    stage("pairing::no_pairing_that_goes_wrong_tells_a_secret", async || {
        let site = Site::new(2);
        let mut written = Written::new();
        let mut secrets: BTreeSet<String> = [CLASSIC_PIN, ULTRA_PIN, "0666", "066600"]
            .map(str::to_owned)
            .into();
        let cut = |number: u8, cut, spared| {
            site.bluez.with(address(number), |lock| {
                (lock.cut, lock.spared, lock.lock.pairing) = (cut, spared, true);
            });
        };
        // Refused, by one that knows us and by one that does not; cut before and after the last word; done.
        for (number, pin, at) in [
            (1, "0666", None),
            (2, "066600", None),
            (2, ULTRA_PIN, Some((Cut::AfterWrite, 3))),
            (1, CLASSIC_PIN, Some((Cut::BeforeWrite, 1))),
            (2, ULTRA_PIN, Some((Cut::BeforeWrite, 3))),
            (1, CLASSIC_PIN, None),
            (2, ULTRA_PIN, None),
        ] {
            cut(number, at.map(|(cut, _)| cut), at.map_or(0, |(_, spared)| spared));
            let output = site.say_pair(number, pin);
            written.push((format!("what pairing {number} said"), output.stdout));
            written.push((format!("how pairing {number} failed"), output.stderr));
            let errand = site.rig.get("/lockbridge/v1/bluetooth/errand").body;
            written.push((format!("the errand at {number}"), errand.to_string().into()));
        }
        assert!(site.is_paired(1) && site.is_paired(2));
        for number in 1..=2 {
            for user in site
                .bluez
                .with(address(number), |lock| lock.lock.users.clone())
                .values()
            {
                let list = format!("{:?}", user.key);
                secrets.extend([
                    hex(&user.key),
                    base64(&user.key),
                    list[1..list.len() - 1].to_owned(),
                ]);
            }
        }
        for path in ["/lockbridge/v1/bluetooth", "/devices/list", "/readyz"] {
            written.push((path.to_owned(), site.rig.get(path).body.to_string().into()));
        }
        let events = site
            .rig
            .post("/events/list", json!({"since": "2000-01-01T00:00:00Z"}));
        written.push(("the events".to_owned(), events.ok().to_string().into()));
        written.push(("the log".to_owned(), site.rig.log().into()));
        assert_eq!(leaks(&written, &secrets), Vec::<String>::new());
    });
}
