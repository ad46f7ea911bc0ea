//! A new request carried out: planned, and put on record as a whole or not at all (I2).

use std::collections::BTreeSet;

use rand::{Rng, RngExt};
use uuid::Uuid;

use super::device::{Code, Device};
use super::records::{Answer, Confirmed, JobMember, Record, code_key};
use super::{Gateway, Subject};
use crate::model::{
    CodeId, Create, CreateMultiple, Delete, DeviceId, DeviceReason, Edit, EventKind, GroupKey, JobId, Note,
    Now, Pin, Reason, Refusal, ReportConstraints, Request, Unshared, Update, UpdateDevice, UpdateMultiple,
    Window,
};
use crate::model::{Detail, Timestamp};
use crate::plan::{self, Assigned, Moved};
use crate::sabotage::{self, Sabotage};
use crate::store::Tree;

/// Notes that an owner may keep with one device (Seam's number).
const MOST_NOTES: usize = 50;

/// What a request comes to: what is answered, and the codes that it set or changed.
pub(super) struct Planned {
    pub answer: Answer,
    pub members: Vec<JobMember>,
}

impl Planned {
    fn ok(members: Vec<JobMember>) -> Planned {
        Planned {
            answer: Answer::Ok,
            members,
        }
    }
}

/// What becomes of a record; `None` stays.
struct Revision<'a> {
    window: Window,
    name: Option<&'a str>,
    pin: Option<&'a Pin>,
    prefer_native: Option<bool>,
}

impl Gateway {
    pub(super) fn carry_out(
        &mut self,
        now: Now,
        request: &Request,
        id: &JobId,
        rng: &mut dyn Rng,
    ) -> Result<Planned, Refusal> {
        match request {
            Request::Create(job) => self.create(now, job, id, rng),
            Request::CreateMultiple(job) => self.create_multiple(now, job, id, rng),
            Request::Update(job) => self.update(now, job, id),
            Request::UpdateMultiple(job) => self.update_multiple(now, job, id),
            Request::Delete(job) => self.delete(now, job, id),
            Request::UpdateDevice(job) => self.update_device(job),
            Request::ReportConstraints(job) => self.report_constraints(job),
            Request::Door(command) => self.ask_door(now, *command, rng),
        }
    }

    /// The devices that a request is about, as far as they are known.
    pub(super) fn concerned(&self, request: &Request) -> Vec<DeviceId> {
        let owner = |code: &CodeId| self.owners.get(code).copied();
        match request {
            Request::Create(job) => vec![job.device],
            Request::CreateMultiple(job) => job.devices.clone(),
            Request::Update(job) => owner(&job.code).into_iter().collect(),
            Request::UpdateMultiple(job) => {
                let members = self.groups.get(&job.key).into_iter().flatten();
                let devices: BTreeSet<DeviceId> = members.filter_map(owner).collect();
                devices.into_iter().collect()
            }
            Request::Delete(job) => owner(&job.code).into_iter().collect(),
            Request::UpdateDevice(job) => vec![job.device],
            Request::ReportConstraints(job) => vec![job.device],
            Request::Door(command) => vec![command.device],
        }
    }

    fn create(&mut self, now: Now, job: &Create, id: &JobId, rng: &mut dyn Rng) -> Result<Planned, Refusal> {
        let group: &[CodeId] = job
            .key
            .as_ref()
            .and_then(|key| self.groups.get(key))
            .map_or(&[], Vec::as_slice);
        let shared = self.shared_pin(group, now);
        let place = group.len();
        if let (Some(shared), Some(given)) = (&shared, &job.code)
            && shared != given
        {
            return Err(Refusal::invalid(
                "code",
                "the codes with this common_code_key have another PIN",
            ));
        }
        if place >= self.settings.limits.members {
            let most = self.settings.limits.members;
            return Err(Refusal::invalid(
                "common_code_key",
                format!("links at most {most} codes"),
            ));
        }
        let linked = shared.is_some();
        let one = CreateMultiple {
            devices: vec![job.device],
            code: shared.or_else(|| job.code.clone()),
            preferred_length: job.preferred_length,
            unshared: Unshared::Throw,
            name: job.name.clone(),
            window: job.window,
            attempt_offline: job.attempt_offline,
            prefer_native: job.prefer_native,
        };
        let created = self.create_codes(now, &one, job.key.as_ref(), place, id, rng);
        let members = created.map_err(|refusal| if linked { unlinkable(refusal) } else { refusal })?;
        let view = members.first().and_then(|m| self.code(m.code, now));
        Ok(Planned {
            answer: view.map_or(Answer::Ok, |view| Answer::CreatedOne(Box::new(view))),
            members,
        })
    }

    /// Whether an access code has its PIN together with others of its group.
    fn shares(&self, id: CodeId, now: Now) -> bool {
        let record = |code: CodeId| Some(&self.owner(code)?.codes.get(&code)?.record);
        let group = record(id).and_then(|record| self.groups.get(record.group.as_ref()?));
        let mut others = group.into_iter().flatten().filter(|code| **code != id);
        others.any(|code| record(*code).is_some_and(|r| !r.over(now.wall) && !r.own_pin))
    }

    /// The PIN that the members of a group share. The next guest does not get that of the last one: members
    /// that are over do not count.
    fn shared_pin(&self, group: &[CodeId], now: Now) -> Option<Pin> {
        let records = self.records(group);
        let mut records = records.iter().map(|(_, record)| record);
        let shared = records.find(|record| !record.over(now.wall) && !record.own_pin)?;
        Some(shared.pin.clone())
    }

    fn create_multiple(
        &mut self,
        now: Now,
        job: &CreateMultiple,
        id: &JobId,
        rng: &mut dyn Rng,
    ) -> Result<Planned, Refusal> {
        let group = job.code.is_none().then(|| GroupKey::from_uuid(new_uuid(rng)));
        let members = self.create_codes(now, job, group.as_ref(), 0, id, rng)?;
        let views = members.iter().filter_map(|m| self.code(m.code, now)).collect();
        Ok(Planned {
            answer: Answer::Created(views),
            members,
        })
    }

    /// Plans the codes of a job: which PIN each of its devices gets.
    pub(super) fn assign(
        &self,
        now: Now,
        job: &CreateMultiple,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Assigned>, Refusal> {
        let unknown: Vec<DeviceReason> = job
            .devices
            .iter()
            .filter(|d| !self.devices.contains_key(d))
            .map(|d| DeviceReason {
                device: *d,
                reason: Reason::DeviceNotFound,
                message: no_such_device(*d).message,
            })
            .collect();
        if let Some(first) = unknown.first() {
            return Err(Refusal::by_devices(
                Reason::DeviceNotFound,
                first.message.clone(),
                unknown,
            ));
        }
        let members: Vec<plan::Member<'_>> = job
            .devices
            .iter()
            .filter_map(|d| self.devices.get(d))
            .map(|device| device.member(None, now.wall))
            .collect();
        plan::create(job, &members, self.settings.limits.members, now.wall, rng)
    }

    /// Plans and records the codes of a job, as members of `group` from `place` on.
    fn create_codes(
        &mut self,
        now: Now,
        job: &CreateMultiple,
        group: Option<&GroupKey>,
        place: usize,
        id: &JobId,
        rng: &mut dyn Rng,
    ) -> Result<Vec<JobMember>, Refusal> {
        let assigned = self.assign(now, job, rng)?;
        let mut created = Vec::with_capacity(assigned.len());
        for (member, place) in assigned.into_iter().zip(place..) {
            let record = Record {
                code: new_code_id(now.wall, rng),
                device: member.device,
                group: group.cloned(),
                place: u16::try_from(place).unwrap_or(u16::MAX),
                own_pin: member.own_pin,
                pin: member.pin,
                name: job.name.clone(),
                window: job.window,
                prefer_native: job.prefer_native,
                generation: 1,
                created_at: now.wall,
                deleted_at: None,
                slot: None,
                confirmed: Confirmed::Absent,
                denied: 0,
                external: None,
                held: None,
                removed: None,
                sent: Some(Vec::new()),
            };
            created.push(JobMember {
                device: record.device,
                code: record.code,
                generation: record.generation,
                settled: false,
            });
            self.add_code(now, record, id);
        }
        if let Some(key) = group {
            let members = self.groups.entry(key.clone()).or_default();
            members.extend(created.iter().map(|m| m.code));
            self.changed(Subject::Group(key.clone()));
        }
        // Now, so that the answer tells of codes that are due at once as `setting`.
        self.turn_all(now);
        Ok(created)
    }

    fn add_code(&mut self, now: Now, record: Record, job: &JobId) {
        let (device, code) = (record.device, record.code);
        if record.place == 0 || !sabotage::on(Sabotage::RecordsFirstMemberOnly) {
            self.ledger.put(Tree::Codes, &code_key(device, code), &record);
        }
        self.tell_of(now, EventKind::CodeCreated, &record, job, Detail::None);
        self.owners.insert(code, device);
        if let Some(device) = self.devices.get_mut(&device) {
            device.codes.insert(code, Box::new(Code::new(record)));
            device.dirty = true;
        }
    }

    fn tell_of(&mut self, now: Now, kind: EventKind, record: &Record, job: &JobId, detail: Detail) {
        let (device, code) = (Some(record.device), Some(record.code));
        self.ledger.tell(now.wall, kind, device, code, Some(job), detail);
    }

    fn update(&mut self, now: Now, job: &Update, id: &JobId) -> Result<Planned, Refusal> {
        let (device, code) = self.find(job.code, job.device)?;
        if code.record.deleted_at.is_some() {
            return Err(no_such_code());
        }
        let moved = Moved {
            code: job.code,
            window: code.record.window,
            pin: &code.record.pin,
            member: device.member(Some(job.code), now.wall),
        };
        let revision = Revision {
            window: plan::update_one(job, &moved, now.wall)?,
            name: job.name.as_deref(),
            pin: job.pin.as_ref(),
            prefer_native: job.prefer_native,
        };
        Ok(Planned::ok(
            self.revise(now, job.code, &revision, id).into_iter().collect(),
        ))
    }

    fn update_multiple(&mut self, now: Now, job: &UpdateMultiple, id: &JobId) -> Result<Planned, Refusal> {
        let unknown = || {
            Refusal::new(
                Reason::AccessCodeNotFound,
                "no access codes have this common_code_key",
            )
        };
        let members = self.groups.get(&job.key).ok_or_else(unknown)?;
        let records = self.records(members);
        let moved: Vec<Moved<'_>> = records
            .iter()
            .filter(|(device, record)| {
                record.deleted_at.is_none() && !is_passed_by(device, record, &records, now)
            })
            .map(|(device, record)| Moved {
                code: record.code,
                window: record.window,
                pin: &record.pin,
                member: device.member(Some(record.code), now.wall),
            })
            .collect();
        if moved.is_empty() {
            return Err(unknown());
        }
        let windows = plan::update(job, &moved, now.wall)?;
        let members = windows.into_iter().filter_map(|(code, window)| {
            let revision = Revision {
                window,
                name: job.name.as_deref(),
                pin: None,
                prefer_native: None,
            };
            self.revise(now, code, &revision, id)
        });
        Ok(Planned::ok(members.collect()))
    }

    /// The members of a group that are on record, each with its device.
    fn records(&self, members: &[CodeId]) -> Vec<(&Device, &Record)> {
        let found = |code: &CodeId| {
            let device = self.owner(*code)?;
            Some((device, &device.codes.get(code)?.record))
        };
        members.iter().filter_map(found).collect()
    }

    /// Puts a change on record, if it is one, and lets the job watch the code.
    fn revise(&mut self, now: Now, id: CodeId, to: &Revision<'_>, job: &JobId) -> Option<JobMember> {
        let shares = self.shares(id, now);
        let device = self
            .owners
            .get(&id)
            .and_then(|owner| self.devices.get_mut(owner))?;
        let held = device.codes.get(&id)?;
        let asked = device.flight.is_some() || held.asked;
        let mut record = held.record.clone();
        let mut edits = Vec::new();
        if let Some(name) = to.name.filter(|name| record.name.as_deref() != Some(name)) {
            let from = record.name.replace(name.to_owned());
            let to = record.name.clone();
            edits.push(Edit::Name { from, to });
        }
        if let Some(pin) = to.pin.filter(|pin| record.pin != **pin) {
            let from = std::mem::replace(&mut record.pin, pin.clone());
            record.own_pin |= shares;
            device.retire(from.clone(), now.wall, &mut self.ledger);
            edits.push(Edit::Pin {
                from,
                to: pin.clone(),
            });
        }
        if to.window != record.window {
            let from = std::mem::replace(&mut record.window, to.window);
            edits.push(Edit::Window { from, to: to.window });
        }
        let rescheduled = to
            .prefer_native
            .is_some_and(|native| native != record.prefer_native);
        record.prefer_native = to.prefer_native.unwrap_or(record.prefer_native);
        if rescheduled || !edits.is_empty() {
            // What is overtaken may stand on the lock already, in the place of what was proven.
            if asked {
                record.confirmed.forget_last();
            }
            record.generation += 1;
            record.denied = 0;
            self.ledger
                .put(Tree::Codes, &code_key(record.device, id), &record);
        }
        let member = self.watch(&record);
        if !edits.is_empty() {
            self.tell_of(
                now,
                EventKind::CodeChanged,
                &record,
                job,
                Detail::Changes(edits.clone()),
            );
            self.tell_of(
                now,
                EventKind::CodeChangeRequested,
                &record,
                job,
                Detail::Changes(edits),
            );
        }
        self.replace(record);
        Some(member)
    }

    fn delete(&mut self, now: Now, job: &Delete, id: &JobId) -> Result<Planned, Refusal> {
        let (device, code) = self.find(job.code, job.device)?;
        refuse_removed(device)?;
        let mut record = code.record.clone();
        if record.deleted_at.is_none() {
            record.deleted_at = Some(now.wall);
            record.generation += 1;
            record.denied = 0;
            self.ledger
                .put(Tree::Codes, &code_key(record.device, job.code), &record);
            let kind = EventKind::CodeChangeRequested;
            self.tell_of(now, kind, &record, id, Detail::Changes(vec![Edit::Delete]));
        }
        let member = self.watch(&record);
        self.replace(record);
        Ok(Planned::ok(vec![member]))
    }

    /// A member that waits until its lock is as `record` wants it.
    fn watch(&mut self, record: &Record) -> JobMember {
        self.resettle.insert(record.code);
        JobMember {
            device: record.device,
            code: record.code,
            generation: record.generation,
            settled: false,
        }
    }

    fn replace(&mut self, record: Record) {
        if let Some(device) = self.devices.get_mut(&record.device)
            && let Some(code) = device.codes.get_mut(&record.code)
        {
            code.record = record;
            device.dirty = true;
        }
    }

    /// An access code and its device, which must be the one that the caller named, if any.
    fn find(&self, code: CodeId, named: Option<DeviceId>) -> Result<(&Device, &Code), Refusal> {
        let device = self.owner(code).ok_or_else(no_such_code)?;
        if named.is_some_and(|named| named != device.spec.device) {
            return Err(Refusal::invalid(
                "device_id",
                "this access code is on another device",
            ));
        }
        let code = device.codes.get(&code).ok_or_else(no_such_code)?;
        Ok((device, code))
    }

    fn update_device(&mut self, job: &UpdateDevice) -> Result<Planned, Refusal> {
        let device = self.present(job.device)?;
        let mut notes = device.record.metadata.clone();
        for (key, note) in &job.metadata {
            match note {
                Some(note) => drop(notes.insert(key.clone(), Note::clone(note))),
                None => drop(notes.remove(key)),
            }
        }
        if notes.len() > MOST_NOTES {
            return Err(Refusal::invalid(
                "custom_metadata",
                format!("a device keeps at most {MOST_NOTES} of them"),
            ));
        }
        device.record.metadata = notes;
        if let Some(name) = &job.name {
            device.record.nickname = Some(name.clone()).filter(|name| !name.is_empty());
        }
        self.keep(job.device);
        Ok(Planned::ok(Vec::new()))
    }

    fn report_constraints(&mut self, job: &ReportConstraints) -> Result<Planned, Refusal> {
        let device = self.present(job.device)?;
        device.narrow(&job.lengths).map_err(|own| {
            let own: Vec<String> = own.iter().map(u8::to_string).collect();
            let problem = format!("the lock itself says that it takes {} digits", own.join(", "));
            Refusal::invalid("supported_code_lengths", problem)
        })?;
        self.keep(job.device);
        Ok(Planned::ok(Vec::new()))
    }

    /// A device that is part of this gateway.
    pub(super) fn present(&mut self, id: DeviceId) -> Result<&mut Device, Refusal> {
        let device = self.devices.get_mut(&id).ok_or_else(|| no_such_device(id))?;
        refuse_removed(device)?;
        Ok(device)
    }

    /// Stores what is remembered of a device.
    fn keep(&mut self, id: DeviceId) {
        if let Some(device) = self.devices.get(&id) {
            device.store(&mut self.ledger);
            self.changed(Subject::Device(id));
        }
    }
}

/// Whether a late check-out passes a member of the group by. What has ended comes back for the newest guest alone: not
/// if it was an earlier one's, if another member has its place on its lock, or if that lock is gone.
fn is_passed_by(device: &Device, record: &Record, group: &[(&Device, &Record)], now: Now) -> bool {
    let age = |record: &Record| (record.created_at, record.code);
    let replaces = |(_, other): &(&Device, &Record)| {
        let lives = !other.over(now.wall);
        let is_younger = other.deleted_at.is_none() && age(other) > age(record);
        other.device == record.device && other.code != record.code && (lives || is_younger)
    };
    let is_earlier = Some(record.created_at) < newest_stay(group);
    record.over(now.wall) && (device.removed || is_earlier || group.iter().any(replaces))
}

/// When the newest guest's first code was made: it found all before it over.
fn newest_stay(group: &[(&Device, &Record)]) -> Option<Timestamp> {
    let begins = |made: Timestamp| {
        let mut before = group.iter().filter(|(_, record)| record.created_at < made);
        before.all(|(_, record)| record.over(made))
    };
    let made = group.iter().map(|(_, record)| record.created_at);
    made.filter(|made| begins(*made)).max()
}

fn refuse_removed(device: &Device) -> Result<(), Refusal> {
    if device.removed {
        let told = format!("{}: is no longer part of this gateway", device.spec.name);
        return Err(Refusal::new(Reason::DeviceRemoved, told));
    }
    Ok(())
}

fn no_such_code() -> Refusal {
    Refusal::new(Reason::AccessCodeNotFound, "no such access code")
}

pub(super) fn no_such_device(id: DeviceId) -> Refusal {
    Refusal::new(
        Reason::DeviceNotFound,
        format!("{id}: this gateway has no such device"),
    )
}

/// The PIN of a group does not suit one more lock: nothing that its caller wrote is wrong.
fn unlinkable(mut refusal: Refusal) -> Refusal {
    if refusal.fields.iter().any(|(field, _)| field == "code") {
        refusal.reason = Reason::CannotShare;
        refusal.message = format!(
            "the PIN of this common_code_key does not suit: {}",
            refusal.message
        );
        refusal.fields.clear();
        for device in &mut refusal.devices {
            device.reason = Reason::CannotShare;
        }
    }
    refusal
}

/// A random UUID (version 4) from the randomness that was handed in.
pub(super) fn new_uuid(rng: &mut dyn Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

/// A UUID that sorts by its time (version 7), so that a device's codes stand in the order in which they
/// were made.
fn new_code_id(at: Timestamp, rng: &mut dyn Rng) -> CodeId {
    let millis = u64::try_from(at.0).unwrap_or(0);
    CodeId(uuid::Builder::from_unix_timestamp_millis(millis, &rng.random()).into_uuid())
}
