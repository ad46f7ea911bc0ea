//! Nuki smart locks over Bluetooth, without the radio: the vendor's published protocol, pure.
//!
//! What comes over the air is never trusted: each length is checked before a byte is read, and a frame counts
//! only with its authentication, its authorization id and its checksum right, and only once on a link. The lock gives each
//! code an id and shows its digits to whoever knows the security PIN, so a code is found again by its digits.
//!
//! ```text
//! secret.rs   keys and PINs that cannot be printed      error.rs    the lock's error codes, and what to do
//! seal.rs     key agreement, boxes, authenticators      pairing.rs  from a held button to a shared key
//! bytes.rs    numbers, dates and texts out of bytes     beacon.rs   what an advertisement says
//! frame.rs    messages on the wire; joining them        talk.rs     one link: challenge, command, answer
//! message.rs  requests and answers, typed               visit.rs    the steps of an exchange over one link
//! logbook.rs  how a logbook is read on                  driver.rs   one lock: its key, its PIN, its rules
//! link.rs     what a radio has to do
//! ```
//!
//! It refuses to know how bytes reach a lock ([`Link`]), what time it is, and anything of the gateway.

mod beacon;
mod bytes;
mod driver;
mod error;
pub mod frame;
mod link;
mod logbook;
pub mod message;
mod pairing;
mod seal;
mod secret;
mod talk;
mod visit;

pub use beacon::{Beacon, beacon, pairable};
pub use bytes::Date;
pub use driver::{LOOKS_WITHIN, NukiDriver, Survey, Visited, capabilities};
pub use error::{Class, ErrorCode};
pub use link::{Characteristic, Link, LinkLost, Model};
pub use pairing::{Applicant, Keep, Kept, Pairing, PairingError, Turn, pair};
pub use seal::{PrivateKey, PublicKey, authenticator};
pub use secret::{Credentials, SecurityPin, SharedKey};
pub use talk::Trouble;
pub use visit::probe;
