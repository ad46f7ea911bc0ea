//! The store on the card: sled, with the care that it needs to be durable and to be believed.
//!
//! sled writes its log without making it durable, so every sync ends with our own `sync_data` on
//! the log file, and opening syncs every file that sled leaves to luck. sled answers damage with a
//! panic, or with rows missing and not a word, so opening runs guarded, counts all rows, and holds
//! them against a tally inside the database and a witness outside.
//!
//! It refuses to start on damage, a newer format or a second instance, and never starts empty
//! where something was; below a reserve of free space it takes only removals. After a failed
//! commit or sync it is dead: the kernel may have dropped the pages, and a later success would
//! prove nothing.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};

use super::{
    Batch, FORMAT, FORMAT_KEY, Fail, Rows, Store, Tree, check_sizes,
    disk::{self, Ballast},
    only_removes,
    witness::{self, Tally},
};

/// Directory of the database in the data directory.
const DIR: &str = "store";

/// sled's own tree for the tally; not one of [`Tree`], so that nobody else writes it.
const TALLY_TREE: &str = "tally";
const TALLY_KEY: &[u8] = b"tally";

/// sled's default is a gigabyte.
const CACHE_BYTES: u64 = 16 << 20;

/// Bytes of sled's settings file, the last four of them a checksum.
const CONF_BYTES: usize = 62;

/// What can be chosen about a store on the card.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes that must stay free for a batch that writes to be taken.
    pub reserve: u64,
    /// Bytes of the file that is given up when the card is too full to open the database.
    pub ballast: u64,
    /// How old the witness may grow while batches come in.
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
        prepare(data_dir).map_err(|e| Fail::io(data_dir.display(), &e))?;
        let dir = data_dir.join(DIR);
        let witness = read_witness(data_dir)?;
        refuse_blobs(&dir).map_err(|fail| with_advice(fail, data_dir))?;

        let ballast = Ballast::new(data_dir, options.ballast);
        let (db, trees) = ballast
            .lend(|| guarded(|| open_trees(data_dir)))
            .map_err(|fail| with_advice(fail, data_dir))?;
        let tally =
            guarded(|| take_stock(&trees, witness.as_ref())).map_err(|fail| with_advice(fail, data_dir))?;

        let failed = |e: io::Error| Fail::io("opening the store", &e);
        let mut store = SledStore {
            data_dir: data_dir.to_owned(),
            options,
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
        ballast.restore(options.reserve);
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

    fn refuse_below_reserve(&self) -> Result<(), Fail> {
        let free = fs2::available_space(&self.data_dir).map_err(|e| Fail::io(self.data_dir.display(), &e))?;
        if free >= self.options.reserve {
            return Ok(());
        }
        let (free, reserve) = (free >> 20, self.options.reserve >> 20);
        Err(Fail::Full(format!(
            "{free} MiB are free, {reserve} MiB are kept in reserve"
        )))
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
        if !only_removes(batch) {
            self.refuse_below_reserve()?;
        }
        // Of several changes of one key the last one stands.
        let last = batch
            .iter()
            .map(|(tree, key, value)| ((*tree, key.as_slice()), value.as_deref()))
            .collect();
        self.tally = self.apply(&last).map_err(|e| self.die("committing", e))?;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fail> {
        self.alive()?;
        self.db.flush().map_err(|e| self.die("writing the log", e))?;
        self.log.sync_data().map_err(|e| self.die("syncing the log", e))?;
        if self.witnessed_at.elapsed() >= self.options.witness_every {
            // The batches are durable whatever becomes of the witness: an old one proves less.
            self.renew_witness()
                .unwrap_or_else(|e| tracing::warn!("no new witness: {e}"));
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

impl From<sled::Error> for Fail {
    fn from(error: sled::Error) -> Fail {
        match error {
            // sled words this itself; the version is pinned and a test opens twice.
            sled::Error::Io(e) if e.to_string().contains("could not acquire lock") => {
                Fail::Locked("one data directory serves one gateway".into())
            }
            sled::Error::Io(e) => Fail::io("sled", &e),
            other => Fail::Damaged(other.to_string()),
        }
    }
}

/// Whether a database stands in `data_dir`.
pub(super) fn exists(data_dir: &Path) -> bool {
    data_dir.join(DIR).join("db").exists()
}

/// Makes the data directory, and makes durable what a killed process left in the page cache.
fn prepare(data_dir: &Path) -> io::Result<()> {
    if !data_dir.exists() {
        fs::create_dir_all(data_dir)?;
        data_dir.parent().map_or(Ok(()), disk::sync_path)?;
    }
    if exists(data_dir) {
        disk::sync_path(&data_dir.join(DIR).join("db"))
    } else {
        Ok(())
    }
}

/// Reads the witness. A new store gets an empty one before its database is made, so that a
/// database without any witness is never taken for a new one.
fn read_witness(data_dir: &Path) -> Result<Option<Tally>, Fail> {
    let witness = Tally::read(data_dir)?;
    if exists(data_dir) {
        return Ok(witness);
    }
    match witness {
        Some(tally) if tally.commits > 0 => {
            let gone = Fail::Damaged("its database is gone".into());
            Err(with_advice(gone, data_dir))
        }
        Some(empty) => Ok(Some(empty)),
        None => {
            let empty = Tally::default();
            empty
                .write(data_dir)
                .map_err(|e| Fail::io("writing the witness", &e))?;
            Ok(Some(empty))
        }
    }
}

/// sled never syncs the files that it makes for large leaves. Rows are kept too small for that,
/// so such a file means that something else wrote here.
fn refuse_blobs(dir: &Path) -> Result<(), Fail> {
    match fs::read_dir(dir.join("blobs")).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Fail::Damaged("there are files under blobs/".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fail::io("blobs", &error)),
    }
}

/// Runs `work`, with a panic of sled's taken for what it is: damage.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fail>) -> Result<T, Fail> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<String>().map(String::as_str);
        let told = told
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason");
        Err(Fail::Damaged(format!("its log cannot be read ({told})")))
    })
}

/// Opens the database and all trees: the name of a new tree is a write of its own, which must be
/// behind us before the first sync.
fn open_trees(data_dir: &Path) -> Result<(sled::Db, Vec<sled::Tree>), Fail> {
    let dir = data_dir.join(DIR);
    let config = sled::Config::default()
        .path(&dir)
        .cache_capacity(CACHE_BYTES)
        // Every group is synced by us; a timer would only wake the machine.
        .flush_every_ms(None);
    let conf = dir.join("conf");
    let db = match config.open() {
        // The settings are constants, so sled can write them anew.
        Err(sled::Error::Corruption { at: None, .. }) if conf_is_torn(&conf) => {
            let aside = data_dir.join("conf.damaged");
            fs::rename(&conf, &aside).map_err(|e| Fail::io(conf.display(), &e))?;
            tracing::warn!("sled's settings were torn; moved to {}", aside.display());
            config.open()?
        }
        opened => opened?,
    };
    let names = Tree::ALL.iter().map(|tree| tree.name()).chain([TALLY_TREE]);
    let trees = names.map(|name| db.open_tree(name)).collect::<Result<_, _>>()?;
    Ok((db, trees))
}

fn conf_is_torn(conf: &Path) -> bool {
    fs::read(conf).is_ok_and(|bytes| match bytes.split_last_chunk::<4>() {
        Some((body, sum)) => bytes.len() != CONF_BYTES || crc32fast::hash(body).to_le_bytes() != *sum,
        None => true,
    })
}

/// Reads everything once and decides whether it is all that was ever written. A store that is
/// provably new has the empty tally.
fn take_stock(trees: &[sled::Tree], witness: Option<&Tally>) -> Result<Tally, Fail> {
    // First of all: another format may count differently.
    let format = trees[Tree::Meta as usize].get(FORMAT_KEY)?;
    let format = format.map(|bytes| <[u8; 4]>::try_from(bytes.as_ref()).map(u32::from_be_bytes));
    match format {
        Some(Ok(found)) if found > FORMAT => {
            return Err(Fail::Newer { found, known: FORMAT });
        }
        None | Some(Ok(FORMAT)) => {}
        Some(_) => return Err(Fail::Damaged("its format is not readable".into())),
    }
    let mut counted = [0; Tree::ALL.len()];
    for (count, tree) in counted.iter_mut().zip(trees) {
        for row in tree.iter() {
            row?;
            *count += 1;
        }
    }
    let record = trees[Tree::ALL.len()].get(TALLY_KEY)?;
    let tally = match &record {
        Some(bytes) => Tally::decode(bytes),
        None => Some(Tally::default()),
    };
    let tally = tally.ok_or_else(|| Fail::Damaged("its tally is not readable".into()))?;
    tally.check(&counted, witness).map_err(Fail::Damaged)?;
    if format.is_none() && witness != Some(&Tally::default()) {
        return Err(Fail::Damaged(
            "it is empty, and nothing says that it is new".into(),
        ));
    }
    Ok(tally)
}

/// Tells the operator what can be done about damage.
fn with_advice(fail: Fail, data_dir: &Path) -> Fail {
    let Fail::Damaged(what) = fail else {
        return fail;
    };
    let (data_dir, witness) = (data_dir.display(), witness::FILE);
    Fail::Damaged(format!(
        "{what}. Check the card and keep a copy of {data_dir} before anything else, then put a \
         backup of the whole directory in its place. If this is an older copy put back on purpose, \
         remove {data_dir}/{witness}. To start empty on purpose, move {data_dir}/{DIR} and \
         {data_dir}/{witness} away: the codes that are on the locks are then nobody's"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

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
