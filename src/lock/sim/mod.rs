//! The simulated lock: to try a gateway without hardware, to train people on, and to test with.
//!
//! [`SimLock`] is the lock itself, a pure value that is told the time: the same code serves the
//! gateway's driver ([`SimDriver`]) and simulations in virtual time. It enforces its own rules as
//! a real lock would, has faults on demand, can be changed by hand behind the gateway's back, and
//! opens to whoever types the right digits.
//!
//! ```text
//! setup.rs   what kind of lock: profiles by name     step.rs    one question: look, change, prove
//! memory.rs  its table and the rules of its keypad   fault.rs   what can go wrong with an answer
//! body.rs    the lock: reach, faults, hands          driver.rs  waits, file, facts: the tokio side
//! ```
//!
//! It refuses to know anything of the gateway: not its records, not its clock, not its reasons.

mod body;
mod driver;
mod fault;
mod memory;
mod setup;
mod step;
#[cfg(test)]
mod tests;

pub use body::{HandError, Performed, SimLock, Spell};
pub use driver::{OpenError, SimDriver};
pub use fault::{Fault, FaultKind};
pub use memory::{ByHand, Memory, Row};
pub use setup::{PROFILES, Setup};
