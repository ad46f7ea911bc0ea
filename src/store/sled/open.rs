//! Opening: what is done and asked before sled's word is taken for anything.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::{DIR, TALLY_KEY, TALLY_TREE};
use crate::store::{
    FORMAT, FORMAT_KEY, Fail, Tree, disk,
    witness::{self, Tally},
};

/// sled's default is a gigabyte.
const CACHE_BYTES: u64 = 1 << 20;

/// Bytes of sled's settings file, the last four of them a checksum.
const CONF_BYTES: usize = 62;

impl From<sled::Error> for Fail {
    fn from(error: sled::Error) -> Fail {
        match error {
            // sled words this itself; the version is pinned and a test opens twice.
            sled::Error::Io(e) if e.to_string().contains("could not acquire lock") => {
                Fail::Locked("one data directory serves one gateway".into())
            }
            sled::Error::Io(e) => Fail::io("sled", &e),
            other => Fail::Damaged(plainly(other)),
        }
    }
}

/// What sled says of an error, without the looks of a program.
pub(super) fn plainly(error: sled::Error) -> String {
    match error {
        sled::Error::Io(error) => error.to_string(),
        sled::Error::Corruption { .. } => format!("the files under {DIR}/ are not what was written"),
        other => other.to_string(),
    }
}

/// Whether a database stands in `data_dir`.
pub(in crate::store) fn exists(data_dir: &Path) -> bool {
    data_dir.join(DIR).join("db").exists()
}

/// Makes the data directory, and makes durable what a killed process left in the page cache.
pub(super) fn prepare(data_dir: &Path) -> io::Result<()> {
    disk::make_dir(data_dir)?;
    match exists(data_dir) {
        true => disk::sync_path(&data_dir.join(DIR).join("db")),
        false => Ok(()),
    }
}

/// Reads the witness. A new store gets an empty one before its database is made, so that a
/// database without any witness is never taken for a new one.
pub(super) fn read_witness(data_dir: &Path) -> Result<Option<Tally>, Fail> {
    let witness = Tally::read(data_dir)?;
    if exists(data_dir) {
        return Ok(witness);
    }
    match witness {
        Some(tally) if tally.commits > 0 => Err(Fail::Damaged("its database is gone".into())),
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
pub(super) fn refuse_blobs(dir: &Path) -> Result<(), Fail> {
    match fs::read_dir(dir.join("blobs")).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Fail::Damaged("there are files under blobs/".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fail::io("blobs", &error)),
    }
}

/// Runs `work`, with a panic of sled's taken for what it is: damage.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Fail>) -> Result<T, Fail> {
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
pub(super) fn open_trees(data_dir: &Path) -> Result<(sled::Db, Vec<sled::Tree>), Fail> {
    let dir = data_dir.join(DIR);
    let config = sled::Config::default()
        .path(&dir)
        .cache_capacity(CACHE_BYTES)
        // Every group is synced by us; a timer would only wake the machine.
        .flush_every_ms(None);
    let db = match config.open() {
        // Said only by who holds the lock, so that nobody else is at work there.
        Err(sled::Error::Corruption { at: None, .. }) if mend(data_dir)? => config.open()?,
        opened => opened?,
    };
    let names = Tree::ALL.iter().map(|tree| tree.name()).chain([TALLY_TREE]);
    let trees = names.map(|name| db.open_tree(name)).collect::<Result<_, _>>()?;
    Ok((db, trees))
}

/// Takes out of the way what sled can write anew and would call damage. Says whether there was any.
fn mend(data_dir: &Path) -> Result<bool, Fail> {
    let dir = data_dir.join(DIR);
    let failed = |e: io::Error| Fail::io("mending the store", &e);
    let mut mended = false;
    let conf = dir.join("conf");
    // Its settings are constants.
    if conf_is_torn(&conf) {
        let aside = data_dir.join("conf.damaged");
        fs::rename(&conf, &aside).map_err(failed)?;
        tracing::warn!("sled's settings were torn; moved to {}", aside.display());
        mended = true;
    }
    // A snapshot under way when the power went or the card was full; the finished one before it
    // is there still, but sled reads this one.
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|name| name == "generating") {
            fs::remove_file(&path).map_err(failed)?;
            tracing::warn!("sled had not finished {}; removed", path.display());
            mended = true;
        }
    }
    Ok(mended)
}

fn conf_is_torn(conf: &Path) -> bool {
    fs::read(conf).is_ok_and(|bytes| match bytes.split_last_chunk::<4>() {
        Some((body, sum)) => bytes.len() != CONF_BYTES || crc32fast::hash(body).to_le_bytes() != *sum,
        None => true,
    })
}

/// Reads everything once and decides whether it is all that was ever written. A store that is
/// provably new has the empty tally.
pub(super) fn take_stock(trees: &[sled::Tree], witness: Option<&Tally>) -> Result<Tally, Fail> {
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

/// Tells the operator what can be done about damage, and about a full card.
pub(super) fn with_advice(fail: Fail, data_dir: &Path) -> Fail {
    let (data_dir, witness) = (data_dir.display(), witness::FILE);
    match fail {
        Fail::Full(what) => Fail::Full(format!(
            "{what}. Nothing is lost: make room on the card that {data_dir} is on, and start again"
        )),
        Fail::Damaged(what) => Fail::Damaged(format!(
            "{what}. Check the card and keep a copy of {data_dir} before anything else, then put a \
             backup of the whole directory in its place, or move {data_dir}/{DIR} and {data_dir}/{witness} \
             away and say `lockbridge import` with the newest export. If only the witness is wrong, or this \
             is an older copy put back on purpose, remove {data_dir}/{witness}. To start empty on purpose, \
             move those two away and import nothing: the codes that are on the locks are then nobody's"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_log_is_told_of_without_the_looks_of_a_program() {
        let told = Fail::from(sled::Error::Corruption { at: None, bt: () }).to_string();
        assert_eq!(
            told,
            "the store is damaged: the files under store/ are not what was written"
        );
    }
}
