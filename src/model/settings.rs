//! What an operator can set about times and limits, with every default and its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Times that the core goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long before its start a code goes onto a lock that knows no windows. Ten minutes
    /// cover the longest wait for a silent lock twice.
    pub lead: Duration,
    /// How long before its start a code goes onto a lock that enforces windows itself (Seam: 72 h).
    pub preload: Duration,
    /// How long after a write the lock is read once more; 60 to 120 s.
    pub second_look: Duration,
    /// How long an ended code can still be read.
    pub keep_ended: Duration,
    /// How often a lock that can be read is compared as a whole.
    pub check_every: Duration,
    /// Whether real locks may be unlocked by radio: off, since whoever holds a key could open every door.
    pub remote_unlock: bool,
    /// What to go by while the clock is not trusted (I9).
    pub untrusted: Untrusted,
    /// Bounds (I10).
    pub limits: Limits,
}

/// What to go by while the clock is not trusted (I9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untrusted {
    /// The latest time that is proven to have come.
    Hold,
    /// The system's clock all the same.
    Proceed,
}

/// What vouches for the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// The kernel, once something has synchronised it.
    Kernel,
    /// The operator, for the system's clock as it is.
    System,
    /// Nothing.
    None,
}

impl Voucher {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Voucher::Kernel => "kernel",
            Voucher::System => "system",
            Voucher::None => "none",
        }
    }
}

/// Bounds of what is kept (I10). At a bound new work is refused; nothing accepted is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Access codes on record, ended ones included.
    pub codes: usize,
    /// Jobs on record.
    pub jobs: usize,
    /// Members of one group.
    pub members: usize,
    /// Events kept for consumers that lag behind.
    pub events: usize,
    /// Answers over MQTT that wait to be sent.
    pub replies: usize,
    /// Refusals over MQTT that are remembered, so that a repeat gets the same answer.
    pub refusals: usize,
    /// Streams of events over HTTP that are open at once.
    pub streams: usize,
    /// Access codes that may be created on one device in a minute (Seam: 10).
    pub creations_per_minute: u32,
    /// Changes of access codes of one device, or of itself, in a minute (Seam: 10).
    pub updates_per_minute: u32,
    /// Access codes that may be deleted on one device in a minute (Seam: 20).
    pub deletions_per_minute: u32,
    /// Door commands of each kind to one device in a minute (Seam: 15).
    pub door_commands_per_minute: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            lead: Duration::from_secs(10 * 60),
            preload: Duration::from_secs(72 * 3600),
            second_look: Duration::from_secs(90),
            keep_ended: Duration::from_secs(30 * 86_400),
            check_every: Duration::from_secs(12 * 3600),
            remote_unlock: false,
            untrusted: Untrusted::Hold,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            codes: 20_000,
            jobs: 10_000,
            members: 64,
            events: 10_000,
            replies: 1_000,
            refusals: 1_000,
            // One for each screen of a house, and few of the places that a door has for connections.
            streams: 16,
            // Far above what bookings need, and below what would keep the card busy alone.
            creations_per_minute: 600,
            updates_per_minute: 600,
            deletions_per_minute: 600,
            door_commands_per_minute: 60,
        }
    }
}
