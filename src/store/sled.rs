//! The store on the card: sled, with the care that it needs to be durable and to be believed.
//!
//! sled writes its log without making it durable, so every sync ends with our own `sync_data` on
//! the log file, and opening syncs every file that sled leaves to luck. sled answers damage with a
//! panic, or with rows missing and not a word, so opening runs guarded, counts all rows, and holds
//! them against a tally inside the database and a witness outside.
//!
//! It refuses to start on damage, a newer format or a second instance, and never starts empty
//! where something was. After a failed commit or sync it is dead: the kernel may have dropped the
//! pages, and a later success would prove nothing.

mod open;

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};

use super::{
    Batch, FORMAT, FORMAT_KEY, Fail, Rows, Store, Tree, check_sizes,
    disk::{self, Ballast},
    witness::Tally,
};

pub(super) use open::exists;

/// Directory of the database in the data directory.
pub(super) const DIR: &str = "store";

/// sled's own tree for the tally; not one of [`Tree`], so that nobody else writes it.
const TALLY_TREE: &str = "tally";
const TALLY_KEY: &[u8] = b"tally";

/// What can be chosen about a store on the card.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes that stay free when the ballast is put back. Keeping them free is for whoever takes
    /// new work on: what came of accepted work must be written down for as long as it can be.
    pub reserve: u64,
    /// Bytes of the file that is given up when the card is too full to open the database.
    pub ballast: u64,
    /// How old the witness may grow while batches come in, and how often the ballast is looked after.
    pub witness_every: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            reserve: 50 << 20,
            ballast: 4 << 20,
            witness_every: Duration::from_secs(600),
        }
    }
}

/// A store in a directory, open for as long as this lives.
pub struct SledStore {
    data_dir: PathBuf,
    options: Options,
    ballast: Ballast,
    db: sled::Db,
    /// In the order of [`Tree::ALL`], then the tally.
    trees: Vec<sled::Tree>,
    /// Our own handle to sled's log: the only way to make it durable, and to see that fail.
    log: File,
    tally: Tally,
    witnessed: Tally,
    /// Paces the witness and decides nothing; the time of the core never comes here.
    witnessed_at: Instant,
    dead: Option<Fail>,
}

impl SledStore {
    /// Opens the store in `data_dir`, or makes a new one where there never was one.
    pub fn open(data_dir: &Path, options: Options) -> Result<SledStore, Fail> {
        SledStore::start(data_dir, options).map_err(|fail| open::with_advice(fail, data_dir))
    }

    fn start(data_dir: &Path, options: Options) -> Result<SledStore, Fail> {
        open::prepare(data_dir).map_err(|e| Fail::io(data_dir.display(), &e))?;
        let dir = data_dir.join(DIR);
        let witness = open::read_witness(data_dir)?;
        open::refuse_blobs(&dir)?;
        let ballast = Ballast::new(data_dir, options.ballast);
        let (db, trees) = ballast.lend(|| open::guarded(|| open::open_trees(data_dir)))?;
        let tally = open::guarded(|| open::take_stock(&trees, witness.as_ref()))?;

        let failed = |e: io::Error| Fail::io("opening the store", &e);
        let mut store = SledStore {
            data_dir: data_dir.to_owned(),
            options,
            ballast,
            log: OpenOptions::new()
                .read(true)
                .write(true)
                .open(dir.join("db"))
                .map_err(failed)?,
            db,
            trees,
            witnessed: witness.unwrap_or_default(),
            tally,
            witnessed_at: Instant::now(),
            dead: None,
        };
        let new = store.tally == Tally::default();
        if new {
            let format = FORMAT.to_be_bytes().to_vec();
            store.commit(&vec![(Tree::Meta, FORMAT_KEY.to_vec(), Some(format))])?;
        }
        store.sync()?;
        disk::sync_all_in(&dir)
            .and_then(|()| disk::sync_path(data_dir))
            .map_err(failed)?;
        match store.renew_witness() {
            // Until a witness has seen it, an empty store could not be told from an emptied one.
            Err(error) if new => return Err(failed(error)),
            Err(error) => tracing::warn!("no new witness: {error}"),
            Ok(()) => {}
        }
        store.ballast.restore(options.reserve);
        Ok(store)
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree as usize]
    }

    fn alive(&self) -> Result<(), Fail> {
        self.dead.clone().map_or(Ok(()), Err)
    }

    /// Remembers a failure after which nothing may be believed any more.
    fn die(&mut self, doing: &str, error: impl std::fmt::Display) -> Fail {
        let fail = Fail::Broken(format!("{doing}: {error}"));
        self.dead = Some(fail.clone());
        fail
    }

    /// One transaction over all trees; the tally changes in it.
    fn apply(&self, last: &BTreeMap<(Tree, &[u8]), Option<&[u8]>>) -> Result<Tally, sled::Error> {
        let mut tally = self.tally.clone();
        tally.commits += 1;
        let mut changes = Vec::with_capacity(last.len());
        for (&(tree, key), &value) in last {
            // The only writer is here, so what is read now still holds in the transaction.
            let existed = self.tree(tree).contains_key(key)?;
            match (existed, value) {
                (false, None) => continue,
                (false, Some(_)) => tally.rows[tree as usize] += 1,
                (true, None) => tally.rows[tree as usize] -= 1,
                (true, Some(_)) => {}
            }
            changes.push((tree as usize, key, value));
        }
        let record = tally.encode();
        // May run more than once, so everything it needs was made before.
        self.trees
            .as_slice()
            .transaction(|trees| {
                for &(tree, key, value) in &changes {
                    match value {
                        Some(value) => trees[tree].insert(key, value)?,
                        None => trees[tree].remove(key)?,
                    };
                }
                trees[Tree::ALL.len()].insert(TALLY_KEY, record.as_slice())?;
                Ok::<(), ConflictableTransactionError<()>>(())
            })
            .map_err(|error| match error {
                TransactionError::Storage(error) => error,
                TransactionError::Abort(()) => sled::Error::ReportableBug("aborted".into()),
            })?;
        Ok(tally)
    }

    /// Has the witness see what is there; only what is durable may be shown to it.
    fn renew_witness(&mut self) -> io::Result<()> {
        self.witnessed_at = Instant::now();
        if self.witnessed != self.tally {
            self.tally.write(&self.data_dir)?;
            self.witnessed = self.tally.clone();
        }
        Ok(())
    }
}

impl Store for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fail> {
        self.alive()?;
        let value = self.tree(tree).get(key).map_err(Fail::from)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, tree: Tree, prefix: &[u8], from: &[u8], limit: usize) -> Result<Rows, Fail> {
        self.alive()?;
        self.tree(tree)
            .range(prefix.max(from)..)
            .take_while(|row| row.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
            .take(limit)
            .map(|row| {
                row.map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .map_err(Fail::from)
            })
            .collect()
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), Fail> {
        self.alive()?;
        check_sizes(batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        // Of several changes of one key the last one stands.
        let last = batch
            .iter()
            .map(|(tree, key, value)| ((*tree, key.as_slice()), value.as_deref()))
            .collect();
        self.tally = self
            .apply(&last)
            .map_err(|e| self.die("committing", open::plainly(e)))?;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fail> {
        self.alive()?;
        self.db
            .flush()
            .map_err(|e| self.die("writing the log", open::plainly(e)))?;
        self.log.sync_data().map_err(|e| self.die("syncing the log", e))?;
        if self.witnessed_at.elapsed() >= self.options.witness_every {
            // The batches are durable whatever becomes of the witness: an old one proves less.
            self.renew_witness()
                .unwrap_or_else(|e| tracing::warn!("no new witness: {e}"));
            // Given up at the start, it comes back once somebody has made room.
            self.ballast.restore(self.options.reserve);
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if self.sync().is_ok() {
            self.renew_witness()
                .unwrap_or_else(|e| tracing::warn!("no last witness: {e}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::witness;

    #[test]
    fn a_failed_sync_is_final() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            reserve: 0,
            ballast: 0,
            ..Options::default()
        };
        let mut store = SledStore::open(dir.path(), options).unwrap();
        let batch = vec![(Tree::Codes, b"k".to_vec(), Some(b"1".to_vec()))];
        let seen = fs::read(dir.path().join(witness::FILE)).unwrap();

        // A handle that cannot be synced, for one sync only.
        let log = std::mem::replace(&mut store.log, File::open("/dev/null").unwrap());
        store.commit(&batch).unwrap();
        let fail = store.sync().unwrap_err();
        assert!(matches!(fail, Fail::Broken(_)));
        store.log = log;

        assert_eq!(store.sync(), Err(fail.clone()));
        assert_eq!(store.commit(&batch), Err(fail.clone()));
        assert_eq!(store.get(Tree::Codes, b"k"), Err(fail.clone()));
        assert_eq!(store.scan(Tree::Codes, b"", b"", 1), Err(fail));
        drop(store);
        assert_eq!(
            fs::read(dir.path().join(witness::FILE)).unwrap(),
            seen,
            "it saw what may be lost"
        );
    }
}
