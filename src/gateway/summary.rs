//! What a person should look after, and how much there is of everything: for those who look at the
//! whole house at once. Changes nothing.

use std::collections::BTreeSet;

use super::Gateway;
use super::device::{Code, Device};
use super::records::Aim;
use super::view::Summary;
use crate::model::{BATTERY_LOW, GroupKey, Now, Timestamp};
use crate::schedule::SOON;

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

    /// When time alone may make a problem of a group: an hour before it begins. `None` once that was.
    #[must_use]
    pub fn group_is_soon_at(&self, key: &GroupKey, now: Now) -> Option<Timestamp> {
        let members = self.groups.get(key)?.iter();
        let starts = members.filter_map(|id| Some(self.owner(*id)?.codes.get(id)?.record.window.start()));
        let ahead = starts.filter(|start| now.wall + SOON < *start);
        ahead.min().map(|start| now.wall + (start.since(now.wall).saturating_sub(SOON)))
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
