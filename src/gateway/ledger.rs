//! The batch in the making, and what must wait until it is durable.
//!
//! Memory takes a change on when the batch is made; only effects wait for the sync. Event numbers
//! are taken with the batch too. So nothing is ever read, changed and written across a pending sync.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::Effect;
use super::records::encode;
use super::view::Proven;
use crate::model::{CodeId, Detail, DeviceId, Event, EventKind, How, JobId, Now, Settings, Timestamp};
use crate::sabotage::{self, Sabotage};
use crate::store::{Batch, Ticket, Tree, Vault};

pub(crate) struct Ledger {
    vault: Vault,
    batch: Batch,
    held: Vec<Effect>,
    last: Ticket,
    synced: Ticket,
    waiting: BTreeMap<Ticket, Vec<Effect>>,
    events: VecDeque<Event>,
    next_seq: u64,
    most_events: usize,
    /// Goes into every event, and into every proof.
    pub clock_trusted: bool,
    /// The last event that the broker has.
    sent: u64,
    /// Whether that is on record; until then nobody has asked for it.
    sent_is_kept: bool,
}

/// Key in [`Tree::Meta`] of the last event that the broker has.
pub(crate) const SENT_KEY: &[u8] = b"events-sent";

/// What every decision about a device needs at hand.
pub(crate) struct Desk<'a> {
    pub now: Now,
    pub settings: &'a Settings,
    pub ledger: &'a mut Ledger,
}

impl Desk<'_> {
    /// Something happened on a device that no single job asked for.
    pub fn tell(&mut self, kind: EventKind, device: DeviceId, code: Option<CodeId>, detail: Detail) {
        self.ledger
            .tell(self.now.wall, kind, Some(device), code, None, detail);
    }

    /// A lock says something now.
    pub fn proven(&self, how: How) -> Proven {
        Proven {
            how,
            at: self.now.wall,
            clock_trusted: self.ledger.clock_trusted,
        }
    }
}

impl Ledger {
    /// `sent` is the last event that the broker has; without a broker until now, it gets what happens
    /// from here on.
    pub fn new(vault: Vault, events: VecDeque<Event>, most_events: usize, sent: Option<u64>) -> Ledger {
        let next_seq = events.back().map_or(1, |e| e.seq + 1);
        Ledger {
            vault,
            batch: Batch::new(),
            held: Vec::new(),
            last: Ticket(0),
            synced: Ticket(0),
            waiting: BTreeMap::new(),
            events,
            next_seq,
            most_events,
            clock_trusted: true,
            sent: sent.unwrap_or(next_seq - 1).min(next_seq - 1),
            sent_is_kept: sent.is_some(),
        }
    }

    pub fn put<T: Serialize>(&mut self, tree: Tree, key: &[u8], value: &T) {
        self.vault.put(&mut self.batch, tree, key, &encode(value));
    }

    pub fn remove(&mut self, tree: Tree, key: &[u8]) {
        self.vault.remove(&mut self.batch, tree, key);
    }

    /// Carries an effect out once everything that was decided so far is durable.
    pub fn after(&mut self, effect: Effect) {
        self.held.push(effect);
    }

    /// Numbers an event and stores it; drops the oldest beyond the limit.
    pub fn tell(
        &mut self,
        at: Timestamp,
        kind: EventKind,
        device: Option<DeviceId>,
        code: Option<CodeId>,
        job: Option<&JobId>,
        detail: Detail,
    ) {
        let event = Event {
            seq: self.next_seq,
            at,
            kind,
            device,
            code,
            job: job.cloned(),
            clock_trusted: self.clock_trusted,
            detail,
        };
        self.next_seq += 1;
        self.put(Tree::Events, &event.seq.to_be_bytes(), &event);
        self.events.push_back(event);
        while self.events.len() > self.most_events.max(1) && !sabotage::on(Sabotage::KeepsAllEvents) {
            if let Some(oldest) = self.events.pop_front() {
                self.remove(Tree::Events, &oldest.seq.to_be_bytes());
            }
        }
    }

    /// Gives no number out below this one.
    pub fn leap_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// The broker has every event up to this one.
    pub fn events_sent(&mut self, seq: u64) {
        let sent = seq.clamp(self.sent, self.last_event());
        if sent > self.sent || !self.sent_is_kept {
            self.sent = sent;
            self.sent_is_kept = true;
            self.put(Tree::Meta, SENT_KEY, &sent);
        }
    }

    /// The last event that the broker has.
    pub fn last_sent(&self) -> u64 {
        self.sent
    }

    pub fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// The number of the newest event; 0 if there never was one.
    pub fn last_event(&self) -> u64 {
        self.next_seq - 1
    }

    /// The last batch that was made: what a reader sees now is durable once this one is.
    pub fn last(&self) -> Ticket {
        self.last
    }

    /// Whether there will be a batch.
    pub fn is_open(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Closes the batch: hands it out for commit, with its effects to follow.
    pub fn close(&mut self, out: &mut Vec<Effect>) {
        if self.is_open() {
            self.last = Ticket(self.last.0 + 1);
            out.push(Effect::Commit(self.last, std::mem::take(&mut self.batch)));
        }
        if self.last == self.synced || sabotage::on(Sabotage::AnswersEarly) {
            out.append(&mut self.held);
        } else if !self.held.is_empty() {
            self.waiting.entry(self.last).or_default().append(&mut self.held);
        }
    }

    /// A batch is durable, and with it all before it.
    pub fn settle(&mut self, ticket: Ticket, out: &mut Vec<Effect>) {
        self.synced = self.synced.max(ticket);
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() > self.synced {
                break;
            }
            out.append(&mut first.remove());
        }
    }
}
