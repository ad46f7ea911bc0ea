//! Tasks that go on for as long as the gateway runs, watched (I11).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_task_that_panics_starts_again_and_one_that_ends_does_not() {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        let clock = Clock::real();
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
}
