//! All of the gateway in one look: what an operator watches, and what tells whether somebody is needed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Gateway;
use super::device::{Code, Device};
use super::look::is_past;
use super::records::Aim;
use super::view::{RadioView, Summary};
use crate::model::{CodeId, DeviceId, GroupKey, Now};
use crate::schedule::SOON;

const MINUTE: Duration = Duration::from_secs(60);

impl Gateway {
    /// How everything is. It goes through all codes, and copies none of them.
    #[must_use]
    pub fn summary(&self, now: Now) -> Summary {
        let codes = self.devices.values().flat_map(|device| device.codes.values());
        let due = |code: &&Code| code.row.as_ref().is_some_and(|row| row.aim == Aim::Set);
        let has_unproven = |members: &&Vec<CodeId>| self.members(members).any(|code| due(&code));
        let runs = |code: &Code| code.record.deleted_at.is_none() && code.record.window.holds(now.wall);
        let each = self.devices.values();
        let each = each.flat_map(|device| device.codes.values().map(move |code| (device, code)));
        let problems: Vec<_> = each
            .filter(|(device, code)| is_problem(device, code, now))
            .collect();
        let with_problem: BTreeSet<_> = problems
            .iter()
            .filter_map(|(_, code)| code.record.group.as_ref())
            .collect();
        let overdue = |members: &Vec<CodeId>| {
            let mut members = self.members(members);
            members.any(|code| code.overdue_since(now.wall).is_some())
        };
        Summary {
            at: now.wall,
            devices: self.device_ids().filter_map(|id| self.device(id, now)).collect(),
            radios: self
                .radios
                .iter()
                .map(|(id, radio)| RadioView {
                    radio: id.clone(),
                    away: radio.away,
                })
                .collect(),
            clock: self.clock(),
            codes: codes.filter(|code| !is_past(code, now)).count(),
            groups: self.groups.len(),
            groups_unproven: self.groups.values().filter(has_unproven).count(),
            groups_running: self
                .groups
                .values()
                .filter(|members| self.members(members).any(runs))
                .count(),
            groups_with_problem: with_problem.into_iter().cloned().collect(),
            codes_with_problem: problems.len(),
            groups_overdue: self
                .groups
                .iter()
                .filter(|(_, members)| overdue(members))
                .map(|(key, _)| key.clone())
                .collect(),
            jobs_open: self.open_jobs(),
            replies_waiting: self.replies.len(),
            last_event: self.last_event(),
            events_sent: self.events_sent(),
        }
    }

    fn members(&self, members: &[CodeId]) -> impl Iterator<Item = &Code> {
        let find = |id: &CodeId| self.owner(*id)?.codes.get(id).map(|code| &**code);
        members.iter().filter_map(find)
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
