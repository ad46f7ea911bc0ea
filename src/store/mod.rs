//! The durable memory: a narrow trait over ordered bytes, and what stands behind it.
//!
//! Everything that belongs together is one [`Batch`]; a batch is all or nothing, and it is
//! durable only after [`Store::sync`]. Nothing may be acknowledged before that (I1, I2).

use std::fmt;

/// A named, ordered map of bytes inside the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// (device, code): the record, what is confirmed, the generation. Sealed.
    Codes,
    /// (device, code): the row of the durable queue.
    Queue,
    /// Job id: what was asked, its answer and its phase. Sealed.
    Jobs,
    /// Sequence number: what happened.
    Events,
    /// Sequence number: answers that a caller has yet to get. Sealed.
    Replies,
    /// Device id: credentials and unmanaged codes. Sealed.
    Devices,
    /// Format version, sequence, clock mark, cursors, count of rows.
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
}

/// One change: the tree, the key, and the new value (`None` removes).
pub type Change = (Tree, Vec<u8>, Option<Vec<u8>>);

/// Changes that stand or fall together, applied in order.
pub type Batch = Vec<Change>;

/// Rows of a scan: key and value, in key order.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

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
    /// The medium is full, or below its reserve; nothing was changed.
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
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tree::Codes => "codes",
            Tree::Queue => "queue",
            Tree::Jobs => "jobs",
            Tree::Events => "events",
            Tree::Replies => "replies",
            Tree::Devices => "devices",
            Tree::Meta => "meta",
        })
    }
}
