//! The real program over two Nuki locks and a simulated one: paired, booked, moved, ended.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lockbridge::api::time;
use lockbridge::model::Timestamp;
use serde_json::{Value, json};

use super::bluez::{Bluez, Cut};
use super::broker::Broker;
use super::bus::Bus;
use super::common::{BACK, Rig, device};
use super::lock::{Kind, SimLock};
use super::rig::{DEADLINE, address};
use super::stage;

/// Security PINs that turn up nowhere by chance: no number of a process or a port begins with a zero.
pub const CLASSIC_PIN: &str = "0739";
pub const ULTRA_PIN: &str = "091827";

/// A gateway with Bluetooth, and what it can hear.
pub struct Site {
    pub rig: Rig,
    pub bluez: Bluez,
    pub bus: Bus,
}

impl Site {
    /// Locks that nobody is paired with: the first is a classic one, the second an Ultra, and so on.
    pub fn new(locks: u8) -> Site {
        Site::with(locks, "")
    }

    /// The same with more in its configuration.
    pub fn with(locks: u8, more: &str) -> Site {
        let bus = Bus::start();
        let bluez = Bluez::start((1..=locks).map(|number| {
            let kind = kind(number);
            let mut lock = SimLock::new(kind, number.into());
            lock.security_pin = security_pin(kind).parse().unwrap();
            (address(number), lock)
        }));
        let mut rig = Rig::new(&[ble(), more.to_owned(), device(BACK, "Back door", "slots", "")]);
        rig.verbose = true;
        rig.run();
        Site { rig, bluez, bus }
    }

    /// Pairs with a lock.
    pub fn pair(&self, number: u8) -> String {
        let output = self.pair_with(number, security_pin(kind(number)));
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success(), "{output:?}\n{}", self.rig.log());
        assert!(told.contains("Hold the lock's button"), "{told}");
        let id = told.trim_end().rsplit(' ').next().unwrap();
        id.to_owned()
    }

    /// Tries to pair with a lock whose button is held once the gateway has asked it in vain.
    pub fn pair_with(&self, number: u8, pin: &str) -> Output {
        let bluez = &self.bluez;
        let before = bluez.with(address(number), |lock| lock.connects);
        #[expect(clippy::disallowed_methods, reason = "somebody else's hand")]
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                let until = now() + DEADLINE;
                while now() < until && bluez.with(address(number), |lock| lock.connects) == before {
                    rest();
                }
                bluez.with(address(number), |lock| lock.lock.pairing = true);
            });
            self.say_pair(number, pin)
        });
        bluez.with(address(number), |lock| lock.lock.pairing = false);
        output
    }

    pub fn say_pair(&self, number: u8, pin: &str) -> Output {
        self.begin_to_pair(number, pin).wait_with_output().unwrap()
    }

    /// Says the command, and does not wait for its end.
    pub fn begin_to_pair(&self, number: u8, pin: &str) -> Child {
        let (at, name) = (address(number).to_string(), format!("Lock {number}"));
        let mut pairing = self.begin(&["pair", "nuki", &at, "--name", &name]);
        writeln!(pairing.stdin.take().unwrap(), "{pin}").unwrap();
        pairing
    }

    /// The same for a lock that is to be forgotten.
    pub fn begin_to_unpair(&self, name: &str) -> Child {
        self.begin(&["unpair", name])
    }

    fn begin(&self, command: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_lockbridge"))
            .arg("--config")
            .arg(self.rig.config())
            .args(command)
            .env_remove("RUNTIME_DIRECTORY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[track_caller]
    pub fn until(&self, what: &str, so: impl FnMut() -> bool) {
        self.within(DEADLINE, what, so);
    }

    #[track_caller]
    pub fn within(&self, patience: Duration, what: &str, mut so: impl FnMut() -> bool) {
        let until = now() + patience;
        while !so() {
            assert!(now() < until, "{what}: never\n{}", self.rig.log());
            rest();
        }
    }

    /// What a lock holds: digits, and from when until when they open, in milliseconds since 1970.
    pub fn held(&self, number: u8) -> Vec<(String, Option<(i64, i64)>)> {
        self.bluez.with(address(number), |lock| {
            let codes = lock.lock.codes.iter();
            codes
                .map(|code| (code.digits.to_string(), code.window_ms()))
                .collect()
        })
    }

    /// Why a device waits, in a word.
    pub fn cause(&self, device: &str) -> String {
        self.why(device)["cause"].as_str().unwrap().to_owned()
    }

    fn why(&self, device: &str) -> Value {
        let path = format!("/lockbridge/v1/devices/{device}/why");
        self.rig.get(&path).ok()["why"].take()
    }

    /// How often an event of a kind was told of a device.
    pub fn events(&self, kind: &str, device: &str) -> usize {
        let asked = json!({"since": "2000-01-01T00:00:00Z", "event_type": kind, "device_id": device});
        let listed = self.rig.post("/events/list", asked).ok();
        listed["events"].as_array().unwrap().len()
    }

    /// Nobody says that these locks are out of reach.
    #[track_caller]
    pub fn blames_nobody(&self, devices: &[&str]) {
        for device in devices {
            let blamed = self.events("device.disconnected", device);
            assert_eq!(blamed, 0, "{device}:\n{}", self.rig.log());
        }
    }

    pub fn users(&self, number: u8) -> usize {
        self.bluez.with(address(number), |lock| lock.lock.users.len())
    }

    /// Whether the pairing or test under way has come so far.
    pub fn has_reached(&self, step: &str) -> bool {
        let errand = self.rig.get("/lockbridge/v1/bluetooth/errand").body["errand"].take();
        let steps = errand["steps"].as_array().cloned().unwrap_or_default();
        errand["state"] == "running" && steps.iter().any(|said| said["step"] == step)
    }

    pub fn is_paired(&self, number: u8) -> bool {
        let heard = self.rig.get("/lockbridge/v1/bluetooth").ok();
        let heard = heard["bluetooth"]["heard"].as_array().unwrap();
        let address = address(number).to_string();
        heard
            .iter()
            .any(|one| one["address"] == address.as_str() && !one["device_id"].is_null())
    }
}

/// What a command that failed said.
pub fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn ble() -> String {
    "[ble]\nadapter = \"hci0\"\nlinks = 3\n\n[clock]\nsource = \"system\"\n".to_owned()
}

pub fn kind(number: u8) -> Kind {
    match number % 2 {
        1 => Kind::Classic,
        _ => Kind::Ultra,
    }
}

pub fn security_pin(kind: Kind) -> &'static str {
    match kind {
        Kind::Classic => CLASSIC_PIN,
        Kind::Ultra => ULTRA_PIN,
    }
}

#[expect(clippy::disallowed_methods, reason = "a deadline of the test's own")]
pub fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a condition")]
pub fn rest() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Whole seconds from now, in milliseconds since 1970, and as callers write it.
#[expect(clippy::disallowed_methods, reason = "what a caller's clock shows")]
pub fn at(seconds_from_now: i64) -> (i64, String) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let second = i64::try_from(since.unwrap().as_secs()).unwrap() + seconds_from_now;
    (second * 1000, time::text(Timestamp(second * 1000)).unwrap())
}

#[test]
fn a_dashboard_shows_how_well_a_lock_is_heard() {
    stage(
        "gateway::a_dashboard_shows_how_well_a_lock_is_heard",
        async || {
            let broker = Broker::start("");
            let mut ear = broker.listen("lockbridge/#");
            let site = Site::with(
                1,
                &format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port),
            );
            let lock = site.pair(1);
            let shown = ear.find(|heard| {
                heard.topic.ends_with(&format!("/device/{lock}/state")) && heard.json()["rssi"] == -60
            });
            let shown = shown.json();
            assert!(
                time::parse(shown["last_heard"].as_str().unwrap()).is_ok(),
                "{shown}"
            );
        },
    );
}

#[test]
fn a_stay_on_two_nuki_locks_and_a_simulated_one() {
    stage(
        "gateway::a_stay_on_two_nuki_locks_and_a_simulated_one",
        async || {
            let site = Site::new(2);
            let rig = &site.rig;
            site.until("both are heard", || {
                let told = rig.told(&["scan", "--once"]);
                (1..=2).all(|number| told.contains(&address(number).to_string()))
            });
            assert!(rig.told(&["scan", "--once"]).contains("Nuki_72000001"));
            let nukis = [site.pair(1), site.pair(2)];
            let scanned = rig.told(&["scan", "--once"]);
            assert!(nukis.iter().all(|id| scanned.contains(id)), "{scanned}");
            for number in 1..=2 {
                let users = site.bluez.with(address(number), |lock| lock.lock.users.clone());
                let names: Vec<&str> = users.values().map(|user| user.name.as_str()).collect();
                assert_eq!(names, ["lockbridge gw1"]);
            }

            let tested = rig.told(&["locks", "test", "Lock 1"]);
            assert!(tested.contains("taken off again"), "{tested}");
            assert_eq!(site.held(1), []);

            let all = [nukis[0].as_str(), &nukis[1], BACK];
            let (starts, ends) = (at(3600), at(7200));
            let made = rig
                .post(
                    "/access_codes/create_multiple",
                    json!({"device_ids": all, "name": "Ada", "starts_at": starts.1, "ends_at": ends.1}),
                )
                .ok();
            let codes = made["access_codes"].as_array().unwrap();
            let pin = codes[0]["code"].as_str().unwrap().to_owned();
            let key = codes[0]["common_code_key"].as_str().unwrap().to_owned();
            assert_eq!(codes.len(), 3);
            assert!(codes.iter().all(|code| code["code"] == pin.as_str()));
            let on_both =
                |window: (i64, i64)| (1..=2).all(|number| site.held(number) == [(pin.clone(), Some(window))]);
            site.until("both hold it, to the second", || on_both((starts.0, ends.0)));

            let (starts, ends) = (at(1800), at(9000));
            let moved = json!({"common_code_key": key, "starts_at": starts.1, "ends_at": ends.1});
            rig.post("/access_codes/update_multiple", moved).ok();
            site.until("both were moved", || on_both((starts.0, ends.0)));

            // It begins at once and is over soon.
            let (starts, ends) = (at(-60), at(6));
            let soon = json!({"common_code_key": key, "starts_at": starts.1, "ends_at": ends.1});
            rig.post("/access_codes/update_multiple", soon).ok();
            site.until("all three hold it", || {
                on_both((starts.0, ends.0)) && rig.pins_on(BACK) == [pin.as_str()]
            });
            site.until("it is gone everywhere", || {
                (1..=2).all(|number| site.held(number).is_empty()) && rig.pins_on(BACK).is_empty()
            });
            for number in 1..=2 {
                let (clock, world) = site
                    .bluez
                    .with(address(number), |lock| (lock.lock.clock_ms(), at(0).0));
                assert!(
                    (clock - world).abs() < 60_000,
                    "the lock's clock was set: {clock} {world}"
                );
            }

            let log = rig.log();
            let keys = (1..=2).map(|number| {
                site.bluez.with(address(number), |lock| {
                    let user = lock.lock.users.values().next().unwrap();
                    (
                        format!("{:?}", user.key),
                        user.key.map(|byte| format!("{byte:02x}")).concat(),
                    )
                })
            });
            for (list, hex) in keys {
                assert!(!log.contains(&list[1..list.len() - 1]) && !log.to_lowercase().contains(&hex));
            }
            // Fractions of a second may look like anything.
            let untimed = log
                .lines()
                .map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest));
            let numbers: BTreeSet<&str> = untimed
                .flat_map(|line| line.split(|c: char| !c.is_ascii_digit()))
                .collect();
            for secret in [pin.as_str(), CLASSIC_PIN, ULTRA_PIN] {
                assert!(!numbers.contains(secret), "a secret stands in the log");
            }
        },
    );
}

/// A code on one device that opens in an hour.
pub fn book(rig: &Rig, device: &str, guest: &str) -> Value {
    let stay = json!({"device_id": device, "name": guest, "starts_at": at(3600).1, "ends_at": at(7200).1});
    rig.post("/access_codes/create", stay).ok()["access_code"].take()
}

#[test]
fn a_wrong_security_pin_is_tried_once_and_the_right_one_needs_no_button() {
    stage(
        "gateway::a_wrong_security_pin_is_tried_once_and_the_right_one_needs_no_button",
        async || {
            let mut site = Site::new(1);
            let output = site.pair_with(1, "1111");
            assert_eq!(output.status.code(), Some(1));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("refuses the security PIN"), "{said}");
            let wrong = |site: &Site| site.bluez.with(address(1), |lock| lock.lock.wrong_pins);
            assert_eq!(wrong(&site), 1);
            let found = site.rig.post("/devices/get", json!({"name": "Lock 1"})).ok();
            let device = found["device"]["device_id"].as_str().unwrap().to_owned();
            book(&site.rig, &device, "Grace");
            for _ in 0..2 {
                site.until("it is not asked", || site.cause(&device) == "credential_refused");
                assert_eq!(wrong(&site), 1, "each wrong try brings a lockout nearer");
                site.rig.kill();
                site.rig.run();
            }
            let again = site.say_pair(1, CLASSIC_PIN);
            let told = String::from_utf8(again.stdout).unwrap();
            assert!(again.status.success() && !told.contains("button"), "{told}");
            site.until("it is asked again", || site.held(1).len() == 1);
            assert_eq!(site.bluez.with(address(1), |lock| lock.lock.users.len()), 1);
            assert_eq!(wrong(&site), 1);

            // Somebody changes it in the app: that is found out once, and remembered.
            site.bluez.with(address(1), |lock| lock.lock.security_pin = 2468);
            book(&site.rig, &device, "Mary");
            for _ in 0..2 {
                site.until("it is asked no more", || {
                    site.cause(&device) == "credential_refused"
                });
                let said = failed(&site.rig.command(&["locks", "test", "Lock 1"]));
                assert!(said.contains("does not accept"), "{said}");
                assert_eq!(wrong(&site), 2, "it is tried once, and after no start again");
                site.rig.kill();
                site.rig.run();
            }

            let refused = site.rig.command(&["unpair", "Lock 1"]);
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(
                said.contains("2 access codes of this device are not over"),
                "{said}"
            );
            site.until("it is still paired", || site.is_paired(1));
            site.rig.told(&["unpair", "Lock 1", "--force"]);
            assert!(!site.is_paired(1));
            site.rig.kill();
            site.rig.run();
            site.until("it is heard", || {
                site.rig.told(&["scan", "--once"]).contains("Nuki_72000001")
            });
            assert!(!site.is_paired(1));
            assert_eq!(site.cause(&device), "device_removed");
        },
    );
}

#[test]
fn who_opened_is_told_when_the_lock_is_asked_something_anyway() {
    stage(
        "gateway::who_opened_is_told_when_the_lock_is_asked_something_anyway",
        async || {
            let mut site = Site::new(2);
            // Before our time: somebody with a code of the app.
            let stranger = 333_444;
            for number in 1..=2 {
                site.bluez.with(address(number), |lock| {
                    lock.lock.add(1, stranger);
                    assert!(lock.lock.keypad(stranger));
                });
            }
            for number in 1..=2 {
                let device = site.pair(number);
                site.until("it was read", || site.cause(&device) == "at_rest");
                let stay =
                    |from: i64| json!({"device_id": device, "starts_at": at(from).1, "ends_at": at(7200).1});
                let book =
                    |from| site.rig.post("/access_codes/create", stay(from)).ok()["access_code"].take();
                let (ada, grace) = (book(-60), book(-60));
                site.until("both are set", || site.held(number).len() == 3);
                let in_peace = || {
                    site.cause(&device) == "at_rest"
                        && !site.bluez.with(address(number), |lock| lock.connected)
                };
                site.until("it is left in peace", in_peace);
                assert_eq!(
                    opened(&site, &device),
                    [] as [Value; 0],
                    "nothing is told of before our time"
                );

                // Ada's code and the app's open; then Ada's is taken off, and comes back as Mary's.
                let (connects, then) = site.bluez.with(address(number), |lock| {
                    // A lock's clock need not be right to the second.
                    lock.lock.clock_off_ms += at(-20).0 - lock.lock.clock_ms();
                    assert!(lock.lock.keypad(digits(&ada)) && lock.lock.keypad(stranger));
                    (lock.connects, lock.lock.clock_ms())
                });
                let which = json!({"access_code_id": ada["access_code_id"]});
                site.rig.post("/access_codes/delete", which).ok();
                site.until("it is taken off", || site.held(number).len() == 2 && in_peace());
                let told = opened(&site, &device);
                assert_eq!(told.len(), 2, "{told:?}");
                assert_eq!(told[0]["access_code_id"], ada["access_code_id"]);
                assert!(!told[1]["access_code_id"].is_null(), "in its place on the lock");
                for event in &told {
                    assert_eq!(
                        (&event["method"], &event["event_type"]),
                        (&json!("keycode"), &json!("lock.unlocked"))
                    );
                    assert_eq!(
                        event["occurred_at"],
                        time::text(Timestamp(then).floor_second()).unwrap()
                    );
                    assert!(event["occurred_at"].as_str() < event["created_at"].as_str());
                    assert!(event["code"].is_null());
                }
                let visits = site.bluez.with(address(number), |lock| lock.connects) - connects;
                assert_eq!(visits, 1, "no visit of its own");
                assert!(
                    site.bluez
                        .with(address(number), |lock| lock.lock.keypad(digits(&grace)))
                );
                book(3600);
                site.until("it is asked again", || site.held(number).len() == 3 && in_peace());
                let told = opened(&site, &device);
                assert_eq!(
                    (told.len(), &told[2]["access_code_id"]),
                    (3, &grace["access_code_id"])
                );
            }
            // Nor is anything told a second time.
            let before = [1, 2].map(|number| logs(&site, number));
            site.rig.kill();
            site.rig.run();
            for (number, before) in (1..=2).zip(before) {
                let found = site
                    .rig
                    .post("/devices/get", json!({"name": format!("Lock {number}")}))
                    .ok();
                let device = found["device"]["device_id"].as_str().unwrap();
                site.until("its logbook was read", || {
                    logs(&site, number) > before && site.cause(device) == "at_rest"
                });
                assert_eq!(opened(&site, device).len(), 3);
            }
        },
    );
}

/// The command that reads a logbook.
const LOG: u16 = 0x31;

/// How often a lock's logbook was read.
fn logs(site: &Site, number: u8) -> usize {
    site.bluez.with(address(number), |lock| {
        let done = lock.lock.done.iter();
        done.filter(|command| **command == LOG).count()
    })
}

/// Who opened, oldest first.
fn opened(site: &Site, device: &str) -> Vec<Value> {
    let asked = json!({"since": "2000-01-01T00:00:00Z", "event_type": "lock.unlocked", "device_id": device});
    site.rig.post("/events/list", asked).ok()["events"]
        .as_array()
        .unwrap()
        .clone()
}

fn digits(code: &Value) -> u32 {
    code["code"].as_str().unwrap().parse().unwrap()
}

#[test]
fn the_last_word_of_a_pairing_may_be_lost() {
    stage("gateway::the_last_word_of_a_pairing_may_be_lost", async || {
        let site = Site::new(1);
        let users = || site.bluez.with(address(1), |lock| lock.lock.users.len());
        // The fifth write of a pairing tells the lock that its key is kept.
        let cut = |cut| {
            site.bluez.with(address(1), |lock| {
                (lock.cut, lock.spared, lock.lock.pairing) = (Some(cut), 4, true);
            });
        };
        cut(Cut::BeforeWrite);
        let output = site.say_pair(1, CLASSIC_PIN);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("the last word of the pairing was lost"), "{said}");
        assert!(!site.is_paired(1), "what is of no use is not kept");
        assert_eq!(users(), 0);
        cut(Cut::AfterWrite);
        assert!(site.say_pair(1, CLASSIC_PIN).status.success());
        assert!(site.is_paired(1));
        assert_eq!(users(), 1, "one pairing, although nobody heard the lock's yes");
    });
}

#[test]
fn an_export_carries_the_pairings_along() {
    stage("gateway::an_export_carries_the_pairings_along", async || {
        let mut site = Site::new(2);
        let key = site.rig.told(&["init"]);
        let device = site.pair(2);
        let export = site.rig.told(&["export"]);
        let export = export.split(": ").next().unwrap().trim().to_owned();
        site.rig.kill();
        let bytes = std::fs::read(&export).unwrap_or_else(|error| panic!("{export}: {error}"));
        let folder = tempfile::tempdir().unwrap();
        let (sealed, keyfile) = (folder.path().join("export"), folder.path().join("key"));
        std::fs::write(&sealed, bytes).unwrap();
        std::fs::write(&keyfile, key).unwrap();
        let data = folder.path().join("data");
        let mut new = Rig::on(&data, &[ble()]);
        std::fs::remove_dir_all(&data).unwrap();
        let [sealed, keyfile] = [&sealed, &keyfile].map(|path| path.to_str().unwrap());
        let told = new.told(&["import", sealed, "--recovery-key-file", keyfile]);
        assert!(told.contains("1 paired locks"), "{told}");
        new.key = new.make_key("everything", "codes,pins,operate,admin");
        new.run();
        book(&new, &device, "Emmy");
        let until = now() + DEADLINE;
        while site.held(2).len() != 1 {
            assert!(now() < until, "it is never asked:\n{}", new.log());
            rest();
        }
    });
}

#[test]
fn a_lock_that_comes_back_is_served_when_it_is_first_heard() {
    stage(
        "gateway::a_lock_that_comes_back_is_served_when_it_is_first_heard",
        async || {
            let site = Site::new(2);
            let device = site.pair(1);
            site.until("it was read", || site.cause(&device) == "at_rest");
            let seen = |seen| site.bluez.with(address(1), |lock| lock.in_range = seen);
            seen(false);
            book(&site.rig, &device, "Lise");
            let path = format!("/lockbridge/v1/devices/{device}/queue");
            let next = || {
                let queue = site.rig.get(&path).ok();
                queue["queue"][0]["next_try"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            // It was asked in vain, nobody asks it now, and it is not its turn for a while: only a sign of life helps.
            site.within(DEADLINE * 2, "it is left alone", || {
                let why = site.why(&device);
                let sentence = why["sentence"].as_str().unwrap();
                why["cause"] == "device_silent" && sentence.contains("next at") && next() > at(7).1
            });
            let next = next();
            seen(true);
            let began = now();
            site.until("it is served", || site.held(1).len() == 1);
            let took = now() - began;
            println!("served {took:?} after it could be heard again; the next try was due at {next}");
            assert!(at(3).1 < next, "long before its turn by the clock");
        },
    );
}
