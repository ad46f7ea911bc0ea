//! lockbridge: an edge gateway that bridges Seam's access-code API to local door locks.
//!
//! The whole way from a job to a lock, and back:
//!
//! ```text
//!  cloud ──MQTT──> mqtt ─┐                    pure core (gateway)
//!                        ├─ api ─> shell ─> accept ─> plan ─> record ─┐
//!  site ──HTTP───> http ─┘           │                                v
//!                                    │        desired | confirmed ─> turn ─> queue row
//!                                    │                    ^                    v
//!                                    │                  learn <─ shell <─ lock <─ dispatch
//!                                    v                                (per radio, most pressing first)
//!                              store (sled), synced before anything is acknowledged
//! ```
//!
//! Read in this order: [`model`] (the words), [`gateway`] (its `handle` is the table of contents),
//! [`plan`] and [`schedule`] (the rules), [`shell`] (the loop around it), [`lock`] (drivers), then
//! the doors [`api`], [`http`], [`mqtt`], [`cli`].
//!
//! What always holds, and who keeps it:
//!
//! 1. Nothing is acknowledged before it is synced to the card (`gateway::ledger`, [`shell`]).
//! 2. A job records every member or none; the same job again gets the same answer.
//! 3. A code counts as proven on its lock's own word only (`gateway::device::learn`).
//! 4. Before a lock is asked to change, the store says that its content is in doubt: after any
//!    cut the lock is asked again, never assumed (`gateway::device::turn`).
//! 5. Codes that this gateway did not set are never touched.
//! 6. A PIN leaves through [`model::Pin::expose`] only: to a lock, into a sealed row, to a caller
//!    who may see it.
//! 7. The core knows no clock, task, socket or randomness; `tests/rooms.rs` holds the borders.

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
pub mod sabotage;
pub mod schedule;
pub mod shell;
pub mod signature;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod tls;
pub mod warnings;
pub mod web;
