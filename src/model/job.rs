//! What a caller can ask for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::id::{CodeId, DeviceId, GroupKey};
use super::pin::Pin;
use super::time::Timestamp;
use super::window::Window;

/// A request that changes something, its form already checked.
#[derive(Clone, Debug)]
pub enum Request {
    /// A PIN on one device.
    Create(Create),
    /// One PIN on many devices.
    CreateMultiple(CreateMultiple),
    /// Another PIN, window or name for one access code.
    Update(Update),
    /// Another window or name for a whole group.
    UpdateMultiple(UpdateMultiple),
    /// Take one access code away.
    Delete(Delete),
    /// Another name for a device, or notes of its owner.
    UpdateDevice(UpdateDevice),
    /// What somebody knows of a lock that does not tell it.
    ReportConstraints(ReportConstraints),
    /// Move the bolt.
    Door(DoorCommand),
}

/// `create`.
#[derive(Clone, Debug)]
pub struct Create {
    /// The device.
    pub device: DeviceId,
    /// The caller's own PIN.
    pub code: Option<Pin>,
    /// Codes with the same key have the same PIN.
    pub key: Option<GroupKey>,
    /// Number of digits to draw, if the device takes it.
    pub preferred_length: Option<u8>,
    /// Name of the guest or stay.
    pub name: Option<String>,
    /// When the code opens.
    pub window: Window,
    /// Accept the job although the device does not answer at present.
    pub attempt_offline: bool,
    /// Let a lock that can enforce the window itself do so.
    pub prefer_native: bool,
}

/// `create_multiple`.
#[derive(Clone, Debug)]
pub struct CreateMultiple {
    /// At least one, none twice.
    pub devices: Vec<DeviceId>,
    /// The caller's own PIN: then there is no common code key.
    pub code: Option<Pin>,
    /// Number of digits to draw, where every member takes it.
    pub preferred_length: Option<u8>,
    /// What to do when no PIN suits all members.
    pub unshared: Unshared,
    /// Name of the guest or stay.
    pub name: Option<String>,
    /// When the codes open.
    pub window: Window,
    /// Accept the job although a member does not answer at present.
    pub attempt_offline: bool,
    /// Let locks that can enforce the window themselves do so.
    pub prefer_native: bool,
}

/// What to do when no PIN suits all members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unshared {
    /// Refuse the whole job.
    Throw,
    /// The largest set that can share does; each other member gets a PIN of its own.
    CreateRandomCode,
}

/// `update_multiple`: what is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateMultiple {
    /// The group.
    pub key: GroupKey,
    /// New start.
    pub starts_at: Option<Timestamp>,
    /// New end.
    pub ends_at: Option<Timestamp>,
    /// New name.
    pub name: Option<String>,
}

/// `update`: what is `None` stays.
#[derive(Clone, Debug)]
pub struct Update {
    /// The access code.
    pub code: CodeId,
    /// Its device, where the caller names it; must agree.
    pub device: Option<DeviceId>,
    /// New PIN.
    pub pin: Option<Pin>,
    /// New name.
    pub name: Option<String>,
    /// New times.
    pub times: NewTimes,
    /// Accept the job although the device does not answer at present.
    pub attempt_offline: bool,
    /// Whether a lock that can enforce the window itself does so.
    pub prefer_native: Option<bool>,
}

/// What becomes of the times of an access code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTimes {
    /// They stay as they are.
    Keep,
    /// They go: the code is ongoing from now on.
    Ongoing,
    /// What is `None` stays, if there is any.
    Bound {
        /// New start.
        starts_at: Option<Timestamp>,
        /// New end.
        ends_at: Option<Timestamp>,
    },
}

/// `delete`.
#[derive(Clone, Debug)]
pub struct Delete {
    /// The access code.
    pub code: CodeId,
    /// Its device, where the caller names it; must agree.
    pub device: Option<DeviceId>,
}

/// `devices/update`: what is `None` or not named stays.
#[derive(Clone, Debug)]
pub struct UpdateDevice {
    /// The device.
    pub device: DeviceId,
    /// New name; empty to go back to the configuration's.
    pub name: Option<String>,
    /// Notes to write; `None` takes one away.
    pub metadata: BTreeMap<String, Option<Note>>,
}

/// A note that an owner keeps with a device (Seam's `custom_metadata`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Note {
    /// A truth value.
    Flag(bool),
    /// A text.
    Text(String),
}

/// `report_device_constraints`.
#[derive(Clone, Debug)]
pub struct ReportConstraints {
    /// The device.
    pub device: DeviceId,
    /// Numbers of digits that its lock takes; at least one.
    pub lengths: BTreeSet<u8>,
}

/// `lock_door`, `unlock_door`.
#[derive(Clone, Copy, Debug)]
pub struct DoorCommand {
    /// The device.
    pub device: DeviceId,
    /// What to do.
    pub deed: Deed,
}

/// What a door command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// The bolt goes out.
    Lock,
    /// The bolt goes in.
    Unlock,
}
