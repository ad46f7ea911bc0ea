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
    let capacity = usize::from(capacity);
    let beside = || occupied.iter().filter(|o| o.from < until && from < o.until);
    // On most locks there are never so many, whenever each of them is.
    if until <= from || beside().count() < capacity {
        return Vec::new();
    }
    // The number in use changes only where a span begins or ends.
    let begins = beside().map(|o| (o.from.max(from), Change::Begins));
    let ends = beside().map(|o| (o.until.min(until), Change::Ends));
    let edges = [(from, Change::None), (until, Change::None)];
    let mut edges: Vec<(Timestamp, Change)> = begins.chain(ends).chain(edges).collect();
    edges.sort_unstable();
    let mut in_use = 0;
    let mut spans: Vec<Occupied> = Vec::new();
    for edge in edges.windows(2) {
        let &[(from, change), (until, _)] = edge else {
            continue;
        };
        match change {
            Change::None => {}
            Change::Begins => in_use += 1,
            Change::Ends => in_use -= 1,
        }
        if from == until || in_use < capacity {
            continue;
        }
        match spans.last_mut() {
            Some(before) if before.until == from => before.until = until,
            _ => spans.push(Occupied { from, until }),
        }
    }
    spans
}

/// What happens to the number of slots in use; at one instant in this order, so that it is never below none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    None,
    Begins,
    Ends,
}
