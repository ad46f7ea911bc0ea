//! Jobs in: a repeat gets its first answer, a new one is planned and recorded, or refused. A repeat
//! is known by its id or handle, or by coming soon after the same request whose answer was lost.

use rand::{Rng, RngExt};
use uuid::Uuid;

use super::device::Code;
use super::jobs::KEEP;
use super::records::{Answer, Confirmed, JobMember, JobRecord, Phase, Record, Reply, ReplyTo, Verb};
use super::{Effect, Gateway, REPLY_LIFE, Subject, Token};
use crate::model::{
    Caller, CodeId, CreateMultiple, Delete, DeviceReason, EventKind, GroupKey, JobId, Now, Reason, Refusal,
    Request, UpdateMultiple, Window,
};
use crate::plan::{self, Moved};
use crate::store::Tree;

/// A request as it comes in.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where its answer goes.
    pub token: Token,
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub verb: Verb,
    /// Over which door it came.
    pub door: Door,
    /// Hash of the request as it came.
    pub hash: [u8; 32],
    /// The request, or why its form is wrong.
    pub request: Result<Request, Refusal>,
}

/// Over which door a request came, with what only that door knows.
#[derive(Clone, Debug)]
pub enum Door {
    /// HTTP: the gateway names the job.
    Http {
        /// `Idempotency-Key`.
        handle: Option<String>,
    },
    /// MQTT: the caller names the job, and refusals are remembered.
    Mqtt {
        /// The caller's id.
        job: JobId,
        /// Where the answer goes, if anywhere.
        reply: Option<ReplyTo>,
        /// An answer at every phase, not only the first.
        progress: bool,
    },
}

/// A planned job: what it answers, and the codes that it set or changed.
struct Planned {
    answer: Answer,
    members: Vec<JobMember>,
}

impl Gateway {
    pub(super) fn accept(&mut self, now: Now, ask: Ask, rng: &mut dyn Rng) {
        let earlier = match &ask.door {
            Door::Http { handle: Some(handle) } => self.jobs.by_handle(&ask.caller, handle),
            Door::Http { handle: None } => {
                let Ask {
                    caller, verb, hash, ..
                } = &ask;
                self.jobs.unanswered(caller, *verb, *hash, now.wall)
            }
            Door::Mqtt { job, .. } => self.jobs.get(job),
        };
        if let Some(job) = earlier {
            let (id, same) = (job.id.clone(), job.hash == ask.hash && job.verb == ask.verb);
            if same {
                let answer = job.answer.clone();
                let phase = if job.phase() == Phase::Rejected {
                    Phase::Rejected
                } else {
                    Phase::Accepted
                };
                self.answer(now, &ask, id, phase, answer);
            } else {
                let reused = Refusal::new(Reason::JobIdReused, "this id was used for another request");
                self.refuse_unrecorded(&ask, id, reused);
            }
            return;
        }
        let id = match &ask.door {
            Door::Http { .. } => JobId::from_uuid(new_uuid(rng)),
            Door::Mqtt { job, .. } => job.clone(),
        };
        let planned = match &ask.request {
            Ok(request) => self
                .room_for(request, &ask.door)
                .and_then(|()| self.carry_out(now, request, &id, rng)),
            Err(refusal) => Err(refusal.clone()),
        };
        match planned {
            Ok(Planned { answer, members }) => {
                self.record_job(now, &ask, id.clone(), answer.clone(), members);
                self.ledger
                    .tell(now.wall, EventKind::JobAccepted, None, None, Some(&id));
                self.answer(now, &ask, id, Phase::Accepted, answer);
            }
            Err(refusal) => {
                let answer = Answer::Refused(refusal);
                if matches!(ask.door, Door::Mqtt { .. }) {
                    self.record_job(now, &ask, id.clone(), answer.clone(), Vec::new());
                    self.jobs
                        .trim_rejected(self.settings.limits.refusals, &mut self.ledger);
                }
                self.answer(now, &ask, id, Phase::Rejected, answer);
            }
        }
    }

    /// At a limit new work is refused (I10).
    fn room_for(&self, request: &Request, door: &Door) -> Result<(), Refusal> {
        if self.storage_low {
            return Err(Refusal::new(
                Reason::StorageFull,
                "the gateway's storage is nearly full",
            ));
        }
        let limits = &self.settings.limits;
        let new_codes = match request {
            Request::CreateMultiple(job) => job.devices.len(),
            Request::Create(_) => 1,
            Request::Update(_)
            | Request::UpdateMultiple(_)
            | Request::Delete(_)
            | Request::UpdateDevice(_)
            | Request::ReportConstraints(_)
            | Request::Door(_) => 0,
        };
        let full = if self.owners.len() + new_codes > limits.codes {
            "access codes"
        } else if self.jobs.accepted() >= limits.jobs {
            "jobs"
        } else if matches!(door, Door::Mqtt { .. }) && self.replies.len() >= limits.replies {
            "answers that wait for the broker"
        } else {
            return Ok(());
        };
        Err(Refusal::new(
            Reason::Busy,
            format!("this gateway holds as many {full} as it may"),
        ))
    }

    fn record_job(&mut self, now: Now, ask: &Ask, id: JobId, answer: Answer, members: Vec<JobMember>) {
        let (handle, progress) = match &ask.door {
            Door::Http { handle } => (handle.clone(), None),
            Door::Mqtt { reply, progress, .. } => (None, reply.clone().filter(|_| *progress)),
        };
        self.prune_at = self.prune_at.min(now.wall + KEEP);
        let done_at = (members.is_empty() && !matches!(answer, Answer::Refused(_))).then_some(now.wall);
        let job = JobRecord {
            id,
            verb: ask.verb,
            caller: ask.caller.clone(),
            handle,
            hash: ask.hash,
            at: now.wall,
            answer,
            members,
            done_at,
            progress,
            answered: false,
        };
        job.store(&mut self.ledger);
        self.changed(Subject::Job(job.id.clone()));
        self.jobs.insert(job);
    }

    fn answer(&mut self, now: Now, ask: &Ask, id: JobId, phase: Phase, answer: Answer) {
        if let Door::Mqtt { reply: Some(to), .. } = &ask.door {
            self.queue_reply(now, to.clone(), id.clone(), phase);
        }
        self.ledger.after(Effect::Reply {
            token: ask.token,
            job: id,
            answer,
        });
    }

    /// A refusal that must not take the place of the answer on record.
    fn refuse_unrecorded(&mut self, ask: &Ask, id: JobId, refusal: Refusal) {
        self.ledger.after(Effect::Reply {
            token: ask.token,
            job: id,
            answer: Answer::Refused(refusal),
        });
    }

    pub(super) fn queue_reply(&mut self, now: Now, to: ReplyTo, job: JobId, phase: Phase) {
        let reply = Reply {
            to,
            job,
            phase,
            expires_at: now.wall + REPLY_LIFE,
        };
        let waits = |other: &Reply| (&other.to, &other.job, other.phase) == (&reply.to, &reply.job, phase);
        // Beyond the limit only what an accepted job is owed; of the rest `job/<id>` tells.
        let full = self.replies.len() >= self.settings.limits.replies && phase == Phase::Rejected;
        if full || self.replies.values().any(waits) {
            return;
        }
        let seq = self.next_reply;
        self.next_reply += 1;
        self.ledger.put(Tree::Replies, &seq.to_be_bytes(), &reply);
        self.prune_at = self.prune_at.min(reply.expires_at);
        self.replies.insert(seq, reply);
        self.changed(Subject::Replies);
    }

    fn carry_out(
        &mut self,
        now: Now,
        request: &Request,
        id: &JobId,
        rng: &mut dyn Rng,
    ) -> Result<Planned, Refusal> {
        match request {
            Request::CreateMultiple(job) => self.create_multiple(now, job, id, rng),
            Request::UpdateMultiple(job) => self.update_multiple(now, job, id),
            Request::Delete(job) => self.delete(now, job, id),
            Request::Create(_)
            | Request::Update(_)
            | Request::UpdateDevice(_)
            | Request::ReportConstraints(_)
            | Request::Door(_) => Err(Refusal::new(Reason::Busy, "skeleton")),
        }
    }

    fn create_multiple(
        &mut self,
        now: Now,
        job: &CreateMultiple,
        id: &JobId,
        rng: &mut dyn Rng,
    ) -> Result<Planned, Refusal> {
        let unknown: Vec<DeviceReason> = job
            .devices
            .iter()
            .filter(|d| !self.devices.contains_key(d))
            .map(|d| DeviceReason {
                device: *d,
                reason: Reason::DeviceNotFound,
                message: format!("{d}: this gateway has no such device"),
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
        let assigned = plan::create(job, &members, self.settings.limits.members, now.wall, rng)?;
        drop(members);
        let group = job.code.is_none().then(|| GroupKey::from_uuid(new_uuid(rng)));
        let mut created = Vec::with_capacity(assigned.len());
        for (member, place) in assigned.into_iter().zip(0..) {
            let record = Record {
                code: CodeId(new_uuid(rng)),
                device: member.device,
                group: group.clone(),
                place,
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
            self.groups.insert(key, created.iter().map(|m| m.code).collect());
        }
        // Now, so that the answer tells of codes that are due at once as `setting`.
        self.turn_all(now);
        let views = created.iter().filter_map(|m| self.code(m.code, now)).collect();
        Ok(Planned {
            answer: Answer::Created(views),
            members: created,
        })
    }

    fn add_code(&mut self, now: Now, record: Record, job: &JobId) {
        let (device, code) = (record.device, record.code);
        self.ledger
            .put(Tree::Codes, &super::records::code_key(device, code), &record);
        self.ledger.tell(
            now.wall,
            EventKind::CodeCreated,
            Some(device),
            Some(code),
            Some(job),
        );
        self.owners.insert(code, device);
        if let Some(device) = self.devices.get_mut(&device) {
            device.codes.insert(code, Code::new(record));
            device.dirty = true;
        }
    }

    fn update_multiple(&mut self, now: Now, job: &UpdateMultiple, id: &JobId) -> Result<Planned, Refusal> {
        let unknown = || {
            Refusal::new(
                Reason::AccessCodeNotFound,
                "no access codes have this common_code_key",
            )
        };
        let members: Vec<CodeId> = self.groups.get(&job.key).ok_or_else(unknown)?.clone();
        let mut moved = Vec::new();
        for code in &members {
            let Some(device) = self.owner(*code) else { continue };
            let Some(held) = device.codes.get(code) else {
                continue;
            };
            if held.record.deleted_at.is_none() {
                let member = device.member(Some(*code), now.wall);
                moved.push(Moved {
                    code: *code,
                    window: held.record.window,
                    pin: &held.record.pin,
                    member,
                });
            }
        }
        if moved.is_empty() {
            return Err(unknown());
        }
        let windows = plan::update(job, &moved, now.wall)?;
        drop(moved);
        let members = windows
            .into_iter()
            .filter_map(|(code, window)| self.change(now, code, window, job.name.as_deref(), id))
            .collect();
        Ok(Planned {
            answer: Answer::Ok,
            members,
        })
    }

    fn change(
        &mut self,
        now: Now,
        id: CodeId,
        window: Window,
        name: Option<&str>,
        job: &JobId,
    ) -> Option<JobMember> {
        let device = self
            .owners
            .get(&id)
            .and_then(|owner| self.devices.get_mut(owner))?;
        let record = &mut device.codes.get_mut(&id)?.record;
        let renamed = name.is_some_and(|name| record.name.as_deref() != Some(name));
        if record.window != window || renamed {
            record.window = window;
            record.name = name.map(str::to_owned).or(record.name.take());
            record.generation += 1;
            record.denied = 0;
            self.ledger
                .put(Tree::Codes, &super::records::code_key(record.device, id), record);
            let kind = EventKind::CodeChangeRequested;
            self.ledger
                .tell(now.wall, kind, Some(record.device), Some(id), Some(job));
        }
        let member = JobMember {
            device: record.device,
            code: id,
            generation: record.generation,
            settled: false,
        };
        device.dirty = true;
        self.resettle.insert(id);
        Some(member)
    }

    fn delete(&mut self, now: Now, job: &Delete, id: &JobId) -> Result<Planned, Refusal> {
        let not_found = || Refusal::new(Reason::AccessCodeNotFound, "no such access code");
        let owner = self.owners.get(&job.code).ok_or_else(not_found)?;
        if job.device.is_some_and(|device| device != *owner) {
            return Err(Refusal::invalid(
                "device_id",
                "this access code is on another device",
            ));
        }
        let device = self.devices.get_mut(owner).ok_or_else(not_found)?;
        if device.removed {
            let told = format!("{}: is no longer part of this gateway", device.spec.name);
            return Err(Refusal::new(Reason::DeviceRemoved, told));
        }
        let record = &mut device.codes.get_mut(&job.code).ok_or_else(not_found)?.record;
        if record.deleted_at.is_none() {
            record.deleted_at = Some(now.wall);
            record.generation += 1;
            record.denied = 0;
            self.ledger.put(
                Tree::Codes,
                &super::records::code_key(record.device, job.code),
                record,
            );
            let kind = EventKind::CodeChangeRequested;
            self.ledger
                .tell(now.wall, kind, Some(record.device), Some(job.code), Some(id));
        }
        let member = JobMember {
            device: record.device,
            code: job.code,
            generation: record.generation,
            settled: false,
        };
        device.dirty = true;
        self.resettle.insert(job.code);
        Ok(Planned {
            answer: Answer::Ok,
            members: vec![member],
        })
    }
}

/// A random UUID (version 4) from the randomness that was handed in.
fn new_uuid(rng: &mut dyn Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}
