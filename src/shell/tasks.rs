//! Tasks that go on for as long as the gateway runs, and tasks that come and go, watched (I11).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::Clock;

/// Before a task that panicked starts again: one that panics at once must not eat the processor.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a task, and starts it anew after a panic, which is reported. It ends when the task does.
#[expect(clippy::disallowed_methods, reason = "the room that spawns")]
pub fn keep<F>(
    name: &'static str,
    clock: Clock,
    mut start: impl FnMut() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        // A panic leaves nothing behind but what the task shared, and each of those is whole
        // between any two statements.
        while AssertUnwindSafe(async { start().await })
            .catch_unwind()
            .await
            .is_err()
        {
            tracing::error!(task = name, "a task panicked, and starts again");
            clock.sleep(PAUSE).await;
        }
    })
}

/// Tasks that come and go, each on its own: one that panics takes no other with it, and is
/// reported. Those that are left when this is dropped are given up.
#[derive(Default)]
pub struct Guests(JoinSet<()>);

impl Guests {
    /// Starts one more.
    #[expect(clippy::disallowed_methods, reason = "the room that spawns")]
    pub fn add(&mut self, guest: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(guest);
    }

    /// How many there are, those included whose end nobody has waited for yet.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Waits until one has ended; for ever, if there is none.
    pub async fn one_gone(&mut self) {
        match self.0.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "a task panicked"),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Voucher;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_task_that_panics_starts_again_and_one_that_ends_does_not() {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        let clock = Clock::real(Voucher::System);
        let task = keep("fragile", clock.clone(), move || {
            let start = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(start >= 2, "a panic on purpose") }
        });
        while !task.is_finished() {
            if let Some(due) = clock.next_sleeper() {
                clock.jump_to(due);
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(starts.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_guest_that_panics_takes_no_other_with_it() {
        let mut guests = Guests::default();
        let (knock, door) = tokio::sync::oneshot::channel::<()>();
        guests.add(async move { door.await.expect("somebody knocks") });
        guests.add(async { panic!("on purpose") });
        guests.one_gone().await;
        assert_eq!(guests.count(), 1);
        knock.send(()).expect("the other one is still there");
        guests.one_gone().await;
        assert_eq!(guests.count(), 0);
    }
}
