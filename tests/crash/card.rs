//! A card that does what it is told: `tools/forgetfs`, which `tests/run` builds.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::common::Rig;

pub struct Card {
    process: Child,
    told: Mutex<BufReader<ChildStdout>>,
    mounted: TempDir,
    /// Where the simulated locks remember: a door is not on the gateway's card.
    locks: TempDir,
}

impl Card {
    /// An empty card; none, with a loud word, where no file system can be mounted.
    pub fn insert() -> Option<Card> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/forgetfs/debug/forgetfs");
        let mounted = tempfile::tempdir().unwrap();
        let mut process = Command::new(&program)
            .arg(mounted.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; tests/run builds it", program.display()));
        let mut card = Card {
            told: Mutex::new(BufReader::new(process.stdout.take().unwrap())),
            process,
            mounted,
            locks: tempfile::tempdir().unwrap(),
        };
        if card.line() == "ready" {
            return Some(card);
        }
        let why = std::io::read_to_string(card.process.stderr.take().unwrap()).unwrap();
        let notice = format!("\n!! NOTICE: NOT tested on a card that forgets: {why}\n");
        // Past the test's own capture: who runs the tests must see it.
        std::io::stderr().write_all(notice.as_bytes()).unwrap();
        None
    }

    /// A gateway whose data are on it.
    pub fn rig(&self, parts: &[String]) -> Rig {
        let data = self.data_dir();
        let rig = Rig::on(&data, parts);
        std::os::unix::fs::symlink(self.locks.path(), data.join("sim")).unwrap();
        File::open(data).unwrap().sync_all().unwrap();
        rig
    }

    pub fn data_dir(&self) -> PathBuf {
        self.mounted.path().join("data")
    }

    /// Cuts its power. What was not synced is lost as far as `seed` says; nothing works until
    /// [`Card::power_on`].
    pub fn cut(&self, seed: u64) {
        self.tell(&format!("cut {seed}"));
    }

    pub fn power_on(&self) {
        self.tell("on");
    }

    /// `honest`, `failing` or `lying`.
    pub fn let_syncs_be(&self, how: &str) {
        self.tell(&format!("syncs {how}"));
    }

    /// From now on so many bytes more fit on it.
    pub fn leave_room(&self, bytes: u64) {
        self.tell(&format!("room {bytes}"));
    }

    fn tell(&self, command: &str) {
        writeln!(self.process.stdin.as_ref().unwrap(), "{command}").unwrap();
        let told = self.line();
        assert!(told.starts_with("ok"), "{command}: {told}");
    }

    fn line(&self) -> String {
        let mut line = String::new();
        self.told.lock().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // It unmounts at the end of its input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
