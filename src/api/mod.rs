//! Seam's shapes: JSON on one side, the core's own words on the other. Serves every door alike.
//!
//! [`endpoint`] is the table of all that can be asked. [`form`] checks what callers send against it,
//! strictly: it names every parameter that is wrong and never guesses; [`request`] makes changes of
//! it. [`answer`] writes what callers are told; a PIN leaves the program only there, and only where
//! the caller may see PINs ([`answer::Pins::Shown`]).
//!
//! The room holds no state and does no I/O. It cannot fail: bad input is a [`crate::model::Refusal`].

pub mod answer;
pub mod endpoint;
pub mod form;
pub mod openapi;
pub mod parameter;
pub mod request;
mod scope;
pub mod time;

pub use scope::Scope;
