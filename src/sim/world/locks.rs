//! Exchanges with the locks, step by step.

use std::time::Duration;

use super::{What, World};
use crate::gateway::Event;
use crate::model::{AttemptId, CallId, DeviceId, Entry, Finding, Mono, Objection, Outcome, Pin, Step};
use crate::sim::oracle::{GRACE, NOTICED, Violation};
use crate::sim::plan::Stage;

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
        // A step on its way when the gateway fell still reaches the lock.
        let late = life != self.life;
        let under_way = match late {
            true => self.late.get(&(life, call)),
            false => self.calls.get(&call),
        };
        let Some(open) = under_way else { return };
        let step = open.exchange.steps[index].clone();
        let device = open.exchange.device;
        let began = open.began;
        let Some(lock) = self.index(device) else { return };
        let now = self.clock_of_locks();
        // What it loses by itself is not taken off.
        self.locks[lock].pass(now);
        let before = self.locks[lock].table();
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
            self.look_at_losses(lock, &step, began, &before);
        }
        if late {
            self.late.remove(&(life, call));
            return;
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

    /// What a step took off a lock was over; and what a lock will lose by itself, the gateway will notice.
    fn look_at_losses(&mut self, lock: usize, step: &Step, began: Mono, before: &[Entry]) {
        let device = self.ids[lock];
        let rows = self.locks[lock].memory();
        if matches!(step, Step::Remove { .. }) {
            let gone: Vec<Pin> = before.iter().filter_map(|entry| entry.pin.clone()).collect();
            let gone: Vec<Pin> = gone.into_iter().filter(|pin| rows.with(pin).is_none()).collect();
            let verdict = self.oracle.judge_removal(device, &gone, began, self.clock());
            self.oracle.freed(device);
            return self.note_verdict(verdict);
        }
        let Step::Put { content, .. } = step else { return };
        let was_there = before
            .iter()
            .any(|entry| entry.pin.as_ref() == Some(&content.pin));
        let is_there = rows.with(&content.pin).is_some();
        // Right after a start without a network nobody knows what is over.
        if is_there && !was_there && !self.shown.coarse {
            let verdict = self.oracle.judge_put(device, &content.pin, began, self.clock());
            self.note_verdict(verdict);
        }
        let rows = self.locks[lock].memory();
        if rows.with(&content.pin).is_none_or(|row| row.drops_at.is_none()) {
            return;
        }
        for code in self.oracle.codes_with(device, &content.pin) {
            let noticed = self.now + NOTICED + GRACE;
            self.oracle.excuse(code, noticed);
            self.push(noticed, What::Word(code));
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
        self.heap.remove(&open.deadline);
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
        let mut claimed = Vec::new();
        for (step, finding) in open.exchange.steps.iter().zip(&findings) {
            if let (Step::Put { content, .. }, Finding::Unanswered) = (step, finding) {
                self.oracle
                    .asked_in_vain(open.exchange.device, content.pin.clone());
            }
            if let Some((code, generation)) = step.code() {
                // Another slot is tried at once.
                let elsewhere = Finding::Refused(Objection::SlotTaken);
                let denied =
                    matches!(finding, Finding::Refused(_) | Finding::Denied) && *finding != elsewhere;
                let sets = matches!(step, Step::Put { .. });
                let proven = matches!(finding, Finding::Proven(_));
                if denied || proven {
                    self.oracle.tried(code, generation, sets, denied, self.now);
                }
                if sets && proven {
                    claimed.push(code);
                }
            }
        }
        let silent = findings.contains(&Finding::Unanswered);
        if silent && !self.locks[lock].reachable(self.now) {
            self.count("lock out of reach");
        }
        self.oracle.hung_up(open.exchange.device, silent, self.now);
        let took = Duration::from_millis(self.now.0 - open.began.0);
        let nth = u64::from(*self.counts.get(&(Stage::Done, lock as u32)).unwrap_or(&0));
        self.tell(
            Event::Done(call, Outcome { findings, took }),
            &format!("done {lock}"),
            nth,
        );
        // What is claimed right after a write is claimed of this write, unless somebody came in between.
        if self.oracle.was_handled(open.exchange.device, open.began) {
            claimed.clear();
        }
        for code in claimed {
            let verdict = self.judge_word(code);
            self.note_verdict(verdict);
        }
        self.call_courier();
    }
}
