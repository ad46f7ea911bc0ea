//! What is due when, and in which order on a radio. Pure functions of records, capabilities,
//! settings and time.

use std::time::Duration;

use crate::model::{Capabilities, Content, Mono, NativeWindow, Settings, Timestamp, Window};
use crate::sabotage::{self, Sabotage};

/// Shortest wait for a silent lock.
const SILENCE_FIRST: Duration = Duration::from_secs(5);
/// Longest wait for a silent lock (I12).
const SILENCE_LONGEST: Duration = Duration::from_secs(300);
/// Longest wait for a silent lock while a code of it is due within the hour, or overdue (I12).
const SILENCE_URGENT: Duration = Duration::from_secs(60);
/// First wait of a code that a lock refuses (I12).
const REFUSAL_FIRST: Duration = Duration::from_secs(60);
/// Longest wait of a code that a lock refuses, or of a lock that must be asked again (I12).
pub const REFUSAL_LONGEST: Duration = Duration::from_secs(3600);
/// A second look this long after its write goes before sets (I5).
const LOOK_LATE: Duration = Duration::from_secs(110);
/// "Due soon" for the back-off of a silent lock (I12).
pub const SOON: Duration = Duration::from_secs(3600);
/// Locks store names of so many bytes at least, or none that helps anyone.
const ELLIPSIS: &str = "…";

/// What the schedule needs to know of one access code.
#[derive(Clone, Copy, Debug)]
pub struct Stay {
    /// When it opens.
    pub window: Window,
    /// The caller lets the lock enforce the window, if it can.
    pub prefer_native: bool,
    /// It was deleted.
    pub deleted: bool,
    /// The lock holds it, or may hold it.
    pub on_lock: bool,
}

impl Stay {
    fn over(&self, now: Timestamp) -> bool {
        self.deleted || self.window.end() + late() <= now
    }
}

/// Whether the lock itself enforces a code's window.
#[must_use]
pub fn native(prefer_native: bool, capabilities: &Capabilities) -> bool {
    prefer_native && capabilities.window != NativeWindow::None
}

/// The first instant at which a code may go onto its lock, while a slot is free.
#[must_use]
pub fn earliest(stay: &Stay, capabilities: &Capabilities, settings: &Settings) -> Timestamp {
    let ahead = if native(stay.prefer_native, capabilities) {
        settings.preload
    } else {
        settings.lead
    };
    stay.window.start() - ahead - early()
}

/// How much too late a code counts as over: not at all, but for a fault on purpose.
fn late() -> Duration {
    Duration::from_secs(if sabotage::on(Sabotage::RemovesLate) {
        1200
    } else {
        0
    })
}

/// The same for the start.
fn early() -> Duration {
    Duration::from_secs(if sabotage::on(Sabotage::SetsEarly) {
        10_800
    } else {
        0
    })
}

/// For each code of one lock, whether it shall stand on the lock now.
///
/// A code whose time has come always shall. One that is merely early gets what is left: a lock
/// that is full of codes whose time has come, or which are still to be taken off, has nothing
/// left, and an early code yields to one that starts sooner.
#[must_use]
pub fn wanted(
    stays: &[Stay],
    unmanaged: usize,
    capabilities: &Capabilities,
    settings: &Settings,
    now: Timestamp,
) -> Vec<bool> {
    let mut wanted = vec![false; stays.len()];
    let mut in_use = unmanaged;
    let mut early = Vec::new();
    for (i, stay) in stays.iter().enumerate() {
        let come = !stay.over(now) && stay.window.start() <= now;
        let may_be_early = !stay.over(now) && !come && earliest(stay, capabilities, settings) <= now;
        wanted[i] = come;
        if may_be_early {
            early.push(i);
        } else if come || stay.on_lock {
            in_use += 1;
        }
    }
    early.sort_by_key(|i| (stays[*i].window.start(), !stays[*i].on_lock, *i));
    for i in early
        .into_iter()
        .take(usize::from(capabilities.capacity).saturating_sub(in_use))
    {
        wanted[i] = true;
    }
    wanted
}

/// The next instant at which [`wanted`] may change by the passing of time alone.
#[must_use]
pub fn next_edge(
    stay: &Stay,
    capabilities: &Capabilities,
    settings: &Settings,
    now: Timestamp,
) -> Option<Timestamp> {
    if stay.over(now) {
        return None;
    }
    [
        earliest(stay, capabilities, settings),
        stay.window.start(),
        stay.window.end(),
    ]
    .into_iter()
    .find(|edge| now < *edge && *edge != Timestamp::MAX)
}

/// What a code looks like in the table of its lock.
#[must_use]
pub fn content(
    pin: &crate::model::Pin,
    name: Option<&str>,
    window: Window,
    prefer_native: bool,
    capabilities: &Capabilities,
) -> Content {
    Content {
        pin: pin.clone(),
        name: name.and_then(|name| fitting_name(name, usize::from(capabilities.name_limit))),
        window: if native(prefer_native, capabilities) {
            fitting_window(window, capabilities.window)
        } else {
            Window::Ongoing
        },
    }
}

/// Cuts a name to `limit` bytes without cutting a character.
fn fitting_name(name: &str, limit: usize) -> Option<String> {
    if limit == 0 {
        return None;
    }
    if name.len() <= limit {
        return Some(name.to_owned());
    }
    let room = limit.saturating_sub(ELLIPSIS.len());
    let end = (0..=room)
        .rev()
        .find(|at| name.is_char_boundary(*at))
        .unwrap_or(0);
    Some(format!("{}{ELLIPSIS}", name[..end].trim_end())).filter(|short| short.len() <= limit)
}

/// Rounds down to what the lock can say, so that it never opens past the end. A window shorter
/// than one unit gets one unit, and the gateway takes the code off at its true end.
fn fitting_window(window: Window, native: NativeWindow) -> Window {
    let Window::Bound { starts_at, ends_at } = window else {
        return window;
    };
    let (floor, unit): (fn(Timestamp) -> Timestamp, _) = match native {
        NativeWindow::None => return Window::Ongoing,
        NativeWindow::Minutes => (Timestamp::floor_minute, Duration::from_secs(60)),
        NativeWindow::Seconds => (Timestamp::floor_second, Duration::from_secs(1)),
    };
    let (starts_at, ends_at) = (floor(starts_at), floor(ends_at));
    Window::Bound {
        starts_at,
        ends_at: ends_at.max(starts_at + unit),
    }
}

/// The order of work on a radio (I5): what is smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Take a code off; the earliest end first.
    Remove(Timestamp),
    /// Somebody stands at the door; who asked first goes first.
    Door(Mono),
    /// A second look that is nearly too late; the oldest first.
    LateLook(Timestamp),
    /// Put or update a code; the earliest start first.
    Set(Timestamp),
    /// A second look; the oldest first.
    Look(Timestamp),
    /// Another read of the table.
    Check,
}

impl Rank {
    /// Its kind, without the time that orders those of one kind.
    #[must_use]
    pub fn kind(self) -> u8 {
        match self {
            Rank::Remove(_) => 0,
            Rank::Door(_) => 1,
            Rank::LateLook(_) => 2,
            Rank::Set(_) => 3,
            Rank::Look(_) => 4,
            Rank::Check => 5,
        }
    }

    /// The rank of a second look at a code that was written at `written`.
    #[must_use]
    pub fn look(written: Timestamp, now: Timestamp) -> Rank {
        if now.since(written) >= LOOK_LATE {
            Rank::LateLook(written)
        } else {
            Rank::Look(written)
        }
    }
}

/// How long to leave a lock alone that has not answered `step` times in a row (1 or more).
/// `jitter` (0 to 255) takes up to a quarter off, so that locks do not fall into step.
#[must_use]
pub fn silence_wait(step: u32, urgent: bool, jitter: u8) -> Duration {
    let longest = if urgent { SILENCE_URGENT } else { SILENCE_LONGEST };
    let wait = doubled(SILENCE_FIRST, step, longest);
    wait - wait * u32::from(jitter) / 1024
}

/// How long to leave a code alone that its lock has refused `step` times in a row (1 or more).
#[must_use]
pub fn refusal_wait(step: u32) -> Duration {
    doubled(REFUSAL_FIRST, step, REFUSAL_LONGEST)
}

fn doubled(first: Duration, step: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(step.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// How much a radio asks of a lock in trouble: after an exchange that took `took` and went
/// unanswered, none such for three times as long while another waits (I12).
#[must_use]
pub fn spared_for(took: Duration) -> Duration {
    took * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_their_limits() {
        assert_eq!(silence_wait(1, false, 0), Duration::from_secs(5));
        assert_eq!(silence_wait(3, false, 0), Duration::from_secs(20));
        assert_eq!(silence_wait(40, false, 0), SILENCE_LONGEST);
        assert_eq!(silence_wait(40, true, 0), SILENCE_URGENT);
        assert!(silence_wait(40, false, 255) > SILENCE_LONGEST * 7 / 10);
        assert_eq!(refusal_wait(1), Duration::from_secs(60));
        assert_eq!(refusal_wait(4), Duration::from_secs(480));
        assert_eq!(refusal_wait(99), REFUSAL_LONGEST);
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(fitting_name("Jane", 20).as_deref(), Some("Jane"));
        assert_eq!(
            fitting_name("Jane's reservation in May", 20).as_deref(),
            Some("Jane's reservatio…")
        );
        assert_eq!(fitting_name("ÄÖÜ", 5).as_deref(), Some("Ä…"));
        assert_eq!(fitting_name("Jane", 2), None);
        assert_eq!(fitting_name("Jane", 0), None);
    }

    #[test]
    fn native_windows_never_outlast_the_stay() {
        let window = Window::Bound {
            starts_at: Timestamp(90_500),
            ends_at: Timestamp(200_999),
        };
        assert_eq!(
            fitting_window(window, NativeWindow::Minutes),
            Window::Bound {
                starts_at: Timestamp(60_000),
                ends_at: Timestamp(180_000)
            }
        );
        assert_eq!(
            fitting_window(window, NativeWindow::Seconds),
            Window::Bound {
                starts_at: Timestamp(90_000),
                ends_at: Timestamp(200_000)
            }
        );
    }

    #[test]
    fn removals_go_first_then_the_earliest() {
        let now = Timestamp(1_000_000);
        let order = [
            Rank::Remove(Timestamp(1)),
            Rank::Remove(Timestamp(2)),
            Rank::Door(Mono(0)),
            Rank::look(now - LOOK_LATE, now),
            Rank::Set(Timestamp(1)),
            Rank::Set(Timestamp(5)),
            Rank::look(now - Duration::from_secs(90), now),
            Rank::Check,
        ];
        assert!(order.is_sorted());
    }
}
