//! Order, sharing, and who hears of which failure; told by a store that records all that is done
//! to it.

use std::{
    sync::mpsc::{self, Receiver, Sender},
    time::Duration,
};

use super::Committer;
use crate::store::{Batch, Fail, MemoryStore, Rows, Store, Ticket, Tree};

#[derive(Debug, PartialEq)]
enum Seen {
    Commit(u64),
    Sync,
    Done(u64, Result<(), Fail>),
    Closed,
}
use Seen::{Closed, Commit, Done, Sync};

/// A store that tells all that is done to it, and whose syncs wait for leave.
struct Watched {
    memory: MemoryStore,
    seen: Sender<Seen>,
    leave: Receiver<()>,
    refuse: fn(u64) -> Result<(), Fail>,
}

impl Store for Watched {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fail> {
        self.memory.get(tree, key)
    }
    fn scan(&self, tree: Tree, prefix: &[u8], from: &[u8], limit: usize) -> Result<Rows, Fail> {
        self.memory.scan(tree, prefix, from, limit)
    }
    fn commit(&mut self, batch: &Batch) -> Result<(), Fail> {
        let number = u64::from_be_bytes(batch[0].1.as_slice().try_into().unwrap());
        self.seen.send(Commit(number)).unwrap();
        (self.refuse)(number)?;
        self.memory.commit(batch)
    }
    fn sync(&mut self) -> Result<(), Fail> {
        self.seen.send(Sync).unwrap();
        // No leave any more is a sync that fails.
        self.leave.recv().map_err(|_| Fail::Broken("EIO".into()))?;
        self.memory.sync()
    }
    fn size(&self) -> u64 {
        self.memory.size()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.seen.send(Closed).unwrap();
    }
}

/// Dropped in this order, so that a test that fails does not wait for a sync without leave.
struct Rig {
    leave: Sender<()>,
    committer: Committer,
    seen: Receiver<Seen>,
}

fn rig(refuse: fn(u64) -> Result<(), Fail>) -> Rig {
    let (seen_here, seen) = mpsc::channel();
    let (leave, leave_there) = mpsc::channel();
    let memory = MemoryStore::new();
    let store = Watched {
        memory,
        seen: seen_here.clone(),
        leave: leave_there,
        refuse,
    };
    let done = move |Ticket(number), result| seen_here.send(Done(number, result)).unwrap();
    Rig {
        committer: Committer::start(Box::new(store), done).unwrap(),
        seen,
        leave,
    }
}

impl Rig {
    fn submit(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let batch = vec![(Tree::Codes, number.to_be_bytes().to_vec(), Some(vec![]))];
            self.committer.submit(Ticket(number), batch).unwrap();
        }
    }

    fn next(&self) -> Seen {
        self.seen.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn expect(&self, expected: impl IntoIterator<Item = Seen>) {
        for expected in expected {
            assert_eq!(self.next(), expected);
        }
    }
}

fn fine(_: u64) -> Result<(), Fail> {
    Ok(())
}

#[test]
fn what_waits_during_a_sync_shares_the_next() {
    let rig = rig(fine);
    rig.submit(0..1);
    rig.expect([Commit(0), Sync]);
    // The thread is in that sync now.
    rig.submit(1..301);
    for _ in 0..3 {
        rig.leave.send(()).unwrap();
    }
    rig.expect([Done(0, Ok(()))]);
    for group in [1..257, 257..301] {
        rig.expect(group.clone().map(Commit));
        rig.expect([Sync]);
        rig.expect(group.map(|number| Done(number, Ok(()))));
    }
    rig.committer.close();
    assert_eq!(rig.seen.iter().collect::<Vec<_>>(), [Closed]);
}

#[test]
fn closing_answers_what_was_submitted() {
    let rig = rig(fine);
    rig.submit(0..1);
    rig.expect([Commit(0), Sync]);
    rig.submit(1..3);
    rig.leave.send(()).unwrap();
    rig.leave.send(()).unwrap();
    rig.committer.close();
    let rest: Vec<_> = rig.seen.iter().collect();
    let expected = [
        Done(0, Ok(())),
        Commit(1),
        Commit(2),
        Sync,
        Done(1, Ok(())),
        Done(2, Ok(())),
        Closed,
    ];
    assert_eq!(rest, expected);
}

#[test]
fn a_look_sees_what_was_submitted_before_it_durable_and_nothing_after() {
    let rig = rig(fine);
    rig.submit(0..1);
    rig.expect([Commit(0), Sync]);
    rig.submit(1..3);
    let (told, looked) = mpsc::channel();
    rig.committer.look(Box::new(move |store| {
        let rows = store.scan(Tree::Codes, b"", b"", 9).unwrap();
        told.send(rows.len()).unwrap();
    }));
    rig.submit(3..4);
    rig.leave.send(()).unwrap();
    rig.expect([Done(0, Ok(())), Commit(1), Commit(2), Sync]);
    assert_eq!(looked.try_recv(), Err(mpsc::TryRecvError::Empty));
    rig.leave.send(()).unwrap();
    rig.expect([Done(1, Ok(())), Done(2, Ok(())), Commit(3), Sync]);
    assert_eq!(looked.recv(), Ok(3));
}

#[test]
fn after_a_failure_nobody_looks() {
    let mut rig = rig(fine);
    rig.submit(0..1);
    rig.leave = mpsc::channel().0;
    rig.expect([Commit(0), Sync, Done(0, Err(Fail::Broken("EIO".into())))]);
    let (told, looked) = mpsc::channel();
    rig.committer.look(Box::new(move |_| told.send(()).unwrap()));
    assert!(looked.recv().is_err());
}

#[test]
fn nothing_is_committed_after_a_batch_that_was_not() {
    let full = || Fail::Full("no room".into());
    let rig = rig(|number| {
        if number == 3 {
            Err(Fail::Full("no room".into()))
        } else {
            Ok(())
        }
    });
    rig.submit(1..2);
    rig.expect([Commit(1), Sync]);
    rig.submit(2..5);
    rig.leave.send(()).unwrap();
    rig.expect([Done(1, Ok(())), Commit(2), Commit(3)]);
    rig.expect((2..5).map(|number| Done(number, Err(full()))));
    rig.submit(5..6);
    rig.expect([Done(5, Err(full()))]);
}

#[test]
fn a_failed_sync_answers_everybody_for_good() {
    let mut rig = rig(fine);
    rig.submit(0..1);
    rig.expect([Commit(0), Sync]);
    rig.submit(1..4);
    rig.leave = mpsc::channel().0;
    let broken = || Err(Fail::Broken("EIO".into()));
    rig.expect((0..4).map(|number| Done(number, broken())));
    rig.submit(4..6);
    rig.expect((4..6).map(|number| Done(number, broken())));
    rig.committer.close();
    assert_eq!(rig.seen.iter().collect::<Vec<_>>(), [Closed]);
}

#[test]
fn a_failed_commit_leaves_its_group_unanswered_as_durable() {
    let rig = rig(|number| {
        if number == 2 {
            Err(Fail::Broken("EIO".into()))
        } else {
            Ok(())
        }
    });
    rig.submit(0..1);
    rig.expect([Commit(0), Sync]);
    rig.submit(1..4);
    rig.leave.send(()).unwrap();
    rig.expect([Done(0, Ok(())), Commit(1), Commit(2)]);
    rig.expect((1..4).map(|number| Done(number, Err(Fail::Broken("EIO".into())))));
}

#[test]
fn a_panic_in_the_store_is_told() {
    let rig = rig(|_| panic!("sled says so"));
    rig.submit(0..2);
    rig.expect([Commit(0)]);
    for number in 0..2 {
        assert!(matches!(rig.next(), Done(n, Err(Fail::Broken(_))) if n == number));
    }
}
