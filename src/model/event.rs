//! What happened, in Seam's words where they exist.

use serde::{Deserialize, Serialize};

use super::exchange::Objection;
use super::id::{AttemptId, CodeId, DeviceId, JobId, Slot};
use super::pin::Pin;
use super::time::Timestamp;
use super::window::Window;
use super::word::{By, Outage};

/// Something that happened, numbered without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number per gateway, from 1, without gaps over restarts; a restore leaves one.
    pub seq: u64,
    /// When the gateway was told: mostly when it happened, see [`Event::occurred`].
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// On which device.
    pub device: Option<DeviceId>,
    /// Which access code.
    pub code: Option<CodeId>,
    /// By which job.
    pub job: Option<JobId>,
    /// Whether the clock was trusted; else it happened at this time or later.
    #[serde(default = "trusted")]
    pub clock_trusted: bool,
    /// What belongs to it beyond that.
    #[serde(default)]
    pub detail: Detail,
}

impl Event {
    /// When it happened.
    #[must_use]
    pub fn occurred(&self) -> Timestamp {
        match self.detail {
            Detail::Logged { at, .. } => at,
            _ => self.at,
        }
    }
}

fn trusted() -> bool {
    true
}

/// What an event tells beyond its kind. Holds PINs, so that it is sealed at rest, and shown only to
/// callers who may see PINs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Detail {
    /// Nothing more.
    #[default]
    None,
    /// The PIN of the code that was set, scheduled or deleted.
    Pin(Pin),
    /// What was asked for, what changed on record, or what the lock took on.
    Changes(Vec<Edit>),
    /// Why the lock did not do as it was asked; `None`: it said yes, and its table says no.
    Failure(Option<Objection>),
    /// Where a code stands that is not ours.
    Slot(Slot),
    /// The door command that moved the bolt.
    Attempt(AttemptId),
    /// What moved the bolt, by the lock's own word.
    Moved(By),
    /// The same, as the lock's logbook told it later.
    Logged {
        /// What moved the bolt.
        by: By,
        /// When, by the lock's clock.
        at: Timestamp,
    },
    /// What is left of the battery in percent, where the lock says it.
    Battery(Option<u8>),
    /// What keeps a radio away.
    Outage(Outage),
    /// The last moment at which the gateway is known to have run before.
    RanUntil(Timestamp),
    /// To whom a PIN was shown: the name of a key, or `uid:` and the number of a user of this machine.
    RevealedTo(String),
}

/// A change of one property of an access code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// Another name.
    Name {
        /// Before.
        from: Option<String>,
        /// After.
        to: Option<String>,
    },
    /// Another PIN.
    Pin {
        /// Before.
        from: Pin,
        /// After.
        to: Pin,
    },
    /// Other times.
    Window {
        /// Before.
        from: Window,
        /// After.
        to: Window,
    },
    /// It is to go.
    Delete,
}

/// What happened. The words are Seam's event types; those that begin with `lockbridge.` are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Recorded.
    #[serde(rename = "access_code.created")]
    CodeCreated,
    /// What is on record changed.
    #[serde(rename = "access_code.changed")]
    CodeChanged,
    /// A change was asked for, before the lock confirms.
    #[serde(rename = "access_code.mutations_requested")]
    CodeChangeRequested,
    /// Stands on a lock that will open it at its start.
    #[serde(rename = "access_code.scheduled_on_device")]
    CodeScheduled,
    /// Proven on the lock.
    #[serde(rename = "access_code.set_on_device")]
    CodeSet,
    /// The lock took a new name.
    #[serde(rename = "access_code.name_changed")]
    CodeRenamed,
    /// The lock took a new PIN.
    #[serde(rename = "access_code.code_changed")]
    CodeRecoded,
    /// The lock took a new window.
    #[serde(rename = "access_code.time_frame_changed")]
    CodeMoved,
    /// Setting it takes longer than usual.
    #[serde(rename = "access_code.delay_in_setting_on_device")]
    CodeDelayed,
    /// The lock refused it, or does not keep it.
    #[serde(rename = "access_code.failed_to_set_on_device")]
    CodeNotSet,
    /// Proven to be gone from the lock.
    #[serde(rename = "access_code.removed_from_device")]
    CodeRemoved,
    /// Removing it takes longer than usual.
    #[serde(rename = "access_code.delay_in_removing_from_device")]
    CodeRemovalDelayed,
    /// The lock refused to remove it.
    #[serde(rename = "access_code.failed_to_remove_from_device")]
    CodeNotRemoved,
    /// Deleted, and gone from the lock.
    #[serde(rename = "access_code.deleted")]
    CodeDeleted,
    /// Its PIN was shown to somebody who asked for this one.
    #[serde(rename = "lockbridge.access_code.revealed")]
    CodeRevealed,
    /// Gone from the lock, by no word of ours.
    #[serde(rename = "access_code.deleted_external_to_seam")]
    CodeLost,
    /// Changed on the lock, by no word of ours.
    #[serde(rename = "access_code.modified_external_to_seam")]
    CodeAltered,
    /// A code that is not ours appeared.
    #[serde(rename = "access_code.unmanaged.created")]
    UnmanagedAppeared,
    /// A code that is not ours went away.
    #[serde(rename = "access_code.unmanaged.removed")]
    UnmanagedWent,
    /// After a restore a code stands on the lock that may be ours, and that nobody knows.
    #[serde(rename = "lockbridge.access_code.suspect")]
    SuspectFound,
    /// A network told of a lock that was not part of this gateway.
    #[serde(rename = "device.added")]
    DeviceAdded,
    /// The lock answers again.
    #[serde(rename = "device.connected")]
    DeviceConnected,
    /// The lock does not answer.
    #[serde(rename = "device.disconnected")]
    DeviceDisconnected,
    /// The lock left this gateway.
    #[serde(rename = "device.removed")]
    DeviceRemoved,
    /// Somebody opened the lock's case.
    #[serde(rename = "device.tampered")]
    DeviceTampered,
    /// The lock's battery is nearly empty.
    #[serde(rename = "device.low_battery")]
    DeviceLowBattery,
    /// The bolt went out.
    #[serde(rename = "lock.locked")]
    LockLocked,
    /// The bolt went in.
    #[serde(rename = "lock.unlocked")]
    LockUnlocked,
    /// The lock took no more codes for a while, after wrong ones.
    #[serde(rename = "lock.access_denied")]
    AccessDenied,
    /// The bolt is stuck.
    #[serde(rename = "lockbridge.lock.jammed")]
    LockJammed,
    /// Locks cannot be asked, since their radio is away.
    #[serde(rename = "lockbridge.radio.away")]
    RadioAway,
    /// Their radio is back.
    #[serde(rename = "lockbridge.radio.back")]
    RadioBack,
    /// A job was accepted.
    #[serde(rename = "lockbridge.job.accepted")]
    JobAccepted,
    /// Every member of a job is proven, superseded, ended or deleted.
    #[serde(rename = "lockbridge.job.done")]
    JobDone,
    /// The gateway was started again.
    #[serde(rename = "lockbridge.restarted")]
    Restarted,
    /// This gateway goes on from an export: what happened between the two is forgotten.
    #[serde(rename = "lockbridge.restored")]
    Restored,
    /// Something vouches for the clock again.
    #[serde(rename = "lockbridge.clock.trusted")]
    ClockTrusted,
    /// Nothing vouches for the clock: what counts is the time that has certainly come.
    #[serde(rename = "lockbridge.clock.untrusted")]
    ClockUntrusted,
    /// The clock moved as no clock moves by itself, and is not followed yet.
    #[serde(rename = "lockbridge.clock.wild")]
    ClockWild,
}
