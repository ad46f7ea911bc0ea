//! The real mount, as a program sees it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

struct Mounted {
    process: Child,
    told: BufReader<ChildStdout>,
    dir: TempDir,
}

impl Mounted {
    /// `None`, and a loud word, where nothing can be mounted.
    fn new() -> Option<Mounted> {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_forgetfs"))
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(process.stdout.take().unwrap());
        let mut mounted = Mounted { process, told, dir };
        match mounted.line().as_str() {
            "ready" => Some(mounted),
            _ => {
                // Past the test's own capture: who runs the tests must see it.
                let notice = b"\n!! NOTICE: forgetfs was NOT tested: no file system can be mounted here\n";
                std::io::stderr().write_all(notice).unwrap();
                None
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.process.stdin.as_ref().unwrap(), "{command}").unwrap();
        let told = self.line();
        assert!(told.starts_with("ok"), "{told}");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

#[test]
fn syncs_reach_the_card_and_what_was_only_written_does_not_outlive_a_cut() {
    let Some(mut card) = Mounted::new() else { return };
    let (file, dir) = (card.path("d/f"), card.path("d"));
    fs::create_dir(&dir).unwrap();
    let mut open = File::create(&file).unwrap();
    open.write_all(b"safe").unwrap();
    open.sync_data().unwrap();
    sync(&dir);
    sync(card.dir.path());
    let mut lost = 0;
    for seed in 0..20 {
        let mut open = OpenOptions::new().append(true).open(&file).unwrap();
        open.write_all(&[1; 1_000]).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len(), 1_004);
        card.tell(&format!("cut {seed}"));
        assert!(open.write_all(b"x").is_err());
        assert!(open.sync_all().is_err());
        assert!(File::open(&file).is_err());
        card.tell("on");
        assert!(open.write_all(b"x").is_err(), "a handle from before");
        let left = fs::read(&file).unwrap();
        assert!(left.starts_with(b"safe"));
        lost += usize::from(left.len() < 1_004);
        let file = OpenOptions::new().write(true).open(&file).unwrap();
        file.set_len(4).unwrap();
        file.sync_all().unwrap();
    }
    assert!(lost > 5, "{lost}");
}

#[test]
fn it_fails_and_fills_up_as_it_is_told() {
    let Some(mut card) = Mounted::new() else { return };
    let mut file = File::create(card.path("f")).unwrap();
    card.tell("syncs failing");
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    card.tell("syncs lying");
    file.sync_data().unwrap();
    card.tell("room 8192");
    let full = file.write_all(&[1; 10_000]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(file.metadata().unwrap().len(), 8_192);
    card.tell("room 8192");
    file.write_all(&[1; 8_000]).unwrap();
}

#[test]
fn it_holds_what_a_data_directory_holds() {
    let Some(card) = Mounted::new() else { return };
    let socket = card.path("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    UnixStream::connect(&socket).unwrap().write_all(b"hello").unwrap();
    let mut heard = String::new();
    let (mut caller, _) = listener.accept().unwrap();
    caller.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");

    fs::write(card.path("a"), b"1").unwrap();
    fs::hard_link(card.path("a"), card.path("b")).unwrap();
    assert!(fs::hard_link(card.path("a"), card.path("b")).is_err());
    std::os::unix::fs::symlink("b", card.path("c")).unwrap();
    fs::rename(card.path("a"), card.path("z")).unwrap();
    assert_eq!(fs::read(card.path("c")).unwrap(), b"1");
    let first = File::open(card.path("b")).unwrap();
    let second = File::open(card.path("z")).unwrap();
    first.try_lock().unwrap();
    assert!(second.try_lock().is_err());
    let mut names: Vec<_> = fs::read_dir(card.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["b", "c", "socket", "z"]);
}
