//! How a lock's silence holds back the next exchange (I12).

use crate::model::Mono;
use crate::schedule;

/// How a lock's silence holds back the next exchange (I12).
#[derive(Default)]
pub struct Silence {
    /// Unanswered exchanges since the last goal that was reached.
    pub step: u32,
    /// Set while the last exchange went unanswered.
    pub since: Option<Mono>,
    pub jitter: u8,
    /// One try is due although the wait is not over.
    pub pass: bool,
    /// Hearing the lock has given its one try of this step.
    pub heard: bool,
}

impl Silence {
    pub fn gate(&self, urgent: bool) -> Mono {
        match self.since {
            Some(since) if !self.pass => since + schedule::silence_wait(self.step, urgent, self.jitter),
            _ => Mono(0),
        }
    }
}
