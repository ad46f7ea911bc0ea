//! In how many of the last hours a lock was heard: how well it can be reached, in two numbers.
//!
//! Counted in memory, since the start. A lock that advertises is expected in every hour; of another one only those
//! hours tell something in which it was asked, or spoke by itself.

use std::time::Duration;

use crate::gateway::view::Heard;
use crate::model::Mono;

const HOUR: Duration = Duration::from_secs(3600);
/// Hours that are looked back upon, the present one included.
const DAY: u64 = 24;

/// What was heard of a lock in each of the last hours.
#[derive(Clone, Copy)]
pub struct Hours {
    /// When counting began.
    since: Mono,
    /// The hour of the lowest bits, counted from there.
    latest: u64,
    /// In which hours it was heard: the latest is bit 0.
    heard: u32,
    /// In which hours it was asked or heard.
    tried: u32,
    /// It is expected in every hour.
    advertises: bool,
}

impl Hours {
    /// Nothing was heard yet.
    pub fn from(now: Mono) -> Hours {
        Hours {
            since: now,
            latest: 0,
            heard: 0,
            tried: 0,
            advertises: false,
        }
    }

    /// It was asked, and answered or not.
    pub fn asked(&mut self, now: Mono, answered: bool) {
        *self = self.at(now);
        self.tried |= 1;
        self.heard |= u32::from(answered);
    }

    /// It spoke by itself.
    pub fn spoke(&mut self, now: Mono) {
        self.asked(now, true);
    }

    /// It advertised.
    pub fn advertised(&mut self, now: Mono) {
        self.spoke(now);
        self.advertises = true;
    }

    /// How many of the last hours tell something, and in how many of them it was heard.
    pub fn tell(&self, now: Mono) -> Heard {
        let hours = self.at(now);
        let watched = match hours.advertises {
            true => u32::try_from((hours.latest + 1).min(DAY)).unwrap_or(0),
            false => hours.tried.count_ones(),
        };
        Heard {
            hours: hours.heard.count_ones(),
            of: watched,
        }
    }

    /// The same, seen from a later hour.
    fn at(self, now: Mono) -> Hours {
        let hour = now.0.saturating_sub(self.since.0) / u64::try_from(HOUR.as_millis()).unwrap_or(u64::MAX);
        let passed = u32::try_from(hour.saturating_sub(self.latest)).unwrap_or(u32::MAX);
        let kept = (1 << DAY) - 1;
        let moved = |bits: u32| bits.checked_shl(passed).unwrap_or(0) & kept;
        Hours {
            latest: hour.max(self.latest),
            heard: moved(self.heard),
            tried: moved(self.tried),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hours: u64) -> Mono {
        Mono(7_000) + HOUR * u32::try_from(hours).unwrap()
    }

    fn told(hours: &Hours, at: u64) -> (u32, u32) {
        let heard = hours.tell(hour(at));
        (heard.hours, heard.of)
    }

    #[test]
    fn a_lock_that_advertises_is_expected_in_every_hour() {
        let mut hours = Hours::from(hour(0));
        assert_eq!(told(&hours, 0), (0, 0), "nobody knows of what kind it is");
        hours.advertised(hour(0));
        hours.advertised(hour(0));
        assert_eq!(told(&hours, 0), (1, 1));
        hours.advertised(hour(2));
        assert_eq!(told(&hours, 3), (2, 4));
        for at in 3..40 {
            hours.advertised(hour(at));
        }
        assert_eq!(told(&hours, 39), (24, 24));
        assert_eq!(told(&hours, 45), (18, 24), "it has fallen silent");
        assert_eq!(told(&hours, 63), (0, 24));
        assert_eq!(told(&hours, 10_000_000), (0, 24));
    }

    #[test]
    fn of_another_one_only_those_hours_count_in_which_it_was_asked_or_spoke() {
        let mut hours = Hours::from(hour(0));
        hours.asked(hour(0), true);
        hours.asked(hour(12), true);
        assert_eq!(told(&hours, 12), (2, 2));
        hours.asked(hour(13), false);
        hours.spoke(hour(14));
        assert_eq!(told(&hours, 20), (3, 4));
        // Asked in vain and heard within one hour: it was heard.
        hours.asked(hour(14), false);
        assert_eq!(told(&hours, 20), (3, 4));
        assert_eq!(told(&hours, 24), (2, 3), "the first is a day ago");
    }
}
