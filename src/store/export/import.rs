//! The way back: a store made of an export, under the key of this machine.
//!
//! It is made in a directory of its own, closed, read again, and moved into its place by one rename.
//! The witness follows: without one a store that is there counts as whole, so nothing that was cut
//! short looks whole, and nothing whole looks damaged.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::store::{
    Batch, Content, Fail, Options, SealKey, SledStore, Store, Tree, Vault, disk,
    sled::{self, DIR},
    witness,
};

/// Where the store is made, in the data directory.
const STAGE: &str = "import.new";
/// Values that are committed at once.
const STRIDE: usize = 256;

/// Refuses a directory in which a store stands, or a trace of one that is gone.
///
/// # Errors
/// [`Fail::Occupied`]
pub fn refuse_occupied(data_dir: &Path) -> Result<(), Fail> {
    if !sled::exists(data_dir) && !data_dir.join(witness::FILE).exists() {
        return Ok(());
    }
    let data_dir = data_dir.display();
    Err(Fail::Occupied(format!(
        "{data_dir} has a store, and an export is never put over one. To go back to the export on \
         purpose, end the gateway, move {data_dir}/{DIR} and {data_dir}/{} away, and import again",
        witness::FILE
    )))
}

/// Makes the store of `data_dir` out of `content`, sealed with `key`, with one more value in it:
/// the `mark` of where it came from. `prefix` is as for [`Vault::open`].
///
/// # Errors
/// There is a store already, or the file system failed; then the directory still has none.
pub fn import(
    data_dir: &Path,
    key: &SealKey,
    prefix: [u8; 16],
    mut content: Content,
    mark: (Tree, Vec<u8>, Vec<u8>),
) -> Result<(), Fail> {
    refuse_occupied(data_dir)?;
    let stage = Stage::set_up(data_dir)?;
    let (tree, row, value) = mark;
    content.add(tree, row, value);
    let counts = Tree::ALL.map(|tree| content.count(tree));
    {
        let mut store = open(&stage.0)?;
        let (mut vault, _) = Vault::open(&mut store, key, prefix)?;
        let mut batch = Batch::new();
        let mut waiting = 0;
        for tree in Tree::ALL {
            for (key, value) in content.take(tree) {
                vault.put(&mut batch, tree, &key, &value);
                waiting += 1;
                if waiting == STRIDE {
                    store.commit(&std::mem::take(&mut batch))?;
                    waiting = 0;
                }
            }
        }
        store.commit(&batch)?;
        store.sync()?;
    }
    // What is on the card now, and not what was meant to be.
    let read = Content::read(&open(&stage.0)?, key)?;
    if Tree::ALL.map(|tree| read.count(tree)) != counts {
        return Err(Fail::Broken(
            "the new store does not hold what was written to it".into(),
        ));
    }
    stage.move_in(data_dir)
}

fn open(dir: &Path) -> Result<SledStore, Fail> {
    SledStore::open(
        dir,
        Options {
            reserve: 0,
            ballast: 0,
            ..Options::default()
        },
    )
}

/// The directory in which a store is made; gone when dropped.
struct Stage(PathBuf);

impl Stage {
    fn set_up(data_dir: &Path) -> Result<Stage, Fail> {
        let failed = |e: io::Error| Fail::io(data_dir.display(), &e);
        disk::make_dir(data_dir).map_err(failed)?;
        let dir = data_dir.join(STAGE);
        // What an import that was killed left.
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        disk::make_dir(&dir)
            .and_then(|()| disk::hand_over(&dir, data_dir))
            .map_err(failed)?;
        Ok(Stage(dir))
    }

    fn move_in(self, data_dir: &Path) -> Result<(), Fail> {
        let failed = |e: io::Error| Fail::io("moving the new store into its place", &e);
        let store = self.0.join(DIR);
        for entry in fs::read_dir(&store).map_err(failed)? {
            disk::hand_over(&entry.map_err(failed)?.path(), data_dir).map_err(failed)?;
        }
        disk::hand_over(&store, data_dir).map_err(failed)?;
        // Fails if a gateway began a store here meanwhile.
        fs::rename(store, data_dir.join(DIR)).map_err(failed)?;
        disk::sync_path(data_dir).map_err(failed)?;
        fs::rename(self.0.join(witness::FILE), data_dir.join(witness::FILE)).map_err(failed)?;
        disk::sync_path(data_dir).map_err(failed)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The next import clears what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}
