//! Events for the gateway, and the effects that it asks for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rand::RngExt;

use super::broker::by_broker;
use super::verdicts::code_in;
use super::{Call, What, World};
use crate::gateway::{Answer, Effect, Event, Token};
use crate::model::{Exchange, JobId, Step};
use crate::sim::oracle::Violation;
use crate::sim::plan::{Stage, stream};
use crate::store::{Batch, Store, Ticket, Tree};

/// So long after a stall of the card, exchanges may be those that were chosen before it.
const AFTER_A_STALL: Duration = Duration::from_secs(30);

impl World {
    /// Hands an event to the gateway and carries its effects out.
    pub(super) fn tell(&mut self, event: Event, who: &str, nth: u64) {
        let mut effects = Vec::new();
        let reading = self.reading();
        let mut rng = stream(self.plan.seed, who, nth);
        let Some(gateway) = &mut self.gateway else { return };
        let handled = catch_unwind(AssertUnwindSafe(|| {
            gateway.handle(reading, event, &mut rng, &mut effects);
        }));
        if handled.is_err() {
            let verdict = self.clock().violation("I11", "the core panicked".into());
            return self.note_verdict(Err(verdict));
        }
        self.forget_wake();
        let life = self.life;
        for effect in effects {
            if life != self.life {
                break;
            }
            self.carry_out(effect);
        }
    }

    /// The gateway has a new timer, or none.
    fn forget_wake(&mut self) {
        if let Some(wake) = self.wake.take() {
            self.heap.remove(&wake);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(ticket, batch) => self.record(ticket, &batch),
            Effect::Reply { token, answer, job } => self.reply(token, &answer, job),
            Effect::Drive(exchange) => self.drive(exchange),
            Effect::Changed(_) => {}
            Effect::Export => {}
            Effect::WakeAt(at) => {
                self.forget_wake();
                let at = at.max(self.now);
                self.push(at, What::Wake(self.pushed + 1));
                self.wake = Some((at, self.pushed));
            }
        }
    }

    /// A batch for the card, which is durable when its sync is over.
    fn record(&mut self, ticket: Ticket, batch: &Batch) {
        if !self.step(Stage::Commit, 0) {
            return;
        }
        if let Some(job) = self.asking {
            let codes = &mut self.recorded.entry(job).or_default().1;
            let put = batch.iter().filter(|(tree, key, value)| {
                *tree == Tree::Codes && key.ends_with(&[0; 4]) && value.is_some()
            });
            // A turn may write others' records in the same batch.
            let new = put.filter_map(|(_, key, _)| code_in(key));
            codes.extend(new.filter(|code| self.born.insert(*code)));
        }
        if let Err(fail) = self.disk.commit(batch) {
            let seen = format!("a batch was refused: {fail}");
            self.note_verdict(Err(Violation {
                invariant: "I10",
                at: self.now,
                seen,
            }));
        }
        let mut rng = stream(self.plan.seed, "sync", ticket.0 ^ self.life << 40);
        // Cards stall now and then while they tidy up.
        let latency = match rng.random_range(0..2_000) {
            0 => 20_000,
            _ => rng.random_range(2..40),
        };
        self.card_busy_until = self
            .card_busy_until
            .max(self.now + Duration::from_millis(latency));
        if latency == 20_000 {
            self.stalled_until = self.card_busy_until;
        }
        self.push(self.card_busy_until, What::Synced(self.life, ticket));
    }

    /// An answer to a caller who may not hear it.
    fn reply(&mut self, token: Token, answer: &Answer, id: JobId) {
        if self.borrowed.remove(&token) {
            let verdict = self.judge_borrowed(answer);
            return self.note_verdict(verdict);
        }
        let Some(job) = self.tokens.remove(&token) else {
            return;
        };
        if self.step(Stage::Reply, job) && !by_broker(job) {
            self.hear(job, answer);
            self.job_ids.insert(job, id.clone());
            self.tell(Event::Answered(id), "answered", u64::from(job));
        }
    }

    /// A lock is to be asked.
    fn drive(&mut self, exchange: Exchange) {
        let Some(lock) = self.index(exchange.device) else {
            return;
        };
        if !self.step(Stage::Drive, lock as u32) {
            return;
        }
        if let Some(outcome) = exchange.missed(self.now) {
            self.push(self.now, What::Missed(self.life, exchange.call, outcome));
            return;
        }
        if self.left_out.contains(&lock) {
            let seen = format!("lock {lock} is asked, which is none of this gateway");
            let verdict = self.clock().violation("I6", seen);
            return self.note_verdict(Err(verdict));
        }
        self.report.calls += 1;
        let sets = exchange.steps.iter().any(|step| matches!(step, Step::Put { .. }));
        let rids = exchange
            .steps
            .iter()
            .any(|step| matches!(step, Step::Remove { .. }));
        // What was decided before the card stalled is carried out after it.
        if sets && !rids && self.stalled_until + AFTER_A_STALL < self.now {
            let verdict = self
                .oracle
                .judge_order(exchange.device, self.clock(), |lock, pin| self.holds(lock, pin));
            self.note_verdict(verdict);
        }
        let verdict = self.oracle.called(exchange.device, self.clock());
        self.note_verdict(verdict);
        for step in &exchange.steps {
            let Some((code, generation)) = step.code() else {
                continue;
            };
            let sets = matches!(step, Step::Put { .. });
            let verdict = self.oracle.tries(code, generation, sets, self.clock());
            self.note_verdict(verdict);
        }
        self.note(14, lock as u64, exchange.steps.len() as u64, |_| {
            format!("lock {lock} is asked {} things", exchange.steps.len())
        });
        let call = exchange.call;
        let mut rng = stream(self.plan.seed, "latency", call.0 ^ self.life << 40);
        let latency = Duration::from_millis(rng.random_range(50..600));
        self.locks[lock].take_time(latency);
        let until = self.now + exchange.deadline;
        self.push(until, What::Deadline(self.life, call));
        self.calls.insert(
            call,
            Call {
                exchange,
                began: self.now,
                deadline: (until, self.pushed),
                findings: Vec::new(),
            },
        );
        self.ask_lock(call, 0);
    }
}
