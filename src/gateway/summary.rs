//! What a person should look after, and how much there is of everything: for those who look at the
//! whole house at once. Changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Gateway;
use super::device::{Code, Device};
use super::records::Aim;
use super::view::Summary;
use crate::model::{BATTERY_LOW, DeviceId, GroupKey, Now, Timestamp};
use crate::schedule::SOON;

const MINUTE: Duration = Duration::from_secs(60);

impl Gateway {
    /// How much there is of everything.
    #[must_use]
    pub fn summary(&self, now: Now) -> Summary {
        let mut sum = Summary {
            jobs_open: self.jobs.open(),
            ..Summary::default()
        };
        let mut running = BTreeSet::new();
        let mut in_trouble = BTreeSet::new();
        for device in self.devices.values() {
            for code in device.codes.values() {
                let group = code.record.group.as_ref();
                if let Some(since) = overdue_since(code, now) {
                    sum.codes_overdue += 1;
                    let oldest = sum.oldest_overdue.map_or(since, |oldest| oldest.min(since));
                    sum.oldest_overdue = Some(oldest);
                }
                if is_problem(device, code, now) {
                    sum.codes_with_problem += 1;
                    in_trouble.extend(group);
                }
                if code.record.deleted_at.is_none() && code.record.window.holds(now.wall) {
                    running.extend(group);
                }
                sum.codes_waiting += usize::from(code.row.is_some());
            }
            if device.removed {
                continue;
            }
            sum.devices += 1;
            sum.devices_online += usize::from(device.is_online());
            sum.devices_low_battery += usize::from(device.battery.is_some_and(|left| left < BATTERY_LOW));
            sum.devices_with_drift += usize::from(device.has_drift());
            sum.unmanaged += device.record.unmanaged.len();
        }
        sum.groups = self.groups.len();
        sum.groups_running = running.len();
        sum.groups_with_problem = in_trouble.into_iter().cloned().collect();
        sum
    }

    /// After what time a group may have become a problem without a word: an hour before it begins, and from then on
    /// as its locks come and go, every minute. `None` once none of its codes waits for its time.
    #[must_use]
    pub fn group_again(&self, key: &GroupKey, now: Now) -> Option<Duration> {
        let codes = self.groups.get(key)?.iter();
        let codes = codes.filter_map(|id| self.owner(*id)?.codes.get(id));
        let parked = codes.filter(|code| {
            code.row.is_none() && code.record.confirmed.proof().is_none() && !code.record.over(now.wall)
        });
        let first = parked.map(|code| code.record.window.start()).min()?;
        Some(first.since(now.wall).saturating_sub(SOON).max(MINUTE))
    }

    /// Devices that were once part of this gateway and are no more, those that left nothing behind among them.
    pub fn departed(&self) -> impl Iterator<Item = DeviceId> {
        let removed = self.devices.iter().filter(|(_, device)| device.removed);
        let forgotten = self.forgotten.iter();
        let forgotten = forgotten.filter(|id| !self.devices.contains_key(id));
        removed.map(|(id, _)| *id).chain(forgotten.copied())
    }
}

/// Whether a person should look after a code. It opens a door, or may, that it should not open any more; or
/// it has begun, or begins within the hour, and its lock has not proven it. A lock that knows no windows gets it
/// only a few minutes before: until then it is no problem as long as its lock answers.
pub(super) fn is_problem(device: &Device, code: &Code, now: Now) -> bool {
    let record = &code.record;
    let is_soon = record.window.start() <= now.wall + SOON;
    match &code.row {
        Some(row) => row.aim == Aim::Remove || is_soon,
        None if record.over(now.wall) || record.confirmed.proof().is_some() => false,
        None => is_soon && (device.removed || !device.is_online()),
    }
}

/// Since when a lock should have been as recorded, if it is not.
fn overdue_since(code: &Code, now: Now) -> Option<Timestamp> {
    let row = code.row.as_ref()?;
    match row.aim {
        Aim::Remove => Some(row.since),
        Aim::Set => {
            let start = code.record.window.start();
            (start <= now.wall).then_some(row.since.max(start))
        }
    }
}
