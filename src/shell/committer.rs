//! The one writer of the store, on a thread of its own.
//!
//! Batches go in with a ticket and are answered in that order, once they are durable. Whatever
//! came in while one sync ran is committed together by the next: each batch by itself, one sync
//! for all. The wait of a single batch is never stretched to make a group. A look at the store comes
//! in its turn: it sees the batches before it, durable, and none after it.
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

/// What is done with the store between two batches. Others wait for it, so it is short.
pub type Look = Box<dyn FnOnce(&dyn Store) + Send>;

enum Order {
    Commit(Ticket, Batch),
    Look(Look),
}

/// Handle on the committing thread. Dropped, it waits until all is answered and the store closed.
pub struct Committer {
    /// `None` only while ending. Unbounded: who submits bounds how many tickets are open.
    queue: Option<Sender<Order>>,
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
        self.send(Order::Commit(ticket, batch))
    }

    /// Looks at the store once all that was submitted is durable. After a failure, of the store or of
    /// the thread, the look is dropped.
    pub fn look(&self, look: Look) {
        // Who waits for it sees it dropped.
        let _ = self.send(Order::Look(look));
    }

    fn send(&self, order: Order) -> Result<(), Fail> {
        match self.queue.as_ref().map(|queue| queue.send(order)) {
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
    submitted: &Receiver<Order>,
    mut done: impl FnMut(Ticket, Result<(), Fail>),
) {
    let mut dead = None;
    let mut next = submitted.recv().ok();
    while let Some(order) = next.take() {
        let mut group = Vec::new();
        match order {
            Order::Commit(ticket, batch) => group.push((ticket, batch)),
            Order::Look(look) if dead.is_none() => {
                let looked = guarded(|| {
                    look(store.as_ref());
                    Ok(())
                });
                dead = looked.err();
            }
            // At once: somebody waits to see it dropped.
            Order::Look(look) => drop(look),
        }
        while !group.is_empty() && group.len() < GROUP && next.is_none() {
            match submitted.try_recv() {
                Ok(Order::Commit(ticket, batch)) => group.push((ticket, batch)),
                Ok(look) => next = Some(look),
                Err(_) => break,
            }
        }
        if !group.is_empty() {
            let answer = match &dead {
                Some(fail) => Err(Fail::clone(fail)),
                None => guarded(|| commit(store.as_mut(), &group)),
            };
            for (ticket, _) in &group {
                done(*ticket, answer.clone());
            }
            dead = answer.err();
        }
        next = next.or_else(|| submitted.recv().ok());
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
