//! Exchanges with the locks, step by step, and what befalls the locks besides.

use std::time::Duration;

use rand::RngExt;

use super::{What, World};
use crate::gateway::Event;
use crate::lock::sim::{ByHand, Fault, FaultKind};
use crate::model::{AttemptId, CallId, DeviceId, Finding, Outcome, Pin, ReadBack, Slot, Step};
use crate::sim::oracle::Violation;
use crate::sim::plan::{Item, Stage, stream};

/// A bolt moves within this of being asked for, or never: the wait for the radio, and other commands on a
/// slow lock.
const DOOR_PATIENCE: Duration = Duration::from_secs(15 + 20);

impl World {
    /// Begins one step of an exchange: the lock does it half its latency later.
    pub(super) fn ask_lock(&mut self, call: CallId, index: usize) {
        let Some(lock) = self.calls.get(&call).and_then(|c| self.index(c.exchange.device)) else {
            return;
        };
        let half = self.locks[lock].setup().latency / 2;
        self.push(self.now + half, What::Apply(self.life, call, index));
    }

    pub(super) fn apply(&mut self, life: u64, call: CallId, index: usize) {
        // A step on its way when the power failed still reaches the lock.
        if life != self.life {
            return;
        }
        let Some(open) = self.calls.get(&call) else { return };
        let step = open.exchange.steps[index].clone();
        let device = open.exchange.device;
        let Some(lock) = self.index(device) else { return };
        let now = self.clock_of_locks();
        let performed = self.locks[lock].perform(now, &step);
        let kind = match step {
            Step::Put { .. } => 10,
            Step::Remove { .. } => 11,
            Step::Read => 12,
            Step::Door { .. } => 13,
        };
        self.note(kind, lock as u64, u64::from(performed.changed), |_| {
            let what = match &step {
                Step::Put { code, .. } => format!("put {code}"),
                Step::Remove { code, .. } => format!("remove {code}"),
                Step::Read => "read".to_owned(),
                Step::Door { deed, .. } => format!("{deed:?}"),
            };
            let found = match &performed.finding {
                Finding::Table(table) => format!("{} codes", table.len()),
                other => format!("{other:?}"),
            };
            format!("lock {lock} {what} -> {found}")
        });
        if let Step::Door { attempt, .. } = step {
            let verdict = self.judge_door(device, attempt);
            self.note_verdict(verdict);
        }
        if performed.changed {
            let table = self.locks[lock].table();
            let verdict = self.oracle.judge_table(device, &table, self.clock());
            self.note_verdict(verdict);
        }
        // The power may fail between the lock's change and our knowledge of it.
        if self.step(Stage::Apply, lock as u32) {
            let rest = performed
                .took
                .saturating_sub(self.locks[lock].setup().latency / 2);
            self.push(
                self.now + rest,
                What::StepEnd(life, call, index, performed.finding),
            );
        }
    }

    /// A bolt moves soon after it was asked to, and in the order of asking.
    fn judge_door(&mut self, lock: DeviceId, attempt: AttemptId) -> Result<(), Violation> {
        let Some((asked, nth)) = self.doors.get(&attempt).copied() else {
            return Ok(());
        };
        let before = self.last_door.insert(lock, nth);
        let seen = if asked + DOOR_PATIENCE < self.now {
            "long after somebody asked for it"
        } else if before.is_some_and(|before| nth < before) {
            "for a command that another has overtaken"
        } else {
            return Ok(());
        };
        Err(self
            .clock()
            .violation("I12", format!("lock {lock} moves its bolt {seen}")))
    }

    pub(super) fn step_end(&mut self, life: u64, call: CallId, index: usize, finding: Finding) {
        if life != self.life {
            return;
        }
        let Some(open) = self.calls.get_mut(&call) else {
            return;
        };
        let silent = finding == Finding::Unanswered;
        open.findings.push(finding);
        if silent || index + 1 == open.exchange.steps.len() {
            self.finish(call);
        } else {
            self.ask_lock(call, index + 1);
        }
    }

    pub(super) fn finish(&mut self, call: CallId) {
        let Some(open) = self.calls.remove(&call) else {
            return;
        };
        let Some(lock) = self.index(open.exchange.device) else {
            return;
        };
        if !self.step(Stage::Done, lock as u32) {
            return;
        }
        let mut findings = open.findings;
        if findings.len() < open.exchange.steps.len() && findings.last() != Some(&Finding::Unanswered) {
            findings.push(Finding::Unanswered);
        }
        findings.resize(open.exchange.steps.len(), Finding::Untried);
        let took = Duration::from_millis(self.now.0 - open.began.0);
        let nth = u64::from(*self.counts.get(&(Stage::Done, lock as u32)).unwrap_or(&0));
        self.tell(
            Event::Done(call, Outcome { findings, took }),
            &format!("done {lock}"),
            nth,
        );
    }

    pub(super) fn begin(&mut self, index: usize) {
        match self.plan.items[index].clone() {
            Item::Away { lock, .. } => {
                self.oracle.trouble(self.ids[lock]);
                self.note(30, lock as u64, 0, |_| format!("lock {lock} is out of reach"));
            }
            Item::Fault {
                lock, kind, lasts, ..
            } => {
                self.oracle.trouble(self.ids[lock]);
                // What a lock that cannot be read does not store, nobody can know.
                let writable_only = self.locks[lock].capabilities().read_back == ReadBack::None;
                if !(writable_only && kind == FaultKind::NoStore) {
                    let fault = Fault {
                        kind,
                        count: None,
                        for_s: Some(lasts.as_secs()),
                        after_s: None,
                    };
                    self.locks[lock].fault(self.now, fault);
                    self.note(31, lock as u64, 0, |_| {
                        format!("lock {lock} begins to misbehave: {kind:?}")
                    });
                }
            }
            Item::NoTime { .. } => {
                // How far time is proven is coarse after a start: what is late then is no fault.
                self.ids.iter().for_each(|lock| self.oracle.trouble(*lock));
                self.shown.alone = true;
                self.note(35, 0, 0, |_| "nothing vouches for the clock".to_owned());
                self.tell(Event::Timer, "clock", index as u64);
            }
            Item::Poison { by, .. } => {
                self.shown.off_ms = by * 1000;
                self.note(36, 0, by as u64, |_| format!("the clock is set off by {by} s"));
                self.tell(Event::Timer, "clock", index as u64);
            }
            Item::Hand { lock, .. } => {
                let full = self.plan.locks[lock].capacity.is_some();
                if full || self.locks[lock].capabilities().read_back == ReadBack::None {
                    return;
                }
                let digits = format!(
                    "99{:04}",
                    stream(self.plan.seed, "hand", index as u64).random_range(1111..9999)
                );
                let now = self.clock_of_locks();
                let Some(code) = Pin::parse(&digits) else { return };
                // A far slot where a lock shows no digits and may have left us without an answer: in one
                // that we claimed it then cannot tell ours from others'.
                let troubled = self.plan.items.iter().any(|item| match item {
                    Item::Away { lock: other, .. } | Item::Fault { lock: other, .. } => *other == lock,
                    _ => false,
                });
                let doubtful = troubled || !self.plan.crashes.is_empty();
                let masked = self.locks[lock].capabilities().read_back == ReadBack::Masked;
                let slot = (masked && doubtful).then_some(Slot(28));
                let change = ByHand::Add {
                    slot,
                    code: code.clone(),
                };
                if self.locks[lock].by_hand(now, &change).is_ok() {
                    self.oracle.foreign(self.ids[lock], code);
                    self.note(32, lock as u64, 0, |_| {
                        format!("somebody adds a code to lock {lock}")
                    });
                }
            }
            Item::Create { .. }
            | Item::Update { .. }
            | Item::Change { .. }
            | Item::Delete { .. }
            | Item::Door { .. } => {}
        }
    }

    pub(super) fn end(&mut self, index: usize) {
        match self.plan.items[index].clone() {
            Item::Away { lock, .. } => {
                self.oracle.relief(self.ids[lock], self.now, Duration::ZERO);
                self.note(33, lock as u64, 0, |_| format!("lock {lock} is heard again"));
                if self.locks[lock].reachable(self.now) {
                    self.tell(Event::Heard(self.ids[lock]), "heard", index as u64);
                }
            }
            Item::Fault { lock, kind, .. } => {
                // A code that was refused waits an hour at most, one that was not kept for the next check.
                let unnoticed = match kind {
                    FaultKind::Refuse => Duration::from_secs(3600),
                    FaultKind::NoStore | FaultKind::DropAfter => Duration::from_secs(13 * 3600),
                    _ => Duration::ZERO,
                };
                self.oracle.relief(self.ids[lock], self.now, unnoticed);
                self.note(34, lock as u64, 0, |_| format!("lock {lock} is well again"));
            }
            Item::NoTime { .. } | Item::Poison { .. } => {
                if self.shown.alone {
                    self.shown.alone = false;
                    let now = self.now;
                    self.ids
                        .iter()
                        .for_each(|lock| self.oracle.relief(*lock, now, Duration::ZERO));
                }
                self.shown.off_ms = 0;
                self.note(37, 0, 0, |_| "the clock is right again".to_owned());
                self.tell(Event::Timer, "right again", index as u64);
            }
            Item::Create { .. }
            | Item::Update { .. }
            | Item::Change { .. }
            | Item::Delete { .. }
            | Item::Door { .. }
            | Item::Hand { .. } => {}
        }
    }
}
