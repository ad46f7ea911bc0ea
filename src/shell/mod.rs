//! The only room that starts threads and tasks. It decides nothing.

#[expect(clippy::disallowed_methods, reason = "this room spawns")]
mod committer;
#[expect(clippy::disallowed_methods, reason = "this room spawns")]
mod core;
mod tasks;

pub use self::committer::{Committer, Look};
pub use self::core::{Core, Incoming, Parts, Room, Stopping, Unanswered, ear, start};
pub use self::tasks::{Guests, keep};
pub use crate::store::{Exported, Unexported};
