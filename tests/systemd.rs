//! What systemd is told by the real program, and what systemd itself says of the unit.

mod common;

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{FRONT, Rig, device};
use tempfile::TempDir;

/// Where systemd listens, for a gateway with a watchdog of four seconds.
struct Manager {
    _dir: TempDir,
    socket: UnixDatagram,
    words: Vec<String>,
}

impl Manager {
    fn new() -> Manager {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let notify = format!("NOTIFY_SOCKET={}", path.display());
        let words = ["env", &notify, "WATCHDOG_USEC=4000000"];
        Manager {
            words: words.map(str::to_owned).to_vec(),
            socket,
            _dir: dir,
        }
    }

    /// The next thing that it is told.
    fn told(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec())
            .unwrap()
            .trim()
            .to_owned()
    }

    /// All that it was told and has not read yet.
    fn rest(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 256];
        let next = || {
            self.socket
                .recv(&mut buffer)
                .ok()
                .map(|length| buffer[..length].to_vec())
        };
        let rest: Vec<Vec<u8>> = std::iter::from_fn(next).collect();
        self.socket.set_nonblocking(false).unwrap();
        rest.into_iter()
            .map(|told| String::from_utf8(told).unwrap().trim().to_owned())
            .collect()
    }
}

fn gateway(manager: &Manager) -> Rig {
    let mut rig = Rig::new(&[device(FRONT, "Front door", "slots", "")]);
    rig.inside = manager.words.clone();
    rig.run();
    rig
}

#[test]
fn systemd_hears_that_it_is_ready_that_it_lives_and_that_it_ends() {
    let manager = Manager::new();
    let mut rig = gateway(&manager);
    assert_eq!(manager.told(), "READY=1");
    assert_eq!(manager.told(), "WATCHDOG=1");
    assert_eq!(manager.told(), "WATCHDOG=1");
    rig.signal("HUP");
    let reload = std::iter::from_fn(|| Some(manager.told())).find(|told| told != "WATCHDOG=1");
    assert_eq!(reload.as_deref(), Some("RELOADING=1"));
    assert_eq!(manager.told(), "READY=1");
    assert!(rig.terminate().success());
    let rest = manager.rest();
    assert_eq!(rest.last().map(String::as_str), Some("STOPPING=1"), "{rest:?}");
}

#[test]
fn a_gateway_that_answers_nobody_does_not_feed_the_watchdog() {
    let manager = Manager::new();
    let mut rig = gateway(&manager);
    assert_eq!(manager.told(), "READY=1");
    assert_eq!(manager.told(), "WATCHDOG=1");
    // Callers come to a door behind which nobody is.
    fs::remove_file(rig.address()).unwrap();
    let _door = UnixListener::bind(rig.address()).unwrap();
    rig.says(1, "the watchdog is not fed");
    manager.rest();
    rig.says(3, "the watchdog is not fed");
    assert_eq!(manager.rest(), [""; 0]);
    rig.kill();
}

/// What systemd says of the unit, with drop-ins: its complaints, and its exposure.
fn analyzed(drop_ins: &[&str]) -> (String, f64) {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let read = |name: &str| fs::read_to_string(units.join(name)).unwrap();
    let mut text = read("lockbridge.service");
    // Sections may come twice; a drop-in is read after the unit.
    for name in drop_ins {
        text += &read(&format!("drop-ins/{name}.conf"));
    }
    // What a package puts in its place, where this machine has it.
    let here = text
        .replace("/usr/bin/lockbridge", env!("CARGO_BIN_EXE_lockbridge"))
        .replace("Documentation=man:lockbridge(8)\n", "");
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("lockbridge.service");
    fs::write(&unit, here).unwrap();
    let analyze = |words: &[&str]| {
        let told = Command::new("systemd-analyze")
            .args(words)
            .arg(&unit)
            .output()
            .expect("systemd-analyze is there: tests/run installs systemd");
        String::from_utf8(told.stdout).unwrap() + &String::from_utf8(told.stderr).unwrap()
    };
    let told = analyze(&["security", "--offline=true", "--no-pager"]);
    let mut levels = told
        .lines()
        .filter_map(|line| line.split("exposure level for lockbridge.service: ").nth(1));
    let level = levels
        .next()
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    (analyze(&["verify"]), level.expect(&told))
}

#[test]
fn the_unit_is_one_that_systemd_understands_and_locks_up_well() {
    for (drop_ins, aim) in [(&[][..], 1.1), (&["lan-only"], 1.0), (&["chrony"], 1.4)] {
        let (complaints, level) = analyzed(drop_ins);
        println!("{drop_ins:?}: exposure {level}");
        assert_eq!(complaints, "", "{drop_ins:?}");
        assert!(level <= aim, "{drop_ins:?}: {level}");
    }
}
