//! The first read of a lock after a restore: what the store has forgotten since the export, the lock may
//! still hold.
//!
//! Until then nothing is written to it. A code of the store that stands there is ours, wherever it
//! stands. One that stood there when the export was made, and stands there no more, was most likely taken
//! off by a later job: it waits for a word instead of being set again. One that was over by then and off
//! the lock had given its PIN free: whatever has it now is another guest's. And what nobody knows is
//! left alone; where it carries a name it may be ours, and is shown.

use std::collections::BTreeSet;

use super::Device;
use super::code::Code;
use crate::gateway::ledger::Desk;
use crate::gateway::records::{Aim, Confirmed, Row, Waiting};
use crate::model::{CodeId, Detail, Entry, EventKind, Pin, ReadBack, Slot, Timestamp};

impl Device {
    /// Whether it must be read before it is written.
    pub fn must_be_read(&self) -> bool {
        self.record.unread && self.capabilities().read_back != ReadBack::None
    }

    /// Finds codes of the store in places where the store does not look for them: they were set, or set
    /// anew, after the export. What was somebody else's by then still is.
    pub(super) fn find_again(&mut self, table: &[Entry], desk: &mut Desk<'_>) {
        let mut taken: BTreeSet<Slot> = self.record.unmanaged.iter().map(|entry| entry.slot).collect();
        let exported_at = self.record.exported_at.unwrap_or(Timestamp::MIN);
        let mut lost: Vec<CodeId> = Vec::new();
        for (id, code) in &self.codes {
            match self.entry_of(code, table) {
                Some(entry) => drop(taken.insert(entry.slot)),
                None if code.record.confirmed == Confirmed::Absent && code.record.over(exported_at) => {}
                None => lost.push(*id),
            }
        }
        // A PIN may have been another guest's before: who has it now comes first.
        lost.sort_by_key(|id| {
            self.codes
                .get(id)
                .is_some_and(|code| code.record.over(desk.now.wall))
        });
        for id in lost {
            let Some(code) = self.codes.get_mut(&id) else {
                continue;
            };
            let pins = code.own_pins();
            let found = table.iter().find(|entry| {
                let ours = entry.pin.as_ref().is_some_and(|pin| pins.contains(pin));
                ours && !taken.contains(&entry.slot)
            });
            if let Some(entry) = found {
                taken.insert(entry.slot);
                code.record.slot = Some(entry.slot);
                code.record.confirmed = Confirmed::Unknown {
                    last: None,
                    maybe: pins.clone(),
                };
                code.reckon_with(pins);
                code.store(desk.ledger);
            }
        }
    }

    /// Takes note that the lock was read, and what of it may be ours although nobody knows it.
    pub(super) fn note_read(&mut self, unmanaged: &[Entry], desk: &mut Desk<'_>) {
        let suspect = |entry: &&Entry| !self.record.unmanaged.contains(entry) && is_marked(entry);
        self.record.suspects = unmanaged.iter().filter(suspect).cloned().collect();
        self.record.unread = false;
        // What of them may have been sent since the export is on record from here on.
        for code in self.codes.values() {
            if matches!(code.record.confirmed, Confirmed::Unknown { .. }) {
                code.store(desk.ledger);
            }
        }
        self.record.exported_at = None;
        for entry in &self.record.suspects {
            let slot = Detail::Slot(entry.slot);
            desk.tell(EventKind::SuspectFound, self.spec.device, None, slot);
        }
        self.store(desk.ledger);
    }
}

/// Whether a code was set over the radio, by us or by an app: a keypad gives no names.
fn is_marked(entry: &Entry) -> bool {
    entry.name.is_some()
}

impl Code {
    /// Every PIN that it has or had on the lock.
    fn own_pins(&self) -> Vec<Pin> {
        let mut pins = self.record.confirmed.pins();
        if !pins.contains(&self.record.pin) {
            pins.push(self.record.pin.clone());
        }
        pins
    }

    /// It stood on the lock when the export was made, and stands there no more: it waits for a word.
    pub(super) fn hold(&mut self, desk: &mut Desk<'_>) {
        let now = desk.now.wall;
        self.next_try = None;
        self.row = Some(Row {
            generation: self.record.generation,
            aim: Aim::Set,
            tries: 0,
            refusals: 0,
            since: now,
            next_try: now,
            reason: Waiting::GoneSinceExport,
        });
        self.store_row(desk.ledger);
        desk.tell(
            EventKind::CodeLost,
            self.record.device,
            Some(self.record.code),
            Detail::None,
        );
    }

    /// Whether it waits for a word.
    pub(super) fn is_held(&self) -> bool {
        let held = |row: &Row| row.reason == Waiting::GoneSinceExport;
        self.row.as_ref().is_some_and(held)
    }
}
