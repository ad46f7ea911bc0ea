//! lockbridge: an edge gateway that bridges Seam's access-code API to local door locks.

pub mod shell;
pub mod store;
