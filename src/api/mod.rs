//! Seam's shapes: JSON on one side, the core's own words on the other. Serves every door alike.
//!
//! [`request`] reads what callers send, strictly: it names every parameter that is wrong and never
//! guesses. [`answer`] writes what callers are told; a PIN leaves the program only there, and only
//! where the caller may see PINs ([`answer::Pins::Shown`]).
//!
//! The room holds no state and does no I/O. It cannot fail: bad input is a [`crate::model::Refusal`].

pub mod answer;
pub mod request;
pub mod time;
