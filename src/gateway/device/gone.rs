//! The second look after a removal (I7): a lock may lose what it said it did, and a PIN that came back
//! opens the door although nothing on record says so.
//!
//! What was taken off is remembered until the lock's table was read once more. A code that stands there
//! again, in its place and with its digits, is ours: it goes back on record, to be removed again. Where
//! a lock shows no digits a place in use may be somebody else's by then, so that nothing is remembered.

use std::collections::BTreeSet;

use super::Device;
use super::code::Code;
use crate::gateway::ledger::Desk;
use crate::gateway::records::{Confirmed, Gone, Record};
use crate::model::{Addressing, CodeId, Detail, Entry, EventKind, Mono, Pin, ReadBack, Slot, Timestamp};

impl Device {
    /// A code of ours is off the lock: it is to be looked for once more. As many are remembered as the
    /// lock holds.
    pub(super) fn note_gone(&mut self, mut record: Record, pins: Vec<Pin>, desk: &mut Desk<'_>) {
        if self.capabilities().read_back != ReadBack::Full || pins.is_empty() {
            return;
        }
        let most = usize::from(self.capabilities().capacity);
        record.confirmed = Confirmed::Unknown {
            last: None,
            maybe: pins,
        };
        let gone = &mut self.record.gone;
        gone.retain(|other| other.record.code != record.code);
        gone.push(Gone {
            record,
            at: desk.now.wall,
            look_at: desk.now.wall + desk.settings.second_look,
            look: desk.now.mono + desk.settings.second_look,
        });
        let surplus = gone.len().saturating_sub(most);
        gone.drain(..surplus);
        self.store(desk.ledger);
    }

    /// When the lock is to be read for their sake, and when the first of them was removed.
    pub(super) fn next_gone_look(&self) -> Option<(Timestamp, Mono)> {
        let first = self.record.gone.iter().min_by_key(|gone| gone.look)?;
        Some((first.at, first.look))
    }

    /// Takes up what the table shows of them. Those that came back are on record again, and returned.
    pub(super) fn look_for_gone(
        &mut self,
        table: &[Entry],
        ours: &mut BTreeSet<Slot>,
        desk: &mut Desk<'_>,
    ) -> Vec<CodeId> {
        if self.record.gone.is_empty() {
            return Vec::new();
        }
        let anywhere = self.capabilities().addressing == Addressing::GivenByLock;
        let mut back = Vec::new();
        let mut kept = Vec::new();
        for gone in std::mem::take(&mut self.record.gone) {
            let pins = gone.record.confirmed.pins();
            let entry = table.iter().find(|entry| {
                let here = anywhere || Some(entry.slot) == gone.record.slot;
                here && !ours.contains(&entry.slot)
                    && entry.pin.as_ref().is_some_and(|pin| pins.contains(pin))
            });
            match entry {
                Some(entry) => {
                    ours.insert(entry.slot);
                    back.extend(self.take_back(gone.record, pins, desk));
                }
                None if desk.now.mono < gone.look => kept.push(gone),
                None => {}
            }
        }
        self.record.gone = kept;
        self.store(desk.ledger);
        back
    }

    /// Puts a code that came back on record again, unless the lock is being asked to take it anew. One
    /// whose time is over ought to be gone, and that it is not is told.
    fn take_back(&mut self, mut record: Record, pins: Vec<Pin>, desk: &mut Desk<'_>) -> Option<CodeId> {
        let id = record.code;
        if let Some(code) = self.codes.get(&id) {
            if code.record.confirmed != Confirmed::Absent {
                return None;
            }
            record = Record {
                slot: record.slot,
                confirmed: record.confirmed,
                ..code.record.clone()
            };
        } else {
            // Its group has gone on without it.
            record.group = None;
        }
        self.note_off(id, None, desk);
        let over = record.over(desk.now.wall);
        let mut code = Code::new(record);
        code.reckon_with(pins);
        code.store(desk.ledger);
        self.codes.insert(id, Box::new(code));
        if over {
            let why = Detail::Failure(None);
            desk.tell(EventKind::CodeNotRemoved, self.spec.device, Some(id), why);
        }
        Some(id)
    }
}
