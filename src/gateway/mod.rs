//! The core: all decisions, and nothing else.
//!
//! [`Gateway::handle`] takes an event and answers with effects. It knows no clock, task, socket or
//! randomness; all of these are handed in. It reads the store once, at the start.
//!
//! ```text
//!   Ask ──> accept ──> plan ──> records ─┐                       ┌─> Commit (ledger)
//!   Done ─> learn ─────────────────────> ├─> turn ──> dispatch ──┼─> Drive, once durable
//!   Heard, Met, Radio, Timer ──────────> ┘  rows      per radio  └─> Reply, Changed, once durable
//! ```
//!
//! In this order, for every event: memory takes the change on (`accept`, `carry_out`, `device`); each
//! touched device holds its desired codes against its confirmed ones and writes its queue rows
//! (*turn*); each radio with a free link takes the most pressing lock (*dispatch*); and the batch
//! of all that is closed, so that effects wait for its sync (`ledger`).

mod accept;
mod boot;
mod carry_out;
mod credentials;
mod device;
mod doors;
mod dry_run;
mod exports;
mod incident;
mod jobs;
mod ledger;
mod look;
mod network;
mod rates;
mod records;
mod restored;
mod summary;
mod timekeeper;
pub mod view;
pub mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, RngExt};

pub use accept::{Ask, Door};
pub use boot::Repairs;
pub use credentials::{is_credential, is_device};
pub use device::DeviceSpec;
pub use incident::Incident;
pub use records::{Aim, Answer, Phase, Reply, ReplyTo, Verb, Waiting};
pub use restored::restored_row;

use crate::model::{
    CallId, CodeId, Credential, Detail, DeviceId, EventKind, Exchange, GroupKey, JobId, Logbook, Mono, Now,
    Outage, Outcome, RadioId, Reading, Settings, Timestamp, Word,
};
use crate::sabotage::{self, Sabotage};
use crate::schedule;
use crate::store::{Batch, Ticket, Tree};
use credentials::Credentials;
use device::Device;
use doors::Doors;
use exports::Exports;
use jobs::Jobs;
use ledger::{Desk, Ledger};
use rates::Rates;
use timekeeper::{MARK_KEY, Timekeeper};
use view::{Away, Trust};

/// An answer that could not be sent for so long is not worth sending.
const REPLY_LIFE: Duration = Duration::from_secs(86_400);

/// What happens to the core.
#[derive(Debug)]
pub enum Event {
    /// A caller asks for something.
    Ask(Box<Ask>),
    /// A batch is durable, and all before it.
    Synced(Ticket),
    /// An exchange is over.
    Done(CallId, Outcome),
    /// A lock was heard.
    Heard(DeviceId),
    /// A lock is heard no more.
    Lost(DeviceId),
    /// A lock left this gateway for good.
    Removed(DeviceId),
    /// A network tells of a lock: a new one, or with something new.
    Met(Box<DeviceSpec>),
    /// These are all that the network of a radio has.
    Census(RadioId, BTreeSet<DeviceId>),
    /// A radio went away, or is there.
    Radio(RadioId, Option<Outage>),
    /// A lock said something by itself.
    Told(DeviceId, Word),
    /// What a lock wrote down itself.
    Logged(DeviceId, Logbook),
    /// What lets a driver in at a lock is to be kept, or forgotten.
    Keep(DeviceId, Option<Credential>),
    /// An answer over MQTT is with its caller.
    ReplySent(u64),
    /// The broker has every event up to this one. From the first time on its place is kept.
    EventsSent(u64),
    /// Somebody wants the codes of a lock checked now.
    Verify(DeviceId),
    /// The answer to a request over HTTP goes out to a caller who is still there.
    Answered(JobId),
    /// It did not get there after all.
    AnswerLost(JobId),
    /// The PIN of a code is to be shown to somebody of this name.
    Revealed(CodeId, String),
    /// The operator vouches for a clock that made a wild step.
    AcceptClock,
    /// The export that was asked for last was not made.
    ExportFailed,
    /// The storage went below its reserve, or is above it again.
    StorageLow(bool),
    /// Time has passed.
    Timer,
}

/// What the shell is to do.
#[derive(Debug)]
pub enum Effect {
    /// Commit a batch, sync it, and say [`Event::Synced`].
    Commit(Ticket, Batch),
    /// Answer a caller.
    Reply {
        /// Whom.
        token: Token,
        /// About which job.
        job: JobId,
        /// What.
        answer: Answer,
    },
    /// Talk with a lock, and say [`Event::Done`], always.
    Drive(Exchange),
    /// What readers see of these has changed.
    Changed(BTreeSet<Subject>),
    /// Make an export of all that was committed so far.
    Export,
    /// Say [`Event::Timer`] at this time; takes the place of an earlier one.
    WakeAt(Mono),
}

/// Where the answer to one request goes; means something to the shell only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Something that readers follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A device.
    Device(DeviceId),
    /// A job.
    Job(JobId),
    /// A group.
    Group(GroupKey),
    /// Answers that wait to be sent.
    Replies,
    /// What happened: there is a new event.
    Events,
    /// Whether the clock is trusted.
    Clock,
    /// Whether the storage is below its reserve.
    Storage,
}

struct Radio {
    links: usize,
    in_flight: usize,
    /// Until then no lock in trouble is asked while another waits.
    spare_until: Mono,
    away: Option<Away>,
    /// That it is away was told as an event.
    told_away: bool,
}

/// The whole gateway but for its edges.
pub struct Gateway {
    settings: Settings,
    devices: BTreeMap<DeviceId, Device>,
    credentials: Credentials,
    radios: BTreeMap<RadioId, Radio>,
    /// Devices that were part of this gateway before its last start, and left nothing but that behind.
    forgotten: BTreeSet<DeviceId>,
    owners: BTreeMap<CodeId, DeviceId>,
    groups: BTreeMap<GroupKey, Vec<CodeId>>,
    jobs: Jobs,
    doors: Doors,
    rates: Rates,
    timekeeper: Timekeeper,
    exports: Exports,
    replies: BTreeMap<u64, Reply>,
    next_reply: u64,
    ledger: Ledger,
    flights: BTreeMap<CallId, Exchange>,
    next_call: CallId,
    storage_low: bool,
    /// Codes whose jobs are to be looked at in this turn.
    resettle: BTreeSet<CodeId>,
    /// What readers must look at again.
    news: BTreeSet<Subject>,
    prune_at: Timestamp,
    before: Option<Now>,
}

impl Gateway {
    /// Takes one event in and says what is to be done about it. Never fails, never waits.
    pub fn handle(&mut self, reading: Reading, event: Event, rng: &mut dyn Rng, out: &mut Vec<Effect>) {
        let told = self.ledger.last_event();
        let now = self.judge_clock(reading, matches!(event, Event::AcceptClock));
        self.notice_step(now);
        match event {
            Event::Ask(ask) => self.accept(now, *ask, rng),
            Event::Synced(ticket) => self.ledger.settle(ticket, out),
            Event::Done(call, outcome) => self.learn(now, call, &outcome, rng),
            Event::Heard(id) => self.with_device(now, id, Device::heard),
            Event::Lost(id) => self.with_device(now, id, Device::lost),
            Event::Removed(id) => self.with_device(now, id, Device::remove),
            Event::Met(spec) => self.meet(now, *spec),
            Event::Census(radio, present) => self.take_census(now, &radio, &present),
            Event::Radio(radio, outage) => self.note_radio(now, &radio, outage),
            Event::Told(id, word) => self.note_word(now, id, word),
            Event::Logged(id, logbook) => {
                self.with_device(now, id, |device, desk| device.take_logbook(&logbook, desk));
            }
            Event::Keep(id, credential) => self.keep_credential(id, credential),
            Event::ReplySent(seq) => self.reply_sent(seq),
            Event::EventsSent(seq) => self.ledger.events_sent(seq),
            Event::Verify(id) => self.with_device(now, id, Device::verify),
            Event::Answered(job) => self.jobs.answered(&job),
            Event::AnswerLost(job) => self.jobs.answer_lost(&job),
            Event::Revealed(id, to) => self.note_revealed(now, id, to),
            Event::ExportFailed => self.exports.want(now.mono),
            Event::StorageLow(low) => {
                self.storage_low = low;
                self.changed(Subject::Storage);
            }
            Event::Timer | Event::AcceptClock => {}
        }
        self.turn_all(now);
        self.expire_doors(now);
        self.dispatch(now);
        self.prune(now);
        if self.ledger.last_event() > told {
            self.changed(Subject::Events);
        }
        if !self.news.is_empty() {
            self.ledger.after(Effect::Changed(std::mem::take(&mut self.news)));
        }
        // The mark alone is no change.
        if self.ledger.is_open() {
            self.exports.want(now.mono);
        }
        if let Some(kept) = self.timekeeper.due_to_write(self.ledger.is_open(), now.mono) {
            self.ledger.put(Tree::Meta, MARK_KEY, &kept);
        }
        if self.ledger.is_open() {
            self.jobs.save_answered(&mut self.ledger);
        }
        self.ledger.close(out);
        if self.exports.take(now.mono) {
            out.push(Effect::Export);
        }
        if let Some(at) = self.wake_at(now) {
            out.push(Effect::WakeAt(at));
        }
    }

    /// What time it is from here on. Whoever follows learns when the trust in it comes or goes.
    fn judge_clock(&mut self, reading: Reading, accepted: bool) -> Now {
        if accepted {
            self.timekeeper.accept(reading.mono);
        }
        let vouched = self.timekeeper.last_vouched();
        let (now, changed) = self.timekeeper.judge(reading);
        let trust = self.timekeeper.view().trust;
        if trust == Trust::Trusted && (changed || self.before.is_none()) {
            self.stamp_anew(vouched, now);
        }
        self.ledger.clock_trusted = trust == Trust::Trusted;
        if changed {
            let kind = match trust {
                Trust::Trusted => EventKind::ClockTrusted,
                Trust::Untrusted => EventKind::ClockUntrusted,
                Trust::Wild => EventKind::ClockWild,
            };
            self.ledger.tell(now.wall, kind, None, None, None, Detail::None);
            self.changed(Subject::Clock);
        }
        now
    }

    /// What was stamped while the clock did not count may have been stamped with any time before this one, and
    /// is kept as if it had come about now: else a job that was done years ago by its stamp would be
    /// forgotten, and be done twice when it comes again.
    fn stamp_anew(&mut self, vouched: Timestamp, now: Now) {
        self.jobs.stamp_anew(vouched, now.wall, &mut self.ledger);
        for (seq, reply) in &mut self.replies {
            if reply.expires_at > vouched + REPLY_LIFE && reply.expires_at < now.wall + REPLY_LIFE {
                reply.expires_at = now.wall + REPLY_LIFE;
                self.ledger.put(Tree::Replies, &seq.to_be_bytes(), reply);
            }
        }
        self.prune_at = self.prune_at.min(now.wall);
    }

    /// A wall clock that moved by itself makes every window be judged anew.
    fn notice_step(&mut self, now: Now) {
        if let Some(before) = self.before {
            let expected = before.wall_at(now.mono);
            if expected.since(now.wall).max(now.wall.since(expected)) > Duration::from_secs(1) {
                self.devices.values_mut().for_each(|device| device.dirty = true);
                self.resettle.extend(self.owners.keys());
                self.prune_at = Timestamp::MIN;
            }
        }
        self.before = Some(now);
    }

    fn with_device(&mut self, now: Now, id: DeviceId, change: impl FnOnce(&mut Device, &mut Desk<'_>)) {
        if let Some(device) = self.devices.get_mut(&id) {
            let (settings, ledger) = (&self.settings, &mut self.ledger);
            change(
                device,
                &mut Desk {
                    now,
                    settings,
                    ledger,
                },
            );
            self.news.insert(Subject::Device(id));
        }
    }

    /// Who gets to see a PIN is on record before; of a code that is gone there is nothing to see.
    fn note_revealed(&mut self, now: Now, id: CodeId, to: String) {
        if let Some(device) = self.owners.get(&id).copied() {
            let (kind, detail) = (EventKind::CodeRevealed, Detail::RevealedTo(to));
            self.ledger
                .tell(now.wall, kind, Some(device), Some(id), None, detail);
        }
    }

    fn changed(&mut self, subject: Subject) {
        self.news.insert(subject);
    }

    fn owner(&self, code: CodeId) -> Option<&Device> {
        self.owners.get(&code).and_then(|device| self.devices.get(device))
    }

    fn learn(&mut self, now: Now, call: CallId, outcome: &Outcome, rng: &mut dyn Rng) {
        let Some(exchange) = self.flights.remove(&call) else {
            return;
        };
        self.learn_doors(now, &exchange, outcome);
        let Some(device) = self.devices.get_mut(&exchange.device) else {
            return;
        };
        if let Some(radio) = self.radios.get_mut(&device.spec.radio) {
            if !(outcome.unanswered() && sabotage::on(Sabotage::KeepsLinks)) {
                radio.in_flight = radio.in_flight.saturating_sub(1);
            }
            if outcome.unanswered() {
                let spare_until = now.mono + schedule::spared_for(outcome.took);
                radio.spare_until = radio.spare_until.max(spare_until);
            }
        }
        let jitter = rng.random();
        let (settings, ledger) = (&self.settings, &mut self.ledger);
        let touched = device.learn(
            &exchange,
            outcome,
            jitter,
            &mut Desk {
                now,
                settings,
                ledger,
            },
        );
        for code in touched {
            // One that came back to its lock is on record again.
            if device.codes.contains_key(&code) {
                self.owners.entry(code).or_insert(exchange.device);
            }
            self.resettle.insert(code);
        }
        self.news.insert(Subject::Device(exchange.device));
    }

    fn turn_all(&mut self, now: Now) {
        let Gateway {
            devices,
            settings,
            ledger,
            owners,
            groups,
            news,
            resettle,
            ..
        } = self;
        for (id, device) in devices.iter_mut().filter(|(_, device)| device.turn_is_due(now)) {
            for touched in device.turn(&mut Desk {
                now,
                settings,
                ledger,
            }) {
                resettle.insert(touched.code);
                news.insert(Subject::Device(*id));
                let Some(group) = touched.dropped else { continue };
                owners.remove(&touched.code);
                let Some(key) = group else { continue };
                news.insert(Subject::Group(key.clone()));
                if let Some(members) = groups.get_mut(&key) {
                    members.retain(|code| *code != touched.code);
                    if members.is_empty() {
                        groups.remove(&key);
                    }
                }
            }
        }
        self.settle_jobs(now);
    }

    /// Looks at the jobs of every code that was touched.
    fn settle_jobs(&mut self, now: Now) {
        for code in std::mem::take(&mut self.resettle) {
            let held = self
                .owner(code)
                .and_then(|device| Some((device, device.codes.get(&code)?)));
            if let Some(key) = held.and_then(|(_, held)| held.record.group.clone()) {
                self.news.insert(Subject::Group(key));
            }
            let held = self
                .owners
                .get(&code)
                .and_then(|d| self.devices.get(d))
                .and_then(|device| {
                    let code = device.codes.get(&code)?;
                    Some((code.record.generation, device.has_settled(code, now)))
                });
            // Gone, superseded, or as this job wanted it.
            let settled =
                |generation: u64| held.is_none_or(|(current, settled)| current > generation || settled);
            self.news
                .extend(self.jobs.watchers(code).cloned().map(Subject::Job));
            for id in self.jobs.settle(code, settled, now.wall, &mut self.ledger) {
                let kind = EventKind::JobDone;
                self.ledger
                    .tell(now.wall, kind, None, None, Some(&id), Detail::None);
                if let Some(to) = self.jobs.get(&id).and_then(|job| job.progress.clone()) {
                    self.queue_reply(now, to, id.clone(), Phase::Done);
                }
                self.prune_at = self.prune_at.min(now.wall + jobs::KEEP);
            }
        }
    }

    /// Gives every free link to the lock that needs it most (I5), sparing locks in trouble while
    /// others wait (I12).
    fn dispatch(&mut self, now: Now) {
        let Gateway {
            devices,
            radios,
            settings,
            ledger,
            flights,
            next_call,
            ..
        } = self;
        for (radio_id, radio) in radios.iter_mut() {
            while radio.in_flight < radio.links {
                let mut waiting: Vec<_> = devices
                    .values_mut()
                    .filter(|device| device.spec.radio == *radio_id)
                    .filter_map(|device| {
                        let rank = device.pressing(now, settings)?;
                        Some((device.in_trouble(), rank, device.spec.device))
                    })
                    .collect();
                let others_wait = waiting.iter().any(|(in_trouble, ..)| !in_trouble);
                if others_wait && now.mono < radio.spare_until {
                    waiting.retain(|(in_trouble, ..)| !in_trouble);
                }
                let chosen = waiting.into_iter().min_by_key(|(_, rank, id)| (*rank, *id));
                let Some(device) = chosen.and_then(|(_, _, id)| devices.get_mut(&id)) else {
                    break;
                };
                next_call.0 += 1;
                let exchange = device.exchange(
                    *next_call,
                    &mut Desk {
                        now,
                        settings,
                        ledger,
                    },
                );
                radio.in_flight += 1;
                flights.insert(exchange.call, exchange.clone());
                ledger.after(Effect::Drive(exchange));
            }
        }
    }

    fn reply_sent(&mut self, seq: u64) {
        if self.replies.remove(&seq).is_some() {
            self.ledger.remove(Tree::Replies, &seq.to_be_bytes());
        }
    }

    fn prune(&mut self, now: Now) {
        if now.wall < self.prune_at {
            return;
        }
        let next_job = self.jobs.prune(now.wall, &mut self.ledger);
        let expired: Vec<u64> = self
            .replies
            .iter()
            .filter(|(_, r)| r.expires_at <= now.wall)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in expired {
            self.reply_sent(seq);
        }
        let next_reply = self
            .replies
            .values()
            .map(|r| r.expires_at)
            .min()
            .unwrap_or(Timestamp::MAX);
        self.prune_at = next_job.min(next_reply);
    }

    fn wake_at(&self, now: Now) -> Option<Mono> {
        let prune = (self.prune_at != Timestamp::MAX).then(|| now.mono + self.prune_at.since(now.wall));
        self.devices
            .values()
            .flat_map(|device| [device.wake_at(now), device.door_expires()])
            .flatten()
            .chain(prune)
            .chain(self.timekeeper.wake_at())
            .chain(self.exports.due())
            .min()
    }
}
