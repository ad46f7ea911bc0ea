//! What kind of lock is simulated.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{Addressing, Alphabet, Capabilities, NativeWindow, ReadBack};

/// Names of the profiles.
pub const PROFILES: [&str; 5] = ["slots", "fixed-8", "keypad-6", "masked", "write-only"];

/// A kind of lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What it takes, holds and tells, and how long it is waited for.
    pub capabilities: Capabilities,
    /// How long it takes to answer one read, write or erasure.
    pub latency: Duration,
    /// After how long a lock out of reach is given up: no link comes about.
    pub silence_after: Duration,
}

impl Setup {
    /// The lock of a profile; `None` if there is none of this name.
    #[must_use]
    pub fn profile(name: &str) -> Option<Setup> {
        let slots = Setup::slots();
        let like_slots = |lengths: &[u8], read_back| Setup {
            capabilities: Capabilities {
                lengths: lengths.iter().copied().collect(),
                read_back,
                ..slots.capabilities.clone()
            },
            ..slots.clone()
        };
        let setup = match name {
            "slots" => slots,
            "fixed-8" => like_slots(&[8], ReadBack::Full),
            "keypad-6" => Setup {
                capabilities: Capabilities {
                    lengths: BTreeSet::from([6]),
                    alphabet: Alphabet::NO_ZERO,
                    forbidden_prefixes: vec!["12".to_owned()],
                    capacity: 100,
                    name_limit: 20,
                    window: NativeWindow::Seconds,
                    addressing: Addressing::GivenByLock,
                    ..slots.capabilities
                },
                ..slots
            },
            "masked" => like_slots(&[4, 5, 6, 7, 8], ReadBack::Masked),
            "write-only" => like_slots(&[4, 5, 6, 7, 8], ReadBack::None),
            _ => return None,
        };
        Some(setup)
    }

    /// The commonest kind: numbered slots, the gateway chooses, everything can be read.
    fn slots() -> Setup {
        Setup {
            capabilities: Capabilities {
                door: true,
                lengths: BTreeSet::from([4, 5, 6]),
                alphabet: Alphabet::DIGITS,
                forbidden_prefixes: Vec::new(),
                forbidden_patterns: BTreeSet::new(),
                capacity: 30,
                reserved: BTreeSet::new(),
                closed: None,
                name_limit: 0,
                read_back: ReadBack::Full,
                window: NativeWindow::None,
                addressing: Addressing::Chosen,
                batch: true,
                // What slow locks in the field need when a radio repeats itself.
                patience: Duration::from_secs(10),
            },
            latency: Duration::from_millis(200),
            silence_after: Duration::from_secs(1),
        }
    }

    /// Makes it show another part of its table. Only a lock that shows digits can choose the
    /// places of its codes itself: nobody could find them again.
    pub fn show(&mut self, read_back: ReadBack) {
        self.capabilities.read_back = read_back;
        if read_back != ReadBack::Full {
            self.capabilities.addressing = Addressing::Chosen;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_profile_exists_and_no_other() {
        assert!(PROFILES.iter().all(|name| Setup::profile(name).is_some()));
        assert_eq!(Setup::profile("Slots"), None);
    }
}
