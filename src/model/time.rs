//! Instants as plain numbers, so that the core needs no clock.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wall time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Time since the gateway's start in milliseconds, which no clock setting moves. Waits are
/// measured in it; windows are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// What the machine's clocks show, which the shell hands to the core with every event.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// The clock that nobody sets.
    pub mono: Mono,
    /// Something vouches for the wall clock.
    pub trusted: bool,
}

/// Which run of the machine this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The system's own id of it; another one after each start of the machine.
    pub id: Uuid,
    /// How long the machine has run, in milliseconds,
    pub up: u64,
    /// at this time of the gateway's own.
    pub at: Mono,
}

/// What time it is, as the core judges it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall time that windows are judged by.
    pub wall: Timestamp,
    /// Time that waits are judged by.
    pub mono: Mono,
}

impl Now {
    /// What clocks show that are known to be right.
    #[must_use]
    pub fn known(self) -> Reading {
        Reading {
            wall: self.wall,
            mono: self.mono,
            trusted: true,
        }
    }

    /// The wall time at which `later` will come, if the wall clock is not moved.
    #[must_use]
    pub fn wall_at(self, later: Mono) -> Timestamp {
        self.wall + Duration::from_millis(later.0.saturating_sub(self.mono.0))
    }

    /// The monotonic time of a stored wall time, at most `longest` away: a clock that was moved
    /// while the gateway was down must not stretch a wait.
    #[must_use]
    pub fn mono_at(self, stored: Timestamp, longest: Duration) -> Mono {
        self.mono + stored.since(self.wall).min(longest)
    }
}

impl Timestamp {
    /// The instant before all others.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The instant after all others.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Time that passed from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The last whole minute at or before this instant.
    #[must_use]
    pub fn floor_minute(self) -> Timestamp {
        Timestamp(self.0 - self.0.rem_euclid(60_000))
    }

    /// The last whole second at or before this instant.
    #[must_use]
    pub fn floor_second(self) -> Timestamp {
        Timestamp(self.0 - self.0.rem_euclid(1_000))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis(span)))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, span: Duration) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
