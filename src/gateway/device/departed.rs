//! Members of groups that were deleted: a receipt tells of them after their records are gone.

use super::Device;
use crate::gateway::ledger::Desk;
use crate::gateway::records::{Departed, Record};
use crate::model::CodeId;

/// As many are remembered, the newest: the list is stored as a whole.
const MOST: usize = 64;

impl Device {
    /// A code was deleted and is off the lock. Whoever calls stores the device.
    pub(super) fn note_departed(&mut self, record: &Record, desk: &Desk<'_>) {
        let now = desk.now.wall;
        let departed = &mut self.record.departed;
        departed.retain(|other| now.since(other.at) < desk.settings.keep_ended);
        // One that had come back has left its group.
        if let Some(back) = departed.iter_mut().find(|other| other.code == record.code) {
            back.removed = record.removed();
            return;
        }
        let Some(group) = record.group.clone() else { return };
        departed.push(Departed {
            code: record.code,
            group,
            place: record.place,
            window: record.window,
            last_proven: record.last_proven,
            removed: record.removed(),
            at: now,
        });
        let surplus = departed.len().saturating_sub(MOST);
        departed.drain(..surplus);
    }

    /// A code that had gone stands on the lock again.
    pub(super) fn has_not_departed(&mut self, code: CodeId) {
        for departed in self.record.departed.iter_mut().filter(|other| other.code == code) {
            departed.removed = None;
        }
    }
}
