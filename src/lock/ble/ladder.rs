//! What to try when it does not go on: the mildest first, and each only once before the next.

use std::time::Duration;

use super::address::Address;
use crate::model::Mono;

/// How long a radio that scans may hear nothing at all.
const DEAF_AFTER: Duration = Duration::from_secs(90);
/// A house without anything that advertises gets this at most.
const DEAF_AFTER_MOST: Duration = Duration::from_secs(3600);

/// A way out, from the mildest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// Ends whatever the daemon has under way with a lock.
    Disconnect(Address),
    /// Makes the daemon forget a lock, so that it has to be heard anew.
    Remove(Address),
    /// Stops the scan, and starts it again.
    Rescan,
    /// Switches the adapter off and on: all links end.
    PowerCycle,
    /// Connects to the bus anew.
    Renew,
}

/// How far up it went for one lock that the daemon is stuck with.
#[derive(Clone, Copy, Default)]
pub(super) struct Stuck {
    climbed: u8,
}

impl Stuck {
    /// The next rung. What ends other locks' links has to wait until there are none.
    pub fn climb(&mut self, address: Address, alone: bool) -> Rung {
        let rung = match self.climbed {
            0 => Rung::Disconnect(address),
            2 if alone => Rung::PowerCycle,
            3 if alone => Rung::Renew,
            _ => Rung::Remove(address),
        };
        self.climbed = match rung {
            Rung::Renew => 0,
            Rung::Remove(_) => 2,
            _ => self.climbed + 1,
        };
        rung
    }
}

/// Watches whether the air is silent.
#[derive(Default)]
pub(super) struct Deaf {
    /// Since when the radio scans, as far as nothing was heard since.
    since: Option<Mono>,
    /// How long it scanned in vain before that: pauses neither count nor end it.
    before: Duration,
    climbed: u32,
}

impl Deaf {
    /// Something was heard: all is well.
    pub fn heard(&mut self, now: Mono) {
        *self = Deaf {
            since: self.since.map(|_| now),
            before: Duration::ZERO,
            climbed: 0,
        };
    }

    /// The scan began or ended.
    pub fn scanning(&mut self, scanning: bool, now: Mono) {
        match (scanning, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(since)) => {
                self.before += Duration::from_millis(now.0.saturating_sub(since.0));
                self.since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// When something has to be done about it.
    pub fn due(&self) -> Option<Mono> {
        let round = self.climbed / 3;
        let span = DEAF_AFTER.saturating_mul(1 << round.min(8)).min(DEAF_AFTER_MOST);
        self.since.map(|since| since + span.saturating_sub(self.before))
    }

    /// The next rung.
    pub fn climb(&mut self, now: Mono, alone: bool) -> Rung {
        self.since = Some(now);
        self.before = Duration::ZERO;
        match self.climbed % 3 {
            1 if alone => {
                self.climbed += 1;
                Rung::PowerCycle
            }
            2 if alone => {
                self.climbed += 1;
                Rung::Renew
            }
            0 => {
                self.climbed += 1;
                Rung::Rescan
            }
            _ => Rung::Rescan,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: Address = Address([1; 6]);

    #[test]
    fn a_stuck_lock_goes_up_rung_by_rung_and_begins_anew() {
        let mut stuck = Stuck::default();
        let rungs: Vec<Rung> = (0..5).map(|_| stuck.climb(LOCK, true)).collect();
        let first = Rung::Disconnect(LOCK);
        assert_eq!(
            rungs,
            [first, Rung::Remove(LOCK), Rung::PowerCycle, Rung::Renew, first]
        );
    }

    #[test]
    fn a_stuck_lock_does_not_cost_others_their_links() {
        let mut stuck = Stuck::default();
        let rungs: Vec<Rung> = (0..9).map(|_| stuck.climb(LOCK, false)).collect();
        assert!(
            rungs[1..].iter().all(|rung| *rung == Rung::Remove(LOCK)),
            "{rungs:?}"
        );
        assert_eq!(stuck.climb(LOCK, true), Rung::PowerCycle);
    }

    #[test]
    fn silence_is_answered_ever_more_rarely_and_never_before_its_time() {
        let mut deaf = Deaf::default();
        assert_eq!(deaf.due(), None);
        deaf.scanning(true, Mono(0));
        let (mut now, mut spans) = (Mono(0), Vec::new());
        for _ in 0..60 {
            let due = deaf.due().unwrap();
            spans.push(due.0 - now.0);
            now = due;
            deaf.climb(now, true);
        }
        assert_eq!(spans[..4], [90_000, 90_000, 90_000, 180_000]);
        assert_eq!(spans.last(), Some(&3_600_000));
        deaf.heard(now);
        assert_eq!(deaf.due(), Some(now + DEAF_AFTER));
        deaf.scanning(false, now);
        assert_eq!(deaf.due(), None);
    }

    #[test]
    fn a_pause_of_the_scan_is_no_sign_of_life() {
        let mut deaf = Deaf::default();
        for minute in 0..4_u32 {
            let now = Mono(u64::from(minute) * 60_000);
            deaf.scanning(true, now);
            assert_eq!(
                deaf.due(),
                Some(now + (DEAF_AFTER - Duration::from_secs(20) * minute))
            );
            deaf.scanning(false, now + Duration::from_secs(20));
        }
    }

    #[test]
    fn silence_costs_nobody_a_link() {
        let mut deaf = Deaf::default();
        deaf.scanning(true, Mono(0));
        for _ in 0..9 {
            assert_eq!(deaf.climb(Mono(0), false), Rung::Rescan);
        }
        assert_eq!(deaf.climb(Mono(0), true), Rung::PowerCycle);
    }
}
