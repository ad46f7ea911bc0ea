//! The only room that starts threads and tasks. It decides nothing.

#[cfg(test)]
mod bare;
#[expect(clippy::disallowed_methods, reason = "this room spawns")]
mod committer;
#[expect(clippy::disallowed_methods, reason = "this room spawns")]
mod core;
mod tasks;

#[cfg(test)]
pub use self::bare::bare;
pub use self::committer::{Committer, Look};
pub use self::core::{Core, Incoming, Parts, Room, Stopping, Unanswered, ear, spec, start};
pub use self::tasks::{Guests, keep};
pub use crate::store::{Exported, Unexported};
