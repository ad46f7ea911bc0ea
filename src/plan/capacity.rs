//! Capacity over time: at no instant more codes than the lock holds.

use std::time::Duration;

use crate::model::{Timestamp, Window};

/// A code past its end, whose absence is not confirmed, is counted for this long: by then the
/// lock was reached or somebody was told.
pub const LINGER: Duration = Duration::from_secs(24 * 3600);

/// A span in which one slot of a lock is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied {
    /// First instant.
    pub from: Timestamp,
    /// First instant after.
    pub until: Timestamp,
}

impl Occupied {
    /// By a code with a window.
    #[must_use]
    pub fn by(window: Window) -> Occupied {
        Occupied {
            from: window.start(),
            until: window.end(),
        }
    }

    /// By a code that is not ours: for good.
    #[must_use]
    pub fn always() -> Occupied {
        Occupied {
            from: Timestamp::MIN,
            until: Timestamp::MAX,
        }
    }

    /// By a code past its end, as long as the lock has not confirmed that it is gone.
    #[must_use]
    pub fn lingering(now: Timestamp) -> Occupied {
        Occupied {
            from: now,
            until: now + LINGER,
        }
    }

    fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// Whether one more code with this window fits at every instant from now on.
#[must_use]
pub fn fits(capacity: u16, occupied: &[Occupied], window: Window, now: Timestamp) -> bool {
    full(capacity, occupied, window, now).is_empty()
}

/// The spans of this window, from now on, in which the lock takes no more codes; in their order, none touching
/// the next.
#[must_use]
pub fn full(capacity: u16, occupied: &[Occupied], window: Window, now: Timestamp) -> Vec<Occupied> {
    let (from, until) = (window.start().max(now), window.end());
    // The number in use changes only where a span begins or ends.
    let edges = occupied.iter().flat_map(|o| [o.from, o.until]);
    let mut edges: Vec<Timestamp> = edges.filter(|at| from < *at && *at < until).collect();
    edges.extend([from, until]);
    edges.sort_unstable();
    edges.dedup();
    let mut spans: Vec<Occupied> = Vec::new();
    for edge in edges.windows(2) {
        let &[from, until] = edge else { continue };
        if occupied.iter().filter(|o| o.holds(from)).count() < usize::from(capacity) {
            continue;
        }
        match spans.last_mut() {
            Some(before) if before.until == from => before.until = until,
            _ => spans.push(Occupied { from, until }),
        }
    }
    spans
}
