//! Questions of readers. They change nothing.

use std::ops::Bound;

use rand::Rng;

use super::carry_out::no_such_device;
use super::device::{Code, Device};
use super::records::{Aim, Confirmed, JobRecord, Reply, Waiting};
use super::summary::is_problem;
use super::view::{
    AttemptView, Change, ClockView, CodeView, DeviceView, DoorReceipt, JobMemberView, JobView, MemberReceipt,
    Pending, QueueView, Status, UnmanagedView,
};
use super::{Gateway, Phase};
use crate::model::{
    AttemptId, CodeId, DeviceId, Event, GroupKey, JobId, Now, Pin, Reading, Refusal, Timestamp, Window,
};
use crate::plan;
use crate::schedule;
use crate::store::Ticket;

impl Gateway {
    /// What time it is.
    #[must_use]
    pub fn now(&self, reading: Reading) -> Now {
        self.timekeeper.tell(reading).0
    }

    /// How much the clock can be trusted.
    #[must_use]
    pub fn clock(&self) -> ClockView {
        self.timekeeper.view()
    }

    /// What a reader sees now is durable once this ticket is.
    #[must_use]
    pub fn last_ticket(&self) -> Ticket {
        self.ledger.last()
    }

    /// One access code, as long as it is in lists: not over, or not yet off its lock.
    #[must_use]
    pub fn listed(&self, id: CodeId, now: Now) -> Option<CodeView> {
        let device = self.owner(id)?;
        let code = device.codes.get(&id).filter(|code| !is_past(code, now))?;
        Some(self.code_view(device, code, now))
    }

    /// One access code, as long as it is on record.
    #[must_use]
    pub fn code(&self, id: CodeId, now: Now) -> Option<CodeView> {
        let device = self.owner(id)?;
        Some(self.code_view(device, device.codes.get(&id)?, now))
    }

    /// The access codes of one device that are not over, by their ids: in the order in which they were made.
    #[must_use]
    pub fn codes_of(&self, device: DeviceId, now: Now) -> Vec<CodeView> {
        self.codes_after(device, None, now)
            .into_iter()
            .flatten()
            .collect()
    }

    /// The receipt of a group, member by member in the order of the job; `None` for an unknown key.
    #[must_use]
    pub fn group(&self, key: &GroupKey, now: Now) -> Option<Vec<MemberReceipt>> {
        let members = self.groups.get(key)?;
        Some(
            members
                .iter()
                .filter_map(|code| self.receipt(*code, now))
                .collect(),
        )
    }

    /// The doors of a group in the order of the job, those among them from which its code was deleted: what
    /// their locks said. `None` for a group of which nobody knows any more.
    #[must_use]
    pub fn doors_of(&self, key: &GroupKey) -> Option<Vec<DoorReceipt>> {
        let members = self.groups.get(key).into_iter().flatten();
        let members = members.filter_map(|id| {
            let device = self.owner(*id)?;
            let code = device.codes.get(id)?;
            let record = &code.record;
            let receipt = DoorReceipt {
                device: record.device,
                device_name: device.spec.name.clone(),
                code: record.code,
                window: record.window,
                held: record.held,
                as_recorded: code.proven().is_some(),
                removed: record.removed(),
            };
            Some((record.place, receipt))
        });
        let departed = self.devices.iter().flat_map(|(id, device)| {
            let departed = device.departed.iter().filter(|gone| gone.group == *key);
            departed.map(|gone| {
                let receipt = DoorReceipt {
                    device: *id,
                    device_name: device.spec.name.clone(),
                    code: gone.code,
                    window: gone.window,
                    held: gone.held,
                    as_recorded: false,
                    removed: gone.removed,
                };
                (gone.place, receipt)
            })
        });
        let mut doors: Vec<_> = members.chain(departed).collect();
        doors.sort_by_key(|(place, receipt)| (*place, receipt.code));
        (!doors.is_empty()).then(|| doors.into_iter().map(|(_, receipt)| receipt).collect())
    }

    /// Every group on record.
    pub fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys()
    }

    /// The groups of which a code is not over, or not yet off its lock; each with the first start of those codes.
    pub fn groups_not_over(&self, now: Now) -> impl Iterator<Item = (Timestamp, &GroupKey)> {
        let start = move |id: &CodeId| {
            let code = self.owner(*id)?.codes.get(id)?;
            (!is_past(code, now)).then(|| code.record.window.start())
        };
        let groups = self.groups.iter();
        groups.filter_map(move |(key, members)| Some((members.iter().filter_map(start).min()?, key)))
    }

    /// The receipt of one access code.
    #[must_use]
    pub fn receipt(&self, id: CodeId, now: Now) -> Option<MemberReceipt> {
        let device = self.owner(id)?;
        let code = device.codes.get(&id)?;
        let device_name = device.spec.name.clone();
        Some(MemberReceipt {
            code: self.code_view(device, code, now),
            device_name,
            proven: code.proven(),
            last_proven: code.record.held.map(|held| held.proven),
            removed: code.record.removed(),
            problem: is_problem(device, code, now),
        })
    }

    /// One device.
    #[must_use]
    pub fn device(&self, id: DeviceId, now: Now) -> Option<DeviceView> {
        let device = self.devices.get(&id)?;
        let mut waiting: Vec<(Option<Timestamp>, Waiting)> = device
            .codes
            .values()
            .filter_map(|code| device.waits(code, now, &self.settings))
            .collect();
        waiting.sort_by_key(|(next, _)| next.unwrap_or(Timestamp::MAX));
        let overdue = || {
            device
                .codes
                .values()
                .filter_map(|code| code.overdue_since(now.wall))
        };
        let held = device.codes.values().filter(|c| c.record.slot.is_some()).count();
        Some(DeviceView {
            device: id,
            name: device.spec.name.clone(),
            nickname: device.record.nickname.clone(),
            metadata: device.record.metadata.clone(),
            locked: device.locked,
            remote_unlock: device.may_be_unlocked(self.settings.remote_unlock),
            offline_since: device.offline_since,
            created_at: device.record.created_at.unwrap_or(now.wall),
            driver: device.spec.driver.clone(),
            capabilities: device.spec.capabilities.clone(),
            online: device.is_online(),
            radio_away: device.away,
            battery: device.battery,
            advertised: device.advertised,
            heard: device.hours.tell(now.mono),
            removed: device.removed,
            simulated: device.spec.simulated,
            last_seen: device.last_seen,
            pending: waiting.len(),
            next_try: waiting.first().and_then(|(next, _)| *next),
            reason: waiting.first().map(|(_, reason)| *reason),
            overdue: overdue().count(),
            overdue_since: overdue().min(),
            slots_used: held + device.record.unmanaged.len(),
            unmanaged: device.record.unmanaged.len(),
            suspects: device.record.suspects.len(),
            drift: device.has_drift(),
        })
    }

    /// One door command, while it is remembered.
    #[must_use]
    pub fn attempt(&self, id: AttemptId) -> Option<AttemptView> {
        self.doors.get(id).cloned()
    }

    /// Every door command that is remembered, oldest first.
    pub fn attempts(&self) -> impl Iterator<Item = &AttemptView> {
        self.doors.iter()
    }

    /// A PIN that a device would take now. Nothing is reserved by it.
    ///
    /// # Errors
    /// There is no such device, or no PIN is left.
    pub fn generate_code(&self, id: DeviceId, now: Now, rng: &mut dyn Rng) -> Result<Pin, Refusal> {
        let device = self.devices.get(&id).ok_or_else(|| no_such_device(id))?;
        plan::generate(&device.member(None, now.wall), rng)
    }

    /// The access codes of a device that are not over, by their ids, from the one after `after` on. Each is
    /// made when it is asked for, so that a page costs what is on it.
    pub fn codes_after(
        &self,
        device: DeviceId,
        after: Option<CodeId>,
        now: Now,
    ) -> Option<impl Iterator<Item = CodeView>> {
        let device = self.devices.get(&device)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let codes = device.codes.range((from, Bound::Unbounded));
        let listed = codes.filter(move |(_, code)| !is_past(code, now));
        Some(listed.map(move |(_, code)| self.code_view(device, code, now)))
    }

    /// Every event that is remembered, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.ledger.events().iter()
    }

    /// Every device, by id.
    pub fn device_ids(&self) -> impl Iterator<Item = DeviceId> + '_ {
        self.devices.keys().copied()
    }

    /// The queue of a device: what is to be done now, most pressing first; `None` for an unknown device.
    #[must_use]
    pub fn queue(&self, id: DeviceId, now: Now) -> Option<Vec<QueueView>> {
        let device = self.devices.get(&id)?;
        let mut rows: Vec<QueueView> = device
            .codes
            .values()
            .filter_map(|code| self.queue_view(device, code, now))
            .collect();
        rows.sort_by_key(|row| {
            (
                row.aim == Aim::Set,
                row.next_try.unwrap_or(Timestamp::MAX),
                row.code,
            )
        });
        Some(rows)
    }

    /// Codes on a lock that this gateway did not set.
    #[must_use]
    pub fn unmanaged(&self, id: DeviceId) -> Vec<UnmanagedView> {
        self.devices
            .get(&id)
            .map_or_else(Vec::new, |d| d.record.unmanaged.iter().map(Into::into).collect())
    }

    /// One job.
    #[must_use]
    pub fn job(&self, id: &JobId, now: Now) -> Option<JobView> {
        self.jobs.get(id).map(|job| self.job_view(job, now))
    }

    /// Every job on record.
    pub fn jobs(&self) -> impl Iterator<Item = (&JobId, Phase)> {
        self.jobs.iter().map(|job| (&job.id, job.phase()))
    }

    /// When a job was refused, or done; `None` while it is open.
    #[must_use]
    pub fn job_ended_at(&self, id: &JobId) -> Option<Timestamp> {
        let job = self.jobs.get(id)?;
        match job.phase() {
            Phase::Accepted => None,
            Phase::Rejected => Some(job.at),
            Phase::Done => job.done_at,
        }
    }

    /// Jobs that are accepted and not done.
    #[must_use]
    pub fn open_jobs(&self) -> usize {
        self.jobs.open()
    }

    /// Whether new work is refused for want of room on the card.
    #[must_use]
    pub fn storage_low(&self) -> bool {
        self.storage_low
    }

    /// Answers that wait to be sent, oldest first.
    pub fn replies(&self) -> impl Iterator<Item = (u64, &Reply)> {
        self.replies.iter().map(|(seq, reply)| (*seq, reply))
    }

    /// Up to `most` events after `seq` that follow each other without a gap, oldest first, and the numbers
    /// from `seq` to the first of them if there are any: of events that were pruned, or forgotten by a
    /// restore.
    #[must_use]
    pub fn events_after(&self, seq: u64, most: usize) -> (Option<(u64, u64)>, Vec<&Event>) {
        let events = self.ledger.events();
        let from = events.partition_point(|event| event.seq <= seq);
        let Some(first) = events.get(from).map(|event| event.seq) else {
            return (None, Vec::new());
        };
        let run = events.range(from..).zip(first..).take(most);
        let run = run.take_while(|(event, expected)| event.seq == *expected);
        let lost = (seq + 1 < first).then(|| (seq + 1, first - 1));
        (lost, run.map(|(event, _)| event).collect())
    }

    /// The last event that the broker has.
    #[must_use]
    pub fn events_sent(&self) -> u64 {
        self.ledger.last_sent()
    }

    /// The number of the newest event; 0 if there never was one.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        self.ledger.last_event()
    }

    fn job_view(&self, job: &JobRecord, now: Now) -> JobView {
        let members = job
            .members
            .iter()
            .map(|m| JobMemberView {
                device: m.device,
                code: m.code,
                settled: m.settled,
                now: self.receipt(m.code, now),
            })
            .collect();
        JobView {
            id: job.id.clone(),
            verb: job.verb,
            phase: job.phase(),
            at: job.at,
            done_at: job.done_at,
            answer: job.answer.clone(),
            members,
        }
    }

    fn queue_view(&self, device: &Device, code: &Code, now: Now) -> Option<QueueView> {
        let row = code.row.as_ref()?;
        let (next_try, reason) = device.waits(code, now, &self.settings)?;
        let wanted = code.record.content(&device.spec.capabilities);
        let update = code
            .record
            .confirmed
            .proof()
            .filter(|_| row.aim == Aim::Set)
            .map(|proof| Change {
                pin_from: proof.content.pin.clone(),
                pin_to: wanted.pin.clone(),
                name_from: proof.content.name.clone(),
                name_to: wanted.name.clone(),
                window_from: proof.content.window,
                window_to: wanted.window,
            });
        Some(QueueView {
            code: code.record.code,
            aim: row.aim,
            update,
            tries: row.tries,
            since: row.since,
            next_try,
            reason,
        })
    }

    fn code_view(&self, device: &Device, code: &Code, now: Now) -> CodeView {
        let record = &code.record;
        let native = schedule::native(record.prefer_native, &device.spec.capabilities);
        let proof = record.confirmed.proof();
        let pending = match self.queue_view(device, code, now) {
            Some(row) => Some(Pending::Queued(row)),
            None if proof.is_none() && now.wall < record.window.start() && record.deleted_at.is_none() => {
                let stay = device.stay(code);
                Some(Pending::Deferred {
                    until: schedule::earliest(&stay, &device.spec.capabilities, &self.settings),
                })
            }
            None => None,
        };
        CodeView {
            code: record.code,
            device: record.device,
            group: record.group.clone(),
            own_pin: record.own_pin,
            pin: record.pin.clone(),
            name: record.name.clone(),
            name_on_lock: proof.and_then(|p| p.content.name.clone()),
            window: record.window,
            status: status(code, native, now.wall),
            scheduled_on_device: native && proof.is_some() && record.window != Window::Ongoing,
            created_at: record.created_at,
            deleted_at: record.deleted_at,
            pending,
            device_offline: !device.online,
            radio_away: device.away,
            device_removed: device.removed,
            external: record.external,
            clock_untrusted: self
                .timekeeper
                .untrusted_since()
                .filter(|_| record.window != Window::Ongoing && !record.over(now.wall)),
        }
    }
}

/// Its end has come, and its lock does not hold it any more.
pub(super) fn is_past(code: &Code, now: Now) -> bool {
    code.record.window.end() <= now.wall && code.record.confirmed == Confirmed::Absent
}

fn status(code: &Code, native: bool, now: Timestamp) -> Status {
    let record = &code.record;
    let removing = code.row.as_ref().is_some_and(|row| row.aim == Aim::Remove);
    // A lock that left the gateway is asked nothing, and may hold it for ever.
    let lingers = record.over(now) && record.confirmed != Confirmed::Absent;
    if removing || lingers {
        return Status::Removing;
    }
    let setting = code.row.is_some();
    // It stands on the lock with this PIN and opens now, by the window that the lock itself says it has.
    let opens = record.confirmed.proof().is_some_and(|proof| {
        // Whatever else the lock may have taken meanwhile has the same PIN.
        proof.content.pin == record.pin
            && record.confirmed.pins().iter().all(|pin| *pin == record.pin)
            && proof.content.window.holds(now)
    });
    let ahead = native && now < record.window.start();
    match (opens, setting) {
        (true, _) if !ahead => Status::Set,
        (_, true) if !ahead => Status::Setting,
        _ => Status::Unset,
    }
}
