//! Deliberate faults of the core: the simulation proves on them that it would see the real ones.
//!
//! They are there only with the feature `sim`, which tests have, and there only in a thread that asks for
//! one. In a release nothing of them is left.

#[cfg(feature = "sim")]
use std::cell::Cell;

/// A fault, named by what the core then does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Answers before what it says is durable.
    AnswersEarly,
    /// Puts only the first member of a group on record.
    RecordsFirstMemberOnly,
    /// Knows no job that comes again.
    ForgetsJobs,
    /// Never tries again what a lock refused.
    GivesUp,
    /// Takes codes off twenty minutes late.
    RemovesLate,
    /// Sets codes three hours early.
    SetsEarly,
    /// Drops a deleted code without asking its lock.
    DropsUnasked,
    /// Sets before it removes.
    SetsFirst,
    /// Takes a code that it does not know for its own.
    ClearsStrangers,
    /// Believes a lock that says yes.
    TrustsTheSend,
    /// Looks no second time.
    LooksOnce,
    /// Stores jobs for everybody to read.
    StoresInTheClear,
    /// Goes by whatever the clock shows.
    TrustsAnyClock,
    /// Keeps every event.
    KeepsAllEvents,
    /// Keeps the link of a lock that did not answer.
    KeepsLinks,
    /// Asks a silent lock again at once.
    NeverWaits,
}

#[cfg(feature = "sim")]
thread_local! {
    static CURRENT: Cell<Option<Sabotage>> = const { Cell::new(None) };
}

/// From here on this thread's core has this fault, or none.
#[cfg(feature = "sim")]
pub fn commit(fault: Option<Sabotage>) {
    CURRENT.set(fault);
}

/// Whether the core has this fault.
#[cfg(feature = "sim")]
pub(crate) fn on(fault: Sabotage) -> bool {
    CURRENT.get() == Some(fault)
}

/// Whether the core has this fault: never.
#[cfg(not(feature = "sim"))]
pub(crate) const fn on(_: Sabotage) -> bool {
    false
}
