//! One exchange with a lock: what it is asked, and what came of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{AttemptId, CodeId, DeviceId, Slot};
use super::job::Deed;
use super::pin::Pin;
use super::time::Mono;
use super::window::Window;

/// Number of one exchange, so that its outcome finds its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// What a lock holds of a code, exactly as it stands in the lock's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The digits.
    pub pin: Pin,
    /// The name, cut to what the lock stores; `None` if it stores none.
    pub name: Option<String>,
    /// The window that the lock itself enforces; `Ongoing` where the gateway runs the window.
    pub window: Window,
}

/// Questions to one lock, asked in order over one link.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its number.
    pub call: CallId,
    /// The lock.
    pub device: DeviceId,
    /// At least one; more only where the lock's [`super::Capabilities::batch`] says so.
    pub steps: Vec<Step>,
    /// The whole exchange counts as unanswered after this time.
    pub deadline: Duration,
    /// Not to be begun after this: somebody who stood at the door has gone.
    pub not_after: Option<Mono>,
}

impl Exchange {
    /// What comes of it if it could not begin in time; `None` if it may begin now.
    #[must_use]
    pub fn missed(&self, now: Mono) -> Option<Outcome> {
        self.not_after.filter(|last| *last < now)?;
        Some(Outcome {
            findings: vec![Finding::Untried; self.steps.len()],
            took: Duration::ZERO,
        })
    }
}

/// One question to a lock.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make the lock hold this code with exactly this content, and prove it: read it back where
    /// the lock can be read, else take its authenticated acknowledgement.
    Put {
        /// The access code.
        code: CodeId,
        /// Generation of the record that this content comes from.
        generation: u64,
        /// Its slot, where the gateway chooses.
        slot: Slot,
        /// What it shall hold.
        content: Content,
        /// All digits under which the lock may hold this same code from earlier writes; empty if it
        /// was never asked, and then a lock that holds these digits, or uses this slot, holds
        /// somebody else's.
        stale: Vec<Pin>,
    },
    /// Make the lock hold this code no more, and prove it likewise. A slot that by now holds
    /// digits which are not `pins` is somebody else's and stays (I6).
    Remove {
        /// The access code.
        code: CodeId,
        /// Generation of the record that wants it gone.
        generation: u64,
        /// Its slot, where the gateway chooses.
        slot: Slot,
        /// All digits under which the lock may hold it; empty if it was never asked, and then there
        /// is nothing to take off.
        pins: Vec<Pin>,
    },
    /// Move the bolt, and say so once it has moved.
    Door {
        /// The command that asks for it.
        attempt: AttemptId,
        /// What to do.
        deed: Deed,
        /// Not after this: somebody who stood at the door has gone.
        not_after: Mono,
    },
    /// Tell the whole table.
    Read,
}

impl Step {
    /// The access code that it is about, and the generation of its record that it carries out.
    #[must_use]
    pub fn code(&self) -> Option<(CodeId, u64)> {
        match self {
            Step::Put { code, generation, .. } | Step::Remove { code, generation, .. } => {
                Some((*code, *generation))
            }
            Step::Door { .. } | Step::Read => None,
        }
    }

    /// The slot that it changes.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Step::Put { slot, .. } | Step::Remove { slot, .. } => Some(*slot),
            Step::Door { .. } | Step::Read => None,
        }
    }
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The lock holds it so (or no more), on the lock's own word.
    Proven(How),
    /// The lock said yes, and its table says no.
    Denied,
    /// The lock said no.
    Refused(Objection),
    /// The lock's table.
    Table(Vec<Entry>),
    /// No answer. The lock may have done it all the same.
    Unanswered,
    /// No answer, and the lock was not told to change anything: it holds what it held.
    Unreached,
    /// Broken off while the lock was being asked, since the radio went away or the exchange was given up. The lock may
    /// have done it all the same, and is not to blame.
    Cut,
    /// Not asked, since an earlier step went unanswered, or since the radio is away: the lock holds what it held.
    Untried,
}

impl Finding {
    /// Whether nothing was sent that would have changed the lock.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Finding::Unreached | Finding::Untried)
    }
}

/// On what word a code counts as proven (I7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Read in the lock's own table.
    ReadBack,
    /// The lock's authenticated acknowledgement; it cannot be read, or shows no digits.
    Acknowledged,
}

/// Why a lock said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objection {
    /// It holds no more codes.
    Full,
    /// It holds these digits already, under a code that is not ours.
    Duplicate,
    /// The slot holds a code that is not ours.
    SlotTaken,
    /// It does not accept our credentials.
    Credential,
    /// It was joined without encryption: no PIN is sent to it.
    Unsecured,
    /// It refused, and gave no reason that we know.
    Other,
}

impl Objection {
    /// Whether a lock that says so holds nothing of what it was told to take. Without a reason, a no may come
    /// from whoever speaks for the lock, and the lock may have stored the code all the same.
    #[must_use]
    pub fn leaves_nothing(self) -> bool {
        self != Objection::Other
    }

    /// Whether a driver that says so may not have asked the lock at all.
    #[must_use]
    pub fn may_be_the_drivers(self) -> bool {
        matches!(self, Objection::Credential | Objection::Unsecured)
    }
}

/// One row of a lock's own table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub slot: Slot,
    /// Its digits, where the lock shows them.
    pub pin: Option<Pin>,
    /// Its name, where the lock stores one.
    pub name: Option<String>,
    /// The window that the lock enforces.
    pub window: Window,
}

/// What came of an exchange: one finding per step, in their order.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One per step.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// The outcome of an exchange for which the lock was not reached.
    #[must_use]
    pub fn silence(steps: usize, took: Duration) -> Outcome {
        let mut findings = vec![Finding::Untried; steps];
        if let Some(first) = findings.first_mut() {
            *first = Finding::Unreached;
        }
        Outcome { findings, took }
    }

    /// The outcome of an exchange that was given up: nobody knows at which step, and the lock may have done any part of
    /// it.
    #[must_use]
    pub fn given_up(steps: usize, took: Duration) -> Outcome {
        let mut findings = vec![Finding::Cut; steps];
        if let Some(first) = findings.first_mut() {
            *first = Finding::Unanswered;
        }
        Outcome { findings, took }
    }

    /// The outcome of an exchange that nobody could carry out.
    #[must_use]
    pub fn untried(steps: usize) -> Outcome {
        Outcome {
            findings: vec![Finding::Untried; steps],
            took: Duration::ZERO,
        }
    }

    /// Whether it says anything of the lock, be it that it is silent. What a lock must not be asked its driver refuses
    /// for it.
    #[must_use]
    pub fn tried(&self) -> bool {
        let says = |finding: &Finding| match finding {
            Finding::Untried | Finding::Cut => false,
            Finding::Refused(objection) => !objection.may_be_the_drivers(),
            _ => true,
        };
        self.findings.iter().any(says)
    }

    /// Whether the lock fell silent.
    #[must_use]
    pub fn unanswered(&self) -> bool {
        let fell = |finding: &Finding| matches!(finding, Finding::Unanswered | Finding::Unreached);
        self.findings.iter().any(fell)
    }
}
