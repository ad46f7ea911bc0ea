//! Members of groups that were deleted: a receipt tells of them after their records are gone.
//!
//! Each has a row of its own beside its device's, so that what is stored of a device stays small.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Device;
use crate::gateway::ledger::Desk;
use crate::gateway::records::{Departed, Record, decode};
use crate::gateway::view::Proven;
use crate::model::{CodeId, DeviceId};
use crate::store::{Fail, Rows, Tree};

/// As many are remembered of each device, the newest.
const MOST: usize = 64;

/// What stands between a device's id and the code's in the key of such a row.
const DEPARTED: &[u8] = b"departed";

fn key(device: DeviceId, code: CodeId) -> Vec<u8> {
    [device.0.as_bytes(), DEPARTED, code.0.as_bytes()].concat()
}

fn device_in(key: &[u8]) -> Option<DeviceId> {
    let (device, rest) = key.split_at_checked(16)?;
    Uuid::from_slice(rest.strip_prefix(DEPARTED)?).ok()?;
    Uuid::from_slice(device).ok().map(DeviceId)
}

/// Takes them out of the rows about devices: those of each, oldest first.
pub(crate) fn take(rows: &mut Rows) -> Result<BTreeMap<DeviceId, Vec<Departed>>, Fail> {
    let mut all: BTreeMap<DeviceId, Vec<Departed>> = BTreeMap::new();
    for (key, value) in rows.extract_if(.., |(key, _)| device_in(key).is_some()) {
        if let Some(device) = device_in(&key) {
            let departed = decode("deleted members", &value)?;
            all.entry(device).or_default().push(departed);
        }
    }
    for departed in all.values_mut() {
        departed.sort_by_key(|departed| (departed.at, departed.code));
    }
    Ok(all)
}

impl Device {
    /// A code was deleted and is off the lock.
    pub(super) fn note_departed(&mut self, record: &Record, desk: &mut Desk<'_>) {
        // One that had come back has left its group.
        if self.note_off(record.code, record.removed(), desk) {
            return;
        }
        let Some(group) = record.group.clone() else { return };
        let departed = Departed {
            code: record.code,
            group,
            place: record.place,
            window: record.window,
            held: record.held,
            removed: record.removed(),
            at: desk.now.wall,
        };
        let device = self.spec.device;
        desk.ledger
            .put(Tree::Devices, &key(device, record.code), &departed);
        self.departed.push(departed);
        let past = |other: &&Departed| desk.now.wall.since(other.at) >= desk.settings.keep_ended;
        let past = self.departed.iter().take_while(past).count();
        let surplus = self.departed.len().saturating_sub(MOST);
        for other in self.departed.drain(..past.max(surplus)) {
            desk.ledger.remove(Tree::Devices, &key(device, other.code));
        }
    }

    /// What the lock says now of a code that had gone: that it is off again, or `None` while it stands there.
    /// Returns whether it is among those that are remembered.
    pub(super) fn note_off(&mut self, code: CodeId, removed: Option<Proven>, desk: &mut Desk<'_>) -> bool {
        let Some(departed) = self.departed.iter_mut().find(|other| other.code == code) else {
            return false;
        };
        departed.removed = removed;
        desk.ledger
            .put(Tree::Devices, &key(self.spec.device, code), departed);
        true
    }
}
