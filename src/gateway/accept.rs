//! Jobs in: a repeat gets its first answer, a new one is planned and recorded, or refused. A repeat
//! is known by its id or handle, or by coming soon after the same request whose answer was lost.

use rand::Rng;

use super::carry_out::{Planned, new_uuid};
use super::jobs::KEEP;
use super::records::{Answer, JobMember, JobRecord, Phase, Reply, ReplyTo, Verb};
use super::{Effect, Gateway, REPLY_LIFE, Subject, Token};
use crate::model::{Caller, Detail, EventKind, JobId, Now, Reason, Refusal, Request};
use crate::sabotage::{self, Sabotage};
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
    /// HTTP, and words on a device's own MQTT topic: the gateway names the job.
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
        if let Some(job) = earlier.filter(|_| !sabotage::on(Sabotage::ForgetsJobs)) {
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
        self.jobs.make_room(self.settings.limits.jobs, &mut self.ledger);
        let planned = match &ask.request {
            Ok(request) => self
                .room_for(now, request, &ask.door)
                .and_then(|()| self.carry_out(now, request, &id, rng)),
            Err(refusal) => Err(refusal.clone()),
        };
        match planned {
            Ok(Planned { answer, members }) => {
                if let (Door::Http { .. }, Ok(request)) = (&ask.door, &ask.request) {
                    self.rates
                        .count(now.mono, request, &self.concerned(request), &self.settings.limits);
                }
                // What touched no code, and nobody can ask for again, need not be remembered.
                let nameless = matches!(ask.door, Door::Http { handle: None });
                if !(members.is_empty() && nameless) {
                    self.record_job(now, &ask, id.clone(), answer.clone(), members);
                    let kind = EventKind::JobAccepted;
                    self.ledger
                        .tell(now.wall, kind, None, None, Some(&id), Detail::None);
                }
                self.answer(now, &ask, id, Phase::Accepted, answer);
            }
            Err(refusal) => {
                let answer = Answer::Refused(refusal);
                if matches!(ask.door, Door::Mqtt { .. }) {
                    self.record_job(now, &ask, id.clone(), answer.clone(), Vec::new());
                }
                self.answer(now, &ask, id, Phase::Rejected, answer);
            }
        }
    }

    /// At a limit new work is refused (I10).
    pub(super) fn room_for(&self, now: Now, request: &Request, door: &Door) -> Result<(), Refusal> {
        let of_doors = matches!(request, Request::Door(_));
        // No limit keeps a code on a door.
        let takes_away = matches!(request, Request::Delete(_));
        if self.storage_low && !of_doors && !takes_away {
            return Err(Refusal::new(
                Reason::StorageFull,
                "the gateway's storage is nearly full",
            ));
        }
        let limits = &self.settings.limits;
        let new_codes = match request {
            Request::Create(_) => 1,
            Request::CreateMultiple(job) => job.devices.len(),
            _ => 0,
        };
        let full = if self.owners.len() + new_codes > limits.codes {
            "access codes"
        } else if !of_doors && !takes_away && self.jobs.with_members() >= limits.jobs {
            "jobs"
        } else if matches!(door, Door::Mqtt { .. }) && !takes_away && self.replies.len() >= limits.replies {
            "answers that wait for the broker"
        } else {
            return match door {
                Door::Http { .. } => self
                    .rates
                    .room(now.mono, request, &self.concerned(request), limits),
                // A refusal over MQTT would use up the caller's id.
                Door::Mqtt { .. } => Ok(()),
            };
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
            nameless: matches!(ask.door, Door::Http { handle: None }),
        };
        job.store(&mut self.ledger);
        self.changed(Subject::Job(job.id.clone()));
        self.jobs.insert(job);
        self.jobs
            .trim_brief(self.settings.limits.refusals, &mut self.ledger);
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
}
