//! The Bluetooth radio: links to locks, one brought about at a time, and what is heard between.
//!
//! ```text
//! desk.rs     who gets a link next, when to listen: pure      session.rs  one manager of btleplug
//! ladder.rs   what to try when it does not go on: pure        bus.rs      what btleplug does not do
//! failure.rs  errors, by what helps: pure                     radio.rs    carries the desk's orders out
//! heard.rs    who was heard, when, how loud: pure             link.rs     a link that stands
//! address.rs  whom a link leads to
//! ```
//!
//! No trouble of the radio ends the gateway: a lost bus, daemon or adapter is told once, links that stood end, and the
//! radio begins anew until it is back. Nothing here knows which lock speaks what; a family gets its bytes.

mod address;
mod bus;
mod desk;
mod failure;
mod heard;
mod ladder;
mod link;
mod radio;
mod session;

pub use address::{Address, NotAnAddress};
pub use desk::TURN_WITHIN;
pub use failure::NoLink;
pub use heard::Sighting;
pub use link::{BleLink, Lost};
pub use radio::{News, Options, Radio, Report, open};
