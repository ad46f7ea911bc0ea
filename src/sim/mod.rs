//! The whole core in virtual time: a heap of timed events in the place of the shell.
//!
//! A [`Plan`] is data: what callers ask and when, what befalls the locks, and where the power is
//! cut. All its randomness is drawn up front; a run draws only from small streams keyed by seed,
//! who, and how-many-eth, so that leaving an item out shifts nothing else. A [`World`] runs the
//! production core over simulated locks and a store that forgets; an [`Oracle`] watches the locks'
//! own tables and what callers were told, and knows nothing of how the core decides.
//!
//! Same plan, same run: [`Report::hash`] says so.

mod incident;
mod many;
mod oracle;
mod plan;
mod shrink;
mod week;
mod world;

pub use incident::{Night, NoNight};
pub use many::{Tally, many, story};
pub use oracle::{Clock, Oracle, Violation};
pub use plan::{Change, Hand, Item, LockKind, LockPlan, LockRules, Plan, Stage, StepName, stream};
pub use shrink::{Shrunk, shrink};
pub use world::{QUIET, Report, World, crash_points};
