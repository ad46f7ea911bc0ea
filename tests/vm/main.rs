//! The real program over a real bluetoothd, a real kernel and a software controller, with simulated Nuki locks on its
//! air. Runs inside a virtual machine, as `tests/vm/run` starts it, and nowhere else.
#![allow(
    clippy::disallowed_methods,
    reason = "a real world, with clocks and threads of its own"
)]

mod air;
#[path = "../common/mod.rs"]
mod common;
#[path = "../nuki/lock/mod.rs"]
mod lock;

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lockbridge::api::time;
use lockbridge::lock::ble::Address;
use lockbridge::model::Timestamp;
use serde_json::json;

use air::{Air, Lock};
use common::{BACK, Rig, device};
use lock::{Kind, SimLock};

/// Longer than anything here takes, also on a machine that is emulated.
const DEADLINE: Duration = Duration::from_secs(180);

const CONFIG: &str = "[ble]\nadapter = \"hci0\"\nlinks = 3\n\n[clock]\nsource = \"system\"\n";

fn main() {
    if std::env::var_os("LOCKBRIDGE_VM").is_none() {
        eprintln!("this belongs into a virtual machine: tests/vm/run");
        std::process::exit(2);
    }
    let began = Instant::now();
    let step = |what: &str| println!("-- {:4} s: {what}", began.elapsed().as_secs());

    let air = Air::start();
    let mut daemon = Daemon::start();
    let mut site = Site::new();
    step("the gateway is ready");

    site.locks.iter_mut().for_each(Lock::come);
    site.until("scan sees both locks", |site| {
        let told = site.rig.told(&["scan", "--once"]);
        site.locks
            .iter()
            .all(|lock| told.contains(&lock.address.to_string()))
    });
    step("scan sees both locks");
    print!("{}", site.rig.told(&["scan", "--once"]));

    let nukis = [site.pair(0), site.pair(1)];
    step("both are paired");
    let tested = site.rig.told(&["locks", "test", "Lock 1"]);
    assert!(tested.contains("taken off again"), "{tested}");
    step("a probe code was set and taken off again");

    let devices = [nukis[0].as_str(), &nukis[1], BACK];
    let (starts, ends) = (at(3600), at(7200));
    let stay = json!({"device_ids": devices, "name": "Ada", "starts_at": starts.1, "ends_at": ends.1});
    let made = site.rig.post("/access_codes/create_multiple", stay).ok();
    let pin = made["access_codes"][0]["code"].as_str().unwrap().to_owned();
    let key = made["access_codes"][0]["common_code_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let group = |starts: i64, ends: i64| vec![(pin.clone(), Some((starts, ends)))];
    site.hold("a group, to the second", &group(starts.0, ends.0));
    step("both hold the group's code, to the second");

    let moved = |from, until| {
        let (starts, ends) = (at(from), at(until));
        let body = json!({"common_code_key": key, "starts_at": starts.1, "ends_at": ends.1});
        (body, group(starts.0, ends.0))
    };
    let (body, held) = moved(1800, 9000);
    site.rig.post("/access_codes/update_multiple", body).ok();
    site.hold("the window that was moved", &held);
    step("its window was moved");

    daemon.restart("KILL");
    step("bluetoothd was killed, and runs again");
    let (body, held) = moved(900, 8000);
    site.rig.post("/access_codes/update_multiple", body).ok();
    site.hold("what was moved after bluetoothd was killed", &held);
    step("its window was moved");

    daemon.restart("TERM");
    step("bluetoothd was stopped in good order, and runs again");
    let (body, held) = moved(950, 8500);
    site.rig.post("/access_codes/update_multiple", body).ok();
    site.hold("what was moved after bluetoothd was stopped", &held);
    step("its window was moved");

    site.locks[0].go();
    let (body, held) = moved(1000, 10_000);
    site.rig.post("/access_codes/update_multiple", body).ok();
    site.until("the lock in reach holds it", |site| site.held(1) == held);
    site.until("the other is found to be silent", |site| {
        site.cause(&nukis[0]) == "device_silent"
    });
    assert_ne!(site.held(0), held);
    step("a lock out of reach is told to be silent, the other was served");
    site.locks[0].come();
    let back = Instant::now();
    site.hold("what was moved meanwhile", &held);
    step(&format!(
        "it is back, and was served {:.1} s later",
        back.elapsed().as_secs_f64()
    ));

    // In the middle of a visit.
    let before = site.locks[0].links();
    let (body, held) = moved(1100, 11_000);
    site.rig.post("/access_codes/update_multiple", body).ok();
    site.until("it is linked to", |site| site.locks[0].links() > before);
    site.locks[0].go();
    site.locks[0].come();
    site.hold("what was cut", &held);
    step("a link was lost, and its work done all the same");

    site.locks.iter_mut().for_each(Lock::go);
    drop(air);
    site.until("the adapter is missed", |site| {
        !site.rig.get("/lockbridge/v1/bluetooth").ok()["bluetooth"]["outage"].is_null()
    });
    let _air = Air::start();
    site.locks.iter_mut().for_each(Lock::come);
    let (body, held) = moved(1200, 12_000);
    site.rig.post("/access_codes/update_multiple", body).ok();
    site.hold("what was moved without a controller", &held);
    step("the controller was pulled out and plugged in again");

    for code in made["access_codes"].as_array().unwrap() {
        let which = json!({"access_code_id": code["access_code_id"]});
        site.rig.post("/access_codes/delete", which).ok();
    }
    site.hold("nothing", &[]);
    site.until("the gateway knows that they are gone", |site| {
        nukis.iter().all(|device| site.rig.codes(device).is_empty())
    });
    step("the group was deleted");

    for number in 1..=2 {
        let told = site.rig.told(&["unpair", &format!("Lock {number}")]);
        assert!(told.contains("deleted this gateway from its users"), "{told}");
        assert!(site.locks[number - 1].inside().users.is_empty());
    }
    step("both were unpaired");
    println!("the gateway said:\n{}", site.rig.log());
}

/// The Bluetooth daemon of this machine.
struct Daemon(Child);

impl Daemon {
    fn start() -> Daemon {
        let program = "/usr/libexec/bluetooth/bluetoothd";
        Daemon(Command::new(program).arg("--nodetach").spawn().unwrap())
    }

    /// Ends it by a signal, and starts it again.
    fn restart(&mut self, signal: &str) {
        let id = self.0.id().to_string();
        let killed = Command::new("sh")
            .args(["-c", "kill -s $0 $1", signal, &id])
            .status();
        assert!(killed.unwrap().success());
        self.0.wait().unwrap();
        *self = Daemon::start();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway, and the locks around it: a classic one and an Ultra.
struct Site {
    rig: Rig,
    locks: [Lock; 2],
}

impl Site {
    fn new() -> Site {
        let mut rig = Rig::new(&[CONFIG.to_owned(), device(BACK, "Back door", "slots", "")]);
        rig.verbose = true;
        rig.run();
        let lock = |number: u8, kind| {
            let address = Address([0x54, 0xd2, 0x72, 0, 0, number]);
            Lock::new(address, SimLock::new(kind, number.into()))
        };
        Site {
            rig,
            locks: [lock(1, Kind::Classic), lock(2, Kind::Ultra)],
        }
    }

    fn until(&self, what: &str, mut so: impl FnMut(&Site) -> bool) {
        until(what, || so(self));
    }

    /// Pairs with a lock whose button is held once the gateway has asked it in vain; returns its device id.
    fn pair(&self, which: usize) -> String {
        let lock = &self.locks[which];
        let before = lock.links();
        let mut pairing = Command::new(env!("CARGO_BIN_EXE_lockbridge"))
            .arg("--config")
            .arg(self.rig.config())
            .args(["pair", "nuki", &lock.address.to_string()])
            .args(["--name", &format!("Lock {}", which + 1)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pin = lock.inside().security_pin;
        writeln!(pairing.stdin.take().unwrap(), "{pin}").unwrap();
        until("it is asked", || lock.links() > before);
        lock.inside().pairing = true;
        let output = pairing.wait_with_output().unwrap();
        lock.inside().pairing = false;
        let told = String::from_utf8(output.stdout).unwrap();
        print!("{told}");
        assert!(output.status.success());
        told.trim_end().rsplit(' ').next().unwrap().to_owned()
    }

    /// What a lock's own table holds: digits, and from when until when they open, in milliseconds since 1970.
    fn held(&self, which: usize) -> Vec<(String, Option<(i64, i64)>)> {
        let lock = self.locks[which].inside();
        let codes = lock.codes.iter();
        codes
            .map(|code| (code.digits.to_string(), code.window_ms()))
            .collect()
    }

    /// Waits until both hold this.
    fn hold(&self, what: &str, held: &[(String, Option<(i64, i64)>)]) {
        self.until(&format!("both hold {what}"), |site| {
            (0..site.locks.len()).all(|which| site.held(which) == held)
        });
    }

    /// Why a device waits, in a word.
    fn cause(&self, device: &str) -> String {
        let path = format!("/lockbridge/v1/devices/{device}/why");
        self.rig.get(&path).ok()["why"]["cause"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let last = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < last, "{what}: never");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whole seconds from now, in milliseconds since 1970, and as callers write it.
fn at(seconds_from_now: i64) -> (i64, String) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let second = i64::try_from(since.as_secs()).unwrap() + seconds_from_now;
    (second * 1000, time::text(Timestamp(second * 1000)).unwrap())
}
