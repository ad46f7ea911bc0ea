//! What a caller can ask for.

use super::id::{CodeId, DeviceId, GroupKey};
use super::pin::Pin;
use super::time::Timestamp;
use super::window::Window;

/// A request that changes something, its form already checked.
#[derive(Clone, Debug)]
pub enum Request {
    /// One PIN on many devices.
    CreateMultiple(CreateMultiple),
    /// Another window or name for a whole group.
    UpdateMultiple(UpdateMultiple),
    /// Take one access code away.
    Delete(Delete),
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

/// `delete`.
#[derive(Clone, Debug)]
pub struct Delete {
    /// The access code.
    pub code: CodeId,
    /// Its device, where the caller names it; must agree.
    pub device: Option<DeviceId>,
}
