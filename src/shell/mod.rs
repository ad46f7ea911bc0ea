//! The only room that starts threads and tasks. It decides nothing.

mod committer;
mod core;
mod tasks;

pub use self::committer::Committer;
pub use self::core::{Core, Incoming, Parts, Room, Unanswered, ear, start};
pub use self::tasks::keep;
