//! The durable memory: a narrow trait over ordered bytes, and what stands behind it.
//!
//! Everything that belongs together is one [`Batch`]; a batch is all or nothing, and it is
//! durable only after [`Store::sync`]. Nothing may be acknowledged before that (I1, I2).
//!
//! Two back ends, held to the same behaviour by one property: [`SledStore`] on the card, and
//! [`MemoryStore`], which can crash. Above both, the [`Vault`] turns records into rows that
//! betray any change to them, and keeps secrets sealed under the [`SealKey`]. Beside them, exports
//! take all of it to another machine, sealed to a [`RecoveryKey`].
//!
//! The room knows bytes only, never what they mean. It refuses rather than guesses: a store that
//! is damaged, newer, or without its key is an error with advice, and never an empty start.

mod disk;
mod export;
#[expect(
    clippy::disallowed_types,
    reason = "a store's key is made once, before all that is random"
)]
mod key;
mod memory;
mod recovery;
#[expect(
    clippy::disallowed_methods,
    reason = "time here paces the witness, and decides nothing"
)]
mod sled;
mod vault;
mod witness;

use std::{fmt, io};

pub use export::{Exported, Exporter, Head, Unexported, Unsealed, import, refuse_occupied};
pub use key::{SealKey, load_key};
pub use memory::MemoryStore;
pub use recovery::{Earlier, RecoveryKey, has_recovery_key};
pub use sled::{Options, SledStore};
pub use vault::{Content, Vault};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Key of the row in [`Tree::Meta`] that holds the format: a big-endian `u32`, in every format.
pub const FORMAT_KEY: &[u8] = b"format";

/// The most bytes that key and value of one row may have together: sled moves larger leaves to
/// files of their own, which it never syncs.
pub const MAX_ROW: usize = 4000;

/// A named, ordered map of bytes inside the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// (device, code): the record, what is confirmed, the generation. Sealed.
    Codes,
    /// (device, code): the row of the durable queue.
    Queue,
    /// Job id: what was asked, its answer and its phase. Sealed.
    Jobs,
    /// Sequence number: what happened. Sealed.
    Events,
    /// Sequence number: answers that a caller has yet to get. Sealed.
    Replies,
    /// Device id: credentials, unmanaged codes, members of groups that were deleted. Sealed.
    Devices,
    /// Format version, sequence, clock mark, cursors.
    Meta,
}

impl Tree {
    /// Every tree, in the order of its declaration.
    pub const ALL: [Tree; 7] = [
        Tree::Codes,
        Tree::Queue,
        Tree::Jobs,
        Tree::Events,
        Tree::Replies,
        Tree::Devices,
        Tree::Meta,
    ];

    /// Its name on the medium; part of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Tree::Codes => "codes",
            Tree::Queue => "queue",
            Tree::Jobs => "jobs",
            Tree::Events => "events",
            Tree::Replies => "replies",
            Tree::Devices => "devices",
            Tree::Meta => "meta",
        }
    }

    /// Whether its values are secrets, which lie sealed on the medium (I8).
    pub const fn sealed(self) -> bool {
        matches!(
            self,
            Tree::Codes | Tree::Jobs | Tree::Events | Tree::Replies | Tree::Devices
        )
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One change: the tree, the key, and the new value (`None` removes).
pub type Change = (Tree, Vec<u8>, Option<Vec<u8>>);

/// Changes that stand or fall together, applied in order.
pub type Batch = Vec<Change>;

/// Rows of a scan: key and value, in key order.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Names a batch on its way to the medium, so that its answer finds who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Ordered bytes that survive. Keys sort bytewise.
pub trait Store: Send {
    /// The value of one key.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fail>;

    /// Up to `limit` rows whose key starts with `prefix` and is not below `from`, in key order.
    fn scan(&self, tree: Tree, prefix: &[u8], from: &[u8], limit: usize) -> Result<Rows, Fail>;

    /// Applies the whole batch or nothing of it; visible at once, durable only after [`Store::sync`].
    fn commit(&mut self, batch: &Batch) -> Result<(), Fail>;

    /// Makes every earlier commit durable. A failure is final: the store refuses all later work.
    fn sync(&mut self) -> Result<(), Fail>;

    /// Bytes that the store occupies on its medium.
    fn size(&self) -> u64;
}

/// Why the store could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fail {
    /// The medium is full; nothing was changed.
    #[error("the storage is full: {0}")]
    Full(String),
    /// The medium failed. Final: what was committed but not synced may be lost.
    #[error("the storage failed: {0}")]
    Broken(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store was written by a newer lockbridge.
    #[error(
        "the store has format {found}, this program knows up to {known}: install the newer version again"
    )]
    Newer {
        /// Format found on the medium.
        found: u32,
        /// Newest format that this program reads.
        known: u32,
    },
    /// Another process has the store open.
    #[error("another instance has the store open: {0}")]
    Locked(String),
    /// An export cannot be used; how it is wrong.
    #[error("this export cannot be used: {0}")]
    Export(String),
    /// The recovery key is not the one that opens an export, or what is kept of it is spoilt.
    #[error("{0}")]
    Recovery(String),
    /// The key that seals the store is missing, malformed, or open to others.
    #[error("the store key cannot be used: {0}")]
    Key(String),
    /// There is a store where a new one was to be made.
    #[error("{0}")]
    Occupied(String),
    /// A row is larger than [`MAX_ROW`]: a mistake in this program; nothing was changed.
    #[error("a row of {bytes} bytes for the tree {tree} is too large for the store")]
    Oversize {
        /// Where the row was to go.
        tree: Tree,
        /// Bytes of its key and value.
        bytes: usize,
    },
}

impl Fail {
    /// What an error of the file system means for the store.
    fn io(doing: impl fmt::Display, error: &io::Error) -> Fail {
        let told = format!("{doing}: {error}");
        match error.kind() {
            io::ErrorKind::StorageFull => Fail::Full(told),
            _ => Fail::Broken(told),
        }
    }
}

/// Rows that are read at a time.
const PAGE: usize = 256;

/// Hands out every row of one tree, in key order.
fn each_row(
    store: &dyn Store,
    tree: Tree,
    mut row: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut from = Vec::new();
    loop {
        let rows = store.scan(tree, b"", &from, PAGE)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        from = [last.as_slice(), &[0]].concat();
        for (key, value) in rows {
            row(key, value)?;
        }
    }
}

/// Refuses a batch with a row that the store must not take.
fn check_sizes(batch: &Batch) -> Result<(), Fail> {
    for (tree, key, value) in batch {
        let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
        debug_assert!(bytes <= MAX_ROW, "a row of {bytes} bytes for {tree}");
        if bytes > MAX_ROW {
            return Err(Fail::Oversize { tree: *tree, bytes });
        }
    }
    Ok(())
}
