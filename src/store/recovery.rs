//! The recovery key: what opens exports on a machine that has nothing else.
//!
//! It is shown once, when it is made, and kept by people. The data directory holds its other half
//! only, the recipient, to which exports are sealed and which opens nothing.

use std::{fs, io, path::Path, str::FromStr};

use age::{secrecy::ExposeSecret, x25519};
use zeroize::Zeroizing;

use super::{Fail, disk};

/// Name of the recipient in the data directory.
const FILE: &str = "recovery-recipient";

/// The key that opens exports. Never stored by us, never shown in `Debug`.
pub struct RecoveryKey(x25519::Identity);

/// What is to be done where a recovery key was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It stays, and no other is made.
    Keep,
    /// A new one takes its place: later exports are sealed to that one only.
    Replace,
}

impl RecoveryKey {
    /// Makes a key, and durably keeps its recipient in `data_dir`; `None` if an earlier one stays.
    ///
    /// # Errors
    /// The recipient cannot be written.
    pub fn make(data_dir: &Path, earlier: Earlier) -> Result<Option<RecoveryKey>, Fail> {
        let failed = |e: io::Error| Fail::io(data_dir.join(FILE).display(), &e);
        if earlier == Earlier::Keep && data_dir.join(FILE).exists() {
            return Ok(None);
        }
        let key = x25519::Identity::generate();
        disk::make_dir(data_dir).map_err(failed)?;
        let recipient = format!("{}\n", key.to_public());
        disk::replace(data_dir, FILE, recipient.as_bytes()).map_err(failed)?;
        Ok(Some(RecoveryKey(key)))
    }

    /// Reads a key as it was shown, or a file of age's own, with lines of comment; `None` if these
    /// are not the words of one key.
    #[must_use]
    pub fn parse(text: &str) -> Option<RecoveryKey> {
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let key = x25519::Identity::from_str(lines.next()?).ok()?;
        lines.next().is_none().then_some(RecoveryKey(key))
    }

    /// Its words, to be shown to whoever keeps it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }

    pub(super) fn identity(&self) -> &x25519::Identity {
        &self.0
    }
}

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKey")
    }
}

/// Whether a recovery key was made for this data directory.
#[must_use]
pub fn has_recovery_key(data_dir: &Path) -> bool {
    data_dir.join(FILE).exists()
}

/// To whom exports are sealed; `None` if no recovery key was ever made.
pub(super) fn recipient(data_dir: &Path) -> Result<Option<x25519::Recipient>, Fail> {
    let path = data_dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| Fail::io(path.display(), &e))?,
    };
    match x25519::Recipient::from_str(text.trim()) {
        Ok(recipient) => Ok(Some(recipient)),
        Err(_) => Err(Fail::Recovery(format!(
            "{} holds no recipient of age: put it back, or say `lockbridge init --new-recovery-key`",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_replaced_on_purpose_only() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        assert!(recipient(&data).unwrap().is_none());
        let first = RecoveryKey::make(&data, Earlier::Keep).unwrap().unwrap();
        let kept = |key: &RecoveryKey| recipient(&data).unwrap().unwrap() == key.identity().to_public();
        assert!(kept(&first));
        assert!(RecoveryKey::make(&data, Earlier::Keep).unwrap().is_none());
        assert!(kept(&first));
        let second = RecoveryKey::make(&data, Earlier::Replace).unwrap().unwrap();
        assert!(kept(&second) && !kept(&first));
        let mode = fs::metadata(data.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = fs::read_dir(&data).unwrap().count();
        assert_eq!(files, 1, "the key itself is kept nowhere");
    }

    #[test]
    fn read_as_it_was_shown_or_as_age_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = RecoveryKey::make(dir.path(), Earlier::Keep).unwrap().unwrap();
        let words = key.expose();
        let same = |text: &str| {
            RecoveryKey::parse(text)
                .is_some_and(|read| read.identity().to_public() == key.identity().to_public())
        };
        assert!(same(&words));
        assert!(same(&format!(
            "# created: today\n# public key: age1x\n  {}\n\n",
            words.as_str()
        )));
        assert!(!same("") && !same("AGE-SECRET-KEY-1") && !same(&words[1..]));
        assert!(!same(&format!("{}\n{}\n", words.as_str(), words.as_str())));
        assert_eq!(format!("{key:?}"), "RecoveryKey");
    }

    #[test]
    fn a_spoilt_recipient_is_said_and_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "age1nonsense\n").unwrap();
        assert!(matches!(recipient(dir.path()), Err(Fail::Recovery(_))));
    }
}
