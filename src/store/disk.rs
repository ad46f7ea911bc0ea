//! Files beside the database: written so that a power cut leaves the old or the new one, and a
//! ballast that gives a full card enough room for the database to open.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use super::Fail;

/// Makes what stands at `path`, a file or the entries of a directory, durable.
pub(super) fn sync_path(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes every file and directory in `dir`, and `dir` itself, durable.
pub(super) fn sync_all_in(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        sync_path(&entry?.path())?;
    }
    sync_path(dir)
}

/// Makes a directory for its owner only, if it is not there, and its name durable.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    let sync_name = || fs::canonicalize(dir)?.parent().map_or(Ok(()), sync_path);
    if dir.exists() {
        // Whoever made it may not have waited for its name. Best effort: a service need not be
        // allowed to read what is above its directory.
        let _ = sync_name();
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    sync_name()
}

/// Gives what stands at `path` to whoever owns `dir`: what root makes there is for the gateway's user.
pub(super) fn hand_over(path: &Path, dir: &Path) -> io::Result<()> {
    let (made, owner) = (fs::metadata(path)?, fs::metadata(dir)?);
    if made.uid() != owner.uid() {
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Writes a file for the owner of its directory only, and durable but for its name in the directory.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            path.parent().map_or(Ok(()), |dir| hand_over(path, dir))?;
            file.write_all(bytes)?;
            file.sync_all()
        });
    if written.is_err() {
        // A half-written file on a full card would only take away more room.
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces `dir/name` durably: at every instant the old file or the new one is there.
pub(super) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    write(&new, bytes)?;
    fs::rename(&new, dir.join(name))?;
    sync_path(dir)
}

/// A file that only takes room. Opening the database writes; on a full card it fails, and then
/// nothing could ever be deleted through it. Given up, the ballast makes that room.
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(super) fn new(data_dir: &Path, bytes: u64) -> Ballast {
        Ballast {
            path: data_dir.join("ballast"),
            bytes,
        }
    }

    /// Runs `work`; if the card is full, gives the ballast up and runs it once more.
    pub(super) fn lend<T>(&self, mut work: impl FnMut() -> Result<T, Fail>) -> Result<T, Fail> {
        match work() {
            Err(Fail::Full(told)) => match fs::remove_file(&self.path) {
                Ok(()) => {
                    tracing::warn!("the card is full ({told}); the ballast was given up");
                    work()
                }
                Err(_) => Err(Fail::Full(told)),
            },
            other => other,
        }
    }

    /// Puts the ballast in place if it is not there and the room is free `beyond` the reserve.
    /// Best effort: the store works without it.
    pub(super) fn restore(&self, reserve: u64) {
        let room = |dir: &Path| fs2::available_space(dir).unwrap_or(0);
        let Some(dir) = self.path.parent() else {
            return;
        };
        if self.bytes == 0 || self.path.exists() || room(dir) < reserve.saturating_add(self.bytes) {
            return;
        }
        let filled = File::create(&self.path).and_then(|mut file| {
            // Real bytes: a file with a hole takes no room.
            io::copy(&mut io::Read::take(io::repeat(0xb5), self.bytes), &mut file)?;
            file.sync_all()
        });
        if let Err(error) = filled {
            tracing::warn!("no ballast: {error}");
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_card_gets_the_ballast_once() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path(), 10_000);
        ballast.restore(0);
        let file = dir.path().join("ballast");
        assert_eq!(fs::metadata(&file).unwrap().len(), 10_000);

        // As on a card that has room again as soon as the ballast is gone.
        let open = || match file.exists() {
            true => Err(Fail::Full("no space left".into())),
            false => Ok(7),
        };
        assert_eq!(ballast.lend(open), Ok(7));

        let mut tries = 0;
        let still_full: Result<(), Fail> = ballast.lend(|| {
            tries += 1;
            Err(Fail::Full("no space left".into()))
        });
        assert_eq!(still_full, Err(Fail::Full("no space left".into())));
        assert_eq!(tries, 1, "no ballast, no second try");
    }

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        // Only root can give anything away; everybody else is the owner already.
        let owner = match chown(dir.path(), Some(4711), Some(4711)) {
            Ok(()) => 4711,
            Err(_) => fs::metadata(dir.path()).unwrap().uid(),
        };
        replace(dir.path(), "key", b"bytes").unwrap();
        assert_eq!(fs::metadata(dir.path().join("key")).unwrap().uid(), owner);
    }

    #[test]
    fn only_a_full_card_costs_the_ballast() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path(), 100);
        ballast.restore(0);
        let failed: Result<(), Fail> = ballast.lend(|| Err(Fail::Broken("EIO".into())));
        assert_eq!(failed, Err(Fail::Broken("EIO".into())));
        assert!(dir.path().join("ballast").exists());
    }

    #[test]
    fn no_ballast_where_it_would_eat_the_reserve() {
        let dir = tempfile::tempdir().unwrap();
        Ballast::new(dir.path(), 100).restore(u64::MAX);
        assert!(!dir.path().join("ballast").exists());
    }
}
