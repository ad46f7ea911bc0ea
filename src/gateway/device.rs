//! One lock: its desired codes held against its confirmed ones, what is due for it, and what its
//! answers mean. Knows nothing of other locks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ledger::Ledger;
use super::records::{Aim, Confirmed, DeviceRecord, Proof, Record, Row, Waiting, code_key};
use crate::model::{
    Addressing, CallId, Capabilities, CodeId, Content, DeviceId, Entry, EventKind, Exchange, Finding,
    GroupKey, How, Mono, Now, Objection, Outcome, Pin, RadioId, ReadBack, Settings, Slot, Step, Timestamp,
};
use crate::plan::{Member, Occupied, Reach};
use crate::schedule::{self, Rank, Stay};
use crate::store::Tree;

/// So many denials or drops, and a code counts as not kept.
const DENIALS: u32 = 3;
/// PINs of the last so many days are not drawn again.
const RECENT: Duration = Duration::from_secs(30 * 86_400);
/// Most steps of one exchange, so that one busy lock does not hold its radio for long (I11).
const MOST_STEPS: usize = 16;

/// A device as the configuration or its driver describes it.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// Its id.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// The word for its driver.
    pub driver: String,
    /// The radio that it shares.
    pub radio: RadioId,
    /// What its lock can do.
    pub capabilities: Capabilities,
    /// Its lock is simulated and can be steered.
    pub simulated: bool,
}

pub(crate) struct Device {
    pub spec: DeviceSpec,
    pub removed: bool,
    pub online: bool,
    pub last_seen: Option<Timestamp>,
    pub codes: BTreeMap<CodeId, Code>,
    pub record: DeviceRecord,
    pub flight: Option<CallId>,
    silence: Silence,
    next_check: Option<Mono>,
    /// Something changed since the last turn.
    pub dirty: bool,
    turn_at: Timestamp,
    agenda: Agenda,
}

pub(crate) struct Code {
    pub record: Record,
    pub row: Option<Row>,
    /// `None`: not by the passing of time.
    next_try: Option<Mono>,
    look: Option<Mono>,
    /// The lock may have been asked since the content was last known: what stands there with this
    /// PIN may be our own work.
    asked: bool,
}

/// How a lock's silence holds back the next exchange (I12).
#[derive(Default)]
struct Silence {
    /// Unanswered exchanges since the last goal that was reached.
    step: u32,
    /// Set while the last exchange went unanswered.
    since: Option<Mono>,
    jitter: u8,
    /// One try is due although the wait is not over.
    pass: bool,
    /// Hearing the lock has given its one try of this step.
    heard: bool,
}

impl Silence {
    fn gate(&self, urgent: bool) -> Mono {
        match self.since {
            Some(since) if !self.pass => since + schedule::silence_wait(self.step, urgent, self.jitter),
            _ => Mono(0),
        }
    }
}

/// What a lock could be asked now, and when that changes by time alone.
#[derive(Clone, Copy, Default)]
struct Agenda {
    best: Option<Rank>,
    wake: Option<Mono>,
}

/// What a turn did to a code.
pub(crate) struct Touched {
    pub code: CodeId,
    /// Set if its record is gone for good; with the group that it belonged to.
    pub dropped: Option<Option<GroupKey>>,
}

impl Record {
    fn over(&self, now: Timestamp) -> bool {
        self.deleted_at.is_some() || self.window.end() <= now
    }

    fn stay(&self) -> Stay {
        Stay {
            window: self.window,
            prefer_native: self.prefer_native,
            deleted: self.deleted_at.is_some(),
            on_lock: self.slot.is_some(),
        }
    }

    pub fn content(&self, capabilities: &Capabilities) -> Content {
        schedule::content(
            &self.pin,
            self.name.as_deref(),
            self.window,
            self.prefer_native,
            capabilities,
        )
    }

    /// When its absence began to be wanted.
    fn over_since(&self) -> Timestamp {
        self.deleted_at
            .map_or(self.window.end(), |deleted| deleted.min(self.window.end()))
    }
}

impl Code {
    pub fn new(record: Record) -> Code {
        Code {
            record,
            row: None,
            next_try: None,
            look: None,
            asked: false,
        }
    }

    fn store(&self, ledger: &mut Ledger) {
        ledger.put(
            Tree::Codes,
            &code_key(self.record.device, self.record.code),
            &self.record,
        );
    }

    fn store_row(&self, ledger: &mut Ledger) {
        let key = code_key(self.record.device, self.record.code);
        match &self.row {
            Some(row) => ledger.put(Tree::Queue, &key, row),
            None => ledger.remove(Tree::Queue, &key),
        }
    }

    /// Whether the lock has confirmed exactly what is wanted.
    fn agrees(&self, wanted: Option<&Content>) -> bool {
        match (&self.record.confirmed, wanted) {
            (Confirmed::Absent, None) => true,
            (Confirmed::Present(proof), Some(content)) => proof.content == *content,
            _ => false,
        }
    }

    fn rank(&self, row: &Row) -> Rank {
        match row.aim {
            Aim::Remove => Rank::Remove(self.record.over_since()),
            Aim::Set => Rank::Set(self.record.window.start()),
        }
    }

    /// The lock denied the code, or dropped it: the code waits, and after the third time until the
    /// next check.
    fn wait_after_denial(&mut self, now: Now, next_check: Option<Mono>) {
        let Some(row) = &mut self.row else { return };
        row.refusals = self.record.denied;
        if self.record.denied >= DENIALS {
            row.reason = Waiting::NotKept;
            self.next_try = Some(next_check.unwrap_or(now.mono + schedule::REFUSAL_LONGEST));
        } else {
            row.reason = Waiting::Denied;
            self.next_try = Some(now.mono + schedule::refusal_wait(row.refusals));
        }
        self.note_next_try(now);
    }

    /// A refusal backs off this code alone.
    fn hold_back(&mut self, now: Now, reason: Waiting) {
        if let Some(row) = &mut self.row {
            row.tries += 1;
            row.refusals += 1;
            row.reason = reason;
            self.next_try = Some(now.mono + schedule::refusal_wait(row.refusals));
        }
        self.note_next_try(now);
    }

    fn note_next_try(&mut self, now: Now) {
        if let (Some(row), Some(next)) = (&mut self.row, self.next_try) {
            row.next_try = now.wall_at(next);
        }
    }
}

impl Device {
    pub fn new(
        spec: DeviceSpec,
        record: DeviceRecord,
        removed: bool,
        now: Now,
        settings: &Settings,
    ) -> Device {
        let next_check = (spec.capabilities.read_back != ReadBack::None).then(|| match record.read_at {
            Some(read_at) => now.mono_at(read_at + settings.check_every, settings.check_every),
            None => now.mono,
        });
        Device {
            spec,
            removed,
            online: !removed,
            last_seen: None,
            codes: BTreeMap::new(),
            record,
            flight: None,
            silence: Silence::default(),
            next_check,
            dirty: true,
            turn_at: Timestamp::MIN,
            agenda: Agenda::default(),
        }
    }

    /// Takes a code up from the store.
    pub fn restore(&mut self, record: Record, now: Now, settings: &Settings) {
        let look = match &record.confirmed {
            Confirmed::Present(Proof {
                look_at: Some(at), ..
            }) => Some(now.mono_at(*at, settings.second_look)),
            _ => None,
        };
        // Whether it was asked before the power failed, nobody can know.
        let asked = record.confirmed != Confirmed::Absent;
        self.codes.insert(
            record.code,
            Code {
                look,
                asked,
                ..Code::new(record)
            },
        );
    }

    /// Takes a queue row up from the store; `false` if no record wants it.
    pub fn restore_row(&mut self, code: CodeId, row: Row, now: Now) -> bool {
        let Some(code) = self.codes.get_mut(&code) else {
            return false;
        };
        code.next_try =
            (row.reason != Waiting::NoSlot).then(|| now.mono_at(row.next_try, schedule::REFUSAL_LONGEST));
        code.row = Some(row);
        true
    }

    fn capabilities(&self) -> &Capabilities {
        &self.spec.capabilities
    }

    fn store(&self, ledger: &mut Ledger) {
        ledger.put(Tree::Devices, self.spec.device.0.as_bytes(), &self.record);
    }

    /// The passing of time alone makes a turn necessary.
    pub fn turn_is_due(&self, now: Now) -> bool {
        self.dirty || self.turn_at <= now.wall
    }

    /// Holds what is desired against what is confirmed; writes, renews and erases queue rows, and
    /// drops the records of codes that are gone.
    pub fn turn(&mut self, now: Now, settings: &Settings, ledger: &mut Ledger) -> Vec<Touched> {
        self.dirty = false;
        let stays: Vec<Stay> = self.codes.values().map(|c| c.record.stay()).collect();
        let wanted = schedule::wanted(
            &stays,
            self.record.unmanaged.len(),
            &self.spec.capabilities,
            settings,
            now.wall,
        );
        let ids: Vec<CodeId> = self.codes.keys().copied().collect();
        let trouble = self.in_trouble();
        let mut touched = Vec::new();
        // Removals first: what they set free is given out in the same turn.
        for present in [false, true] {
            for (id, _) in ids.iter().zip(&wanted).filter(|(_, w)| **w == present) {
                touched.extend(self.turn_code(*id, present, now, settings, ledger));
            }
        }
        self.turn_at = self
            .codes
            .values()
            .flat_map(|c| {
                let stay = c.record.stay();
                let edge = schedule::next_edge(&stay, &self.spec.capabilities, settings, now.wall);
                // A silent lock is asked more often from here on.
                let soon = schedule::earliest(&stay, &self.spec.capabilities, settings) - schedule::SOON;
                [
                    edge.unwrap_or(c.record.over_since() + settings.keep_ended),
                    if trouble { soon } else { Timestamp::MAX },
                ]
            })
            .filter(|at| now.wall < *at)
            .min()
            .unwrap_or(Timestamp::MAX);
        self.agenda = self.look_ahead(now, settings);
        touched
    }

    fn turn_code(
        &mut self,
        id: CodeId,
        present: bool,
        now: Now,
        settings: &Settings,
        ledger: &mut Ledger,
    ) -> Option<Touched> {
        let lacks_slot = present && self.codes.get(&id)?.record.slot.is_none();
        let free_slot = if lacks_slot { self.free_slot() } else { None };
        let code = self.codes.get_mut(&id)?;
        let content = present.then(|| code.record.content(&self.spec.capabilities));
        if code.agrees(content.as_ref()) {
            let erased = code.row.take().is_some();
            if erased {
                code.next_try = None;
                code.store_row(ledger);
            }
            let gone = code.record.confirmed == Confirmed::Absent && code.record.over(now.wall);
            let forgotten = code.record.deleted_at.is_some()
                || code.record.over_since() + settings.keep_ended <= now.wall;
            if gone && forgotten {
                return Some(self.drop_code(id, now, ledger));
            }
            return erased.then_some(Touched {
                code: id,
                dropped: None,
            });
        }
        let aim = if present { Aim::Set } else { Aim::Remove };
        let fits = |row: &Row| row.generation == code.record.generation && row.aim == aim;
        let mut changed = false;
        if !code.row.as_ref().is_some_and(fits) {
            if code.row.as_ref().is_none_or(|row| row.aim != aim) {
                self.silence.pass = true;
            }
            code.next_try = Some(now.mono);
            code.row = Some(Row {
                generation: code.record.generation,
                aim,
                tries: 0,
                refusals: 0,
                since: now.wall,
                next_try: now.wall,
                reason: Waiting::InLine,
            });
            if aim == Aim::Set && code.record.denied > 0 {
                code.wait_after_denial(now, self.next_check);
            }
            changed = true;
        }
        if changed || !matches!(code.record.confirmed, Confirmed::Unknown { .. }) {
            // Before it is asked, for a lock may take what we never hear confirmed.
            code.record.confirmed = code
                .record
                .confirmed
                .in_doubt((aim == Aim::Set).then_some(&code.record.pin));
            code.look = None;
            changed = true;
        }
        if lacks_slot {
            let waits = code.row.as_ref().is_some_and(|row| row.reason == Waiting::NoSlot);
            code.record.slot = free_slot;
            if let Some(row) = &mut code.row
                && (free_slot.is_none() != waits)
            {
                row.reason = if free_slot.is_none() {
                    Waiting::NoSlot
                } else {
                    Waiting::InLine
                };
                code.next_try = free_slot.map(|_| now.mono);
                changed = true;
            }
            changed |= free_slot.is_some();
        }
        changed.then(|| {
            code.store(ledger);
            code.store_row(ledger);
            Touched {
                code: id,
                dropped: None,
            }
        })
    }

    fn drop_code(&mut self, id: CodeId, now: Now, ledger: &mut Ledger) -> Touched {
        let dropped = self.codes.remove(&id).map(|code| {
            ledger.remove(Tree::Codes, &code_key(self.spec.device, id));
            if code.record.deleted_at.is_some() {
                ledger.tell(
                    now.wall,
                    EventKind::CodeDeleted,
                    Some(self.spec.device),
                    Some(id),
                    None,
                );
            }
            self.record
                .recent
                .retain(|(_, since)| now.wall.since(*since) < RECENT);
            self.record.recent.push((code.record.pin, now.wall));
            code.record.group
        });
        self.store(ledger);
        Touched { code: id, dropped }
    }

    /// The lowest slot that neither we nor anybody else uses.
    fn free_slot(&self) -> Option<Slot> {
        let ours: BTreeSet<Slot> = self.codes.values().filter_map(|c| c.record.slot).collect();
        let capacity = self.spec.capabilities.capacity;
        match self.spec.capabilities.addressing {
            Addressing::Chosen => (1..=capacity)
                .map(Slot)
                .find(|slot| !ours.contains(slot) && !self.record.unmanaged.iter().any(|e| e.slot == *slot)),
            // The lock finds the place itself; the number only counts how many there are.
            Addressing::GivenByLock => {
                let ours_fit = usize::from(capacity).saturating_sub(self.record.unmanaged.len());
                let next = (1..=capacity).map(Slot).find(|slot| !ours.contains(slot));
                next.filter(|_| ours.len() < ours_fit)
            }
        }
    }

    /// Whether work of this lock is overdue, or falls due within the hour.
    fn urgent(&self, now: Now, settings: &Settings) -> bool {
        self.codes.values().any(|c| {
            c.row.is_some() || {
                let stay = c.record.stay();
                !c.record.over(now.wall)
                    && schedule::earliest(&stay, self.capabilities(), settings) <= now.wall + schedule::SOON
                    && now.wall < stay.window.start()
            }
        })
    }

    /// What could be asked, each with its rank and the time from which it may.
    fn candidates(&self, now: Now, gate: Mono) -> Vec<(Rank, Mono, Option<CodeId>)> {
        let mut all = Vec::new();
        for (id, code) in &self.codes {
            if let (Some(row), Some(next)) = (&code.row, code.next_try) {
                all.push((code.rank(row), next.max(gate), Some(*id)));
            }
            if let (Some(look), Some(proof)) = (code.look, code.record.confirmed.proof()) {
                all.push((Rank::look(proof.at, now.wall), look.max(gate), None));
            }
        }
        if let Some(check) = self.next_check {
            all.push((Rank::Check, check.max(gate), None));
        }
        all
    }

    fn look_ahead(&self, now: Now, settings: &Settings) -> Agenda {
        let gate = self.silence.gate(self.urgent(now, settings));
        let mut agenda = Agenda::default();
        for (rank, ready, _) in self.candidates(now, gate) {
            if ready <= now.mono {
                agenda.best = Some(agenda.best.map_or(rank, |best| best.min(rank)));
            } else {
                agenda.wake = Some(agenda.wake.map_or(ready, |wake| wake.min(ready)));
            }
        }
        agenda
    }

    /// The rank of the most pressing thing that could be asked now; `None` while it is being asked
    /// something, or if there is nothing.
    pub fn pressing(&mut self, now: Now, settings: &Settings) -> Option<Rank> {
        if self.flight.is_some() || self.removed {
            return None;
        }
        // A rank may rise with time, so what waits is looked at again.
        if self.agenda.best.is_some() || self.agenda.wake.is_some_and(|wake| wake <= now.mono) {
            self.agenda = self.look_ahead(now, settings);
        }
        self.agenda.best
    }

    /// Whether its last exchange went unanswered.
    pub fn in_trouble(&self) -> bool {
        self.silence.since.is_some()
    }

    /// The next instant at which time alone gives this lock something to do.
    pub fn wake_at(&self, now: Now) -> Option<Mono> {
        let turn = (self.turn_at != Timestamp::MAX).then(|| now.mono + self.turn_at.since(now.wall));
        // What has come due while the radio was busy is looked at when a link is free.
        let ask = self
            .agenda
            .wake
            .filter(|at| self.flight.is_none() && !self.removed && now.mono < *at);
        turn.into_iter().chain(ask).min()
    }

    /// Puts what is pressing into one exchange.
    pub fn exchange(&mut self, call: CallId, now: Now, settings: &Settings) -> Exchange {
        let gate = self.silence.gate(self.urgent(now, settings));
        let mut ready: Vec<_> = self
            .candidates(now, gate)
            .into_iter()
            .filter(|(_, at, _)| *at <= now.mono)
            .collect();
        ready.sort();
        let most = if self.capabilities().batch { MOST_STEPS } else { 1 };
        let mut steps = Vec::new();
        let mut asked = Vec::new();
        let mut reads = false;
        for (_, _, id) in ready {
            if steps.len() + usize::from(reads) == most {
                break;
            }
            match id.and_then(|id| self.codes.get(&id)) {
                Some(code) => {
                    if let Some(step) = code.row.as_ref().and_then(|row| self.step(code, row)) {
                        asked.extend(id.filter(|_| matches!(step, Step::Put { .. })));
                        steps.push(step);
                    }
                }
                None => reads = true,
            }
        }
        if reads {
            // Last, so that the table shows what the steps before it did.
            steps.push(Step::Read);
        }
        for id in asked {
            if let Some(code) = self.codes.get_mut(&id) {
                code.asked = true;
            }
        }
        self.flight = Some(call);
        self.silence.pass = false;
        let patience = self.capabilities().patience;
        let deadline = patience * u32::try_from(steps.len()).unwrap_or(u32::MAX);
        Exchange {
            call,
            device: self.spec.device,
            steps,
            deadline,
        }
    }

    fn step(&self, code: &Code, row: &Row) -> Option<Step> {
        let pins = if code.asked {
            code.record.confirmed.pins()
        } else {
            Vec::new()
        };
        match row.aim {
            Aim::Set => Some(Step::Put {
                code: code.record.code,
                generation: row.generation,
                slot: code.record.slot?,
                stale: pins,
                content: code.record.content(self.capabilities()),
            }),
            // A slot is claimed before the first write, so without one there was none.
            Aim::Remove => Some(Step::Remove {
                code: code.record.code,
                generation: row.generation,
                slot: code.record.slot.unwrap_or(Slot(0)),
                pins,
            }),
        }
    }

    /// What the answers of an exchange mean. Returns the codes of which something changed.
    pub fn learn(
        &mut self,
        exchange: &Exchange,
        outcome: &Outcome,
        jitter: u8,
        now: Now,
        settings: &Settings,
        ledger: &mut Ledger,
    ) -> Vec<CodeId> {
        self.flight = None;
        self.dirty = true;
        let mut touched = Vec::new();
        let mut goal = false;
        for (step, finding) in exchange.steps.iter().zip(&outcome.findings) {
            match step {
                Step::Put {
                    code,
                    generation,
                    content,
                    ..
                } => {
                    goal |= matches!(finding, Finding::Proven(_));
                    self.learn_put(*code, *generation, content, finding, now, settings, ledger);
                    touched.push(*code);
                }
                Step::Remove { code, generation, .. } => {
                    goal |= matches!(finding, Finding::Proven(_));
                    self.learn_remove(*code, *generation, finding, now, ledger);
                    touched.push(*code);
                }
                Step::Read => {
                    if let Finding::Table(table) = finding {
                        goal = true;
                        touched.extend(self.learn_table(table, now, settings, ledger));
                    }
                }
            }
        }
        self.learn_silence(outcome.unanswered(), goal, jitter, now, ledger);
        touched
    }

    fn learn_silence(&mut self, silent: bool, goal: bool, jitter: u8, now: Now, ledger: &mut Ledger) {
        if goal {
            self.silence.step = 0;
        }
        if silent {
            self.silence.step += 1;
            self.silence.since = Some(now.mono);
            self.silence.jitter = jitter;
            self.silence.heard = false;
        } else {
            self.silence.since = None;
            self.last_seen = Some(now.wall);
        }
        self.set_online(!silent, now, ledger);
    }

    fn set_online(&mut self, online: bool, now: Now, ledger: &mut Ledger) {
        if self.online != online && !self.removed {
            self.online = online;
            let kind = if online {
                EventKind::DeviceConnected
            } else {
                EventKind::DeviceDisconnected
            };
            ledger.tell(now.wall, kind, Some(self.spec.device), None, None);
        }
    }

    /// The lock was heard: one immediate try per step of its silence.
    pub fn heard(&mut self, now: Now, ledger: &mut Ledger) {
        self.last_seen = Some(now.wall);
        if self.silence.since.is_some() && !self.silence.heard {
            self.silence.heard = true;
            self.silence.pass = true;
        }
        self.set_online(true, now, ledger);
        self.dirty = true;
    }

    /// Its driver hears the lock no more.
    pub fn lost(&mut self, now: Now, ledger: &mut Ledger) {
        self.set_online(false, now, ledger);
        self.dirty = true;
    }

    #[allow(clippy::too_many_arguments)]
    fn learn_put(
        &mut self,
        id: CodeId,
        generation: u64,
        content: &Content,
        finding: &Finding,
        now: Now,
        settings: &Settings,
        ledger: &mut Ledger,
    ) {
        let readable = self.capabilities().read_back != ReadBack::None;
        let next_check = self.next_check;
        let Some(code) = self.codes.get_mut(&id) else {
            return;
        };
        if code.record.generation != generation {
            return;
        }
        match finding {
            Finding::Proven(how) => {
                let look = readable.then(|| now.mono + settings.second_look);
                code.prove(content.clone(), *how, look, now, ledger);
            }
            Finding::Denied => {
                code.record.denied += 1;
                if let Some(row) = &mut code.row {
                    row.tries += 1;
                }
                code.wait_after_denial(now, next_check);
                code.store(ledger);
                code.store_row(ledger);
                ledger.tell(
                    now.wall,
                    EventKind::CodeNotSet,
                    Some(self.spec.device),
                    Some(id),
                    None,
                );
            }
            Finding::Refused(objection) => {
                code.hold_back(now, Waiting::Refused(*objection));
                code.store_row(ledger);
                ledger.tell(
                    now.wall,
                    EventKind::CodeNotSet,
                    Some(self.spec.device),
                    Some(id),
                    None,
                );
                if readable
                    && matches!(
                        objection,
                        Objection::SlotTaken | Objection::Duplicate | Objection::Full
                    )
                {
                    // The lock holds something that we do not know of.
                    self.next_check = Some(now.mono);
                }
            }
            Finding::Unanswered => code.note_silence(now, ledger),
            Finding::Untried | Finding::Table(_) => {}
        }
    }

    fn learn_remove(
        &mut self,
        id: CodeId,
        generation: u64,
        finding: &Finding,
        now: Now,
        ledger: &mut Ledger,
    ) {
        let Some(code) = self.codes.get_mut(&id) else {
            return;
        };
        if code.record.generation != generation {
            return;
        }
        match finding {
            Finding::Proven(_) => {
                code.let_go();
                code.store(ledger);
                ledger.tell(
                    now.wall,
                    EventKind::CodeRemoved,
                    Some(self.spec.device),
                    Some(id),
                    None,
                );
                self.slot_was_freed(now);
            }
            Finding::Denied | Finding::Refused(_) => {
                let reason = match finding {
                    Finding::Refused(objection) => Waiting::Refused(*objection),
                    _ => Waiting::Denied,
                };
                code.hold_back(now, reason);
                code.store_row(ledger);
                ledger.tell(
                    now.wall,
                    EventKind::CodeNotRemoved,
                    Some(self.spec.device),
                    Some(id),
                    None,
                );
            }
            Finding::Unanswered => code.note_silence(now, ledger),
            Finding::Untried | Finding::Table(_) => {}
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
    fn learn_table(
        &mut self,
        table: &[Entry],
        now: Now,
        settings: &Settings,
        ledger: &mut Ledger,
    ) -> Vec<CodeId> {
        let mut touched = Vec::new();
        let mut ours = BTreeSet::new();
        let ids: Vec<CodeId> = self.codes.keys().copied().collect();
        for id in ids {
            let Some(code) = self.codes.get(&id) else { continue };
            let entry = self.entry_of(code, table);
            if let Some(entry) = entry {
                ours.insert(entry.slot);
            }
            let entry = entry.cloned();
            if self.compare(id, entry.as_ref(), now, settings, ledger) {
                touched.push(id);
            }
        }
        let unmanaged: Vec<Entry> = table
            .iter()
            .filter(|e| !ours.contains(&e.slot))
            .cloned()
            .collect();
        self.note_unmanaged(unmanaged, now, ledger);
        self.record.read_at = Some(now.wall);
        self.next_check = Some(now.mono + settings.check_every);
        self.store(ledger);
        touched
    }

    /// Where the table shows a code of ours. Digits decide where the lock shows them: other digits
    /// in our slot are somebody else's.
    fn entry_of<'t>(&self, code: &Code, table: &'t [Entry]) -> Option<&'t Entry> {
        let slot = code.record.slot?;
        let pins = code.record.confirmed.pins();
        table.iter().find(|e| {
            let here = self.capabilities().addressing == Addressing::GivenByLock || e.slot == slot;
            here && e.pin.as_ref().is_none_or(|pin| pins.contains(pin))
        })
    }

    /// Takes up what the table shows of one code; whether that changed anything.
    fn compare(
        &mut self,
        id: CodeId,
        entry: Option<&Entry>,
        now: Now,
        settings: &Settings,
        ledger: &mut Ledger,
    ) -> bool {
        let device = Some(self.spec.device);
        let Some(code) = self.codes.get_mut(&id) else {
            return false;
        };
        if code.record.confirmed == Confirmed::Absent {
            return false;
        }
        let Some(entry) = entry else {
            let to_go = code.row.as_ref().is_some_and(|row| row.aim == Aim::Remove);
            if to_go {
                ledger.tell(now.wall, EventKind::CodeRemoved, device, Some(id), None);
            } else if matches!(code.record.confirmed, Confirmed::Present(_)) {
                code.record.denied += 1;
                ledger.tell(now.wall, EventKind::CodeLost, device, Some(id), None);
            }
            code.let_go();
            code.store(ledger);
            self.slot_was_freed(now);
            return true;
        };
        let looked = code.look.is_some_and(|look| look <= now.mono);
        let seen = entry.pin.clone().map(|pin| Content {
            pin,
            name: entry.name.clone(),
            window: entry.window,
        });
        match (&mut code.record.confirmed, seen) {
            (Confirmed::Present(proof), seen) => {
                let altered = seen.as_ref().is_some_and(|seen| *seen != proof.content);
                if let Some(seen) = seen
                    && altered
                {
                    proof.content = seen;
                    ledger.tell(now.wall, EventKind::CodeAltered, device, Some(id), None);
                }
                if looked {
                    code.look = None;
                    proof.look_at = None;
                    code.record.denied = 0;
                }
                if altered || looked {
                    code.store(ledger);
                }
                altered || looked
            }
            (_, Some(seen)) => {
                code.prove(
                    seen,
                    How::ReadBack,
                    Some(now.mono + settings.second_look),
                    now,
                    ledger,
                );
                true
            }
            // In use, but not with which digits.
            (_, None) => false,
        }
    }

    fn note_unmanaged(&mut self, unmanaged: Vec<Entry>, now: Now, ledger: &mut Ledger) {
        let device = Some(self.spec.device);
        for (from, to, kind) in [
            (&self.record.unmanaged, &unmanaged, EventKind::UnmanagedAppeared),
            (&unmanaged, &self.record.unmanaged, EventKind::UnmanagedWent),
        ] {
            for _ in to.iter().filter(|e| !from.contains(e)) {
                ledger.tell(now.wall, kind, device, None, None);
            }
        }
        if unmanaged.len() < self.record.unmanaged.len() {
            self.slot_was_freed(now);
        }
        self.record.unmanaged = unmanaged;
    }

    /// What the planner needs to know, leaving one code out of account.
    pub fn member(&self, except: Option<CodeId>, now: Timestamp) -> Member<'_> {
        let mut taken: BTreeSet<&Pin> = self
            .record
            .unmanaged
            .iter()
            .filter_map(|e| e.pin.as_ref())
            .collect();
        let mut recent: BTreeSet<&Pin> = self
            .record
            .recent
            .iter()
            .filter(|(_, since)| now.since(*since) < RECENT)
            .map(|(pin, _)| pin)
            .collect();
        let mut occupied = vec![Occupied::always(); self.record.unmanaged.len()];
        for (id, code) in &self.codes {
            if Some(*id) == except {
                continue;
            }
            match &code.record.confirmed {
                Confirmed::Absent => {}
                Confirmed::Present(proof) => {
                    taken.insert(&proof.content.pin);
                }
                Confirmed::Unknown { maybe, .. } => taken.extend(maybe),
            }
            if code.record.over(now) {
                recent.insert(&code.record.pin);
                if code.record.confirmed != Confirmed::Absent {
                    occupied.push(Occupied::lingering(now));
                }
            } else {
                taken.insert(&code.record.pin);
                occupied.push(Occupied::by(code.record.window));
            }
        }
        Member {
            device: self.spec.device,
            name: &self.spec.name,
            capabilities: &self.spec.capabilities,
            reach: match (self.removed, self.online) {
                (true, _) => Reach::Removed,
                (false, true) => Reach::Online,
                (false, false) => Reach::Offline,
            },
            taken,
            recent,
            occupied,
        }
    }

    /// What the schedule needs to know of a code.
    pub fn stay(&self, code: &Code) -> Stay {
        code.record.stay()
    }

    /// Whether nothing more is to be watched for a job of the code's present generation.
    pub fn has_settled(&self, code: &Code, now: Now) -> bool {
        let proven = code.row.is_none() && matches!(code.record.confirmed, Confirmed::Present(_));
        code.record.deleted_at.is_none() && (proven || code.record.over(now.wall))
    }

    /// The wall time at which a row is tried next, and why it waits, as an operator sees it.
    pub fn waits(&self, code: &Code, now: Now, settings: &Settings) -> Option<(Option<Timestamp>, Waiting)> {
        let row = code.row.as_ref()?;
        let gate = self.silence.gate(self.urgent(now, settings));
        let next = code.next_try.map(|next| now.wall_at(next.max(gate)));
        let reason = match row.reason {
            Waiting::InLine if self.in_trouble() || !self.online => Waiting::Silent,
            other => other,
        };
        Some((next, reason))
    }
}

impl Code {
    /// The lock's own word that it holds nothing of this code.
    fn let_go(&mut self) {
        self.record.confirmed = Confirmed::Absent;
        self.record.slot = None;
        self.look = None;
        self.asked = false;
    }

    /// The lock's own word for what it holds of this code.
    fn prove(&mut self, content: Content, how: How, look: Option<Mono>, now: Now, ledger: &mut Ledger) {
        let before = self.record.confirmed.proof().map(|proof| &proof.content);
        let moved = before.is_some_and(|b| b.pin == content.pin && b.window != content.window);
        let kind = match moved {
            true => EventKind::CodeMoved,
            false if content.window.start() > now.wall => EventKind::CodeScheduled,
            false => EventKind::CodeSet,
        };
        ledger.tell(
            now.wall,
            kind,
            Some(self.record.device),
            Some(self.record.code),
            None,
        );
        let look_at = look.map(|at| now.wall_at(at));
        self.look = look;
        self.record.confirmed = Confirmed::Present(Proof {
            content,
            how,
            at: now.wall,
            look_at,
        });
        self.store(ledger);
    }

    /// Counts an unanswered try. The card is spared: of a long silence only the beginning, and then
    /// every doubling, is written down.
    fn note_silence(&mut self, now: Now, ledger: &mut Ledger) {
        let Some(row) = &mut self.row else { return };
        row.tries += 1;
        let news = row.reason != Waiting::Silent;
        row.reason = Waiting::Silent;
        row.next_try = now.wall;
        if news || row.tries.is_power_of_two() {
            self.store_row(ledger);
        }
    }
}
