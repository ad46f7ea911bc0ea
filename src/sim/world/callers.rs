//! Callers: they send their jobs, send them again until they are answered, and remember the answer.

use std::time::Duration;

use uuid::Uuid;

use super::{START, What, World};
use crate::gateway::{Answer, Ask, Door, Event, Token, Verb};
use crate::model::{
    Caller, CodeId, CreateMultiple, Deed, Delete, DeviceId, DoorCommand, JobId, Mono, NewTimes, Request,
    Update, UpdateMultiple, Window,
};
use crate::sim::plan::{Change, Item};

/// A caller without an answer asks again after this.
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    /// A caller sends its job, and again until it is answered.
    pub(super) fn send(&mut self, job: u32) {
        if self.oracle.answered().contains_key(&job) {
            return;
        }
        let Some(item) = self
            .plan
            .items
            .iter()
            .find(|item| number(item) == Some(job))
            .cloned()
        else {
            return;
        };
        let Some((verb, request)) = self.request(&item) else {
            return;
        };
        self.push(self.now + PATIENCE, What::Send(job));
        if self.gateway.is_none() {
            return;
        }
        self.note(20, u64::from(job), 0, |_| format!("job {job}: {}", verb.word()));
        self.next_token += 1;
        let token = Token(self.next_token);
        self.tokens.insert(token, job);
        let id = JobId::from_uuid(Uuid::from_u128(u128::from(job)));
        let door = match request {
            Request::Door(_) => Door::Http { handle: None },
            _ => Door::Mqtt {
                job: id,
                reply: None,
                progress: false,
            },
        };
        let ask = Ask {
            token,
            caller: Caller("world".into()),
            verb,
            door,
            hash: [0; 32],
            request: Ok(request),
        };
        self.tell(Event::Ask(Box::new(ask)), "job", u64::from(job));
    }

    /// What the job asks for; `None` if it builds on a booking that never came about.
    fn request(&mut self, item: &Item) -> Option<(Verb, Request)> {
        let wall = |at: Mono, span: Duration| START + Duration::from_millis(at.0) + span;
        match item {
            Item::Create {
                job,
                at,
                locks,
                window,
                unshared,
            } => {
                let devices: Vec<DeviceId> = locks.iter().map(|i| self.ids[*i]).collect();
                self.oracle.sent(*job, &devices);
                let window = window.map_or(Window::Ongoing, |(from, until)| Window::Bound {
                    starts_at: wall(*at, from),
                    ends_at: wall(*at, until),
                });
                Some((
                    Verb::CreateMultiple,
                    Request::CreateMultiple(CreateMultiple {
                        devices,
                        code: None,
                        preferred_length: Some(6),
                        unshared: *unshared,
                        name: Some(format!("stay {job}")),
                        window,
                        attempt_offline: true,
                        prefer_native: true,
                    }),
                ))
            }
            Item::Update { at, of, ends, .. } => {
                let (key, codes) = self.booked.get(of)?;
                let ends_at = wall(*at, *ends);
                self.oracle
                    .asked_to_move(codes, |window| Window::between(window.start(), ends_at));
                let job = UpdateMultiple {
                    key: key.clone()?,
                    starts_at: None,
                    ends_at: Some(ends_at),
                    name: None,
                };
                Some((Verb::UpdateMultiple, Request::UpdateMultiple(job)))
            }
            Item::Delete { of, member, .. } => {
                let (_, codes) = self.booked.get(of)?;
                let code = *codes.get(member % codes.len().max(1))?;
                self.oracle.asked_to_delete(code);
                Some((Verb::Delete, Request::Delete(Delete { code, device: None })))
            }
            Item::Change {
                at, of, member, to, ..
            } => {
                let (_, codes) = self.booked.get(of)?;
                let code = *codes.get(member % codes.len().max(1))?;
                let mut job = Update {
                    code,
                    device: None,
                    pin: None,
                    name: None,
                    times: NewTimes::Keep,
                    attempt_offline: true,
                    prefer_native: None,
                };
                match to {
                    Change::Pin(pin) => {
                        self.oracle.asked_to_recode(code, pin);
                        job.pin = Some(pin.clone());
                    }
                    Change::Ongoing => {
                        self.oracle.asked_to_move(&[code], |_| Some(Window::Ongoing));
                        job.times = NewTimes::Ongoing;
                    }
                    Change::Ends(after) => {
                        let ends_at = wall(*at, *after);
                        self.oracle
                            .asked_to_move(&[code], |window| Window::between(window.start(), ends_at));
                        job.times = NewTimes::Bound {
                            starts_at: None,
                            ends_at: Some(ends_at),
                        };
                    }
                }
                Some((Verb::Update, Request::Update(job)))
            }
            Item::Door { lock, deed, .. } => {
                let verb = match deed {
                    Deed::Lock => Verb::LockDoor,
                    Deed::Unlock => Verb::UnlockDoor,
                };
                let command = DoorCommand {
                    device: self.ids[*lock],
                    deed: *deed,
                };
                Some((verb, Request::Door(command)))
            }
            Item::Away { .. }
            | Item::Fault { .. }
            | Item::NoTime { .. }
            | Item::Poison { .. }
            | Item::Hand { .. } => None,
        }
    }

    pub(super) fn hear(&mut self, job: u32, answer: &Answer) {
        let item = self.plan.items.iter().find(|item| number(item) == Some(job));
        let codes = match (item, answer) {
            (_, Answer::Attempt(view)) => {
                self.doors.insert(view.attempt, (self.now, self.doors.len()));
                Vec::new()
            }
            (_, Answer::Created(views)) => {
                let codes: Vec<CodeId> = views.iter().map(|view| view.code).collect();
                let key = views.first().and_then(|view| view.group.clone());
                self.booked.insert(job, (key, codes.clone()));
                codes
            }
            (Some(Item::Update { of, .. }), _) => self
                .booked
                .get(of)
                .map(|(_, codes)| codes.clone())
                .unwrap_or_default(),
            (Some(Item::Delete { of, member, .. } | Item::Change { of, member, .. }), _) => self
                .booked
                .get(of)
                .and_then(|(_, codes)| codes.get(member % codes.len().max(1)).copied())
                .into_iter()
                .collect(),
            _ => Vec::new(),
        };
        let told = match answer {
            Answer::Created(views) => format!("{} codes", views.len()),
            Answer::CreatedOne(_) | Answer::Ok => "ok".to_owned(),
            Answer::Attempt(view) => format!("{:?} is under way", view.deed),
            Answer::Refused(refusal) => refusal.message.clone(),
        };
        self.note(21, u64::from(job), told.len() as u64, |_| {
            format!("job {job} is answered: {told}")
        });
        let verdict = self.oracle.heard(job, &codes, answer, self.clock());
        self.note_verdict(verdict);
    }
}

fn number(item: &Item) -> Option<u32> {
    match item {
        Item::Create { job, .. }
        | Item::Update { job, .. }
        | Item::Change { job, .. }
        | Item::Delete { job, .. }
        | Item::Door { job, .. } => Some(*job),
        Item::Away { .. }
        | Item::Fault { .. }
        | Item::NoTime { .. }
        | Item::Poison { .. }
        | Item::Hand { .. } => None,
    }
}
