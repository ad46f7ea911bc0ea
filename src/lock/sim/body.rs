//! The lock as a thing in a door: within reach or not, working or not, with hands upon it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    Capabilities, Content, Entry, Finding, Mono, NativeWindow, Now, Objection, Pin, ReadBack,
};
use crate::model::{Slot, Step, Window};

use super::fault::{Fault, FaultKind, Op, Trouble};
use super::memory::{ByHand, Memory};
use super::setup::Setup;
use super::step::Talk;

/// A lock. It is told the time: of [`Now`], `mono` times its faults and its reach, and `wall` is
/// what its *own* clock shows, which windows and losses go by.
#[derive(Clone, Debug)]
pub struct SimLock {
    setup: Setup,
    pub(super) memory: Memory,
    trouble: Option<Trouble>,
    strikes: BTreeMap<FaultKind, u64>,
    connected: bool,
    removed: bool,
    away: Vec<Spell>,
    /// The bolt is out.
    locked: bool,
}

/// A time out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    /// First moment.
    pub from: Mono,
    /// First moment after.
    pub until: Mono,
}

/// What came of one step.
#[derive(Clone, Debug)]
pub struct Performed {
    /// What was found.
    pub finding: Finding,
    /// How long it took. The change lies somewhere in between.
    pub took: Duration,
    /// Whether the lock's table is another one now.
    pub changed: bool,
}

/// Why a change by hand came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// There is nothing to change or remove.
    #[error("no such code on the lock")]
    Absent,
    /// The lock says no.
    #[error("the lock refuses the code ({0:?})")]
    Refused(Objection),
}

impl SimLock {
    /// A lock with a memory: an empty one if it comes from the factory.
    #[must_use]
    pub fn new(setup: Setup, memory: Memory) -> SimLock {
        SimLock {
            setup,
            memory,
            trouble: None,
            strikes: BTreeMap::new(),
            connected: true,
            removed: false,
            away: Vec::new(),
            locked: true,
        }
    }

    /// What kind of lock it is.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Lets it take so long from now on.
    pub fn take_time(&mut self, latency: Duration) {
        self.setup.latency = latency;
    }

    /// How many operations each kind of fault has struck.
    #[must_use]
    pub fn strikes(&self) -> &BTreeMap<FaultKind, u64> {
        &self.strikes
    }

    /// What it takes, holds and tells.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.setup.capabilities
    }

    /// What it remembers without power, as of the last time that it was told.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Its true table, digits and all, whatever a read would show.
    #[must_use]
    pub fn table(&self) -> Vec<Entry> {
        self.memory.entries(ReadBack::Full)
    }

    /// Whether its bolt is out.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.locked
    }

    /// Moves its bolt.
    pub fn move_bolt(&mut self, out: bool) {
        self.locked = out;
    }

    /// Lets time do to it what was due until now.
    pub fn pass(&mut self, now: Now) {
        self.memory.pass(now.wall);
    }

    /// When time will next change its table, if nobody else does.
    #[must_use]
    pub fn next_change(&self, now: Now) -> Option<Mono> {
        let drops = self.memory.rows().iter().filter_map(|row| row.drops_at).min()?;
        Some(now.mono + drops.since(now.wall))
    }

    /// Carries out one step from question to proof.
    pub fn perform(&mut self, now: Now, step: &Step) -> Performed {
        let before = self.memory.clone();
        self.pass(now);
        let (finding, took) = Talk::new(self, now).carry_out(step);
        Performed {
            finding,
            took,
            changed: self.memory != before,
        }
    }

    /// How long a step would take now.
    #[must_use]
    pub fn rehearse(&self, now: Now, step: &Step) -> Duration {
        self.clone().perform(now, step).took
    }

    /// Brings a fault upon it, in the place of the one before.
    pub fn fault(&mut self, now: Mono, fault: Fault) {
        self.trouble = (fault.kind != FaultKind::None).then(|| Trouble::begin(fault, now));
    }

    /// Brings it within reach, apart from its timetable. Whether that is news.
    pub fn connect(&mut self) -> bool {
        let news = !self.connected && !self.removed;
        self.connected = !self.removed;
        news
    }

    /// Takes it out of reach. Whether that is news.
    pub fn disconnect(&mut self) -> bool {
        std::mem::replace(&mut self.connected, false)
    }

    /// Takes it away for good. Whether that is news.
    pub fn remove(&mut self) -> bool {
        self.connected = false;
        !std::mem::replace(&mut self.removed, true)
    }

    /// Whether it is within reach, apart from its timetable.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connected
    }

    /// Gives it a timetable of when it is out of reach.
    pub fn set_away(&mut self, spells: Vec<Spell>) {
        self.away = spells;
    }

    /// Whether it can be heard.
    #[must_use]
    pub fn reachable(&self, at: Mono) -> bool {
        self.connected && !self.away.iter().any(|spell| spell.from <= at && at < spell.until)
    }

    /// Somebody changes it at the door.
    ///
    /// # Errors
    /// There is no such code, or the lock's own rules forbid the change.
    pub fn by_hand(&mut self, now: Now, change: &ByHand) -> Result<Slot, HandError> {
        self.pass(now);
        match change {
            ByHand::Add { slot, code } => match slot.and_then(|slot| self.memory.at(slot)) {
                Some(_) => Err(HandError::Refused(Objection::SlotTaken)),
                None => self.type_in(*slot, code),
            },
            ByHand::Change { slot, code } => {
                self.memory.at(*slot).ok_or(HandError::Absent)?;
                self.type_in(Some(*slot), code)
            }
            ByHand::Remove { slot, code } => {
                let by_slot = slot.and_then(|slot| self.memory.at(slot));
                let by_code = || code.as_ref().and_then(|code| self.memory.with(code));
                let slot = by_slot.or_else(by_code).ok_or(HandError::Absent)?.slot;
                self.memory.erase(slot);
                Ok(slot)
            }
        }
    }

    /// Somebody types digits at the door: whether it opens.
    pub fn keypad(&mut self, now: Now, code: &Pin) -> bool {
        self.pass(now);
        let enforces = self.setup.capabilities.window != NativeWindow::None;
        self.memory
            .with(code)
            .is_some_and(|row| !enforces || row.window.holds(now.wall))
    }

    /// What a fault does to an operation.
    pub(super) fn strike(&mut self, op: Op, now: Mono) -> Option<FaultKind> {
        let kind = self.trouble.as_mut()?.strike(op, now)?;
        *self.strikes.entry(kind).or_default() += 1;
        Some(kind)
    }

    /// How long after a write a code gets lost.
    pub(super) fn drops_after(&self) -> Duration {
        self.trouble
            .as_ref()
            .map(Trouble::drops_after)
            .unwrap_or_default()
    }

    fn type_in(&mut self, slot: Option<Slot>, code: &Pin) -> Result<Slot, HandError> {
        let content = Content {
            pin: code.clone(),
            name: None,
            window: Window::Ongoing,
        };
        self.memory
            .store(&self.setup.capabilities, slot, &content)
            .map_err(HandError::Refused)
    }
}
