//! The one writer of the store, on a thread of its own.
//!
//! Batches go in with a ticket and are answered in that order, once they are durable. Whatever
//! came in while one sync ran is committed together by the next: each batch by itself, one sync
//! for all. The wait of a single batch is never stretched to make a group.
//!
//! Any failure is final: it answers everything, then and later. A batch is a change of what the
//! batches before it left, so none may be committed after one that was not.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
};

use crate::store::{Batch, Fail, Store, Ticket};

/// The most batches that share a sync: bounds what one wait can cost the first of them.
const GROUP: usize = 256;

/// Handle on the committing thread. Dropped, it waits until all is answered and the store closed.
pub struct Committer {
    /// `None` only while ending. Unbounded: who submits bounds how many tickets are open.
    queue: Option<Sender<(Ticket, Batch)>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread, which owns `store` from here on and calls `done` once for every ticket.
    pub fn start(
        store: Box<dyn Store>,
        done: impl FnMut(Ticket, Result<(), Fail>) + Send + 'static,
    ) -> io::Result<Committer> {
        let (queue, submitted) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("committer".into())
            .spawn(move || run(store, &submitted, done))?;
        Ok(Committer {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Hands a batch in; `done` will be called with its ticket. Fails only if the thread is gone,
    /// which takes a panic in `done`.
    pub fn submit(&self, ticket: Ticket, batch: Batch) -> Result<(), Fail> {
        let sent = self.queue.as_ref().map(|queue| queue.send((ticket, batch)));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(Fail::Broken("the committer has ended".into())),
        }
    }

    /// Answers what was submitted, closes the store, and returns when both are done.
    pub fn close(self) {}
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the committer ended by a panic");
        }
    }
}

fn run(
    mut store: Box<dyn Store>,
    submitted: &Receiver<(Ticket, Batch)>,
    mut done: impl FnMut(Ticket, Result<(), Fail>),
) {
    let mut dead = None;
    while let Ok(first) = submitted.recv() {
        let group: Vec<_> = [first]
            .into_iter()
            .chain(submitted.try_iter())
            .take(GROUP)
            .collect();
        let answer = match &dead {
            Some(fail) => Err(Fail::clone(fail)),
            None => guarded(|| commit(store.as_mut(), &group)),
        };
        for (ticket, _) in &group {
            done(*ticket, answer.clone());
        }
        dead = answer.err();
    }
    // Closing writes, and on a failing medium it may panic; all tickets are answered by now.
    let closed = guarded(|| {
        drop(store);
        Ok(())
    });
    if closed.is_err() {
        tracing::error!("the store could not be closed cleanly");
    }
}

fn commit(store: &mut dyn Store, group: &[(Ticket, Batch)]) -> Result<(), Fail> {
    for (_, batch) in group {
        store.commit(batch)?;
    }
    store.sync()
}

/// A panic in the store is a failure of the store, told to those who wait.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fail>) -> Result<T, Fail> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Fail::Broken("the store panicked".into())))
}

#[cfg(test)]
mod tests;
