//! All of the gateway in one look: what an operator watches, and what tells whether somebody is needed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Gateway;
use super::device::{Code, Device, IN_TIME};
use super::look::is_past;
use super::records::{Aim, Confirmed};
use super::view::{RadioView, Summary};
use crate::model::{CodeId, DeviceId, GroupKey, Now, Timestamp};
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
        let alone = problems.iter().filter(|(_, code)| code.record.group.is_none());
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
            stays_with_problem: with_problem.len() + alone.count(),
            groups_with_problem: with_problem.into_iter().cloned().collect(),
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

    /// When a group may have become a problem, or none any more, without a word. `None` if only an event can change that.
    #[must_use]
    pub fn group_again(&self, key: &GroupKey, now: Now) -> Option<Timestamp> {
        let codes = self.groups.get(key)?.iter();
        let codes = codes.filter_map(|id| Some((self.owner(*id)?, self.owner(*id)?.codes.get(id)?)));
        codes
            .filter_map(|(device, code)| judged_again(device, code, now))
            .min()
    }

    /// When anything of the [`Self::summary`] may have changed without a word; each minute while something is overdue.
    /// `None` if only an event can change it.
    #[must_use]
    pub fn summary_again(&self, now: Now) -> Option<Timestamp> {
        let each = self.devices.values();
        let each = each.flat_map(|device| device.codes.values().map(move |code| (device, code)));
        let again = each.flat_map(|(device, code)| {
            let start = code.record.window.start();
            let late = code.row.as_ref().map(|row| start.max(row.since) + IN_TIME);
            let edges = [Some(start), late].map(|edge| edge.filter(|edge| now.wall < *edge));
            let overdue = code.overdue_since(now.wall).map(|_| now.wall + MINUTE);
            edges
                .into_iter()
                .chain([overdue, judged_again(device, code, now)])
                .flatten()
        });
        again.min()
    }

    /// Devices that were once part of this gateway and are no more, those that left nothing behind among them.
    pub fn departed(&self) -> impl Iterator<Item = DeviceId> {
        let removed = self.devices.iter().filter(|(_, device)| device.removed);
        let forgotten = self.forgotten.iter();
        let forgotten = forgotten.filter(|id| !self.devices.contains_key(id));
        removed.map(|(id, _)| *id).chain(forgotten.copied())
    }
}

/// Whether a person should look after a code.
pub(super) fn is_problem(device: &Device, code: &Code, now: Now) -> bool {
    problem_from(device, code, now).is_some_and(|from| from <= now.wall)
}

/// From when on a person should look after a code, if nothing happens until then. It opens a door, or may, that
/// it should not open any more; or it has begun, or begins within the hour, and its lock has not proven it. A lock
/// that answers is given the time that it needs, and one that knows no windows gets the code only a few minutes
/// before: until then it is no problem as long as its lock answers.
fn problem_from(device: &Device, code: &Code, now: Now) -> Option<Timestamp> {
    let record = &code.record;
    let may_open = record.confirmed != Confirmed::Absent;
    let soon = record.window.start() - SOON;
    let answers = !device.removed && device.is_online();
    match &code.row {
        _ if record.over(now.wall) => may_open.then(|| record.over_since() + IN_TIME),
        Some(row) if row.aim == Aim::Remove => Some(row.since + IN_TIME),
        Some(row) if answers => Some(soon.max(row.since + IN_TIME)),
        None if matches!(record.confirmed, Confirmed::Present(_)) => Some(record.window.end() + IN_TIME),
        None if answers => None,
        Some(_) | None => Some(soon),
    }
}

/// When [`is_problem`] may say something else of a code without a word: its time comes, or its lock comes or goes.
fn judged_again(device: &Device, code: &Code, now: Now) -> Option<Timestamp> {
    let from = problem_from(device, code, now).filter(|from| now.wall < *from);
    let is_parked =
        code.row.is_none() && !code.record.over(now.wall) && code.record.confirmed == Confirmed::Absent;
    let soon = (code.record.window.start() - SOON).max(now.wall + MINUTE);
    [from, is_parked.then_some(soon)].into_iter().flatten().min()
}
