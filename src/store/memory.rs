//! The store in memory, with a disk that forgets: for simulations and tests, and for what is to stay
//! as another store was.
//!
//! Commits are visible at once and durable after a sync, as on the card. A crash keeps what was
//! synced and the first few of the later batches, whole ones only, as a log does. It can be told
//! to be full, or to fail its next sync.

use std::{collections::BTreeMap, mem, ops::Bound};

use super::{Batch, Change, FORMAT, FORMAT_KEY, Fail, Rows, Store, Tree, check_sizes, each_row};

/// Ordered bytes that survive only as far as a disk would let them.
#[derive(Default)]
pub struct MemoryStore {
    /// Everything committed, in the order of [`Tree::ALL`].
    trees: [BTreeMap<Vec<u8>, Vec<u8>>; Tree::ALL.len()],
    /// What would undo each batch since the last sync, oldest batch first. Keeping the old values
    /// rather than a durable copy makes a commit as cheap as its changes.
    unsynced: Vec<Vec<Change>>,
    dead: Option<Fail>,
    /// Refuses every batch, as a full card does: even a removal is written.
    pub full: bool,
    /// Makes the next sync fail, and with it everything after it until the crash.
    pub fail_sync: bool,
}

impl MemoryStore {
    /// A new store, with nothing in it but its format.
    pub fn new() -> MemoryStore {
        let mut store = MemoryStore::default();
        store.trees[Tree::Meta as usize].insert(FORMAT_KEY.into(), FORMAT.to_be_bytes().into());
        store
    }

    /// A copy of all that another store holds now.
    ///
    /// # Errors
    /// The other store cannot be read.
    pub fn copy_of(other: &dyn Store) -> Result<MemoryStore, Fail> {
        let mut copy = MemoryStore::default();
        for tree in Tree::ALL {
            let rows = &mut copy.trees[tree as usize];
            each_row(other, tree, |key, value| {
                rows.insert(key, value);
                Ok(())
            })?;
        }
        Ok(copy)
    }

    /// How many batches a crash could take.
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Cuts the power: the first `keep` of the unsynced batches survive, and what survived is
    /// durable. The store can then be opened again, so it is no longer dead.
    pub fn crash(&mut self, keep: usize) {
        while self.unsynced.len() > keep {
            for (tree, key, old) in self.unsynced.pop().into_iter().flatten().rev() {
                self.put(tree, key, old);
            }
        }
        self.unsynced.clear();
        self.dead = None;
        self.fail_sync = false;
    }

    fn put(&mut self, tree: Tree, key: Vec<u8>, value: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let rows = &mut self.trees[tree as usize];
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        }
    }

    fn alive(&self) -> Result<(), Fail> {
        self.dead.clone().map_or(Ok(()), Err)
    }
}

impl Store for MemoryStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fail> {
        self.alive()?;
        Ok(self.trees[tree as usize].get(key).cloned())
    }

    fn scan(&self, tree: Tree, prefix: &[u8], from: &[u8], limit: usize) -> Result<Rows, Fail> {
        self.alive()?;
        Ok(self.trees[tree as usize]
            .range::<[u8], _>((Bound::Included(prefix.max(from)), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), Fail> {
        self.alive()?;
        check_sizes(batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        if self.full {
            return Err(Fail::Full("the simulated card is full".into()));
        }
        let undo = batch
            .iter()
            .map(|(tree, key, value)| {
                let old = self.put(*tree, key.clone(), value.clone());
                (*tree, key.clone(), old)
            })
            .collect();
        self.unsynced.push(undo);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fail> {
        self.alive()?;
        if mem::take(&mut self.fail_sync) {
            let fail = Fail::Broken("the simulated sync failed".into());
            self.dead = Some(fail.clone());
            return Err(fail);
        }
        self.unsynced.clear();
        Ok(())
    }

    fn size(&self) -> u64 {
        let rows = self.trees.iter().flatten();
        rows.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: u8) -> Batch {
        vec![
            (Tree::Codes, b"a".to_vec(), Some(vec![value])),
            (Tree::Queue, vec![value], Some(vec![])),
        ]
    }

    fn state(store: &MemoryStore) -> (Option<Vec<u8>>, usize) {
        let queue = store.scan(Tree::Queue, b"", b"", 9).unwrap().len();
        (store.get(Tree::Codes, b"a").unwrap(), queue)
    }

    #[test]
    fn a_crash_keeps_the_synced_and_a_prefix() {
        for keep in 0..=4 {
            let mut store = MemoryStore::new();
            store.commit(&set(1)).unwrap();
            store.sync().unwrap();
            store.commit(&set(2)).unwrap();
            store.commit(&vec![(Tree::Codes, b"a".to_vec(), None)]).unwrap();
            store.commit(&set(3)).unwrap();
            assert_eq!(store.unsynced(), 3);
            store.crash(keep);
            let left = [
                (Some(vec![1]), 1),
                (Some(vec![2]), 2),
                (None, 2),
                (Some(vec![3]), 3),
            ];
            assert_eq!(state(&store), left[keep.min(3)], "kept {keep}");
            assert_eq!(store.unsynced(), 0);
        }
    }

    #[test]
    fn a_crash_takes_a_key_back_that_one_batch_changed_twice() {
        let mut store = MemoryStore::new();
        store.commit(&set(1)).unwrap();
        store.sync().unwrap();
        store.commit(&[set(2), set(3)].concat()).unwrap();
        store.crash(0);
        assert_eq!(state(&store), (Some(vec![1]), 1));
    }

    #[test]
    fn a_failed_sync_is_final_until_the_crash() {
        let mut store = MemoryStore::new();
        store.commit(&set(1)).unwrap();
        store.fail_sync = true;
        let fail = store.sync().unwrap_err();
        assert_eq!(store.sync(), Err(fail.clone()));
        assert_eq!(store.commit(&set(2)), Err(fail.clone()));
        assert_eq!(store.get(Tree::Codes, b"a"), Err(fail));
        store.crash(1);
        assert_eq!(state(&store), (Some(vec![1]), 1));
        store.sync().unwrap();
    }

    #[test]
    fn full_refuses_and_changes_nothing() {
        let mut store = MemoryStore::new();
        store.commit(&set(1)).unwrap();
        store.full = true;
        assert!(matches!(store.commit(&set(2)), Err(Fail::Full(_))));
        assert_eq!(state(&store), (Some(vec![1]), 1));
        store.full = false;
        store.commit(&set(2)).unwrap();
    }
}
