//! What locks and radios say by themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::Slot;
use super::pin::Pin;
use super::time::Timestamp;

/// A battery with less than this, in percent, is nearly empty.
pub const BATTERY_LOW: u8 = 20;

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
    /// It advertised, so loud, in dBm. Told every few minutes at most.
    Advertised(i16),
    /// A code was changed, in this slot if it says which.
    CodeChanged(Option<Slot>),
    /// All its codes were erased.
    CodesErased,
}

/// How far a lock's logbook was read. Each entry has a higher number than those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<i64>", into = "Option<i64>")]
pub enum Bookmark {
    /// It never was: what stands there may be from before our time.
    #[default]
    Unread,
    /// It was empty: whatever stands there since is new.
    Empty,
    /// Up to the entry of this number.
    At(u32),
}

impl From<Bookmark> for Option<i64> {
    fn from(bookmark: Bookmark) -> Option<i64> {
        match bookmark {
            Bookmark::Unread => None,
            Bookmark::Empty => Some(-1),
            Bookmark::At(number) => Some(number.into()),
        }
    }
}

impl From<Option<i64>> for Bookmark {
    fn from(stored: Option<i64>) -> Bookmark {
        match stored.map(u32::try_from) {
            None => Bookmark::Unread,
            Some(Err(_)) => Bookmark::Empty,
            Some(Ok(number)) => Bookmark::At(number),
        }
    }
}

/// What a lock wrote down itself, as it is read when it is asked something anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logbook {
    /// How far it is read now.
    pub read: Bookmark,
    /// Who was at the keypad, oldest first, at least since it was read last.
    pub entries: Vec<Typed>,
}

/// Somebody moved a bolt at a keypad, and the lock wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The number of the entry.
    pub number: u32,
    /// When, by the lock's clock; `None` if that showed no date, or none to go by.
    pub at: Option<Timestamp>,
    /// Whether the bolt is out since.
    pub locked: bool,
    /// Where the code stood on the lock.
    pub slot: Slot,
    /// Its digits, where the lock's table told them: else nobody knows whose place that was.
    pub pin: Option<Pin>,
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
    /// The server of a Z-Wave network cannot be reached.
    Server,
    /// That server can be reached, and its stick does not answer it.
    Stick,
    /// The system's message bus, over which Bluetooth is served, does not answer.
    Bus,
    /// The bus is there, and the Bluetooth daemon is not.
    Daemon,
    /// The daemon has no such Bluetooth adapter.
    Adapter,
    /// The Bluetooth adapter is off, and does not let itself be switched on.
    AdapterOff,
    /// The Bluetooth daemon does not talk with this user.
    Denied,
}

impl fmt::Display for Outage {
    /// What is not as it should be, as a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outage::Server => "the Z-Wave server cannot be reached",
            Outage::Stick => "the Z-Wave stick does not answer its server",
            Outage::Bus => "the D-Bus system bus does not answer",
            Outage::Daemon => "the Bluetooth daemon does not answer",
            Outage::Adapter => "there is no such Bluetooth adapter",
            Outage::AdapterOff => "the Bluetooth adapter stays off",
            Outage::Denied => "the Bluetooth daemon refuses this user",
        })
    }
}

impl Outage {
    /// What to do about it, in a sentence.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Outage::Server => "See that the Z-Wave server runs, and that [zwave] url names it.",
            Outage::Stick => "See that the Z-Wave stick is plugged in, and that its server uses it.",
            Outage::Bus => "See that dbus runs.",
            Outage::Daemon => "See that bluetooth.service (bluetoothd) runs.",
            Outage::Adapter => {
                "See that the Bluetooth adapter is plugged in, and that [ble] adapter names it (bluetoothctl list)."
            }
            Outage::AdapterOff => "See that the Bluetooth adapter is not blocked (rfkill list).",
            Outage::Denied => "See that the gateway's user is in the group bluetooth.",
        }
    }
}
