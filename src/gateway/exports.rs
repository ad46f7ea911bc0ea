//! When an export is made: an hour after the first change that none holds yet, so that no change waits
//! for longer, however much or little goes on.

use std::time::Duration;

use crate::model::Mono;

const EVERY: Duration = Duration::from_secs(3600);

/// When the next export falls due.
pub(crate) struct Exports {
    /// `None`: the last one holds everything.
    due: Option<Mono>,
}

impl Exports {
    /// After a start nobody knows what the last one holds: one is made at once.
    pub fn new(now: Mono) -> Exports {
        Exports { due: Some(now) }
    }

    /// Something is not in any export: a change, or all since one that failed.
    pub fn want(&mut self, now: Mono) {
        self.due.get_or_insert(now + EVERY);
    }

    /// Whether one is to be made now, which then holds everything.
    pub fn take(&mut self, now: Mono) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// When time alone makes one fall due.
    pub fn due(&self) -> Option<Mono> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_an_hour_and_none_without_a_change() {
        let mut exports = Exports::new(Mono(5));
        assert!(exports.take(Mono(5)), "the first after a start");
        assert!(!exports.take(Mono(u64::MAX)));
        exports.want(Mono(1_000));
        exports.want(Mono(3_000_000));
        assert!(!exports.take(Mono(3_600_999)));
        assert_eq!(exports.due(), Some(Mono(3_601_000)));
        assert!(exports.take(Mono(3_601_000)));
        assert_eq!(exports.due(), None);
    }
}
