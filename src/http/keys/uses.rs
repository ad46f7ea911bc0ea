//! When each key was last used: a file beside the keys, which the running gateway alone writes.
//!
//! A help for whoever tidies up, and no promise. To spare the card it is written every few minutes at
//! most, and not synced: a power cut may cost the latest uses. What cannot be read counts as empty.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Key;
use crate::api::time;
use crate::model::{Mono, Now};

/// Name of the file in the data directory.
const FILE: &str = "keys-used.json";
/// Between two writes.
const PAUSE: Duration = Duration::from_secs(5 * 60);

/// The last uses of the keys of a gateway.
pub(super) struct Uses {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By the ids of keys, to the minute: a key that is always at work changes it once a minute.
    last: BTreeMap<String, String>,
    is_unsaved: bool,
    rests_until: Mono,
}

impl Uses {
    pub fn of(data_dir: &Path) -> Uses {
        let path = data_dir.join(FILE);
        let read = fs::read(&path).ok();
        let last = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Uses {
            path,
            known: Mutex::new(Known {
                last: last.unwrap_or_default(),
                ..Known::default()
            }),
        }
    }

    pub fn last(&self, key: &Key) -> Option<String> {
        self.known().last.get(&key.id()).cloned()
    }

    /// Notes a use. Of all keys only these are on file.
    pub fn note(&self, key: &Key, on_file: &[Key], now: Now) {
        let Some(minute) = time::text(now.wall.floor_minute()) else {
            return;
        };
        let mut known = self.known();
        let before = known.last.insert(key.id(), minute.clone());
        known.is_unsaved |= before != Some(minute);
        if known.is_unsaved && known.rests_until <= now.mono {
            known.rests_until = now.mono + PAUSE;
            let ids: Vec<String> = on_file.iter().map(Key::id).collect();
            known.last.retain(|id, _| ids.contains(id));
            self.write(&mut known);
        }
    }

    /// Writes what is not on file yet.
    pub fn save(&self) {
        let mut known = self.known();
        if known.is_unsaved {
            self.write(&mut known);
        }
    }

    fn write(&self, known: &mut Known) {
        let replace = || -> io::Result<()> {
            let new = self.path.with_extension("json.new");
            fs::write(&new, serde_json::to_vec_pretty(&known.last)?)?;
            fs::rename(&new, &self.path)
        };
        match replace() {
            Ok(()) => known.is_unsaved = false,
            Err(error) => tracing::warn!(%error, "cannot write when keys were last used"),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
