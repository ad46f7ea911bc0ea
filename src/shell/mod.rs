//! The only room that starts threads and tasks. It decides nothing.

pub mod committer;
pub mod core;
pub mod tasks;

pub use self::core::{Core, Incoming, Parts, Room, Unanswered, ear, start};
