//! What a lock could be asked now, how pressing that is, and the exchange that asks it.

use super::Device;
use super::code::Code;
use crate::gateway::records::{Aim, Row};
use crate::model::{AttemptId, CallId, CodeId, Exchange, Mono, Now, Settings, Slot, Step, Timestamp};
use crate::schedule::{self, Rank};

/// Most steps of one exchange, so that one busy lock does not hold its radio for long (I11).
const MOST_STEPS: usize = 16;

/// Something that a lock is to be asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// The row of a code.
    Code(CodeId),
    /// A door command.
    Door(AttemptId),
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
        for (id, code) in &self.codes {
            if let (Some(row), Some(next)) = (&code.row, code.next_try) {
                all.push((code.rank(row), next.max(gate), Work::Code(*id)));
            }
            if let (Some(look), Some(proof)) = (code.look, code.record.confirmed.proof()) {
                all.push((Rank::look(proof.at, now.wall), look.max(gate), Work::Read));
            }
        }
        for command in &self.doors {
            all.push((Rank::Door(command.since.wall), gate, Work::Door(command.attempt)));
        }
        if let Some(check) = self.next_check {
            all.push((Rank::Check, check.max(gate), Work::Read));
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
        let gate = self.gate(now, settings);
        let mut ready: Vec<_> = self
            .candidates(now, gate)
            .into_iter()
            .filter(|(_, at, _)| *at <= now.mono)
            .collect();
        // While the lock is silent, what it was asked often yields to the rest of its kind: one code
        // on which it hangs must not keep the others waiting.
        let trouble = self.in_trouble();
        let tries = |work: &Work| match work {
            Work::Code(id) if trouble => {
                let row = self.codes.get(id).and_then(|code| code.row.as_ref());
                row.map_or(0, |row| row.tries)
            }
            Work::Code(_) | Work::Door(_) | Work::Read => 0,
        };
        ready.sort_by_key(|(rank, at, work)| (rank.kind(), tries(work), *rank, *at, *work));
        let most = if self.capabilities().batch { MOST_STEPS } else { 1 };
        let mut steps = Vec::new();
        let mut asked = Vec::new();
        let mut reads = false;
        let mut doors = Vec::new();
        for (_, _, work) in ready {
            if steps.len() + usize::from(reads) == most {
                break;
            }
            match work {
                Work::Code(id) => {
                    let code = self.codes.get(&id);
                    let step = code.and_then(|code| self.step(code, code.row.as_ref()?));
                    asked.extend(matches!(step, Some(Step::Put { .. })).then_some(id));
                    steps.extend(step);
                }
                Work::Door(id) => {
                    let command = self.doors.iter().find(|command| command.attempt == id);
                    steps.extend(command.map(|command| Step::Door {
                        attempt: command.attempt,
                        deed: command.deed,
                    }));
                    doors.push(id);
                }
                Work::Read => reads = true,
            }
        }
        self.doors.retain(|command| !doors.contains(&command.attempt));
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
        self.silence.begin();
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
}
