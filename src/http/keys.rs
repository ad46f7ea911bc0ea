//! The file of API keys: who may call, and what for.
//!
//! It stands beside the store and not in it, so that keys are made and revoked whether or not the
//! gateway runs; the gateway looks at the file again whenever it has changed. It holds hashes: a
//! key is random and long enough that its plain SHA-256 cannot be guessed back.
//!
//! A file that cannot be read or understood lets nobody in, and says so on the log. When each key was
//! last used stands in a file of its own (`uses`), as this one may be changed at any time.

mod uses;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use crate::api::Scope;
use crate::model::Now;
use uses::Uses;

/// Name of the file in the data directory.
const FILE: &str = "keys.json";
/// Seam's SDKs take keys that begin with `seam_`, but for `seam_at`, `seam_cst` and `seam_pk`,
/// which mean other things to them: the two letters keep clear of those.
const PREFIX: &str = "seam_lb";
/// Random characters of a key, of 62 kinds each: 238 bits.
const RANDOM: usize = 40;
const LONGEST_NAME: usize = 64;

/// What a key gets unless told otherwise.
#[must_use]
pub fn default_scopes() -> BTreeSet<Scope> {
    BTreeSet::from([Scope::Codes, Scope::Pins, Scope::Operate])
}

/// A key on file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What it is called.
    pub name: String,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// SHA-256 of the key, as hex.
    pub sha256: String,
    /// When it was made.
    pub created_at: String,
}

impl Key {
    /// Tells it from all others, those that had its name before included. Says nothing of the key.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = hash(&self.sha256);
        id.truncate(16);
        id
    }
}

/// Why the keys could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("{path}: not a file of keys ({source}); restore it, or remove it and make new keys", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The name is in use.
    #[error("there is a key named {0} already; revoke it first, or choose another name")]
    Taken(String),
    /// No key has this name.
    #[error("there is no key named {0}")]
    Unknown(String),
    /// The name cannot be one.
    #[error("a key's name has 1 to {LONGEST_NAME} printable characters")]
    Name,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    keys: Vec<Key>,
}

/// The keys of a gateway, as they stand in the file.
pub struct Keys {
    path: PathBuf,
    known: Mutex<Known>,
    uses: Uses,
}

/// What was last read, and by what the file then went.
#[derive(Default)]
struct Known {
    stamp: Option<Stamp>,
    keys: Vec<Key>,
    /// The file is there, and nobody can tell what it says.
    is_unreadable: bool,
}

/// Tells one state of the file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Keys {
    /// The keys in a data directory.
    #[must_use]
    pub fn of(data_dir: &Path) -> Keys {
        Keys {
            path: data_dir.join(FILE),
            known: Mutex::default(),
            uses: Uses::of(data_dir),
        }
    }

    /// The key that a caller shows, if it is one; it is used by that.
    #[must_use]
    pub fn find(&self, shown: &str, now: Now) -> Option<Key> {
        let known = self.known();
        let hash = hash(shown);
        // Every key is compared, each in the same time.
        let mut found = None;
        for key in &known.keys {
            if bool::from(key.sha256.as_bytes().ct_eq(hash.as_bytes())) {
                found = Some(key.clone());
            }
        }
        if let Some(key) = &found {
            self.uses.note(key, &known.keys, now);
        }
        found
    }

    /// Whether a key that was found is still on file.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        self.known().keys.contains(key)
    }

    /// The same, for a key that is used without being shown: what stands for it was.
    #[must_use]
    pub fn uses(&self, key: &Key, now: Now) -> bool {
        let known = self.known();
        let is_on_file = known.keys.contains(key);
        if is_on_file {
            self.uses.note(key, &known.keys, now);
        }
        is_on_file
    }

    /// When a key was last used, to the minute; the last minutes of a running gateway are not on file yet.
    #[must_use]
    pub fn last_used(&self, key: &Key) -> Option<String> {
        self.uses.last(key)
    }

    /// Puts on file which keys were used since that was done last.
    pub fn save_uses(&self) {
        self.uses.save();
    }

    /// Reads the file, so that the log says at once if nobody can be let in.
    pub fn look(&self) {
        drop(self.known());
    }

    /// Whether the file is there and cannot be read or understood: then every key is refused, and the log says why.
    #[must_use]
    pub fn are_unreadable(&self) -> bool {
        self.known().is_unreadable
    }

    /// What the file says now.
    fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp();
        if known.stamp != stamp {
            let read = self.read();
            if let Err(error) = &read {
                tracing::error!(%error, "no API key is accepted");
            }
            *known = Known {
                stamp,
                is_unreadable: read.is_err(),
                keys: read.unwrap_or_default(),
            };
        }
        known
    }

    /// Every key, oldest first.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn list(&self) -> Result<Vec<Key>, KeysError> {
        self.read()
    }

    /// Makes a key and puts it on file. Returns it: it cannot be seen again.
    ///
    /// # Errors
    /// The name cannot be used, or the file cannot be read or written.
    pub fn create(
        &self,
        name: &str,
        scopes: BTreeSet<Scope>,
        created_at: String,
        rng: &mut dyn CryptoRng,
    ) -> Result<Zeroizing<String>, KeysError> {
        let length = name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) || name.chars().any(char::is_control) {
            return Err(KeysError::Name);
        }
        let mut key = Zeroizing::new(String::with_capacity(PREFIX.len() + RANDOM));
        key.push_str(PREFIX);
        key.extend((0..RANDOM).map(|_| {
            const KINDS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            char::from(KINDS[rng.random_range(0..KINDS.len())])
        }));
        let sha256 = hash(&key);
        self.change(|keys| {
            if keys.iter().any(|key| key.name == name) {
                return Err(KeysError::Taken(name.to_owned()));
            }
            keys.push(Key {
                name: name.to_owned(),
                scopes,
                sha256,
                created_at,
            });
            Ok(())
        })?;
        Ok(key)
    }

    /// Takes a key off the file: from then on it opens nothing.
    ///
    /// # Errors
    /// There is none of this name, or the file cannot be read or written.
    pub fn revoke(&self, name: &str) -> Result<(), KeysError> {
        self.change(|keys| {
            let before = keys.len();
            keys.retain(|key| key.name != name);
            match keys.len() < before {
                true => Ok(()),
                false => Err(KeysError::Unknown(name.to_owned())),
            }
        })
    }

    /// Changes the file as a whole; of two changes at once, one waits for the other.
    fn change(&self, change: impl FnOnce(&mut Vec<Key>) -> Result<(), KeysError>) -> Result<(), KeysError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let io = |source| self.io(source);
        if !folder.exists() {
            make(folder).map_err(io)?;
        }
        let folder = File::open(folder).map_err(io)?;
        fs2::FileExt::lock_exclusive(&folder).map_err(io)?;
        let mut keys = self.read()?;
        change(&mut keys)?;
        self.write(Content { keys }, &folder).map_err(io)
    }

    fn read(&self) -> Result<Vec<Key>, KeysError> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(|content: Content| content.keys)
                .map_err(|source| KeysError::Damaged {
                    path: self.path.clone(),
                    source,
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.io(error)),
        }
    }

    /// Beside the old file first, and in its place only once it is whole and durable.
    fn write(&self, content: Content, folder: &File) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&content)?)?;
        // Made by root for a gateway that runs as somebody else, it must stay readable for that one.
        let (mine, owner) = (file.metadata()?, folder.metadata()?);
        if mine.uid() != owner.uid() {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        folder.sync_all()
    }

    fn stamp(&self) -> Option<Stamp> {
        let found = fs::metadata(&self.path).ok()?;
        Some(Stamp {
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }

    fn io(&self, source: io::Error) -> KeysError {
        KeysError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// Makes the data directory, and its name durable: a key that was told must be known after a power cut.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let folder = fs::canonicalize(folder)?;
    folder
        .parent()
        .map_or(Ok(()), |above| File::open(above)?.sync_all())
}

fn hash(key: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(key.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::os::unix::fs::PermissionsExt;

    use crate::model::{Mono, Timestamp};

    /// So many seconds after a start in 1970.
    fn at(seconds: u64) -> Now {
        Now {
            wall: Timestamp(i64::try_from(seconds * 1000).unwrap()),
            mono: Mono(seconds * 1000),
        }
    }

    #[test]
    fn made_known_at_once_and_revoked_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let (gateway, command) = (Keys::of(&data), Keys::of(&data));
        assert_eq!(gateway.find("seam_x", at(0)), None);
        let mut rng = rand::rngs::ChaCha12Rng::seed_from_u64(1);
        let key = command
            .create("office", default_scopes(), String::new(), &mut rng)
            .unwrap();
        assert!(key.starts_with("seam_lb") && key.len() >= 37);
        let found = gateway.find(&key, at(0)).expect("it is on file");
        assert_eq!((found.name.as_str(), found.scopes.len()), ("office", 3));
        assert_eq!(gateway.find(&key[..key.len() - 1], at(0)), None);
        let again = command.create("office", default_scopes(), String::new(), &mut rng);
        assert!(matches!(again, Err(KeysError::Taken(_))));
        let file = data.join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&file).unwrap().contains(key.as_str()));
        command.revoke("office").unwrap();
        assert_eq!(gateway.find(&key, at(0)), None);
        assert!(matches!(command.revoke("office"), Err(KeysError::Unknown(_))));
    }

    #[test]
    fn a_damaged_file_lets_nobody_in_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{").unwrap();
        let keys = Keys::of(dir.path());
        assert_eq!(keys.find("seam_x", at(0)), None);
        let mut rng = rand::rngs::ChaCha12Rng::seed_from_u64(1);
        let made = keys.create("a", default_scopes(), String::new(), &mut rng);
        assert!(matches!(made, Err(KeysError::Damaged { .. })));
    }

    #[test]
    fn uses_are_on_file_every_few_minutes_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let gateway = Keys::of(dir.path());
        let mut rng = rand::rngs::ChaCha12Rng::seed_from_u64(1);
        let mut make = |name| {
            let key = gateway.create(name, default_scopes(), String::new(), &mut rng);
            key.unwrap()
        };
        let (one, other) = (make("one"), make("other"));
        let on_file = || {
            let command = Keys::of(dir.path());
            let keys = command.list().unwrap();
            let used = keys.iter().map(|key| command.last_used(key)).collect::<Vec<_>>();
            used.into_iter()
                .map(|used| used.map(|text| text[11..19].to_owned()))
                .collect::<Vec<_>>()
        };
        let minute = |text: &str| Some(text.to_owned());
        assert_eq!(on_file(), [None, None]);
        assert!(gateway.find(&one, at(59)).is_some());
        assert_eq!(on_file(), [minute("00:00:00"), None]);
        assert!(gateway.find(&one, at(61)).is_some());
        assert!(gateway.find(&other, at(300)).is_some());
        assert_eq!(on_file(), [minute("00:00:00"), None], "it rests");
        assert!(gateway.find(&other, at(359)).is_some());
        assert_eq!(on_file(), [minute("00:01:00"), minute("00:05:00")]);
        assert!(gateway.find(&one, at(420)).is_some());
        gateway.save_uses();
        assert_eq!(on_file(), [minute("00:07:00"), minute("00:05:00")]);

        // A key of the same name is another one.
        gateway.revoke("one").unwrap();
        make("one");
        assert_eq!(on_file(), [minute("00:05:00"), None]);

        // What a power cut has left of it bothers nobody.
        fs::write(dir.path().join("keys-used.json"), "").unwrap();
        assert_eq!(on_file(), [None, None]);
        assert!(Keys::of(dir.path()).find(&other, at(0)).is_some());
        assert_eq!(on_file(), [minute("00:00:00"), None]);
    }
}
