//! What the loop has done since its start, by number.

use std::collections::BTreeMap;

use crate::gateway::Answer;
use crate::model::{Finding, Outcome, Reason};

/// Counted since the start of the program; never set back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for a change that were accepted, repeats included.
    pub accepted: u64,
    /// Requests for a change that were refused, by their reason.
    pub refused: BTreeMap<Reason, u64>,
    /// Exchanges with locks, by what came of them.
    pub exchanges: BTreeMap<Exchanged, u64>,
}

/// What came of an exchange with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exchanged {
    /// The lock did all that it was asked.
    Done,
    /// The lock said no to something, or its table did.
    Refused,
    /// The lock did not answer.
    Silent,
    /// The lock could not be asked, and is not to blame.
    Untried,
}

impl Exchanged {
    /// Every result.
    pub const ALL: [Exchanged; 4] = [
        Exchanged::Done,
        Exchanged::Refused,
        Exchanged::Silent,
        Exchanged::Untried,
    ];

    /// The stable word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Exchanged::Done => "done",
            Exchanged::Refused => "refused",
            Exchanged::Silent => "silent",
            Exchanged::Untried => "untried",
        }
    }

    fn of(outcome: &Outcome) -> Exchanged {
        let no = |finding: &Finding| matches!(finding, Finding::Refused(_) | Finding::Denied);
        match (
            outcome.unanswered(),
            outcome.findings.iter().any(no),
            outcome.tried(),
        ) {
            (true, _, _) => Exchanged::Silent,
            (false, true, _) => Exchanged::Refused,
            (false, false, true) => Exchanged::Done,
            (false, false, false) => Exchanged::Untried,
        }
    }
}

impl Counts {
    pub(super) fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Refused(refusal) => *self.refused.entry(refusal.reason).or_default() += 1,
            Answer::Created(_) | Answer::CreatedOne(_) | Answer::Attempt(_) | Answer::Ok => {
                self.accepted += 1;
            }
        }
    }

    pub(super) fn exchange(&mut self, outcome: &Outcome) {
        *self.exchanges.entry(Exchanged::of(outcome)).or_default() += 1;
    }
}
