//! When an access code is meant to open the door.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The time in which a code opens. A half-open window cannot be said: Seam knows both times or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Window {
    /// From now until it is deleted.
    Ongoing,
    /// From `starts_at` until just before `ends_at`; the latter is later.
    Bound {
        /// First instant.
        starts_at: Timestamp,
        /// First instant after.
        ends_at: Timestamp,
    },
}

impl Window {
    /// A window between two instants; `None` unless the end is after the start.
    #[must_use]
    pub fn between(starts_at: Timestamp, ends_at: Timestamp) -> Option<Window> {
        (starts_at < ends_at).then_some(Window::Bound { starts_at, ends_at })
    }

    /// The first instant; the beginning of time for an ongoing code.
    #[must_use]
    pub fn start(self) -> Timestamp {
        match self {
            Window::Ongoing => Timestamp::MIN,
            Window::Bound { starts_at, .. } => starts_at,
        }
    }

    /// The first instant after; the end of time for an ongoing code.
    #[must_use]
    pub fn end(self) -> Timestamp {
        match self {
            Window::Ongoing => Timestamp::MAX,
            Window::Bound { ends_at, .. } => ends_at,
        }
    }

    /// Whether the code is meant to open at `at`.
    #[must_use]
    pub fn holds(self, at: Timestamp) -> bool {
        self.start() <= at && at < self.end()
    }
}
