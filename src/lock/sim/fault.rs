//! What can go wrong between a question and its answer.

use std::time::Duration;

use serde::Deserialize;

use crate::model::Mono;

/// A fault to come. A new one takes the place of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How many operations it strikes; all, if left out.
    #[serde(default)]
    pub count: Option<u32>,
    /// For how many seconds it lasts; for ever, if left out.
    #[serde(default)]
    pub for_s: Option<u64>,
    /// After how many seconds a code gets lost; 60, if left out.
    #[serde(default)]
    pub after_s: Option<u64>,
}

/// What goes wrong. An operation is one read, write, erasure or move of the bolt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Says no to writes, erasures and moves of the bolt.
    Refuse,
    /// Does as it is asked, and no answer is heard. The look before a change is still answered,
    /// or nothing would ever be done; if no change is needed, the end of the step is not heard.
    Silent,
    /// Does nothing, and never answers.
    Hang,
    /// Says yes to writes, erasures and moves of the bolt, and does nothing.
    NoStore,
    /// Stores what is written, and loses it later.
    DropAfter,
    /// Takes ten times as long.
    Slow,
    /// Says no to reads. What it had already taken when it was read back, nobody can know.
    NoRead,
    /// Nothing: ends the fault before.
    None,
}

/// A step of the talk with a lock, as far as faults tell them apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// The read before a change.
    Look,
    /// A read whose answer matters.
    Read,
    Write,
    Erase,
    Move,
    /// The end of a step.
    End,
}

impl FaultKind {
    fn concerns(self, op: Op) -> bool {
        match self {
            FaultKind::Refuse | FaultKind::NoStore => matches!(op, Op::Write | Op::Erase | Op::Move),
            FaultKind::Silent => op != Op::Look,
            FaultKind::Hang | FaultKind::Slow => op != Op::End,
            FaultKind::DropAfter => op == Op::Write,
            FaultKind::NoRead => matches!(op, Op::Look | Op::Read),
            FaultKind::None => false,
        }
    }
}

/// A fault that is on.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    fault: Fault,
    until: Option<Mono>,
}

impl Trouble {
    pub(super) fn begin(fault: Fault, now: Mono) -> Trouble {
        let until = fault.for_s.map(|s| now + Duration::from_secs(s));
        Trouble { fault, until }
    }

    /// What it does to an operation, if anything; one use less of it then.
    pub(super) fn strike(&mut self, op: Op, now: Mono) -> Option<FaultKind> {
        if self.until.is_some_and(|until| until <= now) || !self.fault.kind.concerns(op) {
            return None;
        }
        if let Some(left) = &mut self.fault.count {
            *left = left.checked_sub(1)?;
        }
        Some(self.fault.kind)
    }

    /// How long after a write the code gets lost.
    pub(super) fn drops_after(&self) -> Duration {
        Duration::from_secs(self.fault.after_s.unwrap_or(60))
    }
}
