//! forgetfs: a file system in memory that forgets what was not synced.
//!
//! `forgetfs DIRECTORY` mounts an empty card there, says `ready`, and then answers each line on its
//! standard input with one line, `ok` or what is wrong:
//!
//! ```text
//! cut SEED         the power fails: see card.rs for what is left; nothing works until
//! on               the power is back
//! syncs HOW        honest; failing (EIO, and never safe); lying (OK, and not safe)
//! room BYTES       that many fit on it beside what is there
//! ```
//!
//! At the end of its input it unmounts and ends, so that it never outlives who started it. It needs
//! `/dev/fuse`, and root or `fusermount3` (Debian's package fuse3).

mod card;
mod mount;

use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use card::{Card, Syncs};
use fuser::{Config, MountOption};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [at] = arguments.as_slice() else {
        eprintln!("usage: forgetfs DIRECTORY");
        return ExitCode::from(2);
    };
    match run(at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forgetfs: {at}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(at: &str) -> io::Result<()> {
    let below = fs::metadata(at)?;
    let card = Arc::new(Mutex::new(Card::new(below.uid(), below.gid())));
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("forgetfs".into()),
        MountOption::DefaultPermissions,
    ];
    let session = fuser::spawn_mount(mount::Mount(Arc::clone(&card)), at, &config)?;
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    for line in io::stdin().lock().lines() {
        let told = obey(&mut card.lock().unwrap_or_else(PoisonError::into_inner), &line?);
        writeln!(out, "{told}")?;
    }
    session.umount_and_join().or_else(|busy| {
        // Somebody still has a file open: take it out of sight, and it ends with them.
        let detached = Command::new("umount").args(["--lazy", at]).status()?;
        if detached.success() { Ok(()) } else { Err(busy) }
    })
}

fn obey(card: &mut Card, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match (words.as_slice(), words.get(1).map(|word| word.parse::<u64>())) {
        (["cut", _], Some(Ok(seed))) => {
            let lost = card.cut(seed);
            return format!("ok: {lost} changes were not synced");
        }
        (["on"], _) => card.power_on(),
        (["syncs", "honest"], _) => card.let_syncs_be(Syncs::Honest),
        (["syncs", "failing"], _) => card.let_syncs_be(Syncs::Failing),
        (["syncs", "lying"], _) => card.let_syncs_be(Syncs::Lying),
        (["room", _], Some(Ok(bytes))) => card.leave_room(bytes),
        _ => return format!("not understood: {line}"),
    }
    "ok".into()
}
