//! The form of an export: its head, then value after value, then how many there were and the hash of
//! it all; and the envelope around it.
//!
//! ```text
//! "lockbridge export 1\n"
//! head                                bytes
//! tree's name, key, value             bytes each, for every value
//! ""                                  bytes: no tree is called so
//! number of values                    u64
//! hash of all before                  32 bytes, SHA-256
//! ```
//!
//! *Bytes* are their number as a u32, then they themselves; numbers are big-endian.

use age::{DecryptError, x25519};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::model::Timestamp;
use crate::store::{Content, FORMAT, Fail, RecoveryKey, Tree};

const MAGIC: &[u8] = b"lockbridge export ";
/// The form that this program writes, and the newest that it reads.
const FORM: &[u8] = b"1\n";
const HASH_BYTES: usize = 32;

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The format of the store that it was made of.
    pub format: u32,
    /// Whose it is: site and gateway, as in MQTT topics.
    pub gateway: String,
    /// As of when.
    pub made_at: Timestamp,
    /// The last event in it.
    pub last_event: u64,
}

/// An export that was opened, and is whole.
pub struct Unsealed {
    /// What it says of itself.
    pub head: Head,
    /// All its values.
    pub content: Content,
}

/// Writes and seals.
pub(super) fn seal(head: &Head, mut content: Content, to: &x25519::Recipient) -> Result<Vec<u8>, Fail> {
    let mut plain = Zeroizing::new(Vec::with_capacity(content.bytes()));
    plain.extend(MAGIC);
    plain.extend(FORM);
    let head = rmp_serde::to_vec_named(head).map_err(|e| Fail::Broken(format!("the head: {e}")))?;
    put(&mut plain, &head)?;
    let mut count: u64 = 0;
    for tree in Tree::ALL {
        for (key, value) in content.take(tree) {
            put(&mut plain, tree.name().as_bytes())?;
            put(&mut plain, &key)?;
            put(&mut plain, &Zeroizing::new(value))?;
            count += 1;
        }
    }
    put(&mut plain, b"")?;
    plain.extend(count.to_be_bytes());
    let hash = Sha256::digest(plain.as_slice());
    plain.extend(hash.as_slice());
    age::encrypt(to, &plain).map_err(|e| Fail::Broken(format!("sealing an export: {e}")))
}

impl Unsealed {
    /// Opens an export, and checks all of it.
    ///
    /// # Errors
    /// [`Fail::Recovery`]: it was sealed to another key. [`Fail::Newer`]: by a newer program.
    /// [`Fail::Export`]: it is no export, or no longer what was written.
    pub fn open(sealed: &[u8], key: &RecoveryKey) -> Result<Unsealed, Fail> {
        let plain = age::decrypt(key.identity(), sealed).map_err(|error| match error {
            DecryptError::NoMatchingKeys => Fail::Recovery(
                "the recovery key does not open this export: it was sealed to another one".into(),
            ),
            DecryptError::UnknownFormat => unusable("it is none, or sealed in a newer way"),
            other => unusable(&format!("it is altered or cut short ({other})")),
        })?;
        read(&Zeroizing::new(plain))
    }
}

fn read(plain: &[u8]) -> Result<Unsealed, Fail> {
    let cut = || unusable("it ends too early");
    let form = plain
        .strip_prefix(MAGIC)
        .ok_or_else(|| unusable("it is not one of lockbridge's"))?;
    let rest = form.strip_prefix(FORM).ok_or_else(|| {
        unusable("its form is not known to this program: it may be from a newer version, install that")
    })?;
    let (hashed, hash) = plain.split_last_chunk::<HASH_BYTES>().ok_or_else(cut)?;
    if Sha256::digest(hashed).as_slice() != hash {
        return Err(unusable("its hash does not fit"));
    }
    let mut rest = rest
        .get(..rest.len().saturating_sub(HASH_BYTES))
        .ok_or_else(cut)?;
    let head: Head = rmp_serde::from_slice(take(&mut rest).ok_or_else(cut)?)
        .map_err(|e| unusable(&format!("its head cannot be understood: {e}")))?;
    if head.format > FORMAT {
        return Err(Fail::Newer {
            found: head.format,
            known: FORMAT,
        });
    }
    let mut content = Content::default();
    let mut count: u64 = 0;
    loop {
        let name = take(&mut rest).ok_or_else(cut)?;
        if name.is_empty() {
            break;
        }
        let tree = Tree::ALL.into_iter().find(|tree| tree.name().as_bytes() == name);
        let tree = tree.ok_or_else(|| unusable("it names a tree that there is not"))?;
        let key = take(&mut rest).ok_or_else(cut)?.to_vec();
        let value = take(&mut rest).ok_or_else(cut)?.to_vec();
        content.add(tree, key, value);
        count += 1;
    }
    if rest != count.to_be_bytes() {
        return Err(unusable("it does not hold as many values as it says"));
    }
    Ok(Unsealed { head, content })
}

fn put(plain: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Fail> {
    let length = u32::try_from(bytes.len()).map_err(|_| Fail::Broken("a value of 4 GB".into()))?;
    plain.extend(length.to_be_bytes());
    plain.extend(bytes);
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(bytes)
}

fn unusable(how: &str) -> Fail {
    Fail::Export(how.to_owned())
}
