//! The only room that starts threads and tasks. It decides nothing.

mod committer;
mod core;

pub use self::committer::Committer;
pub use self::core::{Core, Incoming, Parts, Unanswered, ear, start};
