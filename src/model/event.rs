//! What happened, in Seam's words where they exist.

use serde::{Deserialize, Serialize};

use super::id::{CodeId, DeviceId, JobId};
use super::time::Timestamp;

/// Something that happened, numbered without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number per gateway, from 1, without gaps, over restarts.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// On which device.
    pub device: Option<DeviceId>,
    /// Which access code.
    pub code: Option<CodeId>,
    /// By which job.
    pub job: Option<JobId>,
}

/// What happened. The words are Seam's event types; those that begin with `lockbridge.` are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Recorded.
    #[serde(rename = "access_code.created")]
    CodeCreated,
    /// A change was asked for, before the lock confirms.
    #[serde(rename = "access_code.mutations_requested")]
    CodeChangeRequested,
    /// Stands on a lock that will open it at its start.
    #[serde(rename = "access_code.scheduled_on_device")]
    CodeScheduled,
    /// Proven on the lock.
    #[serde(rename = "access_code.set_on_device")]
    CodeSet,
    /// The lock took a new window.
    #[serde(rename = "access_code.time_frame_changed")]
    CodeMoved,
    /// The lock refused it, or does not keep it.
    #[serde(rename = "access_code.failed_to_set_on_device")]
    CodeNotSet,
    /// Proven to be gone from the lock.
    #[serde(rename = "access_code.removed_from_device")]
    CodeRemoved,
    /// The lock refused to remove it.
    #[serde(rename = "access_code.failed_to_remove_from_device")]
    CodeNotRemoved,
    /// Deleted, and gone from the lock.
    #[serde(rename = "access_code.deleted")]
    CodeDeleted,
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
    /// The lock answers again.
    #[serde(rename = "device.connected")]
    DeviceConnected,
    /// The lock does not answer.
    #[serde(rename = "device.disconnected")]
    DeviceDisconnected,
    /// A job was accepted.
    #[serde(rename = "lockbridge.job.accepted")]
    JobAccepted,
    /// Every member of a job is proven, superseded, ended or deleted.
    #[serde(rename = "lockbridge.job.done")]
    JobDone,
}
