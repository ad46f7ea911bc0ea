//! What callers may see of the gateway's state: plain copies, made when asked.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::records::{Aim, Waiting};

use crate::model::{
    AttemptId, CodeId, Deed, DeviceId, Entry, GroupKey, How, JobId, Note, Objection, Outage, Pin, RadioId,
    Refusal, Slot, Timestamp, Window,
};
use crate::plan::Occupied;

/// An access code as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeView {
    /// Its id.
    pub code: CodeId,
    /// Its device.
    pub device: DeviceId,
    /// The group that it belongs to.
    pub group: Option<GroupKey>,
    /// It has a PIN of its own within the group.
    pub own_pin: bool,
    /// Its PIN: shown only to callers who may see PINs.
    pub pin: Pin,
    /// Its name, as the caller gave it.
    pub name: Option<String>,
    /// Its name as it is on the lock.
    pub name_on_lock: Option<String>,
    /// When it opens.
    pub window: Window,
    /// Where it is in its life.
    pub status: Status,
    /// The lock holds it with its own schedule.
    pub scheduled_on_device: bool,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// It was deleted, and its absence is not yet confirmed.
    pub deleted_at: Option<Timestamp>,
    /// What is still to be done on the lock.
    pub pending: Option<Pending>,
    /// The lock does not answer at present.
    pub device_offline: bool,
    /// The lock cannot be asked at present, since its radio is away.
    #[serde(default)]
    pub radio_away: Option<Away>,
    /// The device is no longer part of this gateway.
    pub device_removed: bool,
    /// Somebody else changed it on the lock; it is being set again.
    pub external: Option<External>,
    /// Its times cannot be kept for certain, since the clock is not trusted: since when.
    #[serde(default)]
    pub clock_untrusted: Option<Timestamp>,
}

impl CodeView {
    /// It opens no more, and will not: it has ended, or was deleted.
    #[must_use]
    pub fn over(&self, now: Timestamp) -> bool {
        self.deleted_at.is_some() || self.window.end() <= now
    }
}

/// A radio that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Since when.
    pub since: Timestamp,
    /// Why; `None` if nobody has heard of it since the start.
    pub outage: Option<Outage>,
}

impl fmt::Display for Away {
    /// What is not as it should be, as a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outage {
            Some(outage) => outage.fmt(f),
            None => f.write_str("the gateway has just started, and has not heard of its radio yet"),
        }
    }
}

impl Away {
    /// What to do about it, in a sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.outage.map_or(
            "Nothing to do: the gateway is looking for its radio.",
            Outage::hint,
        )
    }
}

/// A change on the lock that was none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// What was done.
    pub change: ExternalChange,
    /// When it was found.
    pub at: Timestamp,
}

/// What somebody else did to a code of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalChange {
    /// It has other content.
    Modified,
    /// It is gone.
    Removed,
}

/// A door command as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Its id.
    pub attempt: AttemptId,
    /// The device.
    pub device: DeviceId,
    /// What it asks for.
    pub deed: Deed,
    /// When it was asked for.
    pub at: Timestamp,
    /// How far it is.
    pub progress: Progress,
}

/// How far a door command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Not carried out yet.
    Pending,
    /// The lock has said that it is done.
    Done,
    /// It was not, or nobody knows, and it is not tried again.
    Failed(DoorFailure),
}

/// Why a door command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoorFailure {
    /// The lock did not answer; it may have done it all the same.
    Silent,
    /// Its radio had no time for it while somebody still waits at a door.
    Expired,
    /// Its radio went away; the lock may have done it all the same.
    RadioAway,
    /// The lock said no.
    Refused,
    /// The device left this gateway.
    Removed,
}

/// Where an access code is in its life (Seam's words).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Recorded, not due; or ended and gone.
    Unset,
    /// Due, not proven.
    Setting,
    /// Proven, and its time has come.
    Set,
    /// To be taken off, absence not confirmed.
    Removing,
}

/// What is still to be done for a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pending {
    /// Parked until it is due.
    Deferred {
        /// When it will be put onto the lock.
        until: Timestamp,
    },
    /// A row of the queue.
    Queued(QueueView),
}

/// A row of the queue as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// The access code.
    pub code: CodeId,
    /// What is to be reached.
    pub aim: Aim,
    /// The code stands on the lock already, with other content.
    pub update: Option<Change>,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it is tried next; `None` while that does not depend on time.
    pub next_try: Option<Timestamp>,
    /// Why it is still there.
    pub reason: Waiting,
}

/// What an update changes on the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// PIN on the lock now.
    pub pin_from: Pin,
    /// PIN that it is to have.
    pub pin_to: Pin,
    /// Name on the lock now.
    pub name_from: Option<String>,
    /// Name that it is to have.
    pub name_to: Option<String>,
    /// Window on the lock now.
    pub window_from: Window,
    /// Window that it is to have.
    pub window_to: Window,
}

/// The receipt of one member of a group: proven, how, when; or why not yet, and the next try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReceipt {
    /// The member.
    pub code: CodeView,
    /// The name of its device.
    pub device_name: String,
    /// The lock's own word that it is as recorded.
    pub proven: Option<Proven>,
    /// The lock's last word that it held the code, whatever became of it since.
    pub last_proven: Option<Proven>,
    /// The lock's word that it holds the code no more.
    pub removed: Option<Proven>,
    /// A person should look after it: it opens what it should not, or does not open what it should, now or
    /// within the hour.
    pub problem: bool,
}

/// What a lock said of a member of a group, whatever became of the member since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorReceipt {
    /// The device.
    pub device: DeviceId,
    /// Its name.
    pub device_name: String,
    /// The member.
    pub code: CodeId,
    /// When it was to open, as last recorded.
    pub window: Window,
    /// The lock's last word that it held the code.
    pub held: Option<Held>,
    /// By its own word the lock holds the code as it is recorded now.
    pub as_recorded: bool,
    /// The lock's word that it holds the code no more.
    pub removed: Option<Proven>,
}

/// That a lock held a code, and for which times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// On what word, and when.
    pub proven: Proven,
    /// When it was to open: by the lock's word where the lock keeps the times, else as it was recorded then.
    pub window: Window,
}

/// On what word, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// On what word.
    pub how: How,
    /// When.
    pub at: Timestamp,
    /// Whether the clock was trusted then; else it was at this time or later. Where nobody knows any more, it was not.
    #[serde(default)]
    pub clock_trusted: bool,
}

/// A lock was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// When, to within the few minutes in which it is told once.
    pub at: Timestamp,
    /// How loud, in dBm.
    pub rssi: i16,
}

/// In how many of the last hours a lock was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Hours in which it answered, spoke by itself or advertised.
    pub hours: u32,
    /// Of how many, 24 at most: for a lock that advertises all since the start, for another one those in which it was
    /// asked or spoke.
    pub of: u32,
}

/// What `create_multiple` would come to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// Digits of the PIN that is shared, if one is; or why nobody would get anything.
    pub length: Result<Option<u8>, Refusal>,
    /// Every device of the job that is known here, in its order.
    pub doors: Vec<DryDoor>,
}

/// One device of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryDoor {
    /// The device.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// What it would get.
    pub share: Share,
    /// Why its code would have to wait, although it is accepted.
    pub delay: Option<Waiting>,
    /// When its lock takes no more codes, within the window.
    pub full: Vec<Occupied>,
    /// In how many of the last hours it was heard.
    pub heard: Heard,
}

/// Which PIN a device would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The one that it shares.
    Shared,
    /// One of its own.
    OwnPin,
    /// None.
    None,
}

/// A device as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub device: DeviceId,
    /// Its name in the configuration.
    pub name: String,
    /// The name that its owner gave it over the API.
    pub nickname: Option<String>,
    /// Notes of its owner.
    pub metadata: BTreeMap<String, Note>,
    /// The driver that speaks to it.
    pub driver: String,
    /// What its lock can do.
    pub capabilities: crate::model::Capabilities,
    /// Where its bolt is, as far as is known: `true` is out.
    pub locked: Option<bool>,
    /// Its bolt may be drawn back by radio, if it can be.
    pub remote_unlock: bool,
    /// It answered last time, or was heard since, and its radio is there.
    pub online: bool,
    /// Its radio is away.
    pub radio_away: Option<Away>,
    /// What is left of its battery, in percent.
    pub battery: Option<u8>,
    /// When and how loud it advertised last; `None` if not since the start, and where locks do not.
    pub advertised: Option<Advertised>,
    /// In how many of the last hours it was heard.
    pub heard: Heard,
    /// It is no longer part of this gateway.
    pub removed: bool,
    /// Its simulated lock can be steered.
    pub simulated: bool,
    /// When it last answered.
    pub last_seen: Option<Timestamp>,
    /// Since when it does not answer.
    pub offline_since: Option<Timestamp>,
    /// When it was first part of this gateway.
    pub created_at: Timestamp,
    /// Rows of its queue.
    pub pending: usize,
    /// The earliest next try among them.
    pub next_try: Option<Timestamp>,
    /// Why the first of them waits.
    pub reason: Option<Waiting>,
    /// Those of them that a lock within reach would have been done with.
    pub overdue: usize,
    /// Since when the oldest of these is wanted.
    pub overdue_since: Option<Timestamp>,
    /// Codes that the lock holds or may hold, unmanaged ones included.
    pub slots_used: usize,
    /// Codes on the lock that this gateway did not set.
    pub unmanaged: usize,
    /// Those among them that may be ours, forgotten by a restore.
    pub suspects: usize,
    /// A code that was proven is found changed or gone.
    pub drift: bool,
}

impl DeviceView {
    /// Whether codes can be put onto its lock at all.
    #[must_use]
    pub fn takes_codes(&self) -> bool {
        !self.removed && self.capabilities.closed.is_none()
    }
}

/// What several devices share, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadioView {
    /// Which.
    pub radio: RadioId,
    /// It is away.
    pub away: Option<Away>,
}

/// All of the gateway in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// As of when.
    pub at: Timestamp,
    /// Every device, by id; those that left this gateway among them.
    pub devices: Vec<DeviceView>,
    /// Every radio.
    pub radios: Vec<RadioView>,
    /// The clock.
    pub clock: ClockView,
    /// Access codes that are not over, or not yet off their locks.
    pub codes: usize,
    /// Groups of access codes.
    pub groups: usize,
    /// Those of them with a door on which the code is due and not proven.
    pub groups_unproven: usize,
    /// Those of them that open doors at this time.
    pub groups_running: usize,
    /// Those of them with a code that a person should look after.
    pub groups_with_problem: Vec<GroupKey>,
    /// As many as those, and codes of no group that a person should look after.
    pub stays_with_problem: usize,
    /// Jobs that are accepted and not done.
    pub jobs_open: usize,
    /// Answers over MQTT that wait to be sent.
    pub replies_waiting: usize,
    /// The number of the newest event; 0 if there never was one.
    pub last_event: u64,
    /// The last event that the broker has.
    pub events_sent: u64,
}

impl Summary {
    /// Commands that wait for a lock.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.devices.iter().map(|device| device.pending).sum()
    }

    /// Those of them that a lock within reach would have been done with.
    #[must_use]
    pub fn overdue(&self) -> usize {
        self.devices.iter().map(|device| device.overdue).sum()
    }

    /// Since when the oldest of these is wanted.
    #[must_use]
    pub fn overdue_since(&self) -> Option<Timestamp> {
        self.devices
            .iter()
            .filter_map(|device| device.overdue_since)
            .min()
    }
}

/// How much the clock can be trusted (I9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Something vouches for it.
    Trusted,
    /// Nothing does.
    Untrusted,
    /// Something does, but it moved as no clock moves by itself.
    Wild,
}

/// The clock, as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockView {
    /// Whether it counts.
    pub trust: Trust,
    /// How far it is ahead of the time that counts, in milliseconds.
    pub ahead_ms: i64,
}

/// A job as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What it asks for.
    pub verb: super::records::Verb,
    /// How far it is.
    pub phase: super::records::Phase,
    /// When it was accepted or refused.
    pub at: Timestamp,
    /// When its last member was done.
    pub done_at: Option<Timestamp>,
    /// What its caller was told.
    pub answer: super::records::Answer,
    /// Its members.
    pub members: Vec<JobMemberView>,
}

/// One member of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobMemberView {
    /// The device.
    pub device: DeviceId,
    /// The access code.
    pub code: CodeId,
    /// The lock has confirmed what this job asked of it, or nothing more is to be done.
    pub settled: bool,
    /// The code now; `None` once it is gone.
    pub now: Option<MemberReceipt>,
}

/// A code on a lock that this gateway did not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmanagedView {
    /// Where it stands.
    pub slot: Slot,
    /// Its name, where the lock stores one.
    pub name: Option<String>,
}

impl From<&Entry> for UnmanagedView {
    fn from(entry: &Entry) -> UnmanagedView {
        UnmanagedView {
            slot: entry.slot,
            name: entry.name.clone(),
        }
    }
}

impl Waiting {
    /// The stable word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Waiting::InLine => "in_line",
            Waiting::Silent => "device_silent",
            Waiting::RadioAway(_) => "radio_away",
            Waiting::NoSlot => "waiting_for_slot",
            Waiting::Refused(Objection::Full) => "no_space_for_access_code_on_device",
            Waiting::Refused(Objection::Duplicate) => "duplicate_code_on_device",
            Waiting::Refused(Objection::SlotTaken) => "slot_taken",
            Waiting::Refused(Objection::Credential) => "credential_refused",
            Waiting::Refused(Objection::Unsecured) => "device_unsecured",
            Waiting::Refused(Objection::Other) => "refused_by_device",
            Waiting::Denied => "not_stored_by_device",
            Waiting::NotKept => "not_kept",
            Waiting::GoneSinceExport => "gone_since_export",
        }
    }
}
