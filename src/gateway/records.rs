//! What the gateway remembers, in the form in which the store keeps it: MessagePack with field
//! names, so that a newer version may add fields.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::device::DeviceSpec;
use super::view::{AttemptView, Away, CodeView, External, Held, Proven};
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Bookmark, Caller, CodeId, Content, DeviceId, Entry, GroupKey, How, JobId, Mono, Note, Objection, Pin,
    Refusal, Slot, Timestamp, Window,
};
use crate::store::Fail;

/// The record of an access code: what is desired, and what its lock has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub code: CodeId,
    pub device: DeviceId,
    pub group: Option<GroupKey>,
    /// Its place among the codes that were made by one job.
    pub place: u16,
    /// It could not share the group's PIN.
    pub own_pin: bool,
    pub pin: Pin,
    pub name: Option<String>,
    pub window: Window,
    /// The caller lets the lock enforce the window, if it can.
    pub prefer_native: bool,
    /// Raised by every change.
    pub generation: u64,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// Claimed before the first write, given up on confirmed absence.
    pub slot: Option<Slot>,
    pub confirmed: Confirmed,
    /// How often the lock denied or dropped it since it last proved to be kept.
    pub denied: u32,
    /// Somebody else changed it on the lock, and it is not yet set again.
    #[serde(default)]
    pub external: Option<External>,
    /// The lock's last word that it held the code, whatever became of it since.
    #[serde(default)]
    pub held: Option<Held>,
    /// The lock's last word that it holds the code no more; see [`Record::removed`].
    #[serde(default)]
    pub removed: Option<Proven>,
    /// PINs that the lock may have been asked to take: each is here before it goes out. `None` in what earlier versions
    /// wrote, where that may be any of its PINs.
    #[serde(default)]
    pub sent: Option<Vec<Pin>>,
}

/// What a lock is known to hold of a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Confirmed {
    /// Nothing: it was never asked to, or it says so.
    Absent,
    /// This.
    Present(Proof),
    /// The lock was, or is about to be, asked to change it, and has not yet said what it holds.
    Unknown {
        /// What it held before.
        last: Option<Proof>,
        /// Every PIN under which it may hold the code.
        maybe: Vec<Pin>,
    },
}

/// A lock's own word for what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    pub content: Content,
    pub how: How,
    pub at: Timestamp,
    /// When the lock is to be read once more.
    pub look_at: Option<Timestamp>,
    /// Its time had come, and that it opens was told.
    #[serde(default)]
    pub open: bool,
}

impl Confirmed {
    /// The last proof of presence that is not known to be outdated.
    pub fn proof(&self) -> Option<&Proof> {
        match self {
            Confirmed::Absent | Confirmed::Unknown { last: None, .. } => None,
            Confirmed::Present(proof)
            | Confirmed::Unknown {
                last: Some(proof), ..
            } => Some(proof),
        }
    }

    /// Every PIN under which the lock may hold the code.
    pub fn pins(&self) -> Vec<Pin> {
        match self {
            Confirmed::Absent => Vec::new(),
            Confirmed::Present(proof) => vec![proof.content.pin.clone()],
            Confirmed::Unknown { maybe, .. } => maybe.clone(),
        }
    }

    /// The same, once the lock is about to be asked. If it is to hold `set`, it may hold that too,
    /// and until then holds what it held; if it is to hold nothing, nothing can be counted on.
    pub fn in_doubt(&self, set: Option<&Pin>) -> Confirmed {
        let mut maybe = self.pins();
        maybe.extend(set.filter(|pin| !maybe.contains(pin)).cloned());
        let last = self.proof().filter(|_| set.is_some()).cloned();
        Confirmed::Unknown { last, maybe }
    }

    /// What the lock held before can no longer be counted on.
    pub fn forget_last(&mut self) {
        if let Confirmed::Unknown { last, .. } = self {
            *last = None;
        }
    }
}

/// A row of the durable queue: "make this code on this device match its record". Holds no content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub generation: u64,
    pub aim: Aim,
    /// Exchanges that did not reach the goal.
    pub tries: u32,
    /// Refusals and denials in a row, for the back-off.
    pub refusals: u32,
    pub since: Timestamp,
    pub next_try: Timestamp,
    pub reason: Waiting,
}

/// What a queue row is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// The lock holds the code as recorded.
    Set,
    /// The lock does not hold the code.
    Remove,
}

/// Why a queue row is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// Its turn has not come yet.
    InLine,
    /// The lock does not answer.
    Silent,
    /// Its radio is away. Found when somebody looks, and never stored.
    RadioAway(Away),
    /// Every slot of the lock is in use until another code is taken off.
    NoSlot,
    /// The lock said no.
    Refused(Objection),
    /// The lock said yes, and its table says no; or it dropped the code afterwards.
    Denied,
    /// The same three times: the next try is the next check, `verify`, or an update.
    NotKept,
    /// It stood on the lock when the export was made from which this gateway was restored, and no more:
    /// there is no next try before `verify`, or an update.
    GoneSinceExport,
}

/// What is remembered of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceRecord {
    /// Codes on the lock that this gateway did not set.
    pub unmanaged: Vec<Entry>,
    /// PINs whose codes are gone, and since when: not drawn again for 30 days.
    pub recent: Vec<(Pin, Timestamp)>,
    /// When this gateway first knew of it.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// The name that its owner gave it over the API.
    #[serde(default)]
    pub nickname: Option<String>,
    /// Notes of its owner.
    #[serde(default)]
    pub metadata: BTreeMap<String, Note>,
    /// Numbers of digits that its lock takes, as somebody reported.
    #[serde(default)]
    pub lengths: Option<BTreeSet<u8>>,
    /// Codes that were taken off its lock, until it has been looked at once more.
    #[serde(default)]
    pub gone: Vec<Gone>,
    /// The store came out of an export, and the lock was not read since.
    #[serde(default)]
    pub unread: bool,
    /// As of when that export was made.
    #[serde(default)]
    pub exported_at: Option<Timestamp>,
    /// Those among the unmanaged codes that may be ours, from the time between the export and its
    /// import.
    #[serde(default)]
    pub suspects: Vec<Entry>,
    /// As its network last told of it; `None` for a lock of the configuration.
    #[serde(default)]
    pub met: Option<DeviceSpec>,
    /// It left its network.
    #[serde(default)]
    pub left: bool,
    /// How far its own logbook was read.
    #[serde(default)]
    pub logged: Bookmark,
}

/// A member of a group that was deleted, and is off its lock: all that its receipt still tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Departed {
    pub code: CodeId,
    pub group: GroupKey,
    /// Its place among the codes that were made by one job.
    pub place: u16,
    pub window: Window,
    pub held: Option<Held>,
    pub removed: Option<Proven>,
    /// Since when it is off the record.
    pub at: Timestamp,
}

/// A code that was taken off its lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gone {
    /// Its record, as it is to be if it comes back: in doubt, in its place.
    pub record: Record,
    /// When the lock said that it is gone.
    pub at: Timestamp,
    /// When the lock is to be read once more.
    pub look_at: Timestamp,
    /// The same while the gateway runs, whatever is done to the wall clock.
    #[serde(skip)]
    pub look: Mono,
}

/// A job, its answer, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    pub id: JobId,
    pub verb: Verb,
    pub caller: Caller,
    /// The caller's own handle on it (`Idempotency-Key`).
    pub handle: Option<String>,
    /// Of the request as it came, so that another one under the same id is told apart.
    pub hash: [u8; 32],
    pub at: Timestamp,
    pub answer: Answer,
    /// The codes that it set or changed, each with the generation that this gave them.
    pub members: Vec<JobMember>,
    pub done_at: Option<Timestamp>,
    /// The caller wants an answer at every phase.
    pub progress: Option<ReplyTo>,
    /// An answer went out over HTTP to a caller who was still there; only kept where a repeat must be
    /// told from a new request.
    #[serde(default)]
    pub answered: bool,
    /// Nobody can ask for it by a name of their own: it is kept while there is room.
    #[serde(default)]
    pub nameless: bool,
}

/// One code of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobMember {
    pub device: DeviceId,
    pub code: CodeId,
    pub generation: u64,
    /// Set once this member needs no more watching.
    pub settled: bool,
}

/// What a job asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// `create`
    Create,
    /// `create_multiple`
    CreateMultiple,
    /// `update`
    Update,
    /// `update_multiple`
    UpdateMultiple,
    /// `delete`
    Delete,
    /// `devices/update`
    UpdateDevice,
    /// `report_device_constraints`
    ReportConstraints,
    /// `lock_door`
    LockDoor,
    /// `unlock_door`
    UnlockDoor,
}

impl Verb {
    /// The word in paths and topics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::CreateMultiple => "create_multiple",
            Verb::Update => "update",
            Verb::UpdateMultiple => "update_multiple",
            Verb::Delete => "delete",
            Verb::UpdateDevice => "update_device",
            Verb::ReportConstraints => "report_device_constraints",
            Verb::LockDoor => "lock_door",
            Verb::UnlockDoor => "unlock_door",
        }
    }
}

/// What a caller is told about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The codes as they were recorded.
    Created(Vec<CodeView>),
    /// The one code as it was recorded.
    CreatedOne(Box<CodeView>),
    /// A door command under way.
    Attempt(AttemptView),
    /// Accepted; there is nothing to tell.
    Ok,
    /// Nothing was changed.
    Refused(Refusal),
}

/// Where an answer goes that must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// Topic of the caller.
    pub topic: String,
    /// Echoed unchanged.
    pub correlation: Option<Vec<u8>>,
}

/// An answer that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Where to.
    pub to: ReplyTo,
    /// About which job.
    pub job: JobId,
    /// Which phase it tells of.
    pub phase: Phase,
    /// Not worth sending after this.
    pub expires_at: Timestamp,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Refused; nothing was changed.
    Rejected,
    /// On record.
    Accepted,
    /// Every member is proven, superseded, ended or deleted.
    Done,
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("our own records always encode: they hold no foreign types")
}

pub(crate) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Fail> {
    rmp_serde::from_slice(bytes)
        .map_err(|e| Fail::Damaged(format!("a row of {what} cannot be understood: {e}")))
}

/// Key of a code's record and of its queue row.
pub(crate) fn code_key(device: DeviceId, code: CodeId) -> Vec<u8> {
    let mut key = Vec::with_capacity(32);
    key.extend_from_slice(device.0.as_bytes());
    key.extend_from_slice(code.0.as_bytes());
    key
}

/// The device and the code of such a key.
pub(crate) fn split_code_key(key: &[u8]) -> Result<(DeviceId, CodeId), Fail> {
    let halves = key
        .split_at_checked(16)
        .map(|(a, b)| (uuid::Uuid::from_slice(a), uuid::Uuid::from_slice(b)));
    match halves {
        Some((Ok(device), Ok(code))) => Ok((DeviceId(device), CodeId(code))),
        _ => Err(Fail::Damaged("a queue key has a wrong length".into())),
    }
}
