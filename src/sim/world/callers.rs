//! Callers: they send their jobs, send them again until they are answered, and remember the answer.

use std::time::Duration;

use super::broker::by_broker;
use super::{START, What, World};
use crate::gateway::{Answer, Ask, Door, Event, ReplyTo, Token, Verb};
use crate::model::{
    Caller, CodeId, CreateMultiple, Deed, Delete, DeviceId, DoorCommand, Mono, NewTimes, Reason, Request,
    Update, UpdateMultiple, Window,
};
use crate::sim::oracle::Violation;
use crate::sim::plan::{Change, Item};

/// A caller without an answer asks again after this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who must wait for somebody else's answer looks again after this.
const TURN: Duration = Duration::from_secs(300);

impl World {
    /// A caller sends its job, and again until it is answered.
    pub(super) fn send(&mut self, job: u32) {
        if self.oracle.answered().contains_key(&job) {
            return;
        }
        let Some(item) = self.booking(job) else { return };
        let Some((verb, request)) = self.request(&item) else {
            return;
        };
        // A second change of a stay waits for the answer to the first: else nobody could say which was last.
        if let Some(of) = changes(&item) {
            let first = *self.changing.entry(of).or_insert(job);
            if first != job {
                return self.push(self.now + TURN, What::Send(job));
            }
        }
        let away = self.broker.away_until.filter(|_| by_broker(job));
        if let Some((until, false)) = away {
            // It waits in the broker.
            return self.push(until + Duration::from_millis(1), What::Send(job));
        }
        let vanishes = |item: &Item| matches!(item, Item::Vanish { job: whose, .. } if *whose == job);
        if !self.plan.items.iter().any(vanishes) {
            self.push(self.now + PATIENCE, What::Send(job));
        }
        if away.is_none() {
            self.announce(&item);
            self.ask(job, verb, request);
        }
    }

    /// A courier brings a job once more that was answered.
    pub(super) fn send_again(&mut self, job: u32) {
        let asked = self.booking(job).and_then(|item| self.request(&item));
        let answered = self.oracle.answered().get(&job);
        let (Some((verb, request)), Some(answer)) = (asked, answered) else {
            return;
        };
        // Over HTTP a refusal is forgotten, and what has no handle is new after two minutes.
        let recorded = !matches!(answer, Answer::Refused(_));
        let known = by_broker(job) || handle(job).is_some() && recorded;
        if !known || self.gateway.is_none() {
            return;
        }
        self.count("job delivered again");
        self.ask(job, verb, request.clone());
        if recorded && self.gateway.is_some() {
            self.count("job id used for another request");
            let ask = self.asked(job, verb, request, [0xff; 32]);
            self.tokens.remove(&ask.token);
            self.borrowed.insert(ask.token);
            self.tell(Event::Ask(Box::new(ask)), "borrowed", u64::from(job));
        }
    }

    fn booking(&self, job: u32) -> Option<Item> {
        let mut items = self.plan.items.iter();
        items.find(|item| item.job() == Some(job)).cloned()
    }

    fn ask(&mut self, job: u32, verb: Verb, request: Request) {
        if self.gateway.is_none() {
            return;
        }
        self.note(20, u64::from(job), 0, |_| format!("job {job}: {}", verb.word()));
        let creates = matches!(request, Request::CreateMultiple(_));
        let ask = self.asked(job, verb, request, hash(job));
        self.asking = creates.then_some(job);
        self.tell(Event::Ask(Box::new(ask)), "job", u64::from(job));
        self.asking = None;
        self.call_courier();
    }

    /// A request, and the token by which its answer is known.
    fn asked(&mut self, job: u32, verb: Verb, request: Request, hash: [u8; 32]) -> Ask {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.tokens.insert(token, job);
        let door = match by_broker(job) {
            true => Door::Mqtt {
                job: self.job_id(job),
                reply: Some(ReplyTo {
                    topic: "reply".into(),
                    correlation: None,
                }),
                progress: false,
            },
            false => Door::Http { handle: handle(job) },
        };
        Ask {
            token,
            caller: Caller("world".into()),
            verb,
            door,
            hash,
            request: Ok(request),
        }
    }

    fn judge_no_space(&self, job: u32, item: Option<&Item>) -> Result<(), Violation> {
        let Some((_, Request::CreateMultiple(asked))) = item.and_then(|item| self.request(item)) else {
            return Ok(());
        };
        let holds = |lock, pin: &_| self.holds(lock, pin);
        self.oracle
            .judge_no_space(job, &asked.devices, asked.window, self.clock(), holds)
    }

    /// The id of a job is taken for another request, which must be told.
    pub(super) fn judge_borrowed(&self, answer: &Answer) -> Result<(), Violation> {
        match answer {
            Answer::Refused(refusal) if refusal.reason == Reason::JobIdReused => Ok(()),
            _ => {
                let seen = "another request under the id of a job was not refused".to_owned();
                Err(self.clock().violation("I3", seen))
            }
        }
    }

    /// The judge learns what is being asked for, before it is answered.
    fn announce(&mut self, item: &Item) {
        let wall = |at: Mono, span: Duration| START + Duration::from_millis(at.0) + span;
        let oracle = &mut self.oracle;
        let booked = |of: &u32| self.booked.get(of).map(|(_, codes)| codes.as_slice());
        let member = |of: &u32, nth: &usize| {
            let codes = booked(of)?;
            codes.get(nth % codes.len().max(1)).copied()
        };
        match item {
            Item::Create { job, locks, .. } => {
                let devices: Vec<DeviceId> = locks.iter().map(|i| self.ids[*i]).collect();
                oracle.sent(*job, &devices);
                self.recorded.entry(*job).or_default().0 = locks.len();
            }
            Item::Update { at, of, ends, .. } => {
                let ends_at = wall(*at, *ends);
                oracle.asked_to_move(booked(of).unwrap_or_default(), |window| {
                    Window::between(window.start(), ends_at)
                });
            }
            Item::Shift {
                at, of, starts, ends, ..
            } => {
                let to = Window::between(wall(*at, *starts), wall(*at, *ends));
                oracle.asked_to_move(booked(of).unwrap_or_default(), |_| to);
            }
            Item::Delete { of, member: nth, .. } => {
                if let Some(code) = member(of, nth) {
                    oracle.asked_to_delete(code);
                }
            }
            Item::Change {
                at,
                of,
                member: nth,
                to,
                ..
            } => {
                let Some(code) = member(of, nth) else { return };
                match to {
                    Change::Pin(pin) => oracle.asked_to_recode(code, pin),
                    Change::Ongoing => oracle.asked_to_move(&[code], |_| Some(Window::Ongoing)),
                    Change::Ends(after) => {
                        let ends_at = wall(*at, *after);
                        oracle.asked_to_move(&[code], |window| Window::between(window.start(), ends_at));
                    }
                }
            }
            _ => {}
        }
    }

    /// What the job asks for; `None` if it builds on a booking that never came about.
    fn request(&self, item: &Item) -> Option<(Verb, Request)> {
        let wall = |at: Mono, span: Duration| START + Duration::from_millis(at.0) + span;
        match item {
            Item::Create {
                at,
                locks,
                window,
                unshared,
                job,
            } => {
                let devices: Vec<DeviceId> = locks.iter().map(|i| self.ids[*i]).collect();
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
                let (key, _) = self.booked.get(of)?;
                let ends_at = wall(*at, *ends);
                let job = UpdateMultiple {
                    key: key.clone()?,
                    starts_at: None,
                    ends_at: Some(ends_at),
                    name: None,
                };
                Some((Verb::UpdateMultiple, Request::UpdateMultiple(job)))
            }
            Item::Shift {
                at, of, starts, ends, ..
            } => {
                let (key, _) = self.booked.get(of)?;
                let job = UpdateMultiple {
                    key: key.clone()?,
                    starts_at: Some(wall(*at, *starts)),
                    ends_at: Some(wall(*at, *ends)),
                    name: None,
                };
                Some((Verb::UpdateMultiple, Request::UpdateMultiple(job)))
            }
            Item::Delete { of, member, .. } => {
                let (_, codes) = self.booked.get(of)?;
                let code = *codes.get(member % codes.len().max(1))?;
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
                        job.pin = Some(pin.clone());
                    }
                    Change::Ongoing => {
                        job.times = NewTimes::Ongoing;
                    }
                    Change::Ends(after) => {
                        let ends_at = wall(*at, *after);
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
            _ => None,
        }
    }

    pub(super) fn hear(&mut self, job: u32, answer: &Answer) {
        let item = self.booking(job);
        self.changing.retain(|_, first| *first != job);
        let codes = match (&item, answer) {
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
            (Some(Item::Update { of, .. } | Item::Shift { of, .. }), _) => self
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
        if let Answer::Refused(refusal) = answer {
            *self.report.refused.entry(refusal.reason.word()).or_default() += 1;
            // An answer that is told once more is as old as the first.
            let is_first = !self.oracle.answered().contains_key(&job);
            if refusal.reason == Reason::NoSpace && is_first {
                let verdict = self.judge_no_space(job, item.as_ref());
                self.note_verdict(verdict);
            }
        }
        let verdict = self.oracle.heard(job, &codes, answer, self.clock());
        self.note_verdict(verdict);
    }
}

/// What stands for the body of a job's request.
fn hash(job: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&job.to_be_bytes());
    hash
}

/// By which a job is known that comes over HTTP. Some callers have none: they count on being known by what
/// they ask.
fn handle(job: u32) -> Option<String> {
    (job % 4 == 1 && job < 1_000_000).then(|| format!("stay {job}"))
}

/// The booking that a job changes, if it changes one.
fn changes(item: &Item) -> Option<u32> {
    match item {
        Item::Update { of, .. }
        | Item::Shift { of, .. }
        | Item::Change { of, .. }
        | Item::Delete { of, .. } => Some(*of),
        _ => None,
    }
}
