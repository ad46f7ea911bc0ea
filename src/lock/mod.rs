//! The abilities over which families of locks plug in, and the register of this gateway's locks.
//!
//! One folder per family: [`nuki`], [`sim`], [`zwave`]; [`ble`] is the radio that Bluetooth families share,
//! [`paired`] the locks that are spoken to over it. A driver
//! is handed a whole exchange, carries it out over one link, and says what it found; it never retries, never waits for
//! a better moment and keeps no memory of what a lock is to hold. What each question means, and what proves it, stands at
//! [`Step`] and [`Finding`]. A driver does not fail: trouble is a finding. Deadlines, and the
//! catching of panics, are the shell's.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::Busy;
use crate::model::{Capabilities, Credential, DeviceId, Finding, Logbook, Outage, RadioId, Step, Word};

pub mod ble;
pub mod nuki;
pub mod paired;
pub mod sim;
pub mod zwave;

use sim::SimDriver;

/// What an exchange will have found.
pub type Findings<'a> = std::pin::Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

/// A lock that holds access codes.
pub trait Lock: Send + Sync {
    /// What it takes, holds and tells.
    fn capabilities(&self) -> &Capabilities;

    /// Asks the lock each step in order over one link; the answer has one finding per step. After
    /// a step that went unanswered the others stay [`Finding::Untried`]. The future may be
    /// dropped at any time: the lock may then have done any part of it.
    ///
    /// `busy` tells the driver's clock that this call is under way. The caller holds it on until it has
    /// dealt with the findings, so that steered time never passes over them.
    fn exchange<'a>(&'a self, steps: &'a [Step], busy: &'a Busy) -> Findings<'a>;
}

/// What a driver hears outside an exchange.
pub enum Fact {
    /// It is within reach.
    Heard(DeviceId),
    /// It is out of reach.
    Lost(DeviceId),
    /// It was taken away for good.
    Removed(DeviceId),
    /// It is to be taken away for good by somebody's wish, which `true` insists on. Answered with the number of its access codes
    /// that are not over, where there are any and nobody insists: then it stays. Else it is gone from here on, and takes no
    /// more of them. No answer, if the gateway stops before.
    Forget(DeviceId, bool, oneshot::Sender<Result<(), usize>>),
    /// A network tells of a lock: a new one, or with something new. From here on it is spoken to as this.
    Met(Met),
    /// These are all the devices that the network of a radio has.
    Census(RadioId, BTreeSet<DeviceId>),
    /// Its radio is away, and why, or is there.
    Radio(RadioId, Option<Outage>),
    /// A lock said something by itself.
    Told(DeviceId, Word),
    /// What a lock wrote down since it was asked last.
    Logged(DeviceId, Logbook),
    /// What lets the driver in at a lock is to be kept, or forgotten. Answered once that is durable; never, if
    /// the gateway stops before.
    Keep(DeviceId, Option<Credential>, oneshot::Sender<()>),
}

/// A lock of which a network tells.
pub struct Met {
    /// Its id.
    pub device: DeviceId,
    /// The word for its driver.
    pub driver: &'static str,
    /// What it is called, what it shares with others, and how it is spoken to.
    pub open: Device,
}

/// Where drivers say what they heard. Must not block.
pub type Report = Arc<dyn Fn(Fact) + Send + Sync>;

/// A lock of this gateway.
#[derive(Clone)]
pub struct Device {
    /// Its name for people.
    pub name: String,
    /// What it shares with others.
    pub radio: RadioId,
    /// How it is spoken to.
    pub lock: Arc<dyn Lock>,
    /// The same lock's steering, if it is simulated.
    pub sim: Option<Arc<SimDriver>>,
}

impl Device {
    /// What its lock takes, holds and tells.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.lock.capabilities()
    }
}

/// All locks of this gateway, by their ids.
pub type Registry = BTreeMap<DeviceId, Device>;
