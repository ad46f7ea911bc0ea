//! What a lock could be asked now, how pressing that is, and the exchange that asks it.

use super::Device;
use super::code::Code;
use crate::gateway::doors;
use crate::gateway::ledger::Desk;
use crate::gateway::network::ECHO;
use crate::gateway::records::{Aim, Row};
use crate::model::{CallId, CodeId, Exchange, Mono, Now, Settings, Slot, Step, Timestamp};
use crate::sabotage::{self, Sabotage};
use crate::schedule::{self, Rank};

/// Most steps of one exchange, so that one busy lock does not hold its radio for long (I11).
const MOST_STEPS: usize = 16;
/// A code that went unanswered so much more often than another yields to every other kind of work.
const YIELDS_AFTER: u32 = 3;

/// Something that a lock is to be asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// The row of a code.
    Code(CodeId),
    /// The door commands that wait.
    Door,
    /// Its table.
    Read,
}

/// What a lock could be asked now, and when that changes by time alone.
#[derive(Clone, Copy, Default)]
pub(super) struct Agenda {
    pub best: Option<Rank>,
    pub wake: Option<Mono>,
}

impl Device {
    /// From when on the lock may be asked anything (I12).
    pub(super) fn gate(&self, now: Now, settings: &Settings) -> Mono {
        self.silence.gate(self.urgent(now, settings))
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
    fn candidates(&self, now: Now, gate: Mono) -> Vec<(Rank, Mono, Work)> {
        let mut all = Vec::new();
        let reads = gate.max(self.reads_from);
        for (id, code) in &self.codes {
            if let (Some(row), Some(next)) = (&code.row, code.next_try) {
                // To be written it must be read first, with the same right.
                all.push(match self.must_be_read() {
                    true => (code.rank(row), next.max(reads), Work::Read),
                    false => (code.rank(row), next.max(gate), Work::Code(*id)),
                });
            }
            if let (Some(look), Some(proof)) = (code.look, code.record.confirmed.proof()) {
                all.push((Rank::look(proof.at, now.wall), look.max(reads), Work::Read));
            }
        }
        if let Some(first) = self.doors.front() {
            all.push((Rank::Door(first.since.mono), self.silence.door_gate(), Work::Door));
        }
        if let Some((at, look)) = self.next_gone_look() {
            all.push((Rank::look(at, now.wall), look.max(reads), Work::Read));
        }
        if let Some(check) = self.next_check {
            all.push((Rank::Check, check.max(reads), Work::Read));
        }
        all
    }

    pub(super) fn look_ahead(&self, now: Now, settings: &Settings) -> Agenda {
        let gate = self.gate(now, settings);
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
        if self.flight.is_some() || self.removed || self.away.is_some() {
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

    /// Whether it answered last time, or was heard since, and can be asked.
    pub fn is_online(&self) -> bool {
        self.online && self.away.is_none()
    }

    /// Whether it does not answer, or is not heard, as far as is known.
    pub fn is_silent(&self) -> bool {
        self.in_trouble() || !self.online
    }

    /// How often it was asked in vain since a goal was last reached.
    pub fn unanswered(&self) -> u32 {
        self.silence.step
    }

    /// When it is asked something next, its radio being free; `None` if there is nothing to ask.
    pub fn asked_next(&self, now: Now, settings: &Settings) -> Option<Timestamp> {
        let candidates = self.candidates(now, self.gate(now, settings));
        let ready = candidates.into_iter().map(|(_, ready, _)| ready).min()?;
        Some(now.wall_at(ready))
    }

    /// The next instant at which time alone gives this lock something to do.
    pub fn wake_at(&self, now: Now) -> Option<Mono> {
        let turn = (self.turn_at != Timestamp::MAX).then(|| now.mono + self.turn_at.since(now.wall));
        // What has come due while the radio was busy is looked at when a link is free.
        let ask = self
            .agenda
            .wake
            .filter(|at| self.flight.is_none() && !self.removed && self.away.is_none() && now.mono < *at);
        turn.into_iter().chain(ask).min()
    }

    /// Puts what is pressing into one exchange.
    pub fn exchange(&mut self, call: CallId, desk: &mut Desk<'_>) -> Exchange {
        let now = desk.now;
        let most = if self.capabilities().batch { MOST_STEPS } else { 1 };
        // Who stands at the door goes before the rest of the same lock, in the order in which they asked.
        let at_doors = match self.silence.door_gate() <= now.mono {
            true => self.doors.len().min(most),
            false => 0,
        };
        let doors: Vec<_> = self.doors.drain(..at_doors).collect();
        let not_after = doors.first().map(doors::Waiting::expires);
        let mut steps: Vec<Step> = doors.iter().map(doors::Waiting::step).collect();
        let mut reads = false;
        for work in self.in_order(now, desk.settings) {
            if steps.len() + usize::from(reads) == most {
                break;
            }
            match work {
                Work::Code(id) => steps.extend(self.ask_for(id, desk)),
                Work::Read => reads = true,
                Work::Door => {}
            }
        }
        if reads {
            // Last, so that the table shows what the steps before it did.
            steps.push(Step::Read);
        }
        self.flight = Some(call);
        self.silence.begin();
        let patience = self.capabilities().patience;
        let deadline = patience * u32::try_from(steps.len()).unwrap_or(u32::MAX);
        self.writes = (
            steps.iter().filter_map(Step::slot).collect(),
            now.mono + deadline + ECHO,
        );
        Exchange {
            call,
            device: self.spec.device,
            steps,
            deadline,
            not_after,
        }
    }

    /// What may be asked now, the most pressing first.
    fn in_order(&self, now: Now, settings: &Settings) -> Vec<Work> {
        let gate = self.gate(now, settings);
        let mut ready = self.candidates(now, gate);
        ready.retain(|(_, at, _)| *at <= now.mono);
        let tries = |work: &Work| match work {
            Work::Code(id) => {
                let row = self.codes.get(id).and_then(|code| code.row.as_ref());
                row.map_or(0, |row| row.tries)
            }
            Work::Door | Work::Read => 0,
        };
        if !self.in_trouble() {
            ready.sort_by_key(|(rank, at, work)| (*rank, *at, *work));
        } else {
            // While the lock is silent, what it was asked often yields to the rest of its kind, and in the
            // end to the other kinds: one code on which it hangs must not keep the others waiting.
            let fewest = ready.iter().map(|(_, _, work)| tries(work)).min().unwrap_or(0);
            let hangs = |work: &Work| tries(work) >= fewest + YIELDS_AFTER;
            ready.sort_by_key(|(rank, at, work)| (hangs(work), rank.kind(), tries(work), *rank, *at, *work));
        }
        ready.into_iter().map(|(_, _, work)| work).collect()
    }

    /// The step that the row of a code asks for; what it carries counts as sent from here on.
    fn ask_for(&mut self, id: CodeId, desk: &mut Desk<'_>) -> Option<Step> {
        let code = self.codes.get(&id)?;
        let step = self.step(code, code.row.as_ref()?)?;
        if let Step::Put { content, .. } = &step
            && let Some(code) = self.codes.get_mut(&id)
        {
            code.note_sent(&content.pin, desk.ledger);
        }
        Some(step)
    }

    fn step(&self, code: &Code, row: &Row) -> Option<Step> {
        let mut pins = code.ours();
        let mut slot = code.record.slot;
        if let Some(other) = self
            .record
            .unmanaged
            .first()
            .filter(|_| sabotage::on(Sabotage::ClearsStrangers))
        {
            pins.extend(other.pin.clone());
            slot = Some(other.slot);
        }
        match row.aim {
            Aim::Set => Some(Step::Put {
                code: code.record.code,
                generation: row.generation,
                slot: slot?,
                stale: pins,
                content: code.record.content(self.capabilities()),
            }),
            // A slot is claimed before the first write, so without one there was none.
            Aim::Remove => Some(Step::Remove {
                code: code.record.code,
                generation: row.generation,
                slot: slot.unwrap_or(Slot(0)),
                pins,
            }),
        }
    }
}
