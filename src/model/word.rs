//! What locks and radios say by themselves.

use serde::{Deserialize, Serialize};

use super::id::Slot;

/// What a lock says unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Its bolt has moved.
    Moved {
        /// Whether it is out now.
        locked: bool,
        /// What moved it.
        by: By,
    },
    /// Where its bolt is: `true` is out, `None` that the lock does not know.
    Bolt(Option<bool>),
    /// Its bolt is stuck.
    Jammed,
    /// Its keypad takes nothing for a while, after wrong codes.
    Denied,
    /// Somebody opened its case.
    Tampered,
    /// What is left of its battery, in percent.
    Battery(u8),
    /// Its battery is nearly empty.
    BatteryLow,
    /// A code was changed, in this slot if it says which.
    CodeChanged(Option<Slot>),
    /// All its codes were erased.
    CodesErased,
}

/// What moved a bolt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Whoever typed the code of this slot; `None` where the lock does not say which, or it was no code of a
    /// slot.
    Keypad(Option<Slot>),
    /// A hand or a key.
    Hand,
    /// A command by radio.
    Radio,
    /// The lock itself, after its time.
    Itself,
}

/// Why the locks of a radio cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// The program that serves the radio cannot be reached.
    Server,
    /// That program can be reached, and its radio does not answer it.
    Stick,
}
