//! What the vault must bring back, and what it must notice.

use super::*;
use crate::store::{MAX_ROW, MemoryStore};

fn open(store: &mut MemoryStore) -> (Vault, Content) {
    Vault::open(store, &SealKey::new([7; 32]), [1; 16]).unwrap()
}

fn damage(store: &mut MemoryStore) -> String {
    match Vault::open(store, &SealKey::new([7; 32]), [2; 16]) {
        Err(Fail::Damaged(told)) => told,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("nothing was noticed"),
    }
}

fn commit(store: &mut MemoryStore, make: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    make(&mut batch);
    store.commit(&batch).unwrap();
}

fn rows(store: &MemoryStore, tree: Tree) -> Rows {
    store.scan(tree, b"", b"", usize::MAX).unwrap()
}

/// Bytes that differ from place to place, so that parts cannot stand for each other.
fn long(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(u32::to_be_bytes)
        .take(length)
        .collect()
}

const BOTH: [Tree; 2] = [Tree::Queue, Tree::Codes];

#[test]
fn values_come_back_split_or_not() {
    let lengths = [
        0,
        1,
        PART_BYTES,
        PART_BYTES + 1,
        3 * PART_BYTES,
        3 * PART_BYTES + 1,
        60_000,
    ];
    let mut store = MemoryStore::new();
    let (mut vault, _) = open(&mut store);
    commit(&mut store, |batch| {
        for tree in Tree::ALL {
            for (at, length) in lengths.into_iter().enumerate() {
                vault.put(batch, tree, &[at as u8], &long(length));
            }
        }
        let largest = batch.iter().flat_map(|(_, _, row)| row).map(Vec::len).max();
        assert!(largest.unwrap() + 64 <= MAX_ROW, "a key of 60 bytes has room");
    });
    assert_eq!(rows(&store, Tree::Queue).len(), 1 + 1 + 1 + 2 + 3 + 4 + 18);
    let (_, mut content) = open(&mut store);
    for tree in Tree::ALL {
        let values = content.take(tree);
        let expected: Rows = lengths
            .iter()
            .enumerate()
            .map(|(at, n)| (vec![at as u8], long(*n)))
            .collect();
        assert!(values == expected, "{tree}");
        assert!(content.take(tree).is_empty());
    }
}

#[test]
fn keys_that_begin_alike_keep_their_own_parts() {
    let mut store = MemoryStore::new();
    let (mut vault, _) = open(&mut store);
    let keys: [&[u8]; 4] = [b"", b"a", b"a\0\0\0\0", b"a\0\0\0\x01"];
    commit(&mut store, |batch| {
        for (at, key) in keys.iter().enumerate() {
            vault.put(batch, Tree::Meta, key, &long(4000 * (at + 1)));
        }
    });
    let (_, mut content) = open(&mut store);
    let found = content.take(Tree::Meta);
    let expected: Rows = keys
        .iter()
        .enumerate()
        .map(|(at, key)| (key.to_vec(), long(4000 * (at + 1))))
        .collect();
    assert!(found == expected);
}

#[test]
fn a_shrunk_or_removed_value_leaves_nothing_behind() {
    for tree in BOTH {
        let mut store = MemoryStore::new();
        let (mut vault, _) = open(&mut store);
        commit(&mut store, |batch| vault.put(batch, tree, b"k", &long(20_000)));
        assert_eq!(rows(&store, tree).len(), 6);
        // The second life of the gateway learns the number of rows by reading.
        let (mut vault, _) = open(&mut store);
        commit(&mut store, |batch| vault.put(batch, tree, b"k", &long(8_000)));
        assert_eq!(rows(&store, tree).len(), 3);
        commit(&mut store, |batch| vault.put(batch, tree, b"k", b"short"));
        assert_eq!(rows(&store, tree).len(), 1);
        assert_eq!(
            open(&mut store).1.take(tree),
            [(b"k".to_vec(), b"short".to_vec())]
        );
        commit(&mut store, |batch| vault.put(batch, tree, b"k", &long(8_000)));
        commit(&mut store, |batch| vault.remove(batch, tree, b"k"));
        assert_eq!(rows(&store, tree).len(), 0);
    }
}

#[test]
fn a_refused_batch_does_not_mislead_the_next() {
    let mut store = MemoryStore::new();
    let (mut vault, _) = open(&mut store);
    commit(&mut store, |batch| {
        vault.put(batch, Tree::Jobs, b"k", &long(20_000))
    });
    let mut refused = Batch::new();
    vault.put(&mut refused, Tree::Jobs, b"k", b"short");
    vault.remove(&mut refused, Tree::Jobs, b"k");
    commit(&mut store, |batch| vault.put(batch, Tree::Jobs, b"k", b"other"));
    assert_eq!(
        open(&mut store).1.take(Tree::Jobs),
        [(b"k".to_vec(), b"other".to_vec())]
    );
}

#[test]
fn removed_long_values_are_not_remembered_for_ever() {
    let (mut vault, _) = open(&mut MemoryStore::new());
    let come_and_go = |vault: &mut Vault, jobs: std::ops::Range<usize>| {
        let mut batch = Batch::new();
        for job in jobs {
            vault.put(&mut batch, Tree::Queue, &job.to_be_bytes(), &long(4_000));
            vault.remove(&mut batch, Tree::Queue, &job.to_be_bytes());
            batch.clear();
        }
    };
    let returns = 3usize.to_be_bytes();
    come_and_go(&mut vault, 0..GONE);
    let mut batch = Batch::new();
    vault.put(&mut batch, Tree::Queue, &returns, &long(4_000));
    come_and_go(&mut vault, GONE..2 * GONE);
    assert_eq!(vault.gone.len(), GONE);
    assert_eq!(vault.long[Tree::Queue as usize].len(), GONE + 1);
    // What came back was not forgotten with those that stayed away.
    batch.clear();
    vault.remove(&mut batch, Tree::Queue, &returns);
    assert_eq!(batch.len(), 2);
}

#[test]
fn every_flipped_bit_is_found() {
    for tree in BOTH {
        let mut store = MemoryStore::new();
        let (mut vault, _) = open(&mut store);
        commit(&mut store, |batch| vault.put(batch, tree, b"k", b"1234"));
        let (row_key, row) = rows(&store, tree).remove(0);
        for bit in 0..row.len() * 8 {
            let mut row = row.clone();
            row[bit / 8] ^= 1 << (bit % 8);
            store.commit(&vec![(tree, row_key.clone(), Some(row))]).unwrap();
            assert!(
                damage(&mut store).contains("not what was written"),
                "{tree}, bit {bit}"
            );
        }
    }
}

#[test]
fn a_row_in_the_place_of_another_is_found() {
    for tree in BOTH {
        let mut store = MemoryStore::new();
        let (mut vault, _) = open(&mut store);
        commit(&mut store, |batch| {
            vault.put(batch, tree, b"a", b"1234");
            vault.put(batch, tree, b"b", b"5678");
        });
        let found = rows(&store, tree);
        let swapped = [(0, 1), (1, 0)]
            .map(|(key, value): (usize, usize)| (tree, found[key].0.clone(), Some(found[value].1.clone())))
            .to_vec();
        store.commit(&swapped).unwrap();
        assert!(damage(&mut store).contains("not what was written"));
    }
    // Across trees, too.
    let mut store = MemoryStore::new();
    let (mut vault, _) = open(&mut store);
    commit(&mut store, |batch| vault.put(batch, Tree::Codes, b"a", b"1234"));
    let (key, row) = rows(&store, Tree::Codes).remove(0);
    store.commit(&vec![(Tree::Jobs, key, Some(row))]).unwrap();
    assert!(damage(&mut store).contains("jobs"));
}

#[test]
fn a_missing_surplus_or_older_part_is_found() {
    for tree in BOTH {
        for case in ["no head", "no part", "no end", "surplus", "older"] {
            let mut store = MemoryStore::new();
            let (mut vault, _) = open(&mut store);
            commit(&mut store, |batch| vault.put(batch, tree, b"k", &long(14_000)));
            let older = store.get(tree, &row_key(b"k", 3)).unwrap();
            let mut value = long(14_000);
            value[13_999] ^= 1;
            commit(&mut store, |batch| vault.put(batch, tree, b"k", &value));
            let surplus = vault.close(tree, &row_key(b"k", 4), vec![]);
            let (part, row) = match case {
                "no head" => (0, None),
                "no part" => (1, None),
                "no end" => (3, None),
                "surplus" => (4, Some(surplus)),
                _ => (3, older),
            };
            store.commit(&vec![(tree, row_key(b"k", part), row)]).unwrap();
            assert!(damage(&mut store).contains("do not fit"), "{tree}: {case}");
        }
    }
}

#[test]
fn another_key_opens_nothing_and_changes_nothing() {
    let mut store = MemoryStore::new();
    let (mut vault, _) = open(&mut store);
    commit(&mut store, |batch| vault.put(batch, Tree::Codes, b"k", b"1234"));
    store.sync().unwrap();
    let Err(Fail::Damaged(told)) = Vault::open(&mut store, &SealKey::new([8; 32]), [3; 16]) else {
        panic!("opened with another key");
    };
    assert!(told.contains("the store key does not fit"));
    assert_eq!(store.unsynced(), 0);
    assert_eq!(
        open(&mut store).1.take(Tree::Codes),
        [(b"k".to_vec(), b"1234".to_vec())]
    );
}

#[test]
fn rows_without_a_probe_are_damage() {
    let mut store = MemoryStore::new();
    store
        .commit(&vec![(Tree::Codes, row_key(b"k", 0), Some(vec![1]))])
        .unwrap();
    assert!(damage(&mut store).contains("no probe"));
}

#[test]
fn secrets_are_sealed_and_no_nonce_comes_twice() {
    let mut store = MemoryStore::new();
    let (mut vault, _) = open(&mut store);
    let mut batch = Batch::new();
    for tree in Tree::ALL {
        for _ in 0..3 {
            vault.put(
                &mut batch,
                tree,
                b"k",
                &[b"481516", long(9_000).as_slice()].concat(),
            );
        }
    }
    let mut nonces = std::collections::BTreeSet::new();
    for (tree, _, row) in &batch {
        let row = row.as_ref().unwrap();
        let clear = row.windows(6).any(|bytes| bytes == b"481516");
        assert!(!(clear && tree.sealed()), "{tree}");
        assert!(!tree.sealed() || nonces.insert(row[..NONCE_BYTES].to_vec()));
    }
    let sealed = Tree::ALL.into_iter().filter(|tree| tree.sealed()).count();
    assert_eq!(nonces.len(), sealed * 3 * 3);
}
