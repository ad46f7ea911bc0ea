//! A pairing, a test or an unpairing of a lock, step by step, for whoever looks on.

use crate::lock::ble::{Address, NoLink};
use crate::lock::nuki::{ErrorCode, PairingError};
use crate::model::{DeviceId, Finding, Objection, Timestamp};

use super::device_id;

/// A pairing, a test or an unpairing, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// What is done.
    pub kind: Kind,
    /// At which lock.
    pub address: Address,
    /// What was done so far, in order.
    pub steps: Vec<Said>,
    /// How it ended.
    pub end: Option<Result<(), Problem>>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The gateway and a lock get to know each other.
    Pair,
    /// A code is added and removed again.
    Test,
    /// The lock deletes the gateway from its users, and the gateway forgets the lock.
    Unpair,
}

/// A step, and when it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Wall time.
    pub at: Timestamp,
    /// What.
    pub step: Step,
}

/// A step that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of this lock is known; whether it still counts is looked at first.
    Known,
    /// Somebody is to hold the button.
    Button,
    /// The lock lets itself be paired.
    Pairing,
    /// What lets us in is sealed in the store.
    Kept,
    /// The lock knows that we have it.
    Confirmed,
    /// The security PIN is right.
    PinRight,
    /// The lock is one of this gateway's.
    Met {
        /// What it is called.
        name: String,
        /// Whether it has a keypad.
        keypad: bool,
    },
    /// Its table was read.
    Read {
        /// Codes in it.
        codes: usize,
    },
    /// The probe was added, and read back.
    Added,
    /// The probe was taken off, and is not there any more.
    Removed,
}

impl Step {
    /// A stable word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Step::Known => "known",
            Step::Button => "button",
            Step::Pairing => "pairing",
            Step::Kept => "kept",
            Step::Confirmed => "confirmed",
            Step::PinRight => "pin_right",
            Step::Met { .. } => "met",
            Step::Read { .. } => "read",
            Step::Added => "added",
            Step::Removed => "removed",
        }
    }

    /// The same for a person.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Step::Known => "The gateway has a key of this lock; whether it still counts is looked at first.".into(),
            Step::Button => {
                "Hold the lock's button for five seconds, until its ring lights up. The gateway waits for that.".into()
            }
            Step::Pairing => "The lock lets itself be paired.".into(),
            Step::Kept => "The lock's key is sealed in the store.".into(),
            Step::Confirmed => "The lock knows the gateway.".into(),
            Step::PinRight => "The security PIN is right.".into(),
            Step::Met { name, keypad: true } => format!("{name} takes codes from now on."),
            Step::Met { name, keypad: false } => format!(
                "{name} has no keypad, so that it takes no codes: pair a keypad with it in the Nuki app, then say \
                 this command again."
            ),
            Step::Read { codes: 1 } => "Its table was read: 1 code.".into(),
            Step::Read { codes } => format!("Its table was read: {codes} codes."),
            Step::Added => "A code was added, and read back.".into(),
            Step::Removed => "The code was taken off again, and is not there any more.".into(),
        }
    }
}

/// Why it came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No link came about.
    #[error("no link to the lock: {0}")]
    NoLink(#[from] NoLink),
    /// The pairing failed.
    #[error("{0}")]
    Pairing(PairingError),
    /// The security PIN is wrong.
    #[error("the lock refuses the security PIN, which is not tried again")]
    WrongPin {
        /// The lock knows the gateway all the same.
        paired: bool,
    },
    /// The lock takes no security PIN for a while.
    #[error("the lock takes no security PIN for a while, after too many wrong ones")]
    LockedOut,
    /// The lock knows the gateway, and says no.
    #[error("the lock knows the gateway, and refuses to be asked: {0}")]
    Declined(ErrorCode),
    /// It was paired, and could not be asked anything afterwards.
    #[error("the lock is paired, and could not be asked whether the security PIN is right: {0}")]
    Unchecked(NoLink),
    /// The lock did not get to know us.
    #[error("the lock does not know the gateway: the last word of the pairing was lost")]
    NotKnown,
    /// Nobody held the button.
    #[error("the lock did not let itself be paired in time")]
    TimedOut,
    /// A step of a test was not proven.
    #[error("the test failed at {step}: {why}")]
    Step {
        /// Which.
        step: &'static str,
        /// What came of it.
        why: Unproven,
    },
    /// The lock may still hold the probe.
    #[error("the link was lost, and the lock may still hold the code of the test: {0}")]
    ProbeLeft(Box<Problem>),
    /// The lock is not to be forgotten while it holds codes.
    #[error(
        "{codes} access codes of this device are not over, and once it is forgotten nobody takes them off the lock"
    )]
    InUse {
        /// How many.
        codes: usize,
    },
    /// The gateway stopped, or this part of it began anew.
    #[error("it was interrupted")]
    Interrupted,
}

/// What came of a step of a test that was not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Our key or the security PIN is not accepted.
    #[error("the lock does not accept the gateway's key or security PIN")]
    NotLetIn,
    /// It holds no more.
    #[error("the lock holds no more codes")]
    Full,
    /// Anything else that a lock says no to.
    #[error("the lock said no")]
    Refused,
    /// It did not do as it said.
    #[error("the lock said yes, and its table says no")]
    Denied,
    /// Nobody could ask it.
    #[error("the radio went away meanwhile")]
    RadioAway,
    /// It fell silent.
    #[error("the lock did not answer")]
    Silent,
}

impl From<PairingError> for Problem {
    fn from(error: PairingError) -> Problem {
        match error {
            // Only an Ultra asks for it before it knows us.
            PairingError::Refused(ErrorCode::BAD_PIN) => Problem::WrongPin { paired: false },
            PairingError::Refused(ErrorCode::TOO_MANY_PINS) => Problem::LockedOut,
            other => Problem::Pairing(other),
        }
    }
}

impl Problem {
    /// What a finding of a step of a test means.
    pub(super) fn of(step: &'static str, finding: &Finding) -> Problem {
        let why = match finding {
            Finding::Refused(Objection::Credential) => Unproven::NotLetIn,
            Finding::Refused(Objection::Full) => Unproven::Full,
            Finding::Refused(_) => Unproven::Refused,
            Finding::Denied => Unproven::Denied,
            Finding::Cut => Unproven::RadioAway,
            Finding::Proven(_)
            | Finding::Table(_)
            | Finding::Unanswered
            | Finding::Unreached
            | Finding::Untried => Unproven::Silent,
        };
        Problem::Step { step, why }
    }

    /// What to do about it, in a sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Problem::NoLink(NoLink::Radio(outage)) | Problem::Unchecked(NoLink::Radio(outage)) => {
                outage.hint()
            }
            Problem::NoLink(NoLink::Unheard) => {
                "Go nearer, see with `lockbridge scan` whether it is heard, and close the Nuki app on every phone."
            }
            Problem::NoLink(NoLink::Misfit) => {
                "Compare the address with `lockbridge scan`; a security PIN has four digits, and six only on an Ultra."
            }
            Problem::NoLink(NoLink::Untried | NoLink::Over) | Problem::Interrupted => {
                "Say the command again in a minute; if it was a pairing, see with `lockbridge devices` how far it came."
            }
            Problem::NoLink(NoLink::Silent | NoLink::Failed)
            | Problem::Step {
                why: Unproven::Silent,
                ..
            } => "Close the Nuki app on every phone, move the gateway nearer, and try again.",
            Problem::Step { why, .. } => match why {
                Unproven::NotLetIn => {
                    "Pair it again with `lockbridge pair nuki`: the button need not be held if only the security PIN is \
                     wrong. After too many wrong ones, wait half an hour first."
                }
                Unproven::Full => "Delete codes that nobody needs in the Nuki app, and try again.",
                Unproven::RadioAway => "Try again once the radio is back: `lockbridge scan` shows it.",
                Unproven::Refused | Unproven::Denied | Unproven::Silent => {
                    "Look in the Nuki app whether the lock and its keypad work, and try again."
                }
            },
            Problem::Pairing(PairingError::NotPairing) | Problem::TimedOut => {
                "Hold the lock's button for five seconds until its ring lights up, and try again; pairing by the button \
                 must be allowed in the Nuki app."
            }
            Problem::Pairing(PairingError::AnswerLost | PairingError::NotKept) => {
                "Check the security PIN, and look at the lock's users in the Nuki app: if this gateway is among them, \
                 delete it there, and say the command again."
            }
            Problem::Pairing(_) | Problem::NotKnown => "Try again; nothing of this attempt was kept.",
            Problem::WrongPin { paired: true } => {
                "Look it up in the Nuki app and say the command again: the button need not be held once more."
            }
            Problem::WrongPin { paired: false } => {
                "Look it up in the Nuki app, then say the command again and hold the button: a few wrong ones lock \
                 everybody out for a while."
            }
            Problem::LockedOut => {
                "Look the security PIN up in the Nuki app, wait half an hour, and say the command again."
            }
            Problem::Declined(_) => {
                "See in the Nuki app that this gateway is enabled among the lock's users, at all hours, and say the \
                 command again."
            }
            Problem::InUse { .. } => "Delete them first; or insist, if the lock is gone or was reset.",
            Problem::Unchecked(_) => "Say the command again: the button need not be held once more.",
            Problem::ProbeLeft(_) => {
                "Nothing: it opens nothing after five minutes, and is taken off when the lock is read the next time."
            }
        }
    }
}

impl Errand {
    pub(super) fn new(kind: Kind, address: Address) -> Errand {
        Errand {
            kind,
            address,
            steps: Vec::new(),
            end: None,
        }
    }

    /// Which lock it is about.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        device_id(self.address)
    }

    /// Whether it is still going on.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.end.is_none()
    }
}

/// Nobody goes on with what was under way.
pub(super) fn interrupt(errand: &mut Option<Errand>) {
    if let Some(errand) = errand.as_mut().filter(|errand| errand.is_under_way()) {
        errand.end = Some(Err(Problem::Interrupted));
    }
}
