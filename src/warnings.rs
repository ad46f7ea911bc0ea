//! Warnings that somebody else can bring about, at most so many in so long: who knocks for fun must not
//! fill the log.

use std::time::Duration;

use crate::model::Mono;

const MOST: u32 = 10;
const PER: Duration = Duration::from_secs(60);

/// How many warnings there were of late.
#[derive(Default)]
pub struct Warnings {
    since: Mono,
    said: u32,
    kept_back: u64,
}

impl Warnings {
    /// Whether there is room for one more, and how many were kept back before it.
    pub fn one_more(&mut self, now: Mono) -> Option<u64> {
        if now >= self.since + PER {
            (self.since, self.said) = (now, 0);
        }
        if self.said == MOST {
            self.kept_back += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_end_where_they_would_fill_the_log_and_begin_again() {
        let mut warnings = Warnings::default();
        let now = Mono::default() + PER * 5;
        for _ in 0..MOST {
            assert_eq!(warnings.one_more(now), Some(0));
        }
        assert_eq!(warnings.one_more(now), None);
        assert_eq!(warnings.one_more(now + PER / 2), None);
        assert_eq!(warnings.one_more(now + PER), Some(2));
        assert_eq!(warnings.one_more(now + PER), Some(0));
    }
}
