//! The card: what is on it now, what was on it when it was last synced, and the changes between.
//!
//! What a power cut leaves is stricter than ext4, so that a program is held to what it asked for:
//!
//! - A file's bytes and its length are safe once `fsync` or `fdatasync` of that file has returned.
//!   `sync_file_range` and `close` make nothing safe.
//! - A name is safe once `fsync` of its directory has returned; syncing the file does nothing for
//!   it. A rename within one directory stays whole. One from a directory to another is a change of
//!   each: after a cut there may be both names, or neither.
//! - Of what was not synced, chance keeps nothing, or the first few writes with the last one torn,
//!   or any sectors of any of them; and of the names in a directory, the first few changes.
//! - Modes, owners and times are safe at once. A hole takes room like bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::SystemTime;

use fastrand::Rng;
use fuser::Errno;

/// Room is given out in blocks of this many bytes.
pub const BLOCK: u64 = 4096;

/// The directory that everything is in.
pub const ROOT: u64 = 1;

/// A step from one value to the next.
trait Change<T> {
    fn apply(&self, to: &mut T);
}

/// A value as it is, as it was when it was last synced, and what was changed since.
struct Kept<T, C> {
    now: T,
    safe: T,
    since: Vec<C>,
}

impl<T: Clone + Default, C: Change<T>> Kept<T, C> {
    fn new() -> Kept<T, C> {
        Kept {
            now: T::default(),
            safe: T::default(),
            since: Vec::new(),
        }
    }

    fn change(&mut self, change: C) {
        change.apply(&mut self.now);
        self.since.push(change);
    }

    fn sync(&mut self) {
        for change in self.since.drain(..) {
            change.apply(&mut self.safe);
        }
    }

    /// Leaves what was safe, and those of the later changes that `survivors` picks. Returns how
    /// many changes were not safe.
    fn cut(&mut self, survivors: impl FnOnce(Vec<C>) -> Vec<C>) -> usize {
        let since = std::mem::take(&mut self.since);
        let unsafe_ones = since.len();
        for change in survivors(since) {
            change.apply(&mut self.safe);
        }
        self.now = self.safe.clone();
        unsafe_ones
    }
}

/// A change of a file.
enum Edit {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Change<Vec<u8>> for Edit {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Edit::Write { at, bytes } => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
            Edit::Resize(length) => to.resize(*length, 0),
        }
    }
}

impl Edit {
    /// The pieces of a write between the borders of sectors; a new length is one piece.
    fn sectors(self, sector: usize) -> Vec<Edit> {
        let Edit::Write { at, bytes } = self else {
            return vec![self];
        };
        let mut pieces = Vec::new();
        let mut from = 0;
        while from < bytes.len() {
            let to = (sector - (at + from) % sector + from).min(bytes.len());
            pieces.push(Edit::Write {
                at: at + from,
                bytes: bytes[from..to].to_vec(),
            });
            from = to;
        }
        pieces
    }

    /// What chance leaves of edits that were not synced.
    fn survivors(mut edits: Vec<Edit>, rng: &mut Rng) -> Vec<Edit> {
        let sector = if rng.bool() { 512 } else { 4096 };
        match rng.u8(0..3) {
            0 => Vec::new(),
            1 => {
                edits.truncate(rng.usize(0..=edits.len()));
                let torn = edits.pop().map(|last| last.sectors(sector));
                let torn = torn.into_iter().flat_map(|mut pieces| {
                    pieces.truncate(rng.usize(0..=pieces.len()));
                    pieces
                });
                edits.into_iter().chain(torn).collect()
            }
            _ => {
                let pieces = edits.into_iter().flat_map(|edit| edit.sectors(sector));
                pieces.filter(|_| rng.bool()).collect()
            }
        }
    }
}

type Names = BTreeMap<OsString, u64>;

/// A change of a directory: names that stand for other nodes from then on, or for none, all at once.
struct Renamed(Vec<(OsString, Option<u64>)>);

impl Change<Names> for Renamed {
    fn apply(&self, to: &mut Names) {
        for (name, node) in &self.0 {
            match node {
                Some(node) => to.insert(name.clone(), *node),
                None => to.remove(name),
            };
        }
    }
}

/// What is to be made under a new name.
pub enum Kind {
    /// An empty file.
    File,
    /// An empty directory.
    Directory,
    /// A symbolic link to there.
    Link(PathBuf),
    /// The name of a Unix socket.
    Socket,
}

enum Body {
    File(Kept<Vec<u8>, Edit>),
    Directory(Kept<Names, Renamed>),
    Link(PathBuf),
    Socket,
}

/// What can be asked of everything that has a name.
#[derive(Clone, Copy)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u16,
    /// The user it belongs to.
    pub uid: u32,
    /// The group it belongs to.
    pub gid: u32,
    /// When its content changed last.
    pub modified: SystemTime,
}

struct Node {
    body: Body,
    attributes: Attributes,
    /// Handles on it. A file without a name takes room until the last one is closed.
    open: usize,
}

/// What becomes of a sync.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// It makes safe what was written before.
    Honest,
    /// It answers EIO. What was written before can be read and never becomes safe, whatever a later
    /// sync answers: Linux takes a page that it could not write for a clean one.
    Failing,
    /// It answers OK and does nothing.
    Lying,
}

/// A handle: it is of no use after a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Handle(pub u64);

/// A card, and the power that it depends on.
pub struct Card {
    nodes: BTreeMap<u64, Node>,
    /// Numbers are never used again: the kernel may remember one over a cut.
    next: u64,
    /// How often the power was cut.
    cuts: u64,
    power: bool,
    syncs: Syncs,
    /// Bytes that fit on it.
    size: u64,
}

impl Card {
    /// An empty card whose directory belongs to this user and group.
    pub fn new(uid: u32, gid: u32) -> Card {
        let root = Node {
            body: Body::Directory(Kept::new()),
            attributes: Attributes {
                mode: 0o755,
                uid,
                gid,
                modified: SystemTime::now(),
            },
            open: 0,
        };
        Card {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            cuts: 0,
            power: true,
            syncs: Syncs::Honest,
            size: 1 << 40,
        }
    }

    // What is done to it from outside.

    /// Cuts the power: nothing works until [`Card::power_on`], and no handle from before ever
    /// again. Returns how many changes were not synced; `seed` decides about each.
    pub fn cut(&mut self, seed: u64) -> usize {
        self.power = false;
        self.cuts += 1;
        let mut rng = Rng::with_seed(seed);
        let mut unsafe_ones = 0;
        for node in self.nodes.values_mut() {
            node.open = 0;
            unsafe_ones += match &mut node.body {
                Body::File(file) => file.cut(|edits| Edit::survivors(edits, &mut rng)),
                Body::Directory(names) => names.cut(|mut changes| {
                    changes.truncate(rng.usize(0..=changes.len()));
                    changes
                }),
                Body::Link(_) | Body::Socket => 0,
            };
        }
        self.sweep();
        unsafe_ones
    }

    /// Gives the power back.
    pub fn power_on(&mut self) {
        self.power = true;
    }

    /// From now on syncs are like this.
    pub fn let_syncs_be(&mut self, syncs: Syncs) {
        self.syncs = syncs;
    }

    /// From now on this many bytes more fit on it.
    pub fn leave_room(&mut self, bytes: u64) {
        self.size = self.used() + bytes;
    }

    // What a program does with it.

    /// How many blocks it has, and how many of them are free.
    pub fn blocks(&self) -> (u64, u64) {
        (self.size / BLOCK, self.size.saturating_sub(self.used()) / BLOCK)
    }

    /// The node of a name.
    pub fn find(&self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        self.names(parent)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// All names in a directory, and what each stands for.
    pub fn names(&self, node: u64) -> Result<&Names, Errno> {
        match &self.node(node)?.body {
            Body::Directory(names) => Ok(&names.now),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Mode, owner and time.
    pub fn attributes(&self, node: u64) -> Result<Attributes, Errno> {
        Ok(self.node(node)?.attributes)
    }

    /// Sets mode and owner.
    pub fn set_attributes(&mut self, node: u64, attributes: Attributes) -> Result<(), Errno> {
        self.node_mut(node)?.attributes = attributes;
        Ok(())
    }

    /// What kind of thing it is, and its length in bytes.
    pub fn kind(&self, node: u64) -> Result<(fuser::FileType, u64), Errno> {
        Ok(match &self.node(node)?.body {
            Body::File(file) => (fuser::FileType::RegularFile, file.now.len() as u64),
            Body::Directory(_) => (fuser::FileType::Directory, 0),
            Body::Link(to) => (fuser::FileType::Symlink, to.as_os_str().len() as u64),
            Body::Socket => (fuser::FileType::Socket, 0),
        })
    }

    /// Where a symbolic link leads.
    pub fn target(&self, node: u64) -> Result<&PathBuf, Errno> {
        match &self.node(node)?.body {
            Body::Link(to) => Ok(to),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Makes something new.
    pub fn make(
        &mut self,
        parent: u64,
        name: &OsStr,
        kind: Kind,
        attributes: Attributes,
    ) -> Result<u64, Errno> {
        self.must_not_exist(parent, name)?;
        let body = match kind {
            Kind::File => Body::File(Kept::new()),
            Kind::Directory => Body::Directory(Kept::new()),
            Kind::Link(to) => Body::Link(to),
            Kind::Socket => Body::Socket,
        };
        let node = self.next;
        self.next += 1;
        self.nodes.insert(
            node,
            Node {
                body,
                attributes,
                open: 0,
            },
        );
        self.rename_in(parent, vec![(name.into(), Some(node))])?;
        Ok(node)
    }

    /// Gives a file another name.
    pub fn link(&mut self, node: u64, parent: u64, name: &OsStr) -> Result<(), Errno> {
        self.must_not_exist(parent, name)?;
        self.rename_in(parent, vec![(name.into(), Some(node))])
    }

    /// Takes a name away; of a directory only if it is empty.
    pub fn remove(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let node = self.find(parent, name)?;
        if self.names(node).is_ok_and(|names| !names.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.rename_in(parent, vec![(name.into(), None)])?;
        self.sweep();
        Ok(())
    }

    /// Renames, in place of whatever has the new name.
    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Errno> {
        let node = self.find(from.0, from.1)?;
        let (gone, come) = ((from.1.into(), None), (to.1.into(), Some(node)));
        if from.0 == to.0 {
            self.rename_in(from.0, vec![gone, come])?;
        } else {
            self.rename_in(to.0, vec![come])?;
            self.rename_in(from.0, vec![gone])?;
        }
        self.sweep();
        Ok(())
    }

    /// Opens a file or a directory.
    pub fn open(&mut self, node: u64) -> Result<Handle, Errno> {
        self.node_mut(node)?.open += 1;
        Ok(Handle(self.cuts))
    }

    /// Closes a handle; of one from before a cut nothing is left.
    pub fn close(&mut self, node: u64, handle: Handle) {
        if handle == Handle(self.cuts)
            && let Some(node) = self.nodes.get_mut(&node)
        {
            node.open = node.open.saturating_sub(1);
            self.sweep();
        }
    }

    /// Up to `size` bytes from there.
    pub fn read(&self, node: u64, handle: Handle, at: u64, size: u32) -> Result<&[u8], Errno> {
        self.must_be_of_today(handle)?;
        let Body::File(file) = &self.node(node)?.body else {
            return Err(Errno::EISDIR);
        };
        let from = (at as usize).min(file.now.len());
        let to = (from + size as usize).min(file.now.len());
        Ok(&file.now[from..to])
    }

    /// Writes as many of these bytes as there is room for, at least one, and returns how many.
    pub fn write(&mut self, node: u64, handle: Handle, at: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.must_be_of_today(handle)?;
        let (_, free) = self.blocks();
        let file = self.file(node)?;
        let end = (file.now.len() as u64).next_multiple_of(BLOCK) + free * BLOCK;
        let fits = bytes.len().min(end.saturating_sub(at) as usize);
        if fits == 0 && !bytes.is_empty() {
            return Err(Errno::ENOSPC);
        }
        file.change(Edit::Write {
            at: at as usize,
            bytes: bytes[..fits].to_vec(),
        });
        Ok(fits)
    }

    /// Makes a file so long.
    pub fn resize(&mut self, node: u64, length: u64) -> Result<(), Errno> {
        let (_, free) = self.blocks();
        let file = self.file(node)?;
        if length.div_ceil(BLOCK) > (file.now.len() as u64).div_ceil(BLOCK) + free {
            return Err(Errno::ENOSPC);
        }
        file.change(Edit::Resize(length as usize));
        Ok(())
    }

    /// Syncs a file or a directory.
    pub fn sync(&mut self, node: u64, handle: Handle) -> Result<(), Errno> {
        self.must_be_of_today(handle)?;
        let syncs = self.syncs;
        let body = &mut self.node_mut(node)?.body;
        match (syncs, body) {
            (Syncs::Lying, _) | (_, Body::Link(_) | Body::Socket) => {}
            (Syncs::Honest, Body::File(file)) => file.sync(),
            (Syncs::Honest, Body::Directory(names)) => names.sync(),
            (Syncs::Failing, Body::File(file)) => file.since.clear(),
            (Syncs::Failing, Body::Directory(names)) => names.since.clear(),
        }
        match syncs {
            Syncs::Honest | Syncs::Lying => Ok(()),
            Syncs::Failing => Err(Errno::EIO),
        }
    }

    // Inside.

    fn node(&self, node: u64) -> Result<&Node, Errno> {
        match self.power {
            true => self.nodes.get(&node).ok_or(Errno::ESTALE),
            false => Err(Errno::EIO),
        }
    }

    fn node_mut(&mut self, node: u64) -> Result<&mut Node, Errno> {
        match self.power {
            true => self.nodes.get_mut(&node).ok_or(Errno::ESTALE),
            false => Err(Errno::EIO),
        }
    }

    /// A file that is about to be changed.
    fn file(&mut self, node: u64) -> Result<&mut Kept<Vec<u8>, Edit>, Errno> {
        let node = self.node_mut(node)?;
        node.attributes.modified = SystemTime::now();
        match &mut node.body {
            Body::File(file) => Ok(file),
            _ => Err(Errno::EISDIR),
        }
    }

    fn rename_in(&mut self, parent: u64, names: Vec<(OsString, Option<u64>)>) -> Result<(), Errno> {
        let parent = self.node_mut(parent)?;
        parent.attributes.modified = SystemTime::now();
        match &mut parent.body {
            Body::Directory(known) => known.change(Renamed(names)),
            _ => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }

    fn must_not_exist(&self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        match self.names(parent)?.contains_key(name) {
            true => Err(Errno::EEXIST),
            false => Ok(()),
        }
    }

    fn must_be_of_today(&self, handle: Handle) -> Result<(), Errno> {
        match handle == Handle(self.cuts) {
            true => Ok(()),
            false => Err(Errno::EIO),
        }
    }

    /// Bytes that are taken by what has a name or is open.
    fn used(&self) -> u64 {
        let directories = self.nodes.values().filter_map(|node| match &node.body {
            Body::Directory(names) => Some(&names.now),
            _ => None,
        });
        let named: BTreeSet<u64> = directories.flat_map(BTreeMap::values).copied().collect();
        let held = self
            .nodes
            .iter()
            .filter(|(number, node)| named.contains(number) || node.open > 0);
        held.map(|(_, node)| match &node.body {
            Body::File(file) => (file.now.len() as u64).next_multiple_of(BLOCK),
            _ => 0,
        })
        .sum()
    }

    /// Lets go of what nothing can lead to any more, not even a cut.
    fn sweep(&mut self) {
        let mut found = BTreeSet::from([ROOT]);
        for node in self.nodes.values() {
            let Body::Directory(names) = &node.body else {
                continue;
            };
            found.extend(names.now.values().chain(names.safe.values()));
            let since = names.since.iter().flat_map(|renamed| &renamed.0);
            found.extend(since.filter_map(|(_, node)| *node));
        }
        self.nodes
            .retain(|number, node| found.contains(number) || node.open > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Attributes {
        Attributes {
            mode: 0o600,
            uid: 0,
            gid: 0,
            modified: SystemTime::now(),
        }
    }

    fn card() -> Card {
        Card::new(0, 0)
    }

    /// A file with a safe name and these bytes, which are not safe.
    fn file(card: &mut Card, name: &str, bytes: &[u8]) -> (u64, Handle) {
        let node = card.make(ROOT, name.as_ref(), Kind::File, attributes()).unwrap();
        let root = card.open(ROOT).unwrap();
        card.sync(ROOT, root).unwrap();
        let handle = card.open(node).unwrap();
        assert_eq!(card.write(node, handle, 0, bytes), Ok(bytes.len()));
        (node, handle)
    }

    fn bytes(card: &mut Card, name: &str) -> Vec<u8> {
        let node = card.find(ROOT, name.as_ref()).unwrap();
        let handle = card.open(node).unwrap();
        card.read(node, handle, 0, u32::MAX).unwrap().to_vec()
    }

    fn cut(card: &mut Card, seed: u64) {
        card.cut(seed);
        card.power_on();
    }

    #[test]
    fn what_was_synced_survives_every_cut() {
        for seed in 0..100 {
            let mut card = card();
            let (node, handle) = file(&mut card, "f", &[7; 10_000]);
            card.sync(node, handle).unwrap();
            cut(&mut card, seed);
            assert_eq!(bytes(&mut card, "f"), [7; 10_000]);
        }
    }

    #[test]
    fn of_what_was_not_synced_chance_keeps_all_kinds_of_things_and_a_seed_the_same() {
        let after = |seed| {
            let mut card = card();
            let (node, handle) = file(&mut card, "f", &[7; 10_240]);
            card.sync(node, handle).unwrap();
            card.write(node, handle, 5_120, &[8; 10_240]).unwrap();
            card.write(node, handle, 0, &[9; 1]).unwrap();
            cut(&mut card, seed);
            bytes(&mut card, "f")
        };
        let seen: BTreeSet<Vec<u8>> = (0..100).map(after).collect();
        assert!(seen.len() > 20, "{}", seen.len());
        assert_eq!((0..100).map(after).collect::<BTreeSet<_>>(), seen);
        let nothing = vec![7; 10_240];
        assert!(seen.contains(&nothing));
        let zeros = |bytes: &Vec<u8>| bytes.contains(&0);
        assert!(seen.iter().any(zeros), "a later sector without an earlier one");
        for bytes in &seen {
            assert!(bytes.len() >= 10_240);
            assert_eq!(bytes[1..5_120], [7; 5_119], "nobody wrote there");
            for (at, sector) in bytes.chunks(512).enumerate().skip(10) {
                assert!(
                    sector.iter().all(|byte| *byte == sector[0]),
                    "sector {at} is torn"
                );
            }
        }
    }

    #[test]
    fn a_name_is_safe_only_with_its_directory() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut card = card();
            let node = card.make(ROOT, "f".as_ref(), Kind::File, attributes()).unwrap();
            let handle = card.open(node).unwrap();
            card.sync(node, handle).unwrap();
            cut(&mut card, seed);
            lost += usize::from(card.find(ROOT, "f".as_ref()).is_err());
        }
        assert!((10..90).contains(&lost), "{lost}");
    }

    #[test]
    fn a_rename_stays_whole() {
        let mut old = 0;
        for seed in 0..100 {
            let mut card = card();
            for name in ["new", "old"] {
                let (node, handle) = file(&mut card, name, name.as_bytes());
                card.sync(node, handle).unwrap();
            }
            card.rename((ROOT, "new".as_ref()), (ROOT, "old".as_ref()))
                .unwrap();
            cut(&mut card, seed);
            match card.find(ROOT, "new".as_ref()) {
                Ok(_) => {
                    old += 1;
                    assert_eq!(bytes(&mut card, "old"), b"old");
                }
                Err(_) => assert_eq!(bytes(&mut card, "old"), b"new"),
            }
        }
        assert!((10..90).contains(&old), "{old}");
    }

    #[test]
    fn without_power_nothing_works_and_old_handles_never_again() {
        let mut card = card();
        let (node, handle) = file(&mut card, "f", b"1");
        card.sync(node, handle).unwrap();
        card.cut(1);
        assert_eq!(card.find(ROOT, "f".as_ref()), Err(Errno::EIO));
        assert!(card.open(node).is_err());
        card.power_on();
        assert_eq!(card.write(node, handle, 0, b"2"), Err(Errno::EIO));
        assert_eq!(card.sync(node, handle), Err(Errno::EIO));
        assert_eq!(card.read(node, handle, 0, 1), Err(Errno::EIO));
        assert_eq!(bytes(&mut card, "f"), b"1");
    }

    #[test]
    fn a_sync_that_failed_is_not_made_good_by_the_next() {
        let mut card = card();
        let (node, handle) = file(&mut card, "f", b"1");
        card.sync(node, handle).unwrap();
        card.write(node, handle, 0, b"2").unwrap();
        card.let_syncs_be(Syncs::Failing);
        assert_eq!(card.sync(node, handle), Err(Errno::EIO));
        card.let_syncs_be(Syncs::Honest);
        assert_eq!(card.sync(node, handle), Ok(()));
        assert_eq!(bytes(&mut card, "f"), b"2");
        cut(&mut card, 1);
        assert_eq!(bytes(&mut card, "f"), b"1");
    }

    #[test]
    fn a_sync_that_lies_keeps_nothing() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut card = card();
            let (node, handle) = file(&mut card, "f", b"1");
            card.let_syncs_be(Syncs::Lying);
            assert_eq!(card.sync(node, handle), Ok(()));
            cut(&mut card, seed);
            lost += usize::from(bytes(&mut card, "f").is_empty());
        }
        assert!((10..90).contains(&lost), "{lost}");
    }

    #[test]
    fn a_full_card_takes_what_fits_and_has_room_again_when_a_file_goes() {
        let mut card = card();
        let (node, handle) = file(&mut card, "f", &[1; 100]);
        card.leave_room(2 * BLOCK);
        assert_eq!(card.blocks().1, 2);
        let rest = 3 * BLOCK as usize - 100;
        assert_eq!(card.write(node, handle, 100, &[1; 20_000]), Ok(rest));
        assert_eq!(card.write(node, handle, 3 * BLOCK, b"1"), Err(Errno::ENOSPC));
        assert_eq!(card.write(node, handle, 0, &[2; 5_000]), Ok(5_000), "in place");
        card.remove(ROOT, "f".as_ref()).unwrap();
        assert_eq!(card.blocks().1, 0, "it is still open");
        card.close(node, handle);
        assert_eq!(card.blocks().1, 3);
    }
}
