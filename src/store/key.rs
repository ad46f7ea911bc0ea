//! The key that seals the store's secrets, and where it comes from.
//!
//! Best from the service manager, which can keep it off the card; else from a configured file;
//! else from a file beside the store, which keeps secrets out of copied databases, and no more.
//! A key is made only where there is no store yet: a new key for an old store would open nothing.
//! A key file that others can read is refused.

use std::{
    env, fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use rand::{TryRng, rngs::SysRng};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Fail, disk, sled, witness};

/// Name of the credential, and of the file in the data directory.
const FILE: &str = "store-key";

/// The key under which secrets lie on the medium. Wiped when dropped, never shown.
pub struct SealKey(Zeroizing<[u8; SealKey::BYTES]>);

impl SealKey {
    /// Length of a key, in bytes.
    pub const BYTES: usize = 32;

    /// A key of these bytes.
    pub fn new(bytes: [u8; Self::BYTES]) -> SealKey {
        SealKey(Zeroizing::new(bytes))
    }

    /// A secret of its own for another purpose, which tells nothing of this key; the same for as long as this
    /// key is: HMAC-SHA-256 of the purpose.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.bytes()).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// The bytes, for the cipher and what is derived only.
    pub(super) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

/// Loads the key: from `$CREDENTIALS_DIRECTORY`, else from `file` if one is configured, else from
/// `data_dir`, where a key is made at the first start.
pub fn load_key(data_dir: &Path, file: Option<&Path>) -> Result<SealKey, Fail> {
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    load_from(data_dir, file, credentials.as_deref())
}

fn load_from(data_dir: &Path, file: Option<&Path>, credentials: Option<&Path>) -> Result<SealKey, Fail> {
    if let Some(key) = credentials.map(|dir| dir.join(FILE)).filter(|key| key.exists()) {
        // systemd lets a service's user in through an access list, which shows as the group's
        // right to read; the directory is the service's own.
        return read(&key, 0o007);
    }
    if let Some(key) = file {
        return read(key, 0o077);
    }
    let key = data_dir.join(FILE);
    if !key.exists() {
        if sled::exists(data_dir) || data_dir.join(witness::FILE).exists() {
            return Err(Fail::Key(format!(
                "{} is missing, and there is a store that was sealed with it: put it back, from \
                 a backup or from wherever the configuration had it before",
                key.display()
            )));
        }
        make(data_dir).map_err(|e| Fail::io(format!("making {}", key.display()), &e))?;
    }
    read(&key, 0o077)
}

/// Reads a key, unless one of the `others` bits of its mode is set.
fn read(path: &Path, others: u32) -> Result<SealKey, Fail> {
    let shown = path.display();
    let unreadable = |e: io::Error| Fail::Key(format!("{shown}: {e}"));
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & others != 0 {
        return Err(Fail::Key(format!(
            "{shown} is open to others (mode {mode:04o}): say `chmod 600 {shown}`, and if anyone \
             can have read it, change the PINs"
        )));
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(unreadable)?);
    match <[u8; SealKey::BYTES]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(SealKey::new(key)),
        Err(_) => Err(Fail::Key(format!(
            "{shown} has {} bytes, a key has {}",
            bytes.len(),
            SealKey::BYTES
        ))),
    }
}

/// Makes a new key, durable before anything can be sealed with it.
fn make(data_dir: &Path) -> io::Result<()> {
    disk::make_dir(data_dir)?;
    let mut key = Zeroizing::new([0; SealKey::BYTES]);
    SysRng
        .try_fill_bytes(key.as_mut_slice())
        .map_err(io::Error::other)?;
    let new = data_dir.join(format!("{FILE}.{}", std::process::id()));
    disk::write(&new, key.as_slice())?;
    // A link, unlike a rename, never replaces: of two first starts at once, one key stands.
    let linked = match fs::hard_link(&new, data_dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    fs::remove_file(&new)?;
    linked?;
    disk::sync_path(data_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn told(result: Result<SealKey, Fail>) -> String {
        match result {
            Err(Fail::Key(told)) => told,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn made_once_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = load_from(&data, None, None).unwrap();
        let again = load_from(&data, None, None).unwrap();
        assert_eq!(first.bytes(), again.bytes());
        assert_ne!(first.bytes(), &[0; 32]);
        let mode = fs::metadata(data.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(&data).unwrap().count(),
            1,
            "nothing else is left behind"
        );
        let other = load_from(dir.path(), None, None).unwrap();
        assert_ne!(first.bytes(), other.bytes());
    }

    #[test]
    fn never_made_for_a_store_that_exists() {
        for trace in ["store/db", "witness"] {
            let dir = tempfile::tempdir().unwrap();
            let trace = dir.path().join(trace);
            fs::create_dir_all(trace.parent().unwrap()).unwrap();
            fs::write(&trace, b"").unwrap();
            assert!(told(load_from(dir.path(), None, None)).contains("missing"));
            assert!(!dir.path().join(FILE).exists());
        }
    }

    #[test]
    fn a_configured_file_is_never_made() {
        let dir = tempfile::tempdir().unwrap();
        told(load_from(dir.path(), Some(&dir.path().join("elsewhere")), None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn credentials_come_before_the_file_and_the_file_before_the_data() {
        let dir = tempfile::tempdir().unwrap();
        let (credentials, file) = (dir.path().join("credentials"), dir.path().join("file"));
        fs::create_dir(&credentials).unwrap();
        put(&dir.path().join(FILE), &[1; 32], 0o600);
        put(&file, &[2; 32], 0o400);
        let load = |file| *load_from(dir.path(), file, Some(&credentials)).unwrap().bytes();
        assert_eq!(load(None), [1; 32]);
        assert_eq!(load(Some(file.as_path())), [2; 32]);
        put(&credentials.join(FILE), &[3; 32], 0o440);
        assert_eq!(load(Some(file.as_path())), [3; 32]);
    }

    #[test]
    fn refused_when_open_to_others_or_of_another_length() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join(FILE);
        for mode in [0o640, 0o604, 0o644, 0o660] {
            put(&key, &[1; 32], mode);
            assert!(told(load_from(dir.path(), None, None)).contains("chmod 600"));
        }
        let _ = fs::remove_file(&key);
        for length in [0, 31, 33] {
            put(&key, &vec![1; length], 0o600);
            assert!(told(load_from(dir.path(), None, None)).contains("bytes"));
        }
        put(&key, &[1; 32], 0o444);
        told(load_from(&dir.path().join("data"), None, Some(dir.path())));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", SealKey::new([0x41; 32])), "SealKey");
    }
}
