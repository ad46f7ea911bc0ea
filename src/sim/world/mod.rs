//! The world around one gateway: true time, a disk, and the power that fails; its locks
//! (`locks.rs`), its callers (`callers.rs`), its broker (`broker.rs`), what befalls them all
//! (`happenings.rs`), and where the judge is asked for more than one of them (`verdicts.rs`).

mod broker;
mod callers;
mod happenings;
mod locks;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rand::RngExt;
use uuid::Uuid;

use crate::gateway::{Answer, DeviceSpec, Effect, Event, Gateway, Token};
use crate::lock::sim::{SimLock, Spell};
use crate::model::{
    AttemptId, Boot, CallId, CodeId, DeviceId, Exchange, Finding, GroupKey, JobId, Limits, Mono, Now,
    Outcome, RadioId, Reading, Settings, Step, Timestamp,
};
use crate::sim::oracle::{Clock, Oracle, Violation};
use crate::sim::plan::{Item, Plan, Stage, StepName, fault_word, stream};
use crate::store::{MemoryStore, SealKey, Store, Ticket, Tree, Vault};
use broker::{Broker, by_broker};
use verdicts::code_in;

/// Wall time at the start of every run: 2027-01-04T00:00:00Z.
const START: Timestamp = Timestamp(1_799_020_800_000);
/// Quiet at the end, in which everything must come right: longer than the check of a lock.
pub const QUIET: Duration = Duration::from_secs(2 * 86_400);

/// Where a clock without a battery begins when the machine starts.
const YEARS_BACK_MS: i64 = -3 * 365 * 86_400_000;

/// Low enough that a busy week meets them.
fn limits() -> Limits {
    Limits {
        jobs: 220,
        events: 1_500,
        ..Limits::default()
    }
}

/// So long after a stall of the card, exchanges may be those that were chosen before it.
const AFTER_A_STALL: Duration = Duration::from_secs(30);

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

/// How a gateway ends that nobody asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fall {
    /// With the machine.
    Power,
    /// Alone: what it wrote, the system still has, and the machine's clock runs on.
    Kill,
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

    /// Cuts the power now; it comes back seconds later.
    pub fn cut_power(&mut self) {
        self.fall(Fall::Power);
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

    /// Counts a step by its name; `false` if the power is cut right before it.
    fn step(&mut self, stage: Stage, whom: u32) -> bool {
        let nth = self.counts.entry((stage, whom)).or_default();
        *nth += 1;
        let name = StepName {
            stage,
            whom,
            nth: *nth,
        };
        let struck = self.plan.crashes.contains(&name);
        self.report.steps.push(name);
        if struck {
            let mut rng = stream(self.plan.seed, "fall", self.life);
            let (fall, word) = match rng.random_range(0..3) {
                0 => (Fall::Kill, "killed"),
                _ => (Fall::Power, "power cut"),
            };
            self.count(&format!("{word} at {stage:?}"));
            self.fall(fall);
        }
        !struck
    }

    fn count(&mut self, what: &str) {
        match self.report.struck.get_mut(what) {
            Some(times) => *times += 1,
            None => drop(self.report.struck.insert(what.to_owned(), 1)),
        }
    }

    fn fall(&mut self, fall: Fall) {
        self.fall_until(fall, None);
    }

    /// The gateway falls, and starts again then, or soon.
    fn fall_until(&mut self, fall: Fall, back: Option<Mono>) {
        let under_way = std::mem::take(&mut self.calls).into_iter();
        self.late
            .extend(under_way.map(|(call, open)| ((self.life, call), open)));
        self.life += 1;
        self.report.crashes += 1;
        let mut rng = stream(self.plan.seed, "crash", self.life);
        let kept = match fall {
            Fall::Power => rng.random_range(0..=self.disk.unsynced()),
            Fall::Kill => self.disk.unsynced(),
        };
        self.disk.crash(kept);
        self.gateway = None;
        self.tokens.clear();
        self.borrowed.clear();
        self.synced = Ticket(0);
        self.bad_sync = false;
        self.oracle.power(false, self.now);
        self.note(1, self.life, kept as u64, |_| match fall {
            Fall::Power => "the power fails".to_owned(),
            Fall::Kill => "the gateway is killed".to_owned(),
        });
        let soon = match fall {
            Fall::Power => {
                self.machine.1 = None;
                rng.random_range(2_000..60_000)
            }
            Fall::Kill => rng.random_range(100..5_000),
        };
        let soon = self.now + Duration::from_millis(soon);
        self.push(back.unwrap_or(soon), What::Boot);
        let verdict = self.judge_disk();
        self.note_verdict(verdict);
    }

    fn boot(&mut self) {
        let machine_since = self.machine.1.unwrap_or(self.now);
        if self.machine.1.is_none() {
            self.machine = (self.machine.0 + 1, Some(self.now));
            if self.shown.alone {
                self.shown.off_ms = YEARS_BACK_MS;
                if !std::mem::replace(&mut self.shown.coarse, true) {
                    self.ids
                        .iter()
                        .for_each(|lock| self.oracle.trouble(*lock, false, self.now));
                }
            }
        }
        let key = SealKey::new([7; SealKey::BYTES]);
        let mut prefix = [0; 16];
        prefix[..8].copy_from_slice(&self.life.to_be_bytes());
        let devices = (0..self.locks.len())
            .filter(|i| !self.left_out.contains(i))
            .map(|i| DeviceSpec {
                device: self.ids[i],
                name: format!("lock {i}"),
                driver: "sim".into(),
                radio: radio(self.plan.locks[i].radio),
                capabilities: self.locks[i].capabilities().clone(),
                simulated: true,
            })
            .collect();
        let radios = self
            .plan
            .links
            .iter()
            .enumerate()
            .map(|(i, links)| (radio(i), *links))
            .collect();
        let opened = Vault::open(&mut self.disk, &key, prefix).and_then(|(vault, content)| {
            Gateway::boot(
                vault,
                content,
                devices,
                radios,
                self.settings.clone(),
                Boot {
                    id: Uuid::from_u128(self.machine.0.into()),
                    up: self.now.0 - machine_since.0,
                    at: self.now,
                },
                self.reading(),
            )
        });
        match opened {
            Ok((gateway, _)) => self.gateway = Some(gateway),
            Err(fail) => {
                let seen = format!("the store cannot be opened: {fail}");
                self.note_verdict(Err(Violation {
                    invariant: "I1",
                    at: self.now,
                    seen,
                }));
                return;
            }
        }
        self.oracle.power(true, self.now);
        self.note(2, self.life, 0, |_| "the gateway starts".to_owned());
        self.tell(Event::Timer, "start", self.life);
        if self.full {
            self.tell(Event::StorageLow(true), "full", self.life);
        }
        self.call_courier();
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

    /// Hands an event to the gateway and carries its effects out.
    fn tell(&mut self, event: Event, who: &str, nth: u64) {
        let mut effects = Vec::new();
        let reading = self.reading();
        let mut rng = stream(self.plan.seed, who, nth);
        let Some(gateway) = &mut self.gateway else { return };
        let handled = catch_unwind(AssertUnwindSafe(|| {
            gateway.handle(reading, event, &mut rng, &mut effects);
        }));
        if handled.is_err() {
            let verdict = self.clock().violation("I11", "the core panicked".into());
            return self.note_verdict(Err(verdict));
        }
        self.forget_wake();
        let life = self.life;
        for effect in effects {
            if life != self.life {
                break;
            }
            self.carry_out(effect);
        }
    }

    /// The gateway has a new timer, or none.
    fn forget_wake(&mut self) {
        if let Some(wake) = self.wake.take() {
            self.heap.remove(&wake);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(ticket, batch) => {
                if !self.step(Stage::Commit, 0) {
                    return;
                }
                if let Some(job) = self.asking {
                    let codes = &mut self.recorded.entry(job).or_default().1;
                    let put = batch.iter().filter(|(tree, key, value)| {
                        *tree == Tree::Codes && key.ends_with(&[0; 4]) && value.is_some()
                    });
                    // A turn may write others' records in the same batch.
                    let new = put.filter_map(|(_, key, _)| code_in(key));
                    codes.extend(new.filter(|code| self.born.insert(*code)));
                }
                if let Err(fail) = self.disk.commit(&batch) {
                    let seen = format!("a batch was refused: {fail}");
                    self.note_verdict(Err(Violation {
                        invariant: "I10",
                        at: self.now,
                        seen,
                    }));
                }
                let mut rng = stream(self.plan.seed, "sync", ticket.0 ^ self.life << 40);
                // Cards stall now and then while they tidy up.
                let latency = match rng.random_range(0..2_000) {
                    0 => 20_000,
                    _ => rng.random_range(2..40),
                };
                self.card_busy_until = self
                    .card_busy_until
                    .max(self.now + Duration::from_millis(latency));
                if latency == 20_000 {
                    self.stalled_until = self.card_busy_until;
                }
                self.push(self.card_busy_until, What::Synced(self.life, ticket));
            }
            Effect::Reply {
                token,
                answer,
                job: id,
            } => {
                if self.borrowed.remove(&token) {
                    let verdict = self.judge_borrowed(&answer);
                    return self.note_verdict(verdict);
                }
                let Some(job) = self.tokens.remove(&token) else {
                    return;
                };
                if self.step(Stage::Reply, job) && !by_broker(job) {
                    self.hear(job, &answer);
                    self.job_ids.insert(job, id.clone());
                    self.tell(Event::Answered(id), "answered", u64::from(job));
                }
            }
            Effect::Drive(exchange) => {
                let Some(lock) = self.index(exchange.device) else {
                    return;
                };
                if !self.step(Stage::Drive, lock as u32) {
                    return;
                }
                if let Some(outcome) = exchange.missed(self.now) {
                    self.push(self.now, What::Missed(self.life, exchange.call, outcome));
                    return;
                }
                if self.left_out.contains(&lock) {
                    let seen = format!("lock {lock} is asked, which is none of this gateway");
                    let verdict = self.clock().violation("I6", seen);
                    return self.note_verdict(Err(verdict));
                }
                self.report.calls += 1;
                let sets = exchange.steps.iter().any(|step| matches!(step, Step::Put { .. }));
                let rids = exchange
                    .steps
                    .iter()
                    .any(|step| matches!(step, Step::Remove { .. }));
                // What was decided before the card stalled is carried out after it.
                if sets && !rids && self.stalled_until + AFTER_A_STALL < self.now {
                    let verdict = self
                        .oracle
                        .judge_order(exchange.device, self.clock(), |lock, pin| self.holds(lock, pin));
                    self.note_verdict(verdict);
                }
                let verdict = self.oracle.called(exchange.device, self.clock());
                self.note_verdict(verdict);
                for step in &exchange.steps {
                    let Some((code, generation)) = step.code() else {
                        continue;
                    };
                    let sets = matches!(step, Step::Put { .. });
                    let verdict = self.oracle.tries(code, generation, sets, self.clock());
                    self.note_verdict(verdict);
                }
                self.note(14, lock as u64, exchange.steps.len() as u64, |_| {
                    format!("lock {lock} is asked {} things", exchange.steps.len())
                });
                let call = exchange.call;
                let mut rng = stream(self.plan.seed, "latency", call.0 ^ self.life << 40);
                let latency = Duration::from_millis(rng.random_range(50..600));
                self.locks[lock].take_time(latency);
                let until = self.now + exchange.deadline;
                self.push(until, What::Deadline(self.life, call));
                self.calls.insert(
                    call,
                    Call {
                        exchange,
                        began: self.now,
                        deadline: (until, self.pushed),
                        findings: Vec::new(),
                    },
                );
                self.ask_lock(call, 0);
            }
            Effect::Changed(_) => {}
            Effect::Export => {}
            Effect::WakeAt(at) => {
                self.forget_wake();
                let at = at.max(self.now);
                self.push(at, What::Wake(self.pushed + 1));
                self.wake = Some((at, self.pushed));
            }
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
