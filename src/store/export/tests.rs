//! What an export must bring back, what it must refuse, and what a kill may leave.

use age::x25519;

use super::*;
use crate::store::{Batch, Content, Earlier, Options, RecoveryKey, SledStore, Store, Tree, Vault};

const KEY: [u8; SealKey::BYTES] = [7; SealKey::BYTES];

fn long(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + seed * 7) as u8).collect()
}

/// A store with values of every length, in every tree.
fn filled(values: usize) -> MemoryStore {
    let mut store = MemoryStore::new();
    let (mut vault, _) = Vault::open(&mut store, &SealKey::new(KEY), [1; 16]).unwrap();
    let mut batch = Batch::new();
    for tree in Tree::ALL {
        for at in 0..values {
            let value = long(at, [0, 1, 300, 3500, 9000][at % 5]);
            vault.put(&mut batch, tree, format!("key {at:05}").as_bytes(), &value);
        }
    }
    store.commit(&batch).unwrap();
    store
}

fn taken(mut content: Content) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    Tree::ALL.map(|tree| content.take(tree)).to_vec()
}

fn values(store: &MemoryStore) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    taken(Content::read(store, &SealKey::new(KEY)).unwrap())
}

struct Rig {
    dir: tempfile::TempDir,
    recovery: RecoveryKey,
    exporter: Exporter,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(None, 0)
    }

    fn with(named: Option<&Path>, reserve: u64) -> Rig {
        Rig::of("villa-7/gw1", named, reserve)
    }

    fn of(gateway: &str, named: Option<&Path>, reserve: u64) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let recovery = RecoveryKey::make(dir.path(), Earlier::Keep).unwrap().unwrap();
        let exporter = Exporter::new(dir.path(), SealKey::new(KEY), named, reserve, gateway.into());
        Rig {
            dir,
            recovery,
            exporter,
        }
    }

    fn export(&self, store: &MemoryStore, last_event: u64) -> Result<Exported, Unexported> {
        self.exporter
            .export(store, Timestamp(1_799_020_800_000), last_event)
    }

    fn names(&self) -> Vec<String> {
        names_in(&self.dir.path().join(DIR))
    }
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn name(last_event: u64) -> String {
    format!("lockbridge-villa-7.gw1-{last_event:020}.age")
}

/// As earlier versions called them.
fn old_name(last_event: u64) -> String {
    format!("lockbridge-{last_event:020}.age")
}

#[test]
fn everything_comes_back_under_another_key() {
    let rig = Rig::new();
    let store = filled(600);
    let made = rig.export(&store, 4711).unwrap();
    let sealed = fs::read(&made.path).unwrap();
    assert_eq!(made.bytes, sealed.len() as u64);
    let opened = Unsealed::open(&sealed, &rig.recovery).unwrap();
    assert_eq!(
        (
            opened.head.gateway.as_str(),
            opened.head.last_event,
            opened.head.made_at
        ),
        ("villa-7/gw1", 4711, made.made_at)
    );

    let (new, other) = (tempfile::tempdir().unwrap(), SealKey::new([8; SealKey::BYTES]));
    let mark = (Tree::Meta, b"mark".to_vec(), b"of an import".to_vec());
    import(new.path(), &other, [2; 16], opened.content, mark.clone()).unwrap();
    let restored = SledStore::open(
        new.path(),
        Options {
            reserve: 0,
            ballast: 0,
            ..Options::default()
        },
    )
    .unwrap();
    let mut expected = values(&store);
    expected[Tree::Meta as usize].push((mark.1, mark.2));
    expected[Tree::Meta as usize].sort();
    let mut found = taken(Content::read(&restored, &other).unwrap());
    found[Tree::Meta as usize].sort();
    assert!(found == expected);
    let mut left: Vec<_> = fs::read_dir(new.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["store", "witness"], "nothing of the making is left");
}

#[test]
fn a_store_is_never_covered() {
    let rig = Rig::new();
    let content = || Content::read(&filled(3), &SealKey::new(KEY)).unwrap();
    let mark = || (Tree::Meta, b"mark".to_vec(), Vec::new());
    let key = SealKey::new(KEY);
    import(rig.dir.path(), &key, [2; 16], content(), mark()).unwrap();
    let before = fs::read(rig.dir.path().join("witness")).unwrap();
    let again = import(rig.dir.path(), &key, [3; 16], content(), mark());
    assert!(matches!(again, Err(Fail::Occupied(_))));
    assert_eq!(fs::read(rig.dir.path().join("witness")).unwrap(), before);
    // Not even one that is gone, and has left its witness.
    fs::remove_dir_all(rig.dir.path().join("store")).unwrap();
    let again = import(rig.dir.path(), &key, [3; 16], content(), mark());
    assert!(matches!(again, Err(Fail::Occupied(_))));
}

#[test]
fn what_a_killed_import_left_is_no_store_and_in_nobodys_way() {
    let rig = Rig::new();
    let stage = rig.dir.path().join("import.new");
    fs::create_dir_all(stage.join("store")).unwrap();
    fs::write(stage.join("store/db"), b"half of it").unwrap();
    refuse_occupied(rig.dir.path()).unwrap();
    let key = SealKey::new(KEY);
    let content = Content::read(&filled(3), &key).unwrap();
    import(
        rig.dir.path(),
        &key,
        [2; 16],
        content,
        (Tree::Meta, b"m".to_vec(), Vec::new()),
    )
    .unwrap();
    assert!(!stage.exists());
    // Killed between its two renames: whole, and without a witness.
    fs::remove_file(rig.dir.path().join("witness")).unwrap();
    let store = SledStore::open(
        rig.dir.path(),
        Options {
            reserve: 0,
            ballast: 0,
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(Content::read(&store, &key).unwrap().count(Tree::Codes), 3);
}

#[test]
fn another_key_opens_nothing() {
    let rig = Rig::new();
    let sealed = fs::read(rig.export(&filled(3), 1).unwrap().path).unwrap();
    let other = Rig::new().recovery;
    let Err(Fail::Recovery(told)) = Unsealed::open(&sealed, &other) else {
        panic!("opened with another key");
    };
    assert!(told.contains("sealed to another"), "{told}");
}

#[test]
fn any_altered_byte_and_any_cut_is_noticed() {
    let rig = Rig::new();
    let store = filled(2);
    let sealed = fs::read(rig.export(&store, 1).unwrap().path).unwrap();
    assert!(Unsealed::open(&sealed, &rig.recovery).is_ok());
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1 << (at % 8);
        assert!(Unsealed::open(&altered, &rig.recovery).is_err(), "byte {at}");
    }
    for length in (0..sealed.len()).step_by(13) {
        assert!(
            Unsealed::open(&sealed[..length], &rig.recovery).is_err(),
            "cut to {length}"
        );
    }
    let longer = [sealed.as_slice(), b"x"].concat();
    assert!(Unsealed::open(&longer, &rig.recovery).is_err());
}

#[test]
fn what_somebody_else_sealed_is_checked_as_well() {
    let rig = Rig::new();
    let to: x25519::Recipient = rig.recovery.identity().to_public();
    let told = |plain: &[u8]| match Unsealed::open(&age::encrypt(&to, plain).unwrap(), &rig.recovery) {
        Err(fail) => fail.to_string(),
        Ok(_) => panic!("taken for an export"),
    };
    assert!(told(b"a letter").contains("not one of lockbridge's"));
    assert!(told(b"lockbridge export 2\n").contains("newer version"));
    assert!(told(b"lockbridge export 1\n").contains("too early"));
    let sealed = fs::read(rig.export(&filled(2), 1).unwrap().path).unwrap();
    let plain = age::decrypt(rig.recovery.identity(), &sealed).unwrap();
    for at in (0..plain.len()).step_by(97) {
        let mut plain = plain.clone();
        plain[at] ^= 1;
        told(&plain);
        told(&plain[..at]);
    }
}

#[test]
fn a_newer_format_is_named() {
    let rig = Rig::new();
    let to = rig.recovery.identity().to_public();
    let head = Head {
        format: FORMAT + 1,
        gateway: String::new(),
        made_at: Timestamp(0),
        last_event: 0,
    };
    let sealed = form::seal(&head, Content::default(), &to).unwrap();
    assert!(matches!(
        Unsealed::open(&sealed, &rig.recovery),
        Err(Fail::Newer { .. })
    ));
}

#[test]
fn the_newest_two_are_kept_and_nothing_else_is_touched() {
    let rig = Rig::new();
    let store = filled(1);
    rig.export(&store, 9).unwrap();
    fs::write(rig.dir.path().join(DIR).join("letter.age"), b"somebody's own").unwrap();
    rig.export(&store, 10).unwrap();
    rig.export(&store, 100).unwrap();
    assert_eq!(rig.names(), ["letter.age".to_owned(), name(10), name(100)]);
    // The same number again takes the place of its own kind.
    rig.export(&store, 100).unwrap();
    assert_eq!(rig.names(), ["letter.age".to_owned(), name(10), name(100)]);
    // The one just made stays, whatever its number.
    rig.export(&store, 50).unwrap();
    assert_eq!(rig.names(), ["letter.age".to_owned(), name(50), name(100)]);
}

#[test]
fn gateways_that_share_a_place_leave_each_others_exports_alone() {
    let stick = tempfile::tempdir().unwrap();
    // Each name is the beginning of another, or is made of the same letters.
    let gateways = ["villa-7/gw1", "villa-7/gw1-0", "villa/7-gw1"];
    let rigs = gateways.map(|gateway| Rig::of(gateway, Some(stick.path()), 0));
    let (store, half) = (filled(1), stick.path().join("lockbridge-villa-7.gw1-0.new"));
    fs::write(&half, b"another's, in the making").unwrap();
    fs::write(stick.path().join(old_name(1)), b"whose, nobody knows").unwrap();
    for last_event in [7, 8, 9] {
        rigs[0].export(&store, last_event).unwrap();
    }
    assert!(half.exists());
    for last_event in [1, 2, 3] {
        for rig in &rigs[1..] {
            rig.export(&store, last_event).unwrap();
        }
    }
    let numbered = |(stem, last): (&str, u64)| format!("lockbridge-{stem}-{last:020}.age");
    let mut expected: Vec<String> = [
        ("villa-7.gw1", 8),
        ("villa-7.gw1", 9),
        ("villa-7.gw1-0", 2),
        ("villa-7.gw1-0", 3),
        ("villa.7-gw1", 2),
        ("villa.7-gw1", 3),
    ]
    .map(numbered)
    .into();
    expected.push(old_name(1));
    expected.sort();
    assert_eq!(names_in(stick.path()), expected);
}

#[test]
fn exports_of_earlier_versions_make_room_where_they_are_certainly_ours() {
    let rig = Rig::new();
    let own = rig.dir.path().join(DIR);
    fs::create_dir(&own).unwrap();
    for last_event in [98, 99] {
        fs::write(own.join(old_name(last_event)), b"sealed").unwrap();
    }
    rig.export(&filled(1), 100).unwrap();
    assert_eq!(rig.names(), [old_name(99), name(100)]);
    rig.export(&filled(1), 101).unwrap();
    assert_eq!(rig.names(), [name(100), name(101)]);
}

#[test]
fn what_a_kill_left_half_written_is_not_taken_for_an_export() {
    let rig = Rig::new();
    let store = filled(1);
    rig.export(&store, 1).unwrap();
    fs::write(
        rig.dir.path().join(DIR).join("lockbridge-villa-7.gw1.new"),
        b"half",
    )
    .unwrap();
    rig.export(&store, 2).unwrap();
    assert_eq!(rig.names(), [name(1), name(2)]);
}

#[test]
fn no_export_eats_the_reserve_or_is_made_for_nobody() {
    let rig = Rig::with(None, u64::MAX);
    assert!(matches!(
        rig.export(&filled(1), 1),
        Err(Unexported::NoRoom { .. })
    ));
    assert!(rig.names().is_empty());
    let nobody = tempfile::tempdir().unwrap();
    let exporter = Exporter::new(nobody.path(), SealKey::new(KEY), None, 0, String::new());
    let made = exporter.export(&filled(1), Timestamp(0), 1);
    assert!(matches!(made, Err(Unexported::NoRecoveryKey)));
    assert_eq!(fs::read_dir(nobody.path()).unwrap().count(), 0);
}

#[test]
fn a_place_that_the_operator_named_is_not_made() {
    let stick = tempfile::tempdir().unwrap();
    let rig = Rig::with(Some(stick.path()), 0);
    let path = rig.export(&filled(1), 1).unwrap().path;
    assert_eq!(path, stick.path().join(name(1)));
    let drawn = stick.path().join("drawn");
    let rig = Rig::with(Some(&drawn), 0);
    assert!(matches!(rig.export(&filled(1), 1), Err(Unexported::Failed(_))));
    assert!(!drawn.exists());
}

#[test]
fn a_row_that_is_not_what_was_written_makes_no_export() {
    let rig = Rig::new();
    rig.export(&filled(2), 1).unwrap();
    let mut store = filled(2);
    let (key, mut row) = store.scan(Tree::Codes, b"", b"", 1).unwrap().remove(0);
    row[30] ^= 1;
    store.commit(&vec![(Tree::Codes, key, Some(row))]).unwrap();
    let made = rig.export(&store, 2);
    assert!(
        matches!(made, Err(Unexported::Failed(Fail::Damaged(_)))),
        "{made:?}"
    );
    assert_eq!(rig.names(), [name(1)], "the one before stays");
}

#[test]
fn nothing_secret_lies_in_the_clear() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    let mut store = MemoryStore::new();
    let (mut vault, _) = Vault::open(&mut store, &SealKey::new(KEY), [1; 16]).unwrap();
    let mut batch = Batch::new();
    vault.put(&mut batch, Tree::Codes, b"k", b"481516234");
    store.commit(&batch).unwrap();
    let path = rig.export(&store, 1).unwrap().path;
    let sealed = fs::read(&path).unwrap();
    assert!(!sealed.windows(9).any(|bytes| bytes == b"481516234"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
