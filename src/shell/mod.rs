//! The only room that starts threads and tasks. It decides nothing.

pub mod committer;
pub mod core;

pub use self::core::{Core, Incoming, Parts, Unanswered, ear, start};
