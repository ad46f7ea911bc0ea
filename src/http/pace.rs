//! How often something may be done: so many times at once, and from then on at an even pace.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Caller, Mono, Reason, Refusal};

/// So many at once, and one more each time that a while has passed.
pub(super) struct Pace {
    /// How many at once.
    pub most: u32,
    /// How long until there is room for one more.
    pub every: Duration,
}

impl Pace {
    /// When all will be worked off, with one more; or, if there is no room for it, in how many seconds there is.
    pub fn one_more(&self, worked_off: Mono, now: Mono) -> Result<Mono, u64> {
        let worked_off = worked_off.max(now) + self.every;
        match worked_off.0.saturating_sub((now + self.every * self.most).0) {
            0 => Ok(worked_off),
            wait => Err(wait.div_ceil(1000)),
        }
    }
}

/// PINs that one caller may be shown by their ids. Each look is an event, and the store keeps a number of events:
/// looks without end would push out what they left behind.
const REVEALS: Pace = Pace {
    most: 60,
    every: Duration::from_secs(1),
};

/// Who was shown PINs: for each caller the time at which all looks will be worked off.
#[derive(Default)]
pub(super) struct Reveals {
    worked_off: Mutex<BTreeMap<Caller, Mono>>,
}

impl Reveals {
    /// Counts a look.
    ///
    /// # Errors
    /// `rate_limited`, with the time to wait; then it does not count.
    pub fn one_more(&self, caller: &Caller, now: Mono) -> Result<(), Refusal> {
        let mut known = self.worked_off.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, worked_off| now < *worked_off);
        let worked_off = known.get(caller).copied().unwrap_or(now);
        match REVEALS.one_more(worked_off, now) {
            Ok(worked_off) => {
                known.insert(caller.clone(), worked_off);
                Ok(())
            }
            Err(wait) => Err(Refusal {
                retry_after_s: Some(wait),
                ..Refusal::new(
                    Reason::RateLimited,
                    format!("more than {} PINs in a minute are shown to nobody", REVEALS.most),
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_shown_sixty_at_once_and_then_one_a_second() {
        let reveals = Reveals::default();
        let look = |caller: &str, at: u64| {
            let answer = reveals.one_more(&Caller(caller.to_owned()), Mono(at));
            answer.map_err(|refusal| (refusal.reason, refusal.retry_after_s))
        };
        for _ in 0..60 {
            assert_eq!(look("office", 5_000), Ok(()));
        }
        let slowed = Err((Reason::RateLimited, Some(1)));
        assert_eq!(look("office", 5_000), slowed);
        assert_eq!(look("office", 5_999), slowed);
        assert_eq!(look("desk", 5_999), Ok(()), "another caller");
        assert_eq!(look("office", 6_000), Ok(()));
        assert_eq!(look("office", 6_000), slowed);
        for _ in 0..60 {
            assert_eq!(look("office", 66_000), Ok(()), "a minute later");
        }
        assert_eq!(look("office", 66_000), slowed);
    }
}
