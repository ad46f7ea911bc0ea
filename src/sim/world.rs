//! The world around one gateway: true time, locks, callers, a disk, and the power that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use uuid::Uuid;

use super::oracle::{Clock, Oracle, Violation};
use super::plan::{Item, Plan, Stage, StepName, stream};
use crate::gateway::{Answer, Ask, DeviceSpec, Door, Effect, Event, Gateway, Token, Verb};
use crate::lock::sim::{ByHand, Fault, FaultKind, Setup, SimLock, Spell};
use crate::model::{
    Addressing, CallId, Caller, CodeId, CreateMultiple, Delete, DeviceId, Exchange, Finding, GroupKey, JobId,
    Mono, Now, Outcome, Pin, RadioId, ReadBack, Request, Settings, Slot, Step, Timestamp, UpdateMultiple,
    Window,
};
use crate::store::{MemoryStore, SealKey, Store, Ticket, Vault};

/// Wall time at the start of every run: 2027-01-04T00:00:00Z.
const START: Timestamp = Timestamp(1_799_020_800_000);
/// A caller without an answer asks again after this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Quiet at the end, in which everything must come right: longer than the check of a lock.
const QUIET: Duration = Duration::from_secs(2 * 86_400);

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
    Item(usize),
    ItemOver(usize),
    Judge,
}

struct Call {
    exchange: Exchange,
    began: Mono,
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
    gateway: Option<Gateway>,
    wake: (Mono, u64),
    disk: MemoryStore,
    locks: Vec<SimLock>,
    ids: Vec<DeviceId>,
    calls: BTreeMap<CallId, Call>,
    tokens: BTreeMap<Token, u32>,
    next_token: u64,
    /// Group key and codes of each booking that was answered.
    booked: BTreeMap<u32, (Option<GroupKey>, Vec<CodeId>)>,
    counts: BTreeMap<(Stage, u32), u32>,
    oracle: Oracle,
    judge_at: Mono,
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
            settings: Settings::default(),
            now: Mono(0),
            heap: BTreeMap::new(),
            pushed: 0,
            life: 0,
            gateway: None,
            wake: (Mono(u64::MAX), 0),
            disk: MemoryStore::new(),
            locks: Vec::new(),
            ids: Vec::new(),
            calls: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next_token: 0,
            booked: BTreeMap::new(),
            counts: BTreeMap::new(),
            oracle: Oracle::default(),
            judge_at: Mono(u64::MAX),
            idle: 0,
            report: Report {
                hash: 0xcbf2_9ce4_8422_2325,
                violation: None,
                steps: Vec::new(),
                calls: 0,
                crashes: 0,
                trace: Vec::new(),
            },
            tracing,
            plan,
        };
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        for (i, planned) in self.plan.locks.iter().enumerate() {
            let mut setup = Setup::profile(planned.profile).expect("plans name profiles that exist");
            if let Some(capacity) = planned.capacity {
                setup.capabilities.capacity = capacity;
            }
            let id = DeviceId(Uuid::from_u128(0xd00d_0000 + i as u128));
            self.oracle.meet(id, setup.capabilities.window);
            let mut lock = SimLock::new(setup, Default::default());
            lock.set_away(self.plan.items.iter().filter_map(|item| spell(item, i)).collect());
            self.locks.push(lock);
            self.ids.push(id);
        }
        for i in 0..self.plan.items.len() {
            let at = self.plan.items[i].at();
            match &self.plan.items[i] {
                Item::Create { job, .. } | Item::Update { job, .. } | Item::Delete { job, .. } => {
                    self.push(at, What::Send(*job));
                }
                Item::Away { until, .. } => {
                    let until = *until;
                    self.push(at, What::Item(i));
                    self.push(until, What::ItemOver(i));
                }
                Item::Fault { lasts, .. } => {
                    let until = at + *lasts;
                    self.push(at, What::Item(i));
                    self.push(until, What::ItemOver(i));
                }
                Item::Hand { .. } => self.push(at, What::Item(i)),
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
            .map(|gateway| (gateway, self.clock_of_gateway()))
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

    /// The group that a job booked.
    #[must_use]
    pub fn group(&self, job: u32) -> Option<&GroupKey> {
        self.booked.get(&job).and_then(|(key, _)| key.as_ref())
    }

    /// Cuts the power now; it comes back seconds later.
    pub fn cut_power(&mut self) {
        self.crash();
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

    fn clock_of_gateway(&self) -> Now {
        Now {
            wall: self.clock().wall,
            mono: self.now,
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
            self.crash();
        }
        !struck
    }

    fn crash(&mut self) {
        self.life += 1;
        self.report.crashes += 1;
        let mut rng = stream(self.plan.seed, "crash", self.life);
        let kept = rng.random_range(0..=self.disk.unsynced());
        self.disk.crash(kept);
        self.gateway = None;
        self.calls.clear();
        self.tokens.clear();
        self.oracle.power(false, self.now);
        self.note(1, self.life, kept as u64, |_| "the power fails".to_owned());
        let back = self.now + Duration::from_millis(rng.random_range(2_000..60_000));
        self.push(back, What::Boot);
    }

    fn boot(&mut self) {
        let key = SealKey::new([7; SealKey::BYTES]);
        let mut prefix = [0; 16];
        prefix[..8].copy_from_slice(&self.life.to_be_bytes());
        let devices = (0..self.locks.len())
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
                self.clock_of_gateway(),
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
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Boot => self.boot(),
            What::Wake(number) => {
                if self.wake.1 == number && self.gateway.is_some() {
                    self.tell(Event::Timer, "timer", number);
                }
            }
            What::Synced(life, ticket) => {
                if life == self.life && self.step(Stage::Sync, 0) {
                    let _ = self.disk.sync();
                    self.tell(Event::Synced(ticket), "synced", ticket.0);
                }
            }
            What::Send(job) => self.send(job),
            What::Apply(life, call, index) => self.apply(life, call, index),
            What::StepEnd(life, call, index, finding) => self.step_end(life, call, index, finding),
            What::Deadline(life, call) => {
                if life == self.life && self.calls.contains_key(&call) {
                    self.finish(call);
                }
            }
            What::Item(index) => self.begin(index),
            What::ItemOver(index) => self.end(index),
            What::Judge => {
                self.judge_at = Mono(u64::MAX);
                let clock = self.clock();
                let World {
                    oracle, ids, locks, ..
                } = self;
                let holds = |lock: DeviceId, pin: &Pin| {
                    let index = ids.iter().position(|id| *id == lock);
                    index.is_some_and(|i| locks[i].memory().with(pin).is_some())
                };
                let verdict = oracle.judge_edges(clock, holds);
                self.note_verdict(verdict);
            }
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
        let now = self.clock_of_gateway();
        let mut rng = stream(self.plan.seed, who, nth);
        let Some(gateway) = &mut self.gateway else { return };
        gateway.handle(now, event, &mut rng, &mut effects);
        self.wake = (Mono(u64::MAX), self.pushed + 1);
        let life = self.life;
        for effect in effects {
            if life != self.life {
                break;
            }
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(ticket, batch) => {
                if !self.step(Stage::Commit, 0) {
                    return;
                }
                if let Err(fail) = self.disk.commit(&batch) {
                    let seen = format!("a batch was refused: {fail}");
                    self.note_verdict(Err(Violation {
                        invariant: "I10",
                        at: self.now,
                        seen,
                    }));
                }
                let latency = stream(self.plan.seed, "sync", ticket.0 ^ self.life << 40).random_range(2..40);
                self.push(
                    self.now + Duration::from_millis(latency),
                    What::Synced(self.life, ticket),
                );
            }
            Effect::Reply { token, answer, .. } => {
                let Some(job) = self.tokens.remove(&token) else {
                    return;
                };
                if self.step(Stage::Reply, job) {
                    self.hear(job, &answer);
                }
            }
            Effect::Drive(exchange) => {
                let Some(lock) = self.index(exchange.device) else {
                    return;
                };
                if !self.step(Stage::Drive, lock as u32) {
                    return;
                }
                self.report.calls += 1;
                let verdict = self.oracle.called(exchange.device, self.clock());
                self.note_verdict(verdict);
                let call = exchange.call;
                self.push(self.now + exchange.deadline, What::Deadline(self.life, call));
                self.calls.insert(
                    call,
                    Call {
                        exchange,
                        began: self.now,
                        findings: Vec::new(),
                    },
                );
                self.ask_lock(call, 0);
            }
            Effect::Changed(_) => {}
            Effect::WakeAt(at) => {
                self.push(at.max(self.now), What::Wake(self.pushed + 1));
                self.wake = (at, self.pushed);
            }
        }
    }

    /// Begins one step of an exchange: the lock does it half its latency later.
    fn ask_lock(&mut self, call: CallId, index: usize) {
        let Some(lock) = self.calls.get(&call).and_then(|c| self.index(c.exchange.device)) else {
            return;
        };
        let half = self.locks[lock].setup().latency / 2;
        self.push(self.now + half, What::Apply(self.life, call, index));
    }

    fn apply(&mut self, life: u64, call: CallId, index: usize) {
        // A step on its way when the power failed still reaches the lock.
        if life != self.life {
            return;
        }
        let Some(open) = self.calls.get(&call) else { return };
        let step = open.exchange.steps[index].clone();
        let device = open.exchange.device;
        let Some(lock) = self.index(device) else { return };
        let now = self.clock_of_gateway();
        let performed = self.locks[lock].perform(now, &step);
        let kind = match step {
            Step::Put { .. } => 10,
            Step::Remove { .. } => 11,
            Step::Read => 12,
        };
        self.note(kind, lock as u64, u64::from(performed.changed), |_| {
            let what = match &step {
                Step::Put { code, .. } => format!("put {code}"),
                Step::Remove { code, .. } => format!("remove {code}"),
                Step::Read => "read".to_owned(),
            };
            let found = match &performed.finding {
                Finding::Table(table) => format!("{} codes", table.len()),
                other => format!("{other:?}"),
            };
            format!("lock {lock} {what} -> {found}")
        });
        if performed.changed {
            let table = self.locks[lock].table();
            let verdict = self.oracle.judge_table(device, &table, self.clock());
            self.note_verdict(verdict);
        }
        // The power may fail between the lock's change and our knowledge of it.
        if self.step(Stage::Apply, lock as u32) {
            let rest = performed
                .took
                .saturating_sub(self.locks[lock].setup().latency / 2);
            self.push(
                self.now + rest,
                What::StepEnd(life, call, index, performed.finding),
            );
        }
    }

    fn step_end(&mut self, life: u64, call: CallId, index: usize, finding: Finding) {
        if life != self.life {
            return;
        }
        let Some(open) = self.calls.get_mut(&call) else {
            return;
        };
        let silent = finding == Finding::Unanswered;
        open.findings.push(finding);
        if silent || index + 1 == open.exchange.steps.len() {
            self.finish(call);
        } else {
            self.ask_lock(call, index + 1);
        }
    }

    fn finish(&mut self, call: CallId) {
        let Some(open) = self.calls.remove(&call) else {
            return;
        };
        let Some(lock) = self.index(open.exchange.device) else {
            return;
        };
        if !self.step(Stage::Done, lock as u32) {
            return;
        }
        let mut findings = open.findings;
        if findings.len() < open.exchange.steps.len() && findings.last() != Some(&Finding::Unanswered) {
            findings.push(Finding::Unanswered);
        }
        findings.resize(open.exchange.steps.len(), Finding::Untried);
        let took = Duration::from_millis(self.now.0 - open.began.0);
        let nth = u64::from(*self.counts.get(&(Stage::Done, lock as u32)).unwrap_or(&0));
        self.tell(
            Event::Done(call, Outcome { findings, took }),
            &format!("done {lock}"),
            nth,
        );
    }

    /// A caller sends its job, and again until it is answered.
    fn send(&mut self, job: u32) {
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
        let ask = Ask {
            token,
            caller: Caller("world".into()),
            verb,
            door: Door::Mqtt {
                job: id,
                reply: None,
                progress: false,
            },
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
            Item::Away { .. } | Item::Fault { .. } | Item::Hand { .. } => None,
        }
    }

    fn hear(&mut self, job: u32, answer: &Answer) {
        let item = self.plan.items.iter().find(|item| number(item) == Some(job));
        let codes = match (item, answer) {
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
            (Some(Item::Delete { of, member, .. }), _) => self
                .booked
                .get(of)
                .and_then(|(_, codes)| codes.get(member % codes.len().max(1)).copied())
                .into_iter()
                .collect(),
            _ => Vec::new(),
        };
        let told = match answer {
            Answer::Created(views) => format!("{} codes", views.len()),
            Answer::Ok => "ok".to_owned(),
            Answer::Refused(refusal) => refusal.message.clone(),
        };
        self.note(21, u64::from(job), told.len() as u64, |_| {
            format!("job {job} is answered: {told}")
        });
        let verdict = self.oracle.heard(job, &codes, answer, self.clock());
        self.note_verdict(verdict);
    }

    fn begin(&mut self, index: usize) {
        match self.plan.items[index].clone() {
            Item::Away { lock, .. } => {
                self.oracle.trouble(self.ids[lock]);
                self.note(30, lock as u64, 0, |_| format!("lock {lock} is out of reach"));
            }
            Item::Fault {
                lock, kind, lasts, ..
            } => {
                self.oracle.trouble(self.ids[lock]);
                // What a lock that cannot be read does not store, nobody can know.
                let writable_only = self.locks[lock].capabilities().read_back == ReadBack::None;
                if !(writable_only && kind == FaultKind::NoStore) {
                    let fault = Fault {
                        kind,
                        count: None,
                        for_s: Some(lasts.as_secs()),
                        after_s: None,
                    };
                    self.locks[lock].fault(self.now, fault);
                    self.note(31, lock as u64, 0, |_| {
                        format!("lock {lock} begins to misbehave: {kind:?}")
                    });
                }
            }
            Item::Hand { lock, .. } => {
                let full = self.plan.locks[lock].capacity.is_some();
                if full || self.locks[lock].capabilities().read_back == ReadBack::None {
                    return;
                }
                let digits = format!(
                    "99{:04}",
                    stream(self.plan.seed, "hand", index as u64).random_range(1111..9999)
                );
                let now = self.clock_of_gateway();
                let Some(code) = Pin::parse(&digits) else { return };
                // A far slot: in one that we claimed and had no answer about, a lock that shows no
                // digits cannot tell ours from others'.
                let slot =
                    (self.locks[lock].capabilities().addressing == Addressing::Chosen).then_some(Slot(28));
                let change = ByHand::Add {
                    slot,
                    code: code.clone(),
                };
                if self.locks[lock].by_hand(now, &change).is_ok() {
                    self.oracle.foreign(self.ids[lock], code);
                    self.note(32, lock as u64, 0, |_| {
                        format!("somebody adds a code to lock {lock}")
                    });
                }
            }
            Item::Create { .. } | Item::Update { .. } | Item::Delete { .. } => {}
        }
    }

    fn end(&mut self, index: usize) {
        match self.plan.items[index].clone() {
            Item::Away { lock, .. } => {
                self.oracle.relief(self.ids[lock], self.now, Duration::ZERO);
                self.note(33, lock as u64, 0, |_| format!("lock {lock} is heard again"));
                if self.locks[lock].reachable(self.now) {
                    self.tell(Event::Heard(self.ids[lock]), "heard", index as u64);
                }
            }
            Item::Fault { lock, kind, .. } => {
                // A code that was refused waits an hour at most, one that was not kept for the next check.
                let unnoticed = match kind {
                    FaultKind::Refuse => Duration::from_secs(3600),
                    FaultKind::NoStore | FaultKind::DropAfter => Duration::from_secs(13 * 3600),
                    _ => Duration::ZERO,
                };
                self.oracle.relief(self.ids[lock], self.now, unnoticed);
                self.note(34, lock as u64, 0, |_| format!("lock {lock} is well again"));
            }
            _ => {}
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

fn number(item: &Item) -> Option<u32> {
    match item {
        Item::Create { job, .. } | Item::Update { job, .. } | Item::Delete { job, .. } => Some(*job),
        Item::Away { .. } | Item::Fault { .. } | Item::Hand { .. } => None,
    }
}

/// Every step of a run at which the power could be cut, once each.
#[must_use]
pub fn crash_points(plan: &Plan) -> BTreeSet<StepName> {
    World::new(plan.clone(), false).run().steps.into_iter().collect()
}
