//! lockbridge: an edge gateway that bridges Seam's access-code API to local door locks.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod http;
pub mod lock;
pub mod model;
pub mod mqtt;
pub mod plan;
pub mod schedule;
pub mod shell;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
