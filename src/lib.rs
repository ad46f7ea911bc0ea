//! lockbridge: an edge gateway that bridges Seam's access-code API to local door locks.

pub mod clock;
pub mod config;
pub mod lock;
pub mod model;
pub mod store;
