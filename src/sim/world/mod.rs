//! The world around one gateway: true time and a heap of what is to happen; the gateway's effects (`effects.rs`),
//! the power that fails (`power.rs`), its locks (`locks.rs`), its callers (`callers.rs`), its broker
//! (`broker.rs`), what befalls them all (`happenings.rs`), and where the judge is asked for more than one of them
//! (`verdicts.rs`).

mod broker;
mod callers;
mod effects;
mod happenings;
mod locks;
mod power;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::gateway::{Answer, Event, Gateway, Token};
use crate::lock::sim::{SimLock, Spell};
use crate::model::{
    AttemptId, CallId, CodeId, DeviceId, Exchange, Finding, GroupKey, JobId, Limits, Mono, Now, Outcome,
    RadioId, Reading, Settings, Timestamp,
};
use crate::sim::oracle::{Clock, Oracle, Violation};
use crate::sim::plan::{Item, Plan, Stage, StepName, fault_word};
use crate::store::{MemoryStore, Store, Ticket};
use broker::Broker;
use power::Fall;

/// Wall time at the start of every run: 2027-01-04T00:00:00Z.
const START: Timestamp = Timestamp(1_799_020_800_000);
/// Quiet at the end, in which everything must come right: longer than the check of a lock.
pub const QUIET: Duration = Duration::from_secs(2 * 86_400);

/// Low enough that a busy week meets them.
fn limits() -> Limits {
    Limits {
        jobs: 220,
        events: 1_500,
        ..Limits::default()
    }
}

/// What the gateway says is held against the locks this often.
const WORDS_EVERY: Duration = Duration::from_secs(3600);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of all that happened, in order.
    pub hash: u64,
    /// What was broken first.
    pub violation: Option<Violation>,
    /// Every step at which the power could have been cut.
    pub steps: Vec<StepName>,
    /// Calls of locks.
    pub calls: u64,
    /// Power cuts that struck.
    pub crashes: usize,
    /// How often each kind of trouble struck, and each kind of step was cut at.
    pub struck: BTreeMap<String, u64>,
    /// How often callers were refused, by the word for it.
    pub refused: BTreeMap<&'static str, u64>,
    /// One line per thing that happened, if asked for.
    pub trace: Vec<String>,
}

/// Something in the heap.
enum What {
    Boot,
    Wake(u64),
    Synced(u64, Ticket),
    Send(u32),
    Apply(u64, CallId, usize),
    StepEnd(u64, CallId, usize, Finding),
    Deadline(u64, CallId),
    Missed(u64, CallId, Outcome),
    Item(usize),
    ItemOver(usize),
    Judge,
    /// What the gateway says of a code is held against its lock.
    Word(CodeId),
    /// The broker takes what waits for it.
    Courier(u64),
}

/// What is wrong with the gateway's clock.
#[derive(Default)]
struct Shown {
    /// It is ahead of true time by so much.
    off_ms: i64,
    /// And by so little, while it is trusted.
    slightly_off_ms: i64,
    /// Nothing vouches for it.
    alone: bool,
    /// And the machine was started meanwhile: how far time is proven is coarse, and what is late then is no
    /// fault.
    coarse: bool,
}

struct Call {
    exchange: Exchange,
    began: Mono,
    /// Its deadline's place in the heap.
    deadline: (Mono, u64),
    findings: Vec<Finding>,
}

/// The world.
pub struct World {
    plan: Plan,
    settings: Settings,
    now: Mono,
    heap: BTreeMap<(Mono, u64), What>,
    pushed: u64,
    life: u64,
    /// Starts of the machine, and the last of them; `None` while it has no power.
    machine: (u64, Option<Mono>),
    gateway: Option<Gateway>,
    /// Where its timer stands in the heap.
    wake: Option<(Mono, u64)>,
    disk: MemoryStore,
    /// What the gateway's clocks show.
    shown: Shown,
    /// No sync is over before this.
    card_busy_until: Mono,
    /// When the last stall of the card was over.
    stalled_until: Mono,
    locks: Vec<SimLock>,
    /// Those that the configuration does not name.
    left_out: BTreeSet<usize>,
    ids: Vec<DeviceId>,
    calls: BTreeMap<CallId, Call>,
    /// Those that were under way when the gateway of that life fell.
    late: BTreeMap<(u64, CallId), Call>,
    tokens: BTreeMap<Token, u32>,
    /// Requests that came with the id of another one.
    borrowed: BTreeSet<Token>,
    /// The ids of jobs, by their numbers.
    job_ids: BTreeMap<u32, JobId>,
    next_token: u64,
    /// The job that the gateway is being asked for.
    asking: Option<u32>,
    /// How many codes each booking asked for, and those that were put on record for it.
    recorded: BTreeMap<u32, (usize, Vec<CodeId>)>,
    born: BTreeSet<CodeId>,
    /// What the broker has.
    broker: Broker,
    /// The last batch that is durable.
    synced: Ticket,
    /// The card is nearly full.
    full: bool,
    /// The card fails the next sync.
    bad_sync: bool,
    /// Group key and codes of each booking that was answered.
    booked: BTreeMap<u32, (Option<GroupKey>, Vec<CodeId>)>,
    /// The job that changes a booking and is not answered yet.
    changing: BTreeMap<u32, u32>,
    /// When each door command was asked for, and the how-many-eth it was.
    doors: BTreeMap<AttemptId, (Mono, usize)>,
    /// The last door command that each lock was asked for.
    last_door: BTreeMap<DeviceId, usize>,
    counts: BTreeMap<(Stage, u32), u32>,
    oracle: Oracle,
    judge_at: Mono,
    words_judged: Mono,
    /// Things that happened at this very instant.
    idle: u32,
    report: Report,
    tracing: bool,
}

impl World {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new(plan: Plan, tracing: bool) -> World {
        let mut world = World {
            settings: plan.settings.clone().unwrap_or_else(|| Settings {
                limits: limits(),
                ..Settings::default()
            }),
            now: Mono(0),
            heap: BTreeMap::new(),
            pushed: 0,
            life: 0,
            machine: (0, None),
            gateway: None,
            wake: None,
            disk: MemoryStore::new(),
            shown: Shown::default(),
            card_busy_until: Mono(0),
            stalled_until: Mono(0),
            locks: Vec::new(),
            left_out: BTreeSet::new(),
            ids: Vec::new(),
            calls: BTreeMap::new(),
            late: BTreeMap::new(),
            tokens: BTreeMap::new(),
            borrowed: BTreeSet::new(),
            job_ids: BTreeMap::new(),
            next_token: 0,
            asking: None,
            recorded: BTreeMap::new(),
            born: BTreeSet::new(),
            broker: Broker::default(),
            synced: Ticket(0),
            full: false,
            bad_sync: false,
            booked: BTreeMap::new(),
            changing: BTreeMap::new(),
            doors: BTreeMap::new(),
            last_door: BTreeMap::new(),
            counts: BTreeMap::new(),
            oracle: Oracle::default(),
            judge_at: Mono(u64::MAX),
            words_judged: Mono(0),
            idle: 0,
            report: Report {
                hash: 0xcbf2_9ce4_8422_2325,
                violation: None,
                steps: Vec::new(),
                calls: 0,
                crashes: 0,
                struck: BTreeMap::new(),
                refused: BTreeMap::new(),
                trace: Vec::new(),
            },
            tracing,
            plan,
        };
        world.oracle.goes_by(&world.settings);
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        for (i, planned) in self.plan.locks.iter().enumerate() {
            let setup = planned.setup();
            let id = DeviceId(Uuid::from_u128(0xd00d_0000 + i as u128));
            self.oracle.meet(
                id,
                planned.radio,
                setup.capabilities.window,
                setup.capabilities.capacity,
            );
            let mut lock = SimLock::new(setup, Default::default());
            lock.set_away(self.plan.items.iter().filter_map(|item| spell(item, i)).collect());
            self.locks.push(lock);
            self.ids.push(id);
        }
        for i in 0..self.plan.items.len() {
            let item = &self.plan.items[i];
            let (at, until, job) = (item.at(), item.until(), item.job());
            match job {
                Some(job) => self.push(at, What::Send(job)),
                None => self.push(at, What::Item(i)),
            }
            if let Some(until) = until {
                self.push(until, What::ItemOver(i));
            }
        }
        self.push(Mono(0), What::Boot);
    }

    /// Runs the whole plan and the quiet days after it.
    #[must_use]
    pub fn run(mut self) -> Report {
        let end = Mono(0) + self.plan.length + QUIET;
        self.run_until(end);
        if self.report.violation.is_none() {
            let verdict = self.oracle.judge_end(self.clock(), |lock| self.table(lock));
            self.note_verdict(verdict);
            let verdict = self
                .judge_words()
                .and_then(|()| self.judge_jobs())
                .and_then(|()| self.judge_doors())
                .and_then(|()| self.judge_disk())
                .and_then(|()| self.judge_secrets());
            self.note_verdict(verdict);
        }
        for lock in &self.locks {
            for (kind, times) in lock.strikes() {
                let word = fault_word(*kind).unwrap_or_default();
                *self.report.struck.entry(word.to_owned()).or_default() += times;
            }
        }
        self.report
    }

    /// Runs until a moment, or the first violation.
    pub fn run_until(&mut self, end: Mono) {
        while let Some(entry) = self.heap.first_entry() {
            if entry.key().0 > end || self.report.violation.is_some() {
                break;
            }
            let ((at, _), what) = entry.remove_entry();
            assert!(at >= self.now, "time never runs backwards");
            self.idle = if at > self.now { 0 } else { self.idle + 1 };
            assert!(
                self.idle < 10_000,
                "time stands still at {at:?}: {:?}",
                self.report.trace.last()
            );
            self.now = at;
            self.happen(what);
        }
        self.now = self.now.max(end);
    }

    /// The running gateway, for a look.
    #[must_use]
    pub fn gateway(&self) -> Option<(&Gateway, Now)> {
        self.gateway
            .as_ref()
            .map(|gateway| (gateway, gateway.now(self.reading())))
    }

    /// A lock's own table.
    #[must_use]
    pub fn table_of(&self, lock: usize) -> Vec<crate::model::Entry> {
        self.locks[lock].table()
    }

    /// What a job was answered.
    #[must_use]
    pub fn answer(&self, job: u32) -> Option<&Answer> {
        self.oracle.answered().get(&job)
    }

    /// The id of a job: the caller's own over MQTT, the gateway's over HTTP.
    #[must_use]
    pub fn job_id(&self, job: u32) -> JobId {
        let made = self.job_ids.get(&job).cloned();
        made.unwrap_or_else(|| JobId::from_uuid(Uuid::from_u128(job.into())))
    }

    /// The group that a job booked.
    #[must_use]
    pub fn group(&self, job: u32) -> Option<&GroupKey> {
        self.booked.get(&job).and_then(|(key, _)| key.as_ref())
    }

    /// What was broken so far.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.report.violation.as_ref()
    }

    fn clock(&self) -> Clock {
        Clock {
            mono: self.now,
            wall: START + Duration::from_millis(self.now.0),
        }
    }

    /// What the clocks of locks show, which nobody sets.
    fn clock_of_locks(&self) -> Now {
        Now {
            wall: self.clock().wall,
            mono: self.now,
        }
    }

    /// What the gateway's clocks show.
    fn reading(&self) -> Reading {
        let Timestamp(wall) = self.clock().wall;
        Reading {
            wall: Timestamp(wall + self.shown.off_ms + self.shown.slightly_off_ms),
            mono: self.now,
            trusted: !self.shown.alone,
        }
    }

    fn table(&self, lock: DeviceId) -> Vec<crate::model::Entry> {
        self.index(lock).map_or_else(Vec::new, |i| self.locks[i].table())
    }

    fn index(&self, lock: DeviceId) -> Option<usize> {
        self.ids.iter().position(|id| *id == lock)
    }

    fn push(&mut self, at: Mono, what: What) {
        assert!(at >= self.now, "nothing is scheduled in the past");
        self.pushed += 1;
        self.heap.insert((at, self.pushed), what);
    }

    fn note(&mut self, kind: u64, whom: u64, value: u64, line: impl FnOnce(&World) -> String) {
        for number in [self.now.0, kind, whom, value] {
            self.report.hash = (self.report.hash ^ number)
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(17);
        }
        if self.tracing {
            let s = self.now.0 / 1000;
            let (day, h, m) = (s / 86_400, s / 3600 % 24, s / 60 % 60);
            let line = format!(
                "d{day} {h:02}:{m:02}:{:02}.{:03} {}",
                s % 60,
                self.now.0 % 1000,
                line(self)
            );
            self.report.trace.push(line);
        }
    }

    fn note_verdict(&mut self, verdict: Result<(), Violation>) {
        if let Err(violation) = verdict
            && self.report.violation.is_none()
        {
            self.note(99, 0, 0, |_| {
                format!("VIOLATION {} {}", violation.invariant, violation.seen)
            });
            self.report.violation = Some(violation);
        }
    }

    fn count(&mut self, what: &str) {
        match self.report.struck.get_mut(what) {
            Some(times) => *times += 1,
            None => drop(self.report.struck.insert(what.to_owned(), 1)),
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Boot => self.boot(),
            What::Wake(number) => {
                if self.gateway.is_some() {
                    self.tell(Event::Timer, "timer", number);
                }
            }
            What::Synced(life, ticket) => {
                if life != self.life || !self.step(Stage::Sync, 0) {
                    return;
                }
                if self.bad_sync {
                    // The gateway ends, and is started again on what the card kept.
                    self.count("card fails a sync");
                    return self.fall(Fall::Power);
                }
                let _ = self.disk.sync();
                self.synced = ticket;
                self.tell(Event::Synced(ticket), "synced", ticket.0);
                self.call_courier();
            }
            What::Send(job) => self.send(job),
            What::Apply(life, call, index) => self.apply(life, call, index),
            What::StepEnd(life, call, index, finding) => self.step_end(life, call, index, finding),
            What::Deadline(life, call) => {
                if life == self.life && self.calls.contains_key(&call) {
                    self.finish(call);
                }
            }
            What::Missed(life, call, outcome) => {
                if life == self.life {
                    self.tell(Event::Done(call, outcome), "missed", call.0);
                }
            }
            What::Item(index) => self.begin(index),
            What::ItemOver(index) => self.end(index),
            What::Judge => {
                self.judge_at = Mono(u64::MAX);
                let clock = self.clock();
                let mut oracle = std::mem::take(&mut self.oracle);
                let verdict = oracle.judge_edges(clock, |lock, pin| self.holds(lock, pin));
                self.oracle = oracle;
                self.note_verdict(verdict);
                // Looking at every code costs more than all the rest, and many weeks see as much.
                if self.words_judged + WORDS_EVERY <= self.now {
                    self.words_judged = self.now;
                    let verdict = self.judge_words();
                    self.note_verdict(verdict);
                }
            }
            // It was lost once more meanwhile.
            What::Word(code) if self.oracle.is_excused(code, self.now) => {}
            What::Word(code) => match self.oracle.may_know(code, self.now) {
                Some(at) if at > self.now => self.push(at, What::Word(code)),
                Some(_) => {
                    let verdict = self.judge_word(code);
                    self.note_verdict(verdict);
                }
                None => {}
            },
            What::Courier(number) => self.courier(number),
        }
        if let Some(edge) = self.oracle.next_edge()
            && edge < self.judge_at
        {
            self.judge_at = edge.max(self.now);
            self.push(self.judge_at, What::Judge);
        }
    }
}

fn radio(index: usize) -> RadioId {
    RadioId(format!("radio {index}"))
}

fn spell(item: &Item, lock: usize) -> Option<Spell> {
    match item {
        Item::Away {
            lock: away,
            from,
            until,
        } if *away == lock => Some(Spell {
            from: *from,
            until: *until,
        }),
        _ => None,
    }
}

/// Every step of a run at which the power could be cut, once each.
#[must_use]
pub fn crash_points(plan: &Plan) -> BTreeSet<StepName> {
    World::new(plan.clone(), false).run().steps.into_iter().collect()
}
