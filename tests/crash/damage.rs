//! A store that is not what was written: either nothing of it is missing, or it is not opened.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use lockbridge::store::{
    FORMAT, FORMAT_KEY, Fail, Options, Rows, SealKey, SledStore, Store, Tree, Vault, load_key,
};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::callers::{full, seed};
use crate::common::{BACK, FRONT, Rig, device};
use crate::told;

/// Copies a directory without its sockets.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A gateway that has worked and was told to end, and its data directory as it left it.
struct Lived {
    rig: Rig,
    left: TempDir,
    codes: [Vec<Value>; 2],
}

impl Lived {
    fn new() -> Lived {
        let doors = [(FRONT, "Front"), (BACK, "Back")];
        let mut rig = Rig::start(&doors.map(|(id, name)| device(id, name, "slots", "capacity = 200")));
        for stay in 0..40 {
            let both = json!({"device_ids": [FRONT, BACK], "name": format!("stay {stay}")});
            let booked = rig.post("/access_codes/create_multiple", both).ok();
            let key = &booked["access_codes"][0]["common_code_key"];
            let moved = json!({"common_code_key": key, "name": format!("stay {stay}, moved")});
            rig.post("/access_codes/update_multiple", moved).ok();
            if stay % 4 == 0 {
                let code = &booked["access_codes"][0]["access_code_id"];
                rig.post("/access_codes/delete", json!({"access_code_id": code}))
                    .ok();
            }
        }
        rig.advance(3600);
        let codes = [FRONT, BACK].map(|door| rig.codes(door));
        assert_eq!(rig.terminate().code(), Some(0));
        let left = tempfile::tempdir().unwrap();
        copy(&rig.data_dir(), left.path());
        Lived { rig, left, codes }
    }

    /// Puts everything back as it was left.
    fn restore(&self) {
        fs::remove_dir_all(self.rig.data_dir()).unwrap();
        copy(self.left.path(), &self.rig.data_dir());
    }

    /// Starts, and insists that nothing is missing.
    #[track_caller]
    fn starts(&mut self) {
        self.rig.run();
        assert_eq!([FRONT, BACK].map(|door| self.rig.codes(door)), self.codes);
        self.rig.terminate();
    }

    /// Insists that it does not start, and tells why and what to do.
    #[track_caller]
    fn refuses(&mut self, says: &[&str]) {
        let before = self.rig.log().len();
        let status = self.rig.try_to_run().expect_err("it started");
        let log = self.rig.log()[before..].to_owned();
        assert_eq!(status.code(), Some(3), "{log}");
        for words in says {
            assert!(log.contains(words), "it does not say `{words}`: {log}");
        }
    }
}

/// Everything in a store.
fn read(dir: &Path) -> Result<BTreeMap<Tree, Rows>, Fail> {
    let options = Options {
        reserve: 0,
        ballast: 0,
        witness_every: Duration::from_secs(600),
    };
    let key: SealKey = load_key(dir, None)?;
    let mut store = SledStore::open(dir, options)?;
    let (_, mut content) = Vault::open(&mut store, &key, [9; 16])?;
    Ok(Tree::ALL
        .into_iter()
        .map(|tree| (tree, content.take(tree)))
        .collect())
}

type Fault = fn(&mut Vec<u8>, usize, &mut SmallRng);

/// What can happen to a log, at a place of it.
const FAULTS: [(&str, Fault); 4] = [
    ("a bit flipped", |log, at, rng| {
        log[at] ^= 1 << rng.random_range(0..8)
    }),
    ("a page zeroed", |log, at, _| page(log, at).fill(0)),
    ("a page of garbage", |log, at, rng| rng.fill_bytes(page(log, at))),
    ("a log cut short", |log, at, _| log.truncate(at)),
];

fn page(log: &mut [u8], at: usize) -> &mut [u8] {
    let from = at & !0xfff;
    let to = (from + 0x1000).min(log.len());
    &mut log[from..to]
}

/// The log, and how much of it was ever written.
fn log_of(dir: &Path) -> (Vec<u8>, usize) {
    let log = fs::read(dir.join("store/db")).unwrap();
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    (log, used)
}

#[test]
fn no_damage_to_the_log_ever_makes_a_store_that_opens_with_something_missing() {
    let tries = if full() { 400 } else { 40 };
    let seed = seed();
    println!("LOCKBRIDGE_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut lived = Lived::new();
    let whole = tempfile::tempdir().unwrap();
    copy(lived.left.path(), whole.path());
    let content = read(whole.path()).unwrap();
    let (log, used) = log_of(lived.left.path());
    for (name, fault) in FAULTS {
        let mut refused = 0;
        for _ in 0..tries {
            let work = tempfile::tempdir().unwrap();
            copy(lived.left.path(), work.path());
            let mut spoilt = log.clone();
            fault(&mut spoilt, rng.random_range(0..used), &mut rng);
            fs::write(work.path().join("store/db"), spoilt).unwrap();
            match read(work.path()) {
                Ok(found) => assert!(found == content, "{name}: something is missing"),
                Err(Fail::Damaged(_)) => refused += 1,
                Err(other) => panic!("{name}: not taken for damage: {other}"),
            }
        }
        println!("{name}: {refused} of {tries} refused, nothing missing in the others");
        assert!(refused > tries / 3, "{name}: {refused}");

        // The program itself, once each.
        lived.restore();
        let mut spoilt = log.clone();
        fault(&mut spoilt, used / 2, &mut rng);
        fs::write(lived.rig.data_dir().join("store/db"), spoilt).unwrap();
        lived.refuses(&[told::DAMAGED, told::BACKUP, told::IMPORT]);
        lived.restore();
    }
    lived.starts();
}

#[test]
fn each_file_that_is_gone_or_not_its_own_is_mended_or_told() {
    let mut lived = Lived::new();
    let data = lived.rig.data_dir();

    fs::remove_file(data.join("store/conf")).unwrap();
    lived.starts();

    fs::write(data.join("store/conf"), [0x5a; 62]).unwrap();
    lived.starts();
    lived.rig.says(1, told::CONF);
    assert!(data.join("conf.damaged").exists());

    fs::remove_file(data.join("witness")).unwrap();
    lived.starts();
    assert!(data.join("witness").exists());

    // Seen before the last work: as after a kill.
    lived.restore();
    let young = tempfile::tempdir().unwrap();
    let witness = data.join("witness");
    drop(SledStore::open(young.path(), Options::default()).unwrap());
    fs::copy(young.path().join("witness"), &witness).unwrap();
    lived.starts();

    for gone in ["store/db", "store"] {
        lived.restore();
        let gone = data.join(gone);
        match gone.is_dir() {
            true => fs::remove_dir_all(&gone).unwrap(),
            false => fs::remove_file(&gone).unwrap(),
        }
        lived.refuses(&[told::DAMAGED, told::BACKUP, told::IMPORT]);
        assert!(!data.join("store/db").exists(), "it was made anew");
    }

    lived.restore();
    lived.starts();
    let entries = fs::read_dir(data.join("store")).unwrap();
    let names = entries.map(|entry| entry.unwrap().path());
    let mut snapshots = names.filter(|path| path.file_stem().is_some_and(|stem| stem == "snap"));
    let snapshot = snapshots.next().expect("a start leaves one");
    let mut bytes = fs::read(&snapshot).unwrap();
    bytes[20] ^= 1;
    fs::write(snapshot, bytes).unwrap();
    lived.refuses(&[told::DAMAGED, told::BACKUP, told::IMPORT]);

    lived.restore();
    fs::write(data.join("witness"), b"anything").unwrap();
    lived.refuses(&[told::DAMAGED, told::BACKUP, told::IMPORT]);

    lived.restore();
    fs::remove_file(data.join("store-key")).unwrap();
    let status = lived.rig.try_to_run().expect_err("it started without its key");
    assert_eq!(status.code(), Some(1));
    lived.rig.says(1, told::KEY);

    lived.restore();
    fs::remove_file(data.join("keys.json")).unwrap();
    lived.rig.run();
    assert_eq!(lived.rig.get("/devices/list").status, 401);
    lived.rig.terminate();

    lived.restore();
    lived.starts();
}

#[test]
fn a_store_of_a_newer_version_is_left_as_it_is() {
    let mut lived = Lived::new();
    let data = lived.rig.data_dir();
    {
        let work = tempfile::tempdir().unwrap();
        copy(lived.left.path(), work.path());
        let mut newer = SledStore::open(work.path(), Options::default()).unwrap();
        let format = (FORMAT + 1).to_be_bytes().to_vec();
        let row = (Tree::Meta, FORMAT_KEY.to_vec(), Some(format));
        newer.commit(&vec![row]).unwrap();
        newer.sync().unwrap();
        fs::remove_dir_all(&data).unwrap();
        copy(work.path(), &data);
    }
    for _ in 0..2 {
        let before = log_of(&data);
        lived.refuses(&[told::NEWER]);
        assert!(log_of(&data) == before, "the log was changed");
    }
}

#[test]
fn a_second_gateway_goes_and_the_first_one_stays() {
    let mut lived = Lived::new();
    lived.rig.run();
    let second = lived.rig.command(&["run"]);
    assert_eq!(second.status.code(), Some(4));
    assert!(String::from_utf8(second.stderr).unwrap().contains(told::INSTANCE));
    let more = json!({"device_id": FRONT});
    lived.rig.post("/access_codes/create", more).ok();
    lived.rig.kill();
    lived.rig.run();
    assert_eq!(lived.rig.codes(FRONT).len(), lived.codes[0].len() + 1);
}
