//! The only room that starts threads and tasks. It decides nothing.

#[cfg(test)]
mod bare;
#[expect(clippy::disallowed_methods, reason = "this room spawns")]
mod committer;
#[expect(clippy::disallowed_methods, reason = "this room spawns")]
mod core;
mod counts;
mod handle;
mod tasks;

#[cfg(test)]
pub use self::bare::bare;
pub use self::committer::{Committer, Look};
pub use self::core::{Parts, ear, spec, start};
pub use self::counts::{Counts, Exchanged};
pub use self::handle::{Core, Incoming, Measured, Room, Stopping, Unanswered};
pub use self::tasks::{Guests, keep};
pub use crate::store::{Exported, Unexported};
