//! Records as rows that keep their secrets and betray any change.
//!
//! A value becomes one row, or several if it is long. Every row is bound to its tree, its key and
//! its place in the value: by a checksum, or, in a tree of secrets, by being sealed (I8). So a
//! flipped bit, and a row that stands where another belongs, is found when the store is read.
//! That is once, at the start; afterwards the vault only makes batches and never asks the store,
//! so batches can be made on one thread while another commits them.

use std::collections::{BTreeMap, VecDeque};

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};

use crate::sabotage::{self, Sabotage};

use super::{Batch, FORMAT_KEY, Fail, Rows, SealKey, Store, Tree, each_row};

/// The most bytes of a value in one row; with what is added a row stays below
/// [`MAX_ROW`](super::MAX_ROW).
const PART_BYTES: usize = 3500;

/// How many removed long values are remembered; many more than can be on their way to the medium.
const GONE: usize = 4096;

/// Key in [`Tree::Meta`], taken by the vault, of a sealed nothing that only the right key opens.
const PROBE: &[u8] = b"probe";

/// Turns values into rows. Holds the key, and how many rows each long value has.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    /// With the prefix, the nonce of the next row. A nonce must never come twice under one key.
    prefix: [u8; 16],
    sealed: u64,
    /// Values that have, or had, more than one row, by [`Tree::ALL`].
    long: [BTreeMap<Vec<u8>, Parts>; Tree::ALL.len()],
    /// Those of them that were removed, oldest first.
    gone: VecDeque<(Tree, Vec<u8>)>,
}

/// Rows of one value.
struct Parts {
    now: u32,
    /// The most that can be on the medium. A batch may be refused after it was made, so the rows
    /// of a longer, older value count as there although they were removed once.
    most: u32,
}

/// All values that a store held when it was opened.
#[derive(Default)]
pub struct Content([Rows; Tree::ALL.len()]);

impl Content {
    /// Reads all that a store holds, and checks every row of it; nothing is written.
    ///
    /// # Errors
    /// The store cannot be read, was sealed with another key, or is damaged.
    pub fn read(store: &dyn Store, key: &SealKey) -> Result<Content, Fail> {
        // Never seals anything, so that its nonces need not be new.
        let mut vault = Vault::new(key, [0; 16]);
        let (content, begun) = vault.read_all(store)?;
        match begun {
            true => Ok(content),
            false => Err(Fail::Damaged("there is no probe in it".into())),
        }
    }

    /// Adds a value.
    pub(super) fn add(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) {
        self.0[tree as usize].push((key, value));
    }

    /// How many values one tree holds.
    #[must_use]
    pub fn count(&self, tree: Tree) -> usize {
        self.0[tree as usize].len()
    }

    /// The keys of one tree, in their order.
    pub fn keys(&self, tree: Tree) -> impl Iterator<Item = &[u8]> {
        self.0[tree as usize].iter().map(|(key, _)| key.as_slice())
    }

    /// About how many bytes all keys and values take.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.0.iter().flatten();
        rows.map(|(key, value)| key.len() + value.len() + 32).sum()
    }

    /// Hands out the values of one tree, in key order; a second call finds none.
    pub fn take(&mut self, tree: Tree) -> Rows {
        std::mem::take(&mut self.0[tree as usize])
    }
}

impl Vault {
    /// Reads all that `store` holds, and checks every row of it.
    ///
    /// `prefix` must be new for every call with the same key, from the operating system's
    /// generator: the nonces follow from it.
    pub fn open(store: &mut dyn Store, key: &SealKey, prefix: [u8; 16]) -> Result<(Vault, Content), Fail> {
        let mut vault = Vault::new(key, prefix);
        let (content, begun) = vault.read_all(store)?;
        if !begun {
            vault.begin(store)?;
        }
        Ok((vault, content))
    }

    fn new(key: &SealKey, prefix: [u8; 16]) -> Vault {
        Vault {
            cipher: XChaCha20Poly1305::new(key.bytes().into()),
            prefix,
            sealed: 0,
            long: Default::default(),
            gone: VecDeque::new(),
        }
    }

    /// All values, and whether there is a probe among the rows. The key is tried on it before any
    /// row of a tree of secrets is opened.
    fn read_all(&mut self, store: &dyn Store) -> Result<(Content, bool), Fail> {
        let mut content = Content::default();
        let mut meta = self.read(store, Tree::Meta)?;
        let begun = self.try_key(&mut meta)?;
        content.0[Tree::Meta as usize] = meta;
        if begun {
            for tree in Tree::ALL.into_iter().filter(|tree| *tree != Tree::Meta) {
                content.0[tree as usize] = self.read(store, tree)?;
            }
        }
        Ok((content, begun))
    }

    /// Adds to `batch` what stores `value` under `key`.
    pub fn put(&mut self, batch: &mut Batch, tree: Tree, key: &[u8], value: &[u8]) {
        let (first, rest) = value.split_at(value.len().min(PART_BYTES));
        let mut parts = 1;
        for part in rest.chunks(PART_BYTES) {
            let row = self.close(tree, &row_key(key, parts), part.to_vec());
            batch.push((tree, row_key(key, parts), Some(row)));
            parts += 1;
        }
        let mut head = Vec::with_capacity(HEAD_BYTES + first.len() + TAG_BYTES);
        head.extend(parts.to_be_bytes());
        head.extend(crc32fast::hash(value).to_be_bytes());
        head.extend(first);
        let row = self.close(tree, &row_key(key, 0), head);
        batch.push((tree, row_key(key, 0), Some(row)));
        let most = self.note(tree, key, parts);
        batch.extend((parts..most).map(|part| (tree, row_key(key, part), None)));
    }

    /// Adds to `batch` what removes the value under `key`, if there is one.
    pub fn remove(&mut self, batch: &mut Batch, tree: Tree, key: &[u8]) {
        let most = self.note(tree, key, 0);
        batch.extend((0..most).map(|part| (tree, row_key(key, part), None)));
    }

    /// Takes note that the value now has `parts` rows, and tells how many it may have had.
    fn note(&mut self, tree: Tree, key: &[u8], parts: u32) -> u32 {
        let long = &mut self.long[tree as usize];
        let Some(known) = long.get_mut(key) else {
            if parts > 1 {
                long.insert(
                    key.to_vec(),
                    Parts {
                        now: parts,
                        most: parts,
                    },
                );
            }
            return 1;
        };
        let most = known.most;
        let before = std::mem::replace(&mut known.now, parts);
        known.most = most.max(parts);
        match (before, parts) {
            (0, 0) => {}
            (0, _) => self.gone.retain(|(t, k)| (*t, k.as_slice()) != (tree, key)),
            (_, 0) => self.gone.push_back((tree, key.to_vec())),
            _ => {}
        }
        if self.gone.len() > GONE
            && let Some((tree, key)) = self.gone.pop_front()
        {
            self.long[tree as usize].remove(&key);
        }
        most
    }

    /// Finds the probe among the rows of `meta`, takes it out and tries the key on it; `false` if
    /// there is none.
    fn try_key(&self, meta: &mut Rows) -> Result<bool, Fail> {
        let Some(at) = meta.iter().position(|(key, _)| key == PROBE) else {
            return Ok(false);
        };
        let (_, probe) = meta.remove(at);
        match self.unseal(PROBE, probe) {
            Some(_) => Ok(true),
            None => Err(Fail::Damaged(
                "the store key does not fit: this store was sealed with another one. Put \
                 that key back; without it the PINs in the store cannot be read"
                    .into(),
            )),
        }
    }

    /// Gives a new store its probe.
    fn begin(&mut self, store: &mut dyn Store) -> Result<(), Fail> {
        for tree in Tree::ALL {
            // One row may be there: the format of the store itself.
            let rows = store.scan(tree, b"", b"", 2)?;
            if rows
                .iter()
                .any(|(key, _)| (tree, key.as_slice()) != (Tree::Meta, FORMAT_KEY))
            {
                return Err(Fail::Damaged(format!("there are rows in {tree}, but no probe")));
            }
        }
        let mut batch = Batch::new();
        let probe = self.seal(PROBE, Vec::new());
        self.put(&mut batch, Tree::Meta, PROBE, &probe);
        store.commit(&batch)?;
        store.sync()
    }

    /// All values of one tree, checked and joined.
    fn read(&mut self, store: &dyn Store, tree: Tree) -> Result<Rows, Fail> {
        // Keys of different lengths can stand between the rows of one value.
        let mut values = BTreeMap::<Vec<u8>, BTreeMap<u32, Vec<u8>>>::new();
        each_row(store, tree, |row_key, row| {
            if (tree, row_key.as_slice()) == (Tree::Meta, FORMAT_KEY) {
                return Ok(());
            }
            let (key, part) = row_key
                .split_last_chunk::<4>()
                .ok_or_else(|| altered(tree, &row_key, "its key is too short"))?;
            let part = u32::from_be_bytes(*part);
            let row = self
                .disclose(tree, &row_key, row)
                .ok_or_else(|| altered(tree, key, "it is not what was written"))?;
            values.entry(key.to_vec()).or_default().insert(part, row);
            Ok(())
        })?;
        let mut joined = Rows::with_capacity(values.len());
        for (key, parts) in values {
            let last = parts.last_key_value().map_or(0, |(part, _)| *part);
            let value = join(parts).ok_or_else(|| altered(tree, &key, "its parts do not fit"))?;
            if last > 0 {
                let parts = Parts {
                    now: last + 1,
                    most: last + 1,
                };
                self.long[tree as usize].insert(key.clone(), parts);
            }
            joined.push((key, value));
        }
        Ok(joined)
    }

    /// What goes to the medium for this row.
    fn close(&mut self, tree: Tree, row_key: &[u8], row: Vec<u8>) -> Vec<u8> {
        let place = place(tree, row_key);
        if is_sealed(tree) {
            return self.seal(&place, row);
        }
        let sum = checksum(&place, &row);
        [row.as_slice(), &sum].concat()
    }

    /// The row again, if it is what was written at this place.
    fn disclose(&self, tree: Tree, row_key: &[u8], mut stored: Vec<u8>) -> Option<Vec<u8>> {
        let place = place(tree, row_key);
        if is_sealed(tree) {
            return self.unseal(&place, stored);
        }
        let (row, sum) = stored.split_last_chunk::<4>()?;
        if checksum(&place, row) != *sum {
            return None;
        }
        stored.truncate(row.len());
        Some(stored)
    }

    /// Nonce, what the cipher made of `plain`, and the tag that binds both to `place`.
    fn seal(&mut self, place: &[u8], mut plain: Vec<u8>) -> Vec<u8> {
        let mut nonce = XNonce::default();
        nonce[..16].copy_from_slice(&self.prefix);
        nonce[16..].copy_from_slice(&self.sealed.to_be_bytes());
        self.sealed += 1;
        self.cipher
            .encrypt_in_place(&nonce, place, &mut plain)
            .expect("the cipher takes anything below 256 GB");
        [nonce.as_slice(), &plain].concat()
    }

    fn unseal(&self, place: &[u8], sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (nonce, closed) = sealed.split_at_checked(NONCE_BYTES)?;
        let mut plain = closed.to_vec();
        let nonce = XNonce::try_from(nonce).ok()?;
        self.cipher.decrypt_in_place(&nonce, place, &mut plain).ok()?;
        Some(plain)
    }
}

/// Bytes before the value in its first row: the number of rows, and the checksum of the whole.
const HEAD_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The value's key, then the number of the row.
fn row_key(key: &[u8], part: u32) -> Vec<u8> {
    [key, &part.to_be_bytes()].concat()
}

/// Whether the rows of a tree are sealed: as it says itself, but for a fault on purpose.
fn is_sealed(tree: Tree) -> bool {
    tree.sealed() && !(tree == Tree::Jobs && sabotage::on(Sabotage::StoresInTheClear))
}

/// Where a row stands; no two places look alike, for no tree's name has a zero in it.
fn place(tree: Tree, row_key: &[u8]) -> Vec<u8> {
    [tree.name().as_bytes(), &[0], row_key].concat()
}

fn checksum(place: &[u8], row: &[u8]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&(place.len() as u64).to_be_bytes());
    sum.update(place);
    sum.update(row);
    sum.finalize().to_be_bytes()
}

/// The whole value, if all its rows are there, and no others.
fn join(parts: BTreeMap<u32, Vec<u8>>) -> Option<Vec<u8>> {
    let head = parts.get(&0)?;
    let (count, head) = head.split_first_chunk::<4>()?;
    let (sum, first) = head.split_first_chunk::<4>()?;
    let count = u32::from_be_bytes(*count);
    if !parts.keys().copied().eq(0..count) {
        return None;
    }
    let mut value = first.to_vec();
    for part in parts.values().skip(1) {
        value.extend_from_slice(part);
    }
    (crc32fast::hash(&value).to_be_bytes() == *sum).then_some(value)
}

/// Names the row, never what is in it.
fn altered(tree: Tree, key: &[u8], how: &str) -> Fail {
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    Fail::Damaged(format!(
        "the row {key} of {tree}: {how}; restore the data directory from a backup, or import an export"
    ))
}

#[cfg(test)]
mod tests;
