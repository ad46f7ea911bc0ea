//! What a lock's answers mean: nothing counts as proven but on the lock's own word (I7).

use std::collections::BTreeSet;
use std::time::Duration;

use super::Device;
use super::code::Code;
use crate::gateway::ledger::Desk;
use crate::gateway::network::ECHO;
use crate::gateway::records::{Aim, Confirmed, Waiting};
use crate::gateway::view::ExternalChange;
use crate::model::{
    Addressing, CodeId, Content, Detail, Entry, EventKind, Exchange, Finding, How, Mono, Now, Objection,
    Outcome, Pin, ReadBack, Slot, Step,
};
use crate::sabotage::{self, Sabotage};
use crate::schedule;

impl Device {
    /// What the answers of an exchange mean. Returns the codes of which something changed.
    pub fn learn(
        &mut self,
        exchange: &Exchange,
        outcome: &Outcome,
        jitter: u8,
        desk: &mut Desk<'_>,
    ) -> Vec<CodeId> {
        self.flight = None;
        self.writes.1 = desk.now.mono + ECHO;
        self.dirty = true;
        let mut touched = Vec::new();
        let mut goal = false;
        for (step, finding) in exchange.steps.iter().zip(&outcome.findings) {
            match step {
                Step::Put {
                    code,
                    generation,
                    content,
                    stale,
                    ..
                } => {
                    goal |= matches!(finding, Finding::Proven(_));
                    self.learn_put(*code, *generation, content, stale, finding, desk);
                    touched.push(*code);
                }
                Step::Remove { code, generation, .. } => {
                    goal |= matches!(finding, Finding::Proven(_));
                    self.learn_remove(*code, *generation, finding, desk);
                    touched.push(*code);
                }
                // What it says of the bolt is learnt apart.
                Step::Door { .. } => goal |= matches!(finding, Finding::Proven(_)),
                Step::Read => match finding {
                    Finding::Table(table) => {
                        goal = true;
                        touched.extend(self.learn_table(table, desk));
                    }
                    Finding::Unanswered | Finding::Unreached | Finding::Cut | Finding::Untried => {}
                    Finding::Proven(_) | Finding::Denied | Finding::Refused(_) => {
                        self.put_reads_off(desk.now)
                    }
                },
            }
        }
        if outcome.tried() {
            let ours = !exchange
                .steps
                .iter()
                .all(|step| matches!(step, Step::Door { .. }));
            self.learn_silence(outcome.unanswered(), goal, ours, jitter, desk);
        } else {
            self.silence.hold(desk.now.mono);
        }
        touched
    }

    /// `ours`: something was asked beside door commands.
    fn learn_silence(&mut self, silent: bool, goal: bool, ours: bool, jitter: u8, desk: &mut Desk<'_>) {
        self.hours.asked(desk.now.mono, !silent);
        if goal {
            self.silence.answered(true);
        }
        if silent {
            self.silence.unanswered(desk.now.mono, jitter, ours);
            let idle = self.codes.values().all(|code| code.row.is_none());
            if self.capabilities().read_back != ReadBack::None {
                // So that it is known when it answers again, although nothing else waits for it.
                if idle {
                    self.next_check = Some(desk.now.mono);
                }
            } else if !ours {
                // Nothing would ever ask it again.
                return;
            }
        } else {
            self.silence.answered(goal);
            self.last_seen = Some(desk.now.wall);
        }
        self.set_online(!silent, desk);
    }

    fn set_online(&mut self, online: bool, desk: &mut Desk<'_>) {
        if self.online != online && !self.removed {
            self.online = online;
            let kind = if online {
                EventKind::DeviceConnected
            } else {
                EventKind::DeviceDisconnected
            };
            self.offline_since = (!online).then_some(desk.now.wall);
            desk.tell(kind, self.spec.device, None, Detail::None);
        }
    }

    /// The lock was heard: one immediate try per step of its silence.
    pub fn heard(&mut self, desk: &mut Desk<'_>) {
        self.hours.spoke(desk.now.mono);
        self.last_seen = Some(desk.now.wall);
        self.silence.hear();
        self.set_online(true, desk);
        self.dirty = true;
    }

    /// Its radio is back: it gets its try at once.
    pub fn try_now(&mut self) {
        self.silence.try_now();
    }

    /// It was paired again: nothing that it did not answer or refused before counts, and its table may be empty, for
    /// most likely it was reset.
    pub fn be_let_in(&mut self, now: Mono) {
        self.try_now();
        self.reads_refused = 0;
        self.reads_from = now;
        self.changed_meanwhile = self.flight.is_some();
        self.check_soon(now);
        for code in self.codes.values_mut() {
            let row = code.row.as_mut();
            if let Some(row) = row.filter(|row| row.reason == Waiting::Refused(Objection::Credential)) {
                row.refusals = 0;
                code.next_try = Some(now);
            }
        }
    }

    /// Its driver hears the lock no more.
    pub fn lost(&mut self, desk: &mut Desk<'_>) {
        self.set_online(false, desk);
        self.dirty = true;
    }

    /// It left this gateway for good.
    pub fn remove(&mut self, desk: &mut Desk<'_>) {
        self.lost(desk);
        if !std::mem::replace(&mut self.removed, true) {
            desk.tell(EventKind::DeviceRemoved, self.spec.device, None, Detail::None);
        }
        if self.record.met.is_some() && !self.record.left {
            self.record.left = true;
            self.store(desk.ledger);
        }
    }

    fn learn_put(
        &mut self,
        id: CodeId,
        generation: u64,
        content: &Content,
        stale: &[Pin],
        finding: &Finding,
        desk: &mut Desk<'_>,
    ) {
        let read_back = self.capabilities().read_back;
        let readable = read_back != ReadBack::None;
        let next_check = self.check_after(desk);
        let Some(code) = self.codes.get_mut(&id) else {
            return;
        };
        let first = stale.is_empty();
        code.asked |= !finding.is_unsent();
        // A no to these digits, or a word that never went out: nothing of ours is there with them, whatever became of the
        // code meanwhile, unless an earlier exchange carried them too.
        if !stale.contains(&content.pin) {
            match finding {
                Finding::Refused(objection) if objection.leaves_nothing() => {
                    code.disown(&content.pin, desk.ledger);
                }
                Finding::Unreached | Finding::Untried => code.note_unsent(&content.pin),
                _ => {}
            }
        }
        if *finding == Finding::Refused(Objection::SlotTaken) {
            code.not_there = code.record.slot;
        }
        let believed = Finding::Proven(How::Acknowledged);
        let finding = match finding {
            Finding::Denied if sabotage::on(Sabotage::TrustsTheSend) => &believed,
            other => other,
        };
        // Its end may have come meanwhile: then only a proof still says anything.
        let overtaken = code.row.as_ref().is_none_or(|row| row.aim != Aim::Set);
        if code.record.generation != generation || (overtaken && !matches!(finding, Finding::Proven(_))) {
            return;
        }
        // A lock that shows no digits is emptied before it is written.
        let emptied = read_back == ReadBack::Masked && !first;
        if *finding == Finding::Denied
            || (emptied && !finding.is_unsent() && !matches!(finding, Finding::Proven(_)))
        {
            code.record.confirmed.forget_last();
            code.store(desk.ledger);
        }
        match finding {
            Finding::Proven(how) => {
                let look = (readable && !sabotage::on(Sabotage::LooksOnce))
                    .then(|| desk.now.mono + desk.settings.second_look);
                code.prove(content.clone(), *how, look, &self.spec.capabilities, desk);
            }
            Finding::Denied => {
                code.record.denied += 1;
                if let Some(row) = &mut code.row {
                    row.tries += 1;
                }
                code.wait_after_denial(desk.now, next_check);
                code.store(desk.ledger);
                code.store_row(desk.ledger);
                desk.tell(
                    EventKind::CodeNotSet,
                    self.spec.device,
                    Some(id),
                    Detail::Failure(None),
                );
            }
            Finding::Refused(objection) => {
                code.hold_back(desk.now, Waiting::Refused(*objection));
                code.store_row(desk.ledger);
                let why = Detail::Failure(Some(*objection));
                desk.tell(EventKind::CodeNotSet, self.spec.device, Some(id), why);
                if readable
                    && matches!(
                        objection,
                        Objection::SlotTaken | Objection::Duplicate | Objection::Full
                    )
                {
                    // The lock holds something that we do not know of.
                    self.next_check = Some(desk.now.mono);
                }
            }
            Finding::Unanswered | Finding::Unreached => code.note_silence(desk),
            Finding::Cut | Finding::Untried | Finding::Table(_) => {}
        }
    }

    fn learn_remove(&mut self, id: CodeId, generation: u64, finding: &Finding, desk: &mut Desk<'_>) {
        let Some(code) = self.codes.get_mut(&id) else {
            return;
        };
        // It may have been revived meanwhile, and is then to be set again.
        let overtaken = code.row.as_ref().is_none_or(|row| row.aim != Aim::Remove);
        if code.record.generation != generation || overtaken {
            return;
        }
        match finding {
            Finding::Proven(how) => {
                let (record, pins) = (code.record.clone(), code.ours());
                code.let_go(*how, desk);
                // When it is wanted again, that is a new beginning.
                code.record.denied = 0;
                code.store(desk.ledger);
                desk.tell(EventKind::CodeRemoved, self.spec.device, Some(id), Detail::None);
                self.slot_was_freed(desk.now);
                self.note_gone(record, pins, desk);
            }
            Finding::Denied | Finding::Refused(_) => {
                let (reason, why) = match finding {
                    Finding::Refused(objection) => (Waiting::Refused(*objection), Some(*objection)),
                    _ => (Waiting::Denied, None),
                };
                code.hold_back(desk.now, reason);
                code.store_row(desk.ledger);
                let why = Detail::Failure(why);
                desk.tell(EventKind::CodeNotRemoved, self.spec.device, Some(id), why);
            }
            Finding::Unanswered | Finding::Unreached => code.note_silence(desk),
            Finding::Cut | Finding::Untried | Finding::Table(_) => {}
        }
    }

    /// A freed slot resets the back-off of codes that the lock had no room for (I12).
    fn slot_was_freed(&mut self, now: Now) {
        for code in self.codes.values_mut() {
            if let Some(row) = &mut code.row
                && row.reason == Waiting::Refused(Objection::Full)
            {
                row.refusals = 0;
                code.next_try = Some(now.mono);
                code.note_next_try(now);
            }
        }
    }

    /// Holds the lock's own table against what was confirmed.
    fn learn_table(&mut self, table: &[Entry], desk: &mut Desk<'_>) -> Vec<CodeId> {
        if self.record.unread {
            self.find_again(table, desk);
        }
        let mut touched = Vec::new();
        let mut ours = BTreeSet::new();
        let left_alone = self.left_alone();
        let ids: Vec<CodeId> = self.codes.keys().copied().collect();
        for id in ids {
            let Some(code) = self.codes.get_mut(&id) else {
                continue;
            };
            if code.record.slot.is_some_and(|slot| left_alone.contains(&slot)) {
                code.look = None;
                continue;
            }
            let Some(code) = self.codes.get(&id) else { continue };
            let entry = self.entry_of(code, table);
            if let Some(entry) = entry {
                ours.insert(entry.slot);
            }
            let entry = entry.cloned();
            if self.compare(id, entry.as_ref(), desk) {
                touched.push(id);
            }
        }
        touched.extend(self.look_for_gone(table, &mut ours, desk));
        let unmanaged: Vec<Entry> = table
            .iter()
            .filter(|e| !ours.contains(&e.slot))
            .cloned()
            .collect();
        if self.record.unread {
            self.note_read(&unmanaged, desk);
        }
        self.note_unmanaged(unmanaged, desk);
        self.reads_refused = 0;
        let pause = match std::mem::take(&mut self.changed_meanwhile) {
            true => Duration::ZERO,
            false => desk.settings.check_every,
        };
        self.next_check = Some(desk.now.mono + pause);
        touched
    }

    /// Slots with codes of ours that are to be left alone by now, since the configuration or the lock says so: a
    /// table does not show them, so what stands there is there until it is taken off.
    fn left_alone(&self) -> BTreeSet<Slot> {
        if self.capabilities().addressing != Addressing::Chosen {
            return BTreeSet::new();
        }
        let shown: BTreeSet<Slot> = self.capabilities().slots().collect();
        let ours = self.codes.values().filter_map(|code| code.record.slot);
        ours.filter(|slot| !shown.contains(slot)).collect()
    }

    /// The lock answers, but not with its table: it is not asked for it again at once.
    fn put_reads_off(&mut self, now: Now) {
        self.reads_refused += 1;
        self.reads_from = now.mono + schedule::refusal_wait(self.reads_refused);
    }

    /// When the whole table is read next, if that is to tell something new.
    pub(super) fn check_after(&self, desk: &Desk<'_>) -> Mono {
        let planned = self.next_check.map(|check| check.max(self.reads_from));
        let planned = planned.filter(|check| desk.now.mono < *check);
        planned.unwrap_or(desk.now.mono + desk.settings.check_every)
    }

    /// Where the table shows a code of ours. Digits decide where the lock shows them: other digits
    /// in our slot are somebody else's.
    pub(super) fn entry_of<'t>(&self, code: &Code, table: &'t [Entry]) -> Option<&'t Entry> {
        let pins = code.ours();
        let slot = code.record.slot.filter(|_| !pins.is_empty())?;
        table.iter().find(|e| {
            let here = self.capabilities().addressing == Addressing::GivenByLock || e.slot == slot;
            let ours = match &e.pin {
                Some(pin) => pins.contains(pin),
                // Where others show their digits, this is a place that somebody else has.
                None => self.capabilities().read_back == ReadBack::Masked,
            };
            here && ours
        })
    }

    /// Takes up what the table shows of one code; whether that changed anything.
    fn compare(&mut self, id: CodeId, entry: Option<&Entry>, desk: &mut Desk<'_>) -> bool {
        let device = self.spec.device;
        let unread = self.record.unread;
        let Some(code) = self.codes.get_mut(&id) else {
            return false;
        };
        if code.record.confirmed == Confirmed::Absent {
            return false;
        }
        let Some(entry) = entry else {
            let to_go = code.row.as_ref().is_some_and(|row| row.aim == Aim::Remove);
            let left = to_go.then(|| (code.record.clone(), code.ours()));
            let was_there = code.record.confirmed.proof().is_some();
            if unread && was_there && !code.record.over(desk.now.wall) {
                code.hold(desk);
            } else if to_go {
                desk.tell(EventKind::CodeRemoved, device, Some(id), Detail::None);
            } else if matches!(code.record.confirmed, Confirmed::Present(_)) {
                code.note_external(ExternalChange::Removed, desk);
            }
            code.let_go(How::ReadBack, desk);
            code.store(desk.ledger);
            self.slot_was_freed(desk.now);
            if let Some((record, pins)) = left {
                self.note_gone(record, pins, desk);
            }
            return true;
        };
        let looked = code.look.is_some_and(|look| look <= desk.now.mono);
        let seen = entry.pin.clone().map(|pin| Content {
            pin,
            name: entry.name.clone(),
            window: entry.window,
        });
        match (&mut code.record.confirmed, seen) {
            (Confirmed::Present(proof), seen) => {
                let altered = seen.as_ref().is_some_and(|seen| *seen != proof.content);
                if looked {
                    code.look = None;
                    proof.look_at = None;
                    code.record.denied = 0;
                }
                if let Some(seen) = seen
                    && altered
                {
                    proof.content = seen;
                    code.note_external(ExternalChange::Modified, desk);
                }
                if altered || looked {
                    code.store(desk.ledger);
                }
                altered || looked
            }
            // It is to go, and is still there: no news of it.
            (_, Some(_)) if code.row.as_ref().is_some_and(|row| row.aim == Aim::Remove) => false,
            (_, Some(seen)) => {
                code.prove(
                    seen,
                    How::ReadBack,
                    Some(desk.now.mono + desk.settings.second_look),
                    &self.spec.capabilities,
                    desk,
                );
                true
            }
            // In use, but not with which digits.
            (_, None) => false,
        }
    }

    fn note_unmanaged(&mut self, unmanaged: Vec<Entry>, desk: &mut Desk<'_>) {
        let device = self.spec.device;
        for (from, to, kind) in [
            (&self.record.unmanaged, &unmanaged, EventKind::UnmanagedAppeared),
            (&unmanaged, &self.record.unmanaged, EventKind::UnmanagedWent),
        ] {
            for entry in to.iter().filter(|e| !from.contains(e)) {
                desk.tell(kind, device, None, Detail::Slot(entry.slot));
            }
        }
        if unmanaged.len() < self.record.unmanaged.len() {
            self.slot_was_freed(desk.now);
        }
        if unmanaged != self.record.unmanaged {
            self.record.suspects.retain(|entry| unmanaged.contains(entry));
            self.record.unmanaged = unmanaged;
            self.store(desk.ledger);
        }
    }
}
