//! How a lock's silence holds back the next exchange (I12).

use std::time::Duration;

use crate::model::Mono;
use crate::sabotage::{self, Sabotage};
use crate::schedule;

/// A lock that does not answer, and the tries that it is given all the same.
#[derive(Default)]
pub struct Silence {
    /// Unanswered exchanges since the last goal that was reached.
    pub step: u32,
    /// Set while the last exchange went unanswered.
    pub since: Option<Mono>,
    pub jitter: u8,
    /// Until then it is not asked, since nobody could just now.
    held_until: Mono,
    /// One try is due although the wait is not over.
    pub pass: Option<Pass>,
    /// Hearing the lock has given its one try of this step.
    heard: bool,
    /// The exchange under way is that one try.
    trying_as_heard: bool,
}

/// A silent lock is asked for door commands no more often than this, however often they come.
const DOOR_SPACING: Duration = Duration::from_secs(10);

/// A lock that could not be asked is left alone for so long, that others on its radio get their turn.
const HOLD: Duration = Duration::from_secs(1);

/// What gives a lock a try although its wait is not over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It was heard.
    Heard,
    /// A code of it fell due, or ended.
    Edge,
}

impl Silence {
    /// From when on the lock may be asked.
    pub fn gate(&self, urgent: bool) -> Mono {
        let wait_over = match self.since {
            Some(since) if self.pass.is_none() && !sabotage::on(Sabotage::NeverWaits) => {
                since + schedule::silence_wait(self.step, urgent, self.jitter)
            }
            _ => Mono(0),
        };
        wait_over.max(self.held_until)
    }

    /// From when on the lock may be asked what somebody at the door wants.
    pub fn door_gate(&self) -> Mono {
        let spaced = self.since.map_or(Mono(0), |since| since + DOOR_SPACING);
        spaced.max(self.held_until)
    }

    /// The lock was heard: one immediate try per step.
    pub fn hear(&mut self) {
        if self.since.is_some() && !self.heard {
            self.heard = true;
            self.pass.get_or_insert(Pass::Heard);
        }
    }

    /// What kept the lock from being asked is over: one immediate try.
    pub fn try_now(&mut self) {
        self.pass = Some(Pass::Edge);
        self.held_until = Mono(0);
    }

    /// The lock could not be asked, and is not to blame.
    pub fn hold(&mut self, now: Mono) {
        self.held_until = now + HOLD;
    }

    /// An exchange begins.
    pub fn begin(&mut self) {
        self.trying_as_heard = self.pass.take() == Some(Pass::Heard);
    }

    /// The exchange went unanswered. A try that hearing gave does not lead to the next of its kind,
    /// or a lock that is heard but never answers would be asked at every beacon.
    /// What a person asked for at the door does not count as a step of ours.
    pub fn unanswered(&mut self, now: Mono, jitter: u8, ours: bool) {
        self.step += u32::from(ours);
        self.since = Some(now);
        self.jitter = jitter;
        self.heard &= self.trying_as_heard;
    }

    /// The exchange was answered; only a goal that was reached resets the step.
    pub fn answered(&mut self, goal: bool) {
        self.since = None;
        if goal {
            self.step = 0;
            self.heard = false;
        }
    }
}
