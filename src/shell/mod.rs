//! Where the world is met: the only place that spawns threads and tasks.

mod committer;

pub use committer::Committer;
