//! Desired held against confirmed: writes, renews and erases queue rows, gives out slots, and drops
//! the records of codes that are gone.

use std::collections::BTreeSet;

use super::ask::Agenda;
use super::code::Code;
use super::silence::Pass;
use super::{Device, Touched};
use crate::gateway::ledger::Desk;
use crate::gateway::records::{Aim, Confirmed, Row, Waiting, code_key};
use crate::model::{Addressing, CodeId, Detail, EventKind, Now, Slot, Timestamp};
use crate::sabotage::{self, Sabotage};
use crate::schedule::{self, Stay};
use crate::store::Tree;

impl Device {
    /// The passing of time alone makes a turn necessary.
    pub fn turn_is_due(&self, now: Now) -> bool {
        self.dirty || self.turn_at <= now.wall
    }

    /// Holds what is desired against what is confirmed; writes, renews and erases queue rows, and
    /// drops the records of codes that are gone.
    pub fn turn(&mut self, desk: &mut Desk<'_>) -> Vec<Touched> {
        self.dirty = false;
        if self.removed {
            return self.turn_removed(desk.now.wall);
        }
        let stays: Vec<Stay> = self.codes.values().map(|c| c.record.stay()).collect();
        let wanted = schedule::wanted(
            &stays,
            self.record.unmanaged.len(),
            &self.spec.capabilities,
            desk.settings,
            desk.now.wall,
        );
        let now = desk.now.wall;
        let all = self.codes.values().zip(wanted);
        let to_turn = all.filter(|(code, present)| !code.rests(*present, now));
        let mut to_turn: Vec<(bool, CodeId)> = to_turn.map(|(code, w)| (w, code.record.code)).collect();
        // Removals first: what they set free is given out in the same turn.
        to_turn.sort_unstable();
        let turned = to_turn.into_iter();
        let touched = turned.filter_map(|(present, id)| self.turn_code(id, present, desk));
        let mut touched: Vec<Touched> = touched.collect();
        let before = std::mem::replace(&mut self.turned_at, now);
        // What waits for a lock that runs windows opens and closes by the one that it has.
        let passed = |code: &Code| code.own_edges().any(|edge| before < edge && edge <= now);
        touched.extend(
            self.codes
                .values()
                .filter(|code| passed(code))
                .map(|code| Touched {
                    code: code.record.code,
                    dropped: None,
                }),
        );
        let trouble = self.in_trouble();
        self.turn_at = self
            .codes
            .values()
            .flat_map(|c| {
                let stay = c.record.stay();
                let edge = schedule::next_edge(&stay, &self.spec.capabilities, desk.settings, desk.now.wall);
                // A silent lock is asked more often from here on.
                let soon = schedule::earliest(&stay, &self.spec.capabilities, desk.settings) - schedule::SOON;
                let ours = [
                    edge.unwrap_or(c.record.over_since() + desk.settings.keep_ended),
                    if trouble { soon } else { Timestamp::MAX },
                ];
                ours.into_iter().chain(c.own_edges())
            })
            .filter(|at| desk.now.wall < *at)
            .min()
            .unwrap_or(Timestamp::MAX);
        self.agenda = self.look_ahead(desk.now, desk.settings);
        touched
    }

    /// Of a lock that is not there nothing is asked, and nobody knows what it can do. Time goes on
    /// all the same, and settles the jobs of codes that are over.
    fn turn_removed(&mut self, now: Timestamp) -> Vec<Touched> {
        self.agenda = Agenda::default();
        let ends = self.codes.values().map(|code| code.record.window.end());
        self.turn_at = ends.filter(|end| now < *end).min().unwrap_or(Timestamp::MAX);
        self.codes
            .keys()
            .map(|code| Touched {
                code: *code,
                dropped: None,
            })
            .collect()
    }

    fn turn_code(&mut self, id: CodeId, present: bool, desk: &mut Desk<'_>) -> Option<Touched> {
        let lacks_slot = present && self.codes.get(&id)?.record.slot.is_none();
        let free_slot = if lacks_slot { self.free_slot() } else { None };
        let next_check = self.check_after(desk);
        let code = self.codes.get_mut(&id)?;
        let content = present.then(|| code.record.content(&self.spec.capabilities));
        if code.record.deleted_at.is_some() && sabotage::on(Sabotage::DropsUnasked) {
            code.row = None;
            code.store_row(desk.ledger);
            return Some(self.drop_code(id, desk));
        }
        if code.agrees(content.as_ref()) {
            let opens = code.open(desk);
            let erased = code.row.take().is_some();
            if erased {
                code.next_try = None;
                code.store_row(desk.ledger);
            }
            let gone = code.record.confirmed == Confirmed::Absent && code.record.over(desk.now.wall);
            let forgotten = code.record.deleted_at.is_some()
                || code.record.over_since() + desk.settings.keep_ended <= desk.now.wall;
            // A lock that is to be read first may hold what its record does not know of.
            if gone && forgotten && !self.must_be_read() {
                return Some(self.drop_code(id, desk));
            }
            return (erased || opens).then_some(Touched {
                code: id,
                dropped: None,
            });
        }
        let aim = if present { Aim::Set } else { Aim::Remove };
        let fits = |row: &Row| row.generation == code.record.generation && row.aim == aim;
        if code.is_held() && code.row.as_ref().is_some_and(fits) {
            return None;
        }
        let mut changed = false;
        if !code.row.as_ref().is_some_and(fits) {
            if code.row.as_ref().is_none_or(|row| row.aim != aim) {
                self.silence.pass = Some(Pass::Edge);
            }
            code.next_try = Some(desk.now.mono);
            code.row = Some(Row {
                generation: code.record.generation,
                aim,
                tries: 0,
                refusals: 0,
                since: desk.now.wall,
                next_try: desk.now.wall,
                reason: Waiting::InLine,
            });
            if aim == Aim::Set && code.record.denied > 0 {
                code.wait_after_denial(desk.now, next_check);
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
            code.record.slot = free_slot;
            changed |= free_slot.is_some();
            // Another slot than the one that was refused is a new try.
            let refused = code
                .not_there
                .take()
                .filter(|slot| free_slot.is_some_and(|free| free != *slot));
            if let Some(row) = &mut code.row {
                let reason = match free_slot {
                    None => Waiting::NoSlot,
                    Some(_) if row.reason == Waiting::NoSlot || refused.is_some() => Waiting::InLine,
                    Some(_) => row.reason,
                };
                if row.reason != reason {
                    row.reason = reason;
                    row.refusals = 0;
                    code.next_try = free_slot.map(|_| desk.now.mono);
                    changed = true;
                    if reason == Waiting::NoSlot {
                        code.tell_delay(desk);
                    }
                }
            }
        }
        changed.then(|| {
            code.store(desk.ledger);
            code.store_row(desk.ledger);
            Touched {
                code: id,
                dropped: None,
            }
        })
    }

    fn drop_code(&mut self, id: CodeId, desk: &mut Desk<'_>) -> Touched {
        let dropped = self.codes.remove(&id).map(|code| {
            desk.ledger.remove(Tree::Codes, &code_key(self.spec.device, id));
            if code.record.deleted_at.is_some() {
                let pin = Detail::Pin(code.record.pin.clone());
                desk.tell(EventKind::CodeDeleted, self.spec.device, Some(id), pin);
                self.note_departed(&code.record, desk);
            }
            self.retire(code.record.pin, desk.now.wall, desk.ledger);
            code.record.group
        });
        Touched { code: id, dropped }
    }

    /// The lowest slot that neither we nor anybody else uses.
    fn free_slot(&self) -> Option<Slot> {
        let ours: BTreeSet<Slot> = self.codes.values().filter_map(|c| c.record.slot).collect();
        let capacity = self.spec.capabilities.capacity;
        match self.spec.capabilities.addressing {
            Addressing::Chosen => {
                self.spec.capabilities.slots().find(|slot| {
                    !ours.contains(slot) && !self.record.unmanaged.iter().any(|e| e.slot == *slot)
                })
            }
            // The lock finds the place itself; the number only counts how many there are.
            Addressing::GivenByLock => {
                let ours_fit = usize::from(capacity).saturating_sub(self.record.unmanaged.len());
                let next = (1..=capacity).map(Slot).find(|slot| !ours.contains(slot));
                next.filter(|_| ours.len() < ours_fit)
            }
        }
    }
}
