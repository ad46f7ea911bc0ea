//! Exports: all that a store holds, in one file that the recovery key opens and nothing else.
//!
//! ```text
//! store ─> copy between two batches ─> every row checked ─> form ─> sealed (age) ─> file, synced, renamed
//! file ─> opened with the recovery key ─> form, checked as a whole ─> a new store under a new key
//! ```
//!
//! The room's rule holds here too: it refuses rather than guesses. An export is made of rows that
//! proved to be whole, an old one goes only once its successor is durable, and one that is cut short,
//! altered or sealed to another key is an error. An import shows itself by one rename: whatever cuts
//! it short leaves a directory without a store.

mod form;
mod import;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Content, FORMAT, Fail, MemoryStore, SealKey, disk, recovery};
use crate::model::Timestamp;

pub use form::{Head, Unsealed};
pub use import::{import, refuse_occupied};

/// Directory of exports in the data directory, where the operator names no other.
const DIR: &str = "exports";
/// What their names begin with; then comes whose they are, and the number of the last event.
const STEM: &str = "lockbridge";
const END: &str = ".age";
/// As many as the largest number has, so that the names sort as the numbers do.
const DIGITS: usize = 20;
/// The end of the name of an export in the making.
const NEW: &str = ".new";
/// The newest, and the one before it.
const KEPT: usize = 2;

/// Makes exports of one store, and keeps the newest two.
pub struct Exporter {
    key: SealKey,
    data_dir: PathBuf,
    dir: Place,
    reserve: u64,
    gateway: String,
    /// What the names of its exports begin with: others may keep theirs in the same place.
    stem: String,
    /// One at a time: they share the name of the one in the making.
    turn: Mutex<()>,
}

enum Place {
    /// In the data directory; made when it is first needed.
    Own(PathBuf),
    /// Where the operator says. Not made by us: without its stick, the place where a stick is put
    /// lies on the card.
    Named(PathBuf),
}

/// An export that was made, and is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Where it lies.
    pub path: PathBuf,
    /// How large it is.
    pub bytes: u64,
    /// The last event in it.
    pub last_event: u64,
    /// As of when.
    pub made_at: Timestamp,
}

/// Why no export was made. Those that there are stay.
#[derive(Debug, thiserror::Error)]
pub enum Unexported {
    /// Nobody could open it.
    #[error("no recovery key was made for this gateway: say `lockbridge init`")]
    NoRecoveryKey,
    /// It would take room that is to stay free.
    #[error("an export of {bytes} bytes would leave less than the reserve free in {dir}")]
    NoRoom {
        /// Where it was to lie.
        dir: String,
        /// How large it would be.
        bytes: usize,
    },
    /// The store or the file system failed.
    #[error(transparent)]
    Failed(#[from] Fail),
}

impl Exporter {
    /// For the store in `data_dir`, sealed with `key`. `named` is where exports go instead of the
    /// data directory, `reserve` how many bytes stay free there, `gateway` whose export it is: site and
    /// id with a slash between them, each fit for the name of a file and without a dot.
    #[must_use]
    pub fn new(
        data_dir: &Path,
        key: SealKey,
        named: Option<&Path>,
        reserve: u64,
        gateway: String,
    ) -> Exporter {
        Exporter {
            key,
            data_dir: data_dir.to_owned(),
            dir: match named {
                Some(dir) => Place::Named(dir.to_owned()),
                None => Place::Own(data_dir.join(DIR)),
            },
            reserve,
            stem: format!("{STEM}-{}", gateway.replace('/', ".")),
            gateway,
            turn: Mutex::new(()),
        }
    }

    /// Whether there is a recovery key to seal to.
    #[must_use]
    pub fn has_recovery_key(&self) -> bool {
        recovery::has_recovery_key(&self.data_dir)
    }

    /// Makes an export of a copy of the store, as of `made_at`, whose last event is `last_event`.
    /// Returns once it is durable.
    ///
    /// # Errors
    /// [`Unexported`]; a row that is not what was written among them.
    pub fn export(
        &self,
        copy: &MemoryStore,
        made_at: Timestamp,
        last_event: u64,
    ) -> Result<Exported, Unexported> {
        // A panic of another turn left at most a file in the making, which is written anew.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let recipient = recovery::recipient(&self.data_dir)?.ok_or(Unexported::NoRecoveryKey)?;
        let head = Head {
            format: FORMAT,
            gateway: self.gateway.clone(),
            made_at,
            last_event,
        };
        let sealed = form::seal(&head, Content::read(copy, &self.key)?, &recipient)?;
        let dir = match &self.dir {
            Place::Own(dir) => {
                disk::make_dir(dir).map_err(|e| Fail::io(dir.display(), &e))?;
                dir
            }
            Place::Named(dir) => dir,
        };
        let path = self.keep(dir, last_event, &sealed)?;
        Ok(Exported {
            path,
            bytes: sealed.len() as u64,
            last_event,
            made_at,
        })
    }

    /// Puts an export in its place, and then takes the surplus away.
    fn keep(&self, dir: &Path, last_event: u64, sealed: &[u8]) -> Result<PathBuf, Unexported> {
        let failed = |e: io::Error| Unexported::Failed(Fail::io(dir.display(), &e));
        let new = dir.join(format!("{}{NEW}", self.stem));
        // A file in the making that a kill left takes up room.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let room = fs2::available_space(dir).map_err(failed)?;
        if room < self.reserve.saturating_add(sealed.len() as u64) {
            return Err(Unexported::NoRoom {
                dir: dir.display().to_string(),
                bytes: sealed.len(),
            });
        }
        let path = dir.join(format!("{}-{last_event:0DIGITS$}{END}", self.stem));
        disk::write(&new, sealed)
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| disk::sync_path(dir))
            .map_err(failed)?;
        let mut others = self.made(dir).map_err(failed)?;
        others.retain(|(_, other)| *other != path);
        let surplus = (others.len() + 1).saturating_sub(KEPT);
        for (_, old) in others.drain(..surplus) {
            fs::remove_file(old).map_err(failed)?;
        }
        Ok(path)
    }

    /// The exports of this gateway in a directory with their numbers, oldest first.
    fn made(&self, dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
        // Earlier versions did not say whose they are; in the data directory there is no doubt.
        let unsaid = matches!(self.dir, Place::Own(_)).then_some(STEM);
        let stems: Vec<&str> = unsaid.into_iter().chain([self.stem.as_str()]).collect();
        let mut made = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // What has no text for a name is none of ours.
            let name = entry.file_name().into_string().unwrap_or_default();
            let number = stems.iter().find_map(|stem| number(&name, stem));
            made.extend(number.map(|number| (number, entry.path())));
        }
        made.sort();
        Ok(made)
    }
}

/// The number in the name of an export whose name begins with `stem`, and goes on with nothing else.
fn number(name: &str, stem: &str) -> Option<u64> {
    let digits = name.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(END)?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests;
