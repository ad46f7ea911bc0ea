//! The store from outside: both back ends alike, durable or dead, and never empty by damage.

#![allow(
    clippy::disallowed_methods,
    reason = "waits for sled to let go, which nobody announces"
)]

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use lockbridge::{
    shell::Committer,
    store::{
        Batch, FORMAT, FORMAT_KEY, Fail, MAX_ROW, MemoryStore, Options, Rows, SealKey, SledStore, Store,
        Ticket, Tree, Vault, load_key,
    },
};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

/// No reserve and no ballast: these are about the card, not about what is kept on it.
const PLAIN: Options = Options {
    reserve: 0,
    ballast: 0,
    witness_every: Duration::from_secs(600),
};

/// Opens again after a drop. sled gives its lock back a moment after its handle is dropped, so
/// within one process `Locked` is passing; anything else is what the test is about.
fn open_with(dir: &Path, options: Options) -> Result<SledStore, Fail> {
    let begun = Instant::now();
    loop {
        match SledStore::open(dir, options) {
            Err(Fail::Locked(_)) if begun.elapsed() < Duration::from_secs(10) => thread::yield_now(),
            opened => return opened,
        }
    }
}

fn reopen(dir: &Path) -> Result<SledStore, Fail> {
    open_with(dir, PLAIN)
}

fn set(tree: Tree, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Batch {
    vec![(tree, key.as_ref().to_vec(), Some(value.as_ref().to_vec()))]
}

fn everything(store: &dyn Store) -> BTreeMap<Tree, Rows> {
    Tree::ALL
        .into_iter()
        .map(|tree| (tree, store.scan(tree, b"", b"", usize::MAX).unwrap()))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => fs::copy(entry.path(), to).map(drop).unwrap(),
        }
    }
}

// Both back ends alike.

#[derive(Clone, Debug)]
enum Step {
    Commit(Batch),
    Sync,
    Get(Tree, Vec<u8>),
    Scan(Tree, Vec<u8>, Vec<u8>, usize),
    /// Close and open.
    Reopen,
    /// Open what a killed process leaves: what is in the files at this instant.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let tree = || prop::sample::select(Tree::ALL.to_vec());
    let key = || prop::collection::vec(0..3u8, 0..4);
    let value = prop_oneof![
        1 => Just(None),
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Some),
        1 => (0..=MAX_ROW - 4).prop_map(|length| Some(vec![0xee; length])),
    ];
    let batch = prop::collection::vec((tree(), key(), value), 0..8);
    prop_oneof![
        12 => batch.prop_map(Step::Commit),
        3 => Just(Step::Sync),
        4 => (tree(), key()).prop_map(|(tree, key)| Step::Get(tree, key)),
        4 => (tree(), key(), key(), 0..9usize).prop_map(|(t, p, f, l)| Step::Scan(t, p, f, l)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn sled_and_memory_are_alike(steps in prop::collection::vec(step(), 1..50)) {
        // In memory if there is such a place: this is about behaviour, and syncs are free there.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempdir()).unwrap();
        let mut life = 0;
        let mut path = dir.path().join("0");
        let mut memory = MemoryStore::new();
        let mut sled = reopen(&path).unwrap();
        // All that was there after each batch since the last sync.
        let mut since_sync = vec![everything(&memory)];
        for step in steps {
            match step {
                Step::Commit(batch) => prop_assert_eq!(sled.commit(&batch), memory.commit(&batch)),
                Step::Sync => prop_assert_eq!(sled.sync(), memory.sync()),
                Step::Get(tree, key) => prop_assert_eq!(sled.get(tree, &key), memory.get(tree, &key)),
                Step::Scan(tree, prefix, from, limit) => {
                    let found = sled.scan(tree, &prefix, &from, limit);
                    prop_assert_eq!(found, memory.scan(tree, &prefix, &from, limit));
                }
                Step::Reopen => {
                    drop(sled);
                    sled = reopen(&path).unwrap();
                    memory.sync().unwrap();
                }
                Step::Kill => {
                    life += 1;
                    let left = dir.path().join(life.to_string());
                    copy(&path, &left);
                    path = left;
                    sled = reopen(&path).unwrap();
                    // What is left is what was synced and the first of the batches since.
                    let found = everything(&sled);
                    let keep = since_sync.iter().position(|state| *state == found);
                    prop_assert!(keep.is_some(), "what is left is no prefix of the batches");
                    memory.crash(keep.unwrap_or(0));
                }
            }
            since_sync.truncate(memory.unsynced());
            since_sync.push(everything(&memory));
        }
        prop_assert_eq!(everything(&sled), everything(&memory));
    }
}

// Large values.

#[test]
fn a_group_of_fifty_with_large_values_makes_no_blobs() {
    let dir = tempdir().unwrap();
    let key = load_key(dir.path(), None).unwrap();
    let mut sled = reopen(dir.path()).unwrap();
    let (mut vault, _) = Vault::open(&mut sled, &key, [1; 16]).unwrap();
    let value = |member: u8, round: usize| vec![member; 3_400 + 7 * round];
    let answer = |round: usize| vec![b'a'; 50 * 1_200 + round];
    for round in 0..5 {
        let mut batch = Batch::new();
        for member in 0..50 {
            vault.put(&mut batch, Tree::Codes, &[member; 32], &value(member, round));
            vault.put(
                &mut batch,
                Tree::Devices,
                &[member; 16],
                &value(member, 1_200 * round),
            );
        }
        vault.put(&mut batch, Tree::Jobs, b"job", &answer(round));
        vault.put(
            &mut batch,
            Tree::Jobs,
            format!("job {round}").as_bytes(),
            &answer(round),
        );
        sled.commit(&batch).unwrap();
        sled.sync().unwrap();
    }
    drop(sled);
    assert_eq!(fs::read_dir(dir.path().join("store/blobs")).unwrap().count(), 0);

    let mut sled = reopen(dir.path()).unwrap();
    let (_, mut content) = Vault::open(&mut sled, &key, [2; 16]).unwrap();
    let codes: Rows = (0..50)
        .map(|member| (vec![member; 32], value(member, 4)))
        .collect();
    assert!(content.take(Tree::Codes) == codes);
    assert_eq!(content.take(Tree::Jobs).len(), 6);
}

#[test]
fn a_row_too_large_is_refused_by_both() {
    let dir = tempdir().unwrap();
    let stores: [Box<dyn Store>; 2] = [
        Box::new(reopen(dir.path()).unwrap()),
        Box::new(MemoryStore::new()),
    ];
    for mut store in stores {
        store
            .commit(&set(Tree::Events, b"k", vec![1; MAX_ROW - 1]))
            .unwrap();
        let too_large = [
            set(Tree::Events, b"a", b"1"),
            set(Tree::Events, b"k", vec![1; MAX_ROW]),
        ]
        .concat();
        // A debug build stops at the mistake, a release build refuses.
        let refused = catch_unwind(AssertUnwindSafe(|| store.commit(&too_large)));
        assert!(matches!(
            refused,
            Err(_)
                | Ok(Err(Fail::Oversize {
                    tree: Tree::Events,
                    ..
                }))
        ));
        assert_eq!(store.get(Tree::Events, b"a"), Ok(None));
    }
}

// Room.

#[test]
fn below_the_reserve_what_came_of_accepted_work_is_still_written() {
    let dir = tempdir().unwrap();
    let greedy = Options {
        reserve: u64::MAX,
        ..PLAIN
    };
    let mut sled = open_with(dir.path(), greedy).unwrap();
    sled.commit(&set(Tree::Codes, b"k", b"1")).unwrap();
    sled.sync().unwrap();
    assert_eq!(sled.get(Tree::Codes, b"k"), Ok(Some(b"1".to_vec())));
}

#[test]
fn a_ballast_that_was_given_up_comes_back_while_it_runs() {
    let dir = tempdir().unwrap();
    let careful = Options {
        ballast: 10_000,
        witness_every: Duration::ZERO,
        ..PLAIN
    };
    let mut sled = open_with(dir.path(), careful).unwrap();
    let ballast = dir.path().join("ballast");
    fs::remove_file(&ballast).unwrap();
    sled.commit(&set(Tree::Codes, b"k", b"1")).unwrap();
    sled.sync().unwrap();
    assert_eq!(fs::metadata(ballast).unwrap().len(), 10_000);
}

// Damage: found, told, and never an empty start.

/// A data directory that was closed cleanly, and what is in it.
fn full_of_codes() -> (TempDir, BTreeMap<Tree, Rows>) {
    let dir = tempdir().unwrap();
    let mut sled = reopen(dir.path()).unwrap();
    for round in 0..60u32 {
        let mut batch = Batch::new();
        for row in 0..8u32 {
            let key = [row.to_be_bytes(), (round % 40).to_be_bytes()].concat();
            let value: Vec<u8> = (0..60).map(|i| (round * 31 + row * 7 + i) as u8).collect();
            batch.extend(set(Tree::Codes, key, value));
        }
        batch.extend(set(Tree::Events, round.to_be_bytes(), [round as u8; 100]));
        sled.commit(&batch).unwrap();
        sled.sync().unwrap();
    }
    let content = everything(&sled);
    drop(sled);
    (dir, content)
}

fn damaged(opened: Result<SledStore, Fail>) -> String {
    match opened {
        Err(Fail::Damaged(told)) => told,
        Err(other) => panic!("not taken for damage: {other}"),
        Ok(_) => panic!("opened as if nothing had happened"),
    }
}

/// Spoils copies of the database in many places. Each must be refused as damaged, now and at the
/// next start, or have lost nothing. Answers how many were refused.
fn refused(places: usize, spoil: impl Fn(&mut Vec<u8>, usize)) -> usize {
    let (dir, content) = full_of_codes();
    let log = fs::read(dir.path().join("store/db")).unwrap();
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for place in 0..places {
        let work = tempdir().unwrap();
        let (first, second) = (work.path().join("1"), work.path().join("2"));
        copy(dir.path(), &first);
        let mut spoilt = log.clone();
        spoil(&mut spoilt, used * place / places);
        fs::write(first.join("store/db"), spoilt).unwrap();
        match SledStore::open(&first, PLAIN) {
            Ok(sled) => assert!(
                everything(&sled) == content,
                "place {place}: opened with other content"
            ),
            opened => {
                assert!(damaged(opened).contains("backup"), "no advice");
                refused += 1;
                copy(&first, &second);
                if let Ok(sled) = SledStore::open(&second, PLAIN) {
                    assert!(
                        everything(&sled) == content,
                        "place {place}: opened the second time"
                    );
                }
            }
        }
    }
    refused
}

#[test]
fn flipped_bytes_are_refused() {
    assert!(refused(24, |log, at| log[at] ^= 0x10) > 12);
}

#[test]
fn zeroed_pages_are_refused() {
    assert!(refused(16, |log, at| log[at & !0xfff..][..0x1000].fill(0)) > 8);
}

#[test]
fn a_log_cut_short_is_refused() {
    assert!(refused(16, |log, at| log.truncate(at)) >= 15);
}

#[test]
fn a_lost_row_is_noticed() {
    let (dir, _) = full_of_codes();
    {
        let db = sled::open(dir.path().join("store")).unwrap();
        assert!(db.open_tree("codes").unwrap().pop_min().unwrap().is_some());
    }
    assert!(damaged(reopen(dir.path())).contains("codes should hold 320 rows and holds 319"));
}

#[test]
fn a_lost_or_torn_conf_is_mended() {
    let (dir, content) = full_of_codes();
    let conf = fs::read(dir.path().join("store/conf")).unwrap();
    let mut flipped = conf.clone();
    flipped[20] ^= 1;
    for torn in [
        None,
        Some(vec![]),
        Some(conf[..30].to_vec()),
        Some(vec![0; conf.len()]),
        Some(flipped),
    ] {
        let work = tempdir().unwrap();
        copy(dir.path(), work.path());
        let path = work.path().join("store/conf");
        match &torn {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let sled = reopen(work.path()).unwrap();
        assert!(everything(&sled) == content);
        assert_eq!(fs::read(&path).unwrap(), conf);
        if let Some(torn) = torn.filter(|torn| torn.len() > 8) {
            assert_eq!(fs::read(work.path().join("conf.damaged")).unwrap(), torn);
        }
    }
}

#[test]
fn a_snapshot_that_was_not_finished_is_no_damage() {
    for torn in [&b""[..], &[0x5a; 100]] {
        let (dir, content) = full_of_codes();
        // The newest of all, by its name.
        let unfinished = dir.path().join("store/snap.7FFFFFFFFFFFFFFF.generating");
        fs::write(&unfinished, torn).unwrap();
        assert!(everything(&reopen(dir.path()).unwrap()) == content);
        assert!(!unfinished.exists());
    }
}

#[test]
fn a_log_that_is_gone_is_no_new_store() {
    let (dir, _) = full_of_codes();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    for _ in 0..2 {
        assert!(damaged(reopen(dir.path())).contains("gone"));
        assert!(!dir.path().join("store").exists());
    }
}

#[test]
fn an_emptied_log_is_no_new_store_even_without_a_witness() {
    for witness in [true, false] {
        let (dir, _) = full_of_codes();
        fs::write(dir.path().join("store/db"), b"").unwrap();
        if !witness {
            fs::remove_file(dir.path().join("witness")).unwrap();
        }
        for _ in 0..2 {
            damaged(reopen(dir.path()));
        }
    }
}

#[test]
fn a_first_start_that_was_cut_off_starts_anew() {
    let dir = tempdir().unwrap();
    reopen(dir.path()).map(drop).unwrap();
    let young = tempdir().unwrap();
    // The witness of the very first instant, from a start that gets no further.
    let in_the_way = young.path().join("store");
    fs::write(&in_the_way, b"").unwrap();
    assert!(SledStore::open(young.path(), PLAIN).is_err());
    assert!(young.path().join("witness").exists());
    fs::remove_file(in_the_way).unwrap();
    let mut sled = reopen(young.path()).unwrap();
    sled.commit(&set(Tree::Codes, b"k", b"1")).unwrap();
}

#[test]
fn a_witness_that_saw_more_is_believed() {
    let (dir, content) = full_of_codes();
    let older = tempdir().unwrap();
    copy(dir.path(), older.path());
    let mut sled = reopen(dir.path()).unwrap();
    sled.commit(&set(Tree::Codes, b"later", b"1")).unwrap();
    drop(sled);
    fs::copy(dir.path().join("witness"), older.path().join("witness")).unwrap();
    assert!(damaged(reopen(older.path())).contains("change 62 was seen"));

    // The operator says that the older copy is meant.
    fs::remove_file(older.path().join("witness")).unwrap();
    assert!(everything(&reopen(older.path()).unwrap()) == content);
    assert!(older.path().join("witness").exists());
}

#[test]
fn an_unreadable_witness_is_damage() {
    let (dir, _) = full_of_codes();
    fs::write(dir.path().join("witness"), b"anything").unwrap();
    assert!(damaged(reopen(dir.path())).contains("witness"));
}

#[test]
fn the_witness_follows_the_syncs_and_not_the_commits() {
    let dir = tempdir().unwrap();
    drop(reopen(dir.path()).unwrap());
    let begun = Instant::now();
    let eager = Options {
        witness_every: Duration::ZERO,
        ..PLAIN
    };
    let mut sled = loop {
        match SledStore::open(dir.path(), eager) {
            Err(Fail::Locked(_)) if begun.elapsed() < Duration::from_secs(10) => thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let seen = || fs::read(dir.path().join("witness")).unwrap();
    let before = seen();
    sled.commit(&set(Tree::Codes, b"k", b"1")).unwrap();
    assert_eq!(seen(), before);
    sled.sync().unwrap();
    assert_ne!(seen(), before);
}

#[test]
fn a_file_under_blobs_is_damage() {
    let (dir, _) = full_of_codes();
    fs::write(dir.path().join("store/blobs/17"), b"x").unwrap();
    assert!(damaged(reopen(dir.path())).contains("blobs"));
}

#[test]
fn a_newer_format_is_left_alone() {
    let (dir, mut content) = full_of_codes();
    let newer = (FORMAT + 1).to_be_bytes();
    let mut sled = reopen(dir.path()).unwrap();
    sled.commit(&set(Tree::Meta, FORMAT_KEY, newer)).unwrap();
    drop(sled);
    let opened = reopen(dir.path()).map(drop);
    assert_eq!(
        opened,
        Err(Fail::Newer {
            found: FORMAT + 1,
            known: FORMAT
        })
    );

    // Nothing was changed by the attempt.
    let db = sled::open(dir.path().join("store")).unwrap();
    let codes: Rows = db
        .open_tree("codes")
        .unwrap()
        .iter()
        .map(Result::unwrap)
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    assert!(content.remove(&Tree::Codes) == Some(codes));
}

#[test]
fn another_key_is_refused_before_anything_is_read() {
    let dir = tempdir().unwrap();
    let mut sled = reopen(dir.path()).unwrap();
    let (mut vault, _) = Vault::open(&mut sled, &SealKey::new([1; 32]), [1; 16]).unwrap();
    let mut batch = Batch::new();
    vault.put(&mut batch, Tree::Codes, b"k", b"1234");
    sled.commit(&batch).unwrap();
    drop(sled);
    let mut sled = reopen(dir.path()).unwrap();
    let Err(Fail::Damaged(told)) = Vault::open(&mut sled, &SealKey::new([2; 32]), [2; 16]) else {
        panic!("opened with another key");
    };
    assert!(told.contains("the store key does not fit"));
    assert!(Vault::open(&mut sled, &SealKey::new([1; 32]), [3; 16]).is_ok());
}

#[test]
fn a_second_opener_is_told_and_does_no_harm() {
    let (dir, content) = full_of_codes();
    let mut sled = reopen(dir.path()).unwrap();
    for _ in 0..3 {
        assert!(matches!(SledStore::open(dir.path(), PLAIN), Err(Fail::Locked(_))));
    }
    assert!(everything(&sled) == content);
    sled.commit(&set(Tree::Codes, b"k", b"1")).unwrap();
    sled.sync().unwrap();
}

// The committer above it.

#[test]
fn closing_leaves_a_store_that_opens_with_all_of_it() {
    let dir = tempdir().unwrap();
    let (answers, answered) = mpsc::channel();
    let done = move |ticket, result| answers.send((ticket, result)).unwrap();
    let committer = Committer::start(Box::new(reopen(dir.path()).unwrap()), done).unwrap();
    let witness = fs::read(dir.path().join("witness")).unwrap();
    for number in 0..500u64 {
        committer
            .submit(Ticket(number), set(Tree::Queue, number.to_be_bytes(), b"row"))
            .unwrap();
    }
    committer.close();
    assert!(
        answered
            .iter()
            .eq((0..500).map(|number| (Ticket(number), Ok(()))))
    );
    assert_ne!(fs::read(dir.path().join("witness")).unwrap(), witness);
    let sled = reopen(dir.path()).unwrap();
    assert_eq!(sled.scan(Tree::Queue, b"", b"", 1_000).unwrap().len(), 500);
}
