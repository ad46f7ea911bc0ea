//! The core and one simulated lock, event by event: what happens between a question and its answer.

mod network;
mod problem;
mod receipts;
mod stays;
mod truth;
mod why;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use lockbridge::gateway::view::{CodeView, DoorFailure, Progress, Status};
use lockbridge::gateway::{
    Answer, Ask, DeviceSpec, Door, Effect, Event, Gateway, ReplyTo, Subject, Token, Verb, Waiting,
    restored_row,
};
use lockbridge::lock::sim::{ByHand, Fault, FaultKind, Memory, Setup, SimLock};
use lockbridge::model::{
    Boot, CallId, Caller, CodeId, Create, Deed, Delete, Detail, DeviceId, DoorCommand, EventKind, Exchange,
    Finding, GroupKey, JobId, Mono, NewTimes, Now, Objection, Outcome, Pin, RadioId, ReadBack, Reading,
    Reason, Request, Settings, Slot, Step, Timestamp, Update, Window,
};
use lockbridge::store::{Batch, Content, FORMAT, Head, MemoryStore, SealKey, Store, Ticket, Tree, Vault};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use uuid::Uuid;

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(1));
const BOOT: Boot = Boot {
    id: Uuid::from_u128(9),
    up: 0,
    at: Mono(0),
};
/// 2027-01-04T00:00:00Z.
const START: Timestamp = Timestamp(1_799_020_800_000);
const HOUR: u64 = 3600;

/// A gateway, its lock, and the exchanges that are under way.
struct Site {
    gateway: Gateway,
    disk: MemoryStore,
    lock: SimLock,
    now: Now,
    /// Something vouches for the wall clock.
    clock_trusted: bool,
    rng: ChaCha8Rng,
    tokens: u64,
    under_way: VecDeque<Exchange>,
    exchanges: usize,
    /// The lock does not give its table away.
    refuses_reads: bool,
    wake: Option<Mono>,
    /// Batches that are not durable yet, while the card is stalled.
    stalled: Option<Vec<Ticket>>,
    bytes_of_last_batch: usize,
    /// The newest event of which followers were told.
    told: u64,
    /// What followers were told has changed.
    news: BTreeSet<Subject>,
    /// The lock was not read since a restore: nothing may be written to it.
    unread: bool,
}

fn pin(digits: &str) -> Pin {
    Pin::parse(digits).unwrap()
}

fn until(seconds: u64) -> Window {
    Window::between(START, START + Duration::from_secs(seconds)).unwrap()
}

fn booted(disk: &mut MemoryStore, setup: &Setup, now: Now) -> Gateway {
    let radio = RadioId("radio".into());
    let spec = DeviceSpec {
        device: DEVICE,
        name: "Front door".into(),
        driver: "sim".into(),
        radio,
        capabilities: setup.capabilities.clone(),
        simulated: true,
    };
    booted_with(disk, vec![spec], now)
}

/// The lock left the configuration.
fn booted_without_it(disk: &mut MemoryStore, now: Now) -> Gateway {
    booted_with(disk, Vec::new(), now)
}

fn booted_with(disk: &mut MemoryStore, specs: Vec<DeviceSpec>, now: Now) -> Gateway {
    let (vault, content) = Vault::open(disk, &SealKey::new([7; SealKey::BYTES]), [1; 16]).unwrap();
    let (gateway, _) = Gateway::boot(
        vault,
        content,
        specs,
        [(RadioId("radio".into()), 1)].into(),
        Settings::default(),
        BOOT,
        now.known(),
    )
    .unwrap();
    gateway
}

impl Site {
    fn with(profile: &str) -> Site {
        Site::of(Setup::profile(profile).unwrap())
    }

    fn of(setup: Setup) -> Site {
        let mut disk = MemoryStore::new();
        let now = Now {
            wall: START,
            mono: Mono(0),
        };
        let mut site = Site {
            gateway: booted(&mut disk, &setup, now),
            disk,
            lock: SimLock::new(setup, Memory::default()),
            now,
            clock_trusted: true,
            rng: ChaCha8Rng::seed_from_u64(5),
            tokens: 0,
            under_way: VecDeque::new(),
            exchanges: 0,
            refuses_reads: false,
            wake: None,
            stalled: None,
            bytes_of_last_batch: 0,
            told: 0,
            news: BTreeSet::new(),
            unread: false,
        };
        site.tell(Event::Timer);
        site.settle();
        site
    }

    /// What an export made now would hold.
    fn export(&self) -> (Head, MemoryStore) {
        let head = Head {
            format: FORMAT,
            gateway: String::new(),
            made_at: self.gateway.now(self.reading()).wall,
            last_event: self.newest_event(),
        };
        (head, MemoryStore::copy_of(&self.disk).unwrap())
    }

    /// The gateway goes on from an export, as an import leaves it; its lock is as it is.
    fn restore(&mut self, (head, export): &(Head, MemoryStore)) {
        let key = SealKey::new([7; SealKey::BYTES]);
        let mut content = Content::read(export, &key).unwrap();
        self.disk = MemoryStore::new();
        let (mut vault, _) = Vault::open(&mut self.disk, &key, [2; 16]).unwrap();
        let mut batch = Batch::new();
        for tree in Tree::ALL {
            for (key, value) in content.take(tree) {
                vault.put(&mut batch, tree, &key, &value);
            }
        }
        let (tree, row, value) = restored_row(head, Timestamp(0));
        vault.put(&mut batch, tree, &row, &value);
        self.disk.commit(&batch).unwrap();
        self.disk.sync().unwrap();
        self.under_way.clear();
        self.unread = self.lock.capabilities().read_back != ReadBack::None;
        self.start();
    }

    /// Starts anew from what is on the disk.
    fn start(&mut self) {
        let setup = self.lock.setup().clone();
        self.under_way.clear();
        self.gateway = booted(&mut self.disk, &setup, self.now);
        self.told = self.newest_event();
        self.tell(Event::Timer);
    }

    fn reason(&self, code: CodeId) -> Option<Waiting> {
        let queue = self.gateway.queue(DEVICE, self.now).unwrap();
        queue
            .into_iter()
            .find(|row| row.code == code)
            .map(|row| row.reason)
    }

    fn suspects(&self) -> usize {
        self.gateway.device(DEVICE, self.now).unwrap().suspects
    }

    fn reading(&self) -> Reading {
        Reading {
            trusted: self.clock_trusted,
            ..self.now.known()
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now.wall = self.now.wall + span;
        self.now.mono = self.now.mono + span;
    }

    /// Lets an event happen, with all that follows without the lock; the answer, if there is one.
    fn tell(&mut self, event: Event) -> Option<Answer> {
        let mut answered = None;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            self.wake = None;
            self.gateway
                .handle(self.reading(), event, &mut self.rng, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Commit(ticket, batch) => {
                        let size = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
                        self.bytes_of_last_batch = batch.iter().map(|(_, _, value)| size(value)).sum();
                        self.disk.commit(&batch).unwrap();
                        self.disk.sync().unwrap();
                        match &mut self.stalled {
                            Some(stalled) => stalled.push(ticket),
                            None => events.push_back(Event::Synced(ticket)),
                        }
                    }
                    Effect::Reply { answer, .. } => answered = Some(answer),
                    Effect::Drive(exchange) => {
                        let writes = |step: &Step| matches!(step, Step::Put { .. } | Step::Remove { .. });
                        let written = exchange.steps.iter().any(writes);
                        assert!(!(self.unread && written), "written before it was read");
                        self.exchanges += 1;
                        self.under_way.push_back(exchange);
                    }
                    Effect::WakeAt(at) => self.wake = Some(at),
                    Effect::Changed(subjects) => {
                        if subjects.contains(&Subject::Events) {
                            self.told = self.newest_event();
                        }
                        self.news.extend(subjects);
                    }
                    Effect::Export => {}
                }
            }
        }
        if self.stalled.is_none() {
            assert_eq!(self.told, self.newest_event(), "who follows events misses none");
        }
        answered
    }

    fn newest_event(&self) -> u64 {
        self.gateway.events().next_back().map_or(0, |event| event.seq)
    }

    /// The lock does what it is asked; its answer is on its way.
    fn perform(&mut self) -> (CallId, Outcome) {
        let exchange = self.under_way.pop_front().unwrap();
        if let Some(outcome) = exchange.missed(self.now.mono) {
            return (exchange.call, outcome);
        }
        let mut findings = vec![Finding::Untried; exchange.steps.len()];
        let mut took = Duration::ZERO;
        for (step, finding) in exchange.steps.iter().zip(&mut findings) {
            let performed = self.lock.perform(self.now, step);
            self.pass(performed.took);
            took += performed.took;
            *finding = match step {
                Step::Read if self.refuses_reads => Finding::Refused(Objection::Other),
                _ => performed.finding,
            };
            if *finding == Finding::Unanswered {
                break;
            }
        }
        self.unread &= !findings
            .iter()
            .any(|finding| matches!(finding, Finding::Table(_)));
        (exchange.call, Outcome { findings, took })
    }

    /// Until nothing is under way.
    fn settle(&mut self) {
        while !self.under_way.is_empty() {
            let (call, outcome) = self.perform();
            self.tell(Event::Done(call, outcome));
        }
    }

    /// Time passes, and what falls due is done.
    fn wait(&mut self, seconds: u64) {
        let goal = self.now.mono + Duration::from_secs(seconds);
        loop {
            self.settle();
            match self.wake.filter(|at| *at <= goal) {
                Some(at) => self.pass(Duration::from_millis(at.0.saturating_sub(self.now.mono.0))),
                None if self.now.mono >= goal => break,
                None => self.pass(Duration::from_millis(goal.0 - self.now.mono.0)),
            }
            self.tell(Event::Timer);
        }
    }

    fn ask(&mut self, verb: Verb, handle: Option<String>, request: Request) -> Answer {
        self.ask_at(Door::Http { handle }, verb, request)
    }

    /// A job over MQTT, whose answers nobody takes.
    fn command(&mut self, job: &str, verb: Verb, request: Request) -> Answer {
        let reply = ReplyTo {
            topic: "replies/cloud".into(),
            correlation: None,
        };
        let door = Door::Mqtt {
            job: JobId::parse(job).unwrap(),
            reply: Some(reply),
            progress: false,
        };
        self.ask_at(door, verb, request)
    }

    fn ask_at(&mut self, door: Door, verb: Verb, request: Request) -> Answer {
        self.tokens += 1;
        let ask = Ask {
            token: Token(self.tokens),
            caller: Caller("caller".into()),
            verb,
            door,
            hash: [u8::try_from(self.tokens % 251).unwrap(); 32],
            request: Ok(request),
        };
        self.tell(Event::Ask(Box::new(ask))).unwrap_or(Answer::Ok)
    }

    fn try_create(&mut self, code: Option<&str>, window: Window, key: Option<&str>) -> Answer {
        let job = Create {
            device: DEVICE,
            code: code.map(pin),
            key: key.map(|key| GroupKey(key.into())),
            preferred_length: Some(6),
            name: Some("guest".into()),
            window,
            attempt_offline: true,
            prefer_native: true,
        };
        self.ask(Verb::Create, None, Request::Create(job))
    }

    #[track_caller]
    fn create(&mut self, code: Option<&str>, window: Window, key: Option<&str>) -> CodeView {
        match self.try_create(code, window, key) {
            Answer::CreatedOne(view) => *view,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn update(&mut self, code: CodeId, pin: Option<&str>, times: NewTimes) {
        let job = Update {
            code,
            device: None,
            pin: pin.and_then(Pin::parse),
            name: None,
            times,
            attempt_offline: true,
            prefer_native: None,
        };
        assert_eq!(self.ask(Verb::Update, None, Request::Update(job)), Answer::Ok);
    }

    fn recode(&mut self, code: CodeId, pin: &str) {
        self.update(code, Some(pin), NewTimes::Keep);
    }

    fn door(&mut self, deed: Deed, handle: Option<String>) -> Answer {
        let verb = match deed {
            Deed::Lock => Verb::LockDoor,
            Deed::Unlock => Verb::UnlockDoor,
        };
        let command = DoorCommand { device: DEVICE, deed };
        self.ask(verb, handle, Request::Door(command))
    }

    fn by_hand(&mut self, slot: Option<u16>, code: &str) {
        let change = ByHand::Add {
            slot: slot.map(Slot),
            code: pin(code),
        };
        self.lock.by_hand(self.now, &change).unwrap();
    }

    fn fault(&mut self, kind: FaultKind, count: Option<u32>) {
        let fault = Fault {
            kind,
            count,
            for_s: None,
            after_s: None,
        };
        self.lock.fault(self.now.mono, fault);
    }

    fn status(&self, code: CodeId) -> Option<Status> {
        self.gateway.code(code, self.now).map(|view| view.status)
    }

    fn on_lock(&self) -> Vec<String> {
        let digits = |entry: lockbridge::model::Entry| entry.pin.unwrap().expose().to_owned();
        self.lock.table().into_iter().map(digits).collect()
    }

    fn has_told(&self, kind: EventKind) -> bool {
        self.gateway.events().any(|event| event.kind == kind)
    }

    fn attempts(&self) -> Vec<Progress> {
        self.gateway.attempts().map(|attempt| attempt.progress).collect()
    }
}

#[test]
fn a_pin_that_goes_forth_and_back_is_not_set_before_the_lock_says_so() {
    for profile in ["slots", "write-only", "masked"] {
        let mut site = Site::with(profile);
        let code = site.create(Some("345678"), Window::Ongoing, None).code;
        site.settle();
        assert_eq!(site.status(code), Some(Status::Set));
        site.recode(code, "456789");
        let (call, outcome) = site.perform();
        site.recode(code, "345678");
        assert_eq!(
            (site.on_lock(), site.status(code)),
            (vec!["456789".into()], Some(Status::Setting))
        );
        site.fault(FaultKind::Hang, None);
        site.tell(Event::Done(call, outcome));
        site.wait(40);
        assert_eq!(
            (site.on_lock(), site.status(code)),
            (vec!["456789".into()], Some(Status::Setting))
        );
        site.fault(FaultKind::None, None);
        site.wait(120);
        assert_eq!(
            (site.on_lock(), site.status(code)),
            (vec!["345678".into()], Some(Status::Set))
        );
    }
}

#[test]
fn times_that_go_forth_and_back_likewise() {
    let mut site = Site::with("keypad-6");
    let code = site.create(Some("345678"), until(20 * HOUR), None).code;
    site.settle();
    let start = |at: Timestamp| NewTimes::Bound {
        starts_at: Some(at),
        ends_at: None,
    };
    // The lock takes it, and its answer is lost.
    site.fault(FaultKind::Silent, None);
    let later = site.now.wall + Duration::from_secs(5 * HOUR);
    site.update(code, None, start(later));
    site.settle();
    assert!(!site.lock.keypad(site.now, &pin("345678")));
    site.fault(FaultKind::Hang, None);
    site.update(code, None, start(START));
    site.settle();
    assert_eq!(site.status(code), Some(Status::Setting));
    site.fault(FaultKind::None, None);
    site.wait(120);
    assert_eq!(site.status(code), Some(Status::Set));
    assert!(site.lock.keypad(site.now, &pin("345678")));
}

#[test]
fn a_new_pin_does_not_make_a_strangers_code_ours() {
    // Typed in at the lock since it was last read.
    let mut site = Site::with("keypad-6");
    let code = site.create(Some("345678"), until(HOUR), None).code;
    site.settle();
    site.by_hand(None, "456789");
    site.recode(code, "456789");
    site.settle();
    assert_eq!(site.status(code), Some(Status::Setting));
    site.wait(2 * HOUR);
    assert_eq!(site.on_lock(), ["456789"]);

    // The same while the lock is being read: the old PIN must not be forgotten over it.
    let mut site = Site::with("keypad-6");
    let code = site.create(Some("345678"), until(HOUR), None).code;
    site.settle();
    site.by_hand(None, "456789");
    while site.under_way.is_empty() {
        let at = site.wake.unwrap();
        site.pass(Duration::from_millis(at.0 - site.now.mono.0));
        site.tell(Event::Timer);
    }
    let (call, outcome) = site.perform();
    assert!(matches!(outcome.findings[..], [Finding::Table(_)]));
    site.recode(code, "456789");
    site.tell(Event::Done(call, outcome));
    site.wait(2 * HOUR);
    assert_eq!(site.on_lock(), ["456789"]);
}

/// I6: a lock that holds digits which never went out to it holds a stranger's.
#[test]
fn what_was_never_sent_does_not_make_a_strangers_code_ours() {
    for (profile, slot, stranger) in [
        ("slots", Some(1), "345678"),
        ("keypad-6", None, "345678"),
        ("masked", Some(1), "999111"),
    ] {
        for reached in [false, true] {
            let mut site = Site::with(profile);
            // Typed in at the lock since it was last read.
            site.by_hand(slot, stranger);
            site.create(Some("345678"), until(HOUR), None);
            let exchange = site.under_way.pop_front().unwrap();
            let outcome = match reached {
                false => Outcome::silence(exchange.steps.len(), Duration::from_secs(1)),
                true => Outcome::untried(exchange.steps.len()),
            };
            site.tell(Event::Done(exchange.call, outcome));
            site.wait(2 * HOUR);
            assert_eq!(site.on_lock(), [stranger], "{profile}, reached: {reached}");
        }
    }
}

/// I5: of an exchange that was given up nobody knows how far it came.
#[test]
fn what_may_have_been_sent_is_ours_whatever_was_not_sent_later() {
    for profile in ["slots", "keypad-6", "masked"] {
        let mut setup = Setup::profile(profile).unwrap();
        setup.capabilities.batch = true;
        let mut site = Site::of(setup);
        site.create(Some("345678"), Window::Ongoing, None);
        site.create(Some("456789"), Window::Ongoing, None);
        let last = site.create(Some("567891"), Window::Ongoing, None).code;
        let (call, outcome) = site.perform();
        site.tell(Event::Done(call, outcome));
        let steps = site.under_way[0].steps.len();
        let (call, _) = site.perform();
        let is_there = |site: &Site| site.on_lock().contains(&"567891".to_owned());
        assert!(is_there(&site));
        site.tell(Event::Done(
            call,
            Outcome::given_up(steps, Duration::from_secs(1)),
        ));
        while site.under_way.is_empty() {
            let at = site.wake.unwrap();
            site.pass(Duration::from_millis(at.0 - site.now.mono.0));
            site.tell(Event::Timer);
        }
        let exchange = site.under_way.pop_front().unwrap();
        let outcome = Outcome::untried(exchange.steps.len());
        site.tell(Event::Done(exchange.call, outcome));
        let job = Delete {
            code: last,
            device: None,
        };
        site.ask(Verb::Delete, None, Request::Delete(job));
        site.wait(HOUR);
        assert!(!is_there(&site), "{profile}: it opens for ever");
    }
}

#[test]
fn a_slot_that_was_refused_is_not_ours_whatever_was_asked_meanwhile() {
    for deleted in [false, true] {
        let mut site = Site::with("masked");
        site.by_hand(Some(1), "999111");
        let code = site.create(Some("345678"), Window::Ongoing, None).code;
        let (call, outcome) = site.perform();
        if deleted {
            let job = Delete { code, device: None };
            site.ask(Verb::Delete, None, Request::Delete(job));
        } else {
            site.recode(code, "456789");
        }
        site.tell(Event::Done(call, outcome));
        site.wait(HOUR);
        assert!(site.on_lock().contains(&"999111".to_owned()));
        assert_eq!(site.status(code), (!deleted).then_some(Status::Set));
    }
}

#[test]
fn doors_move_in_the_order_in_which_they_were_asked_to() {
    for seed in 0..20 {
        let mut site = Site::with("slots");
        site.rng = ChaCha8Rng::seed_from_u64(seed);
        // Something else is under way, and the wall clock steps back.
        site.create(Some("345678"), Window::Ongoing, None);
        site.door(Deed::Unlock, None);
        site.now.wall = site.now.wall - Duration::from_secs(2);
        site.door(Deed::Lock, None);
        site.settle();
        assert!(site.lock.locked(), "seed {seed}");
        assert_eq!(site.attempts(), [Progress::Done; 2]);
    }
}

#[test]
fn a_door_does_not_move_once_nobody_waits_for_it() {
    // The card stalls, and what is on it must come first.
    let mut site = Site::with("slots");
    site.stalled = Some(Vec::new());
    site.try_create(Some("345678"), until(2 * 86_400), None);
    site.door(Deed::Unlock, None);
    site.pass(Duration::from_secs(60));
    for ticket in site.stalled.take().unwrap() {
        site.tell(Event::Synced(ticket));
    }
    site.settle();
    assert!(site.lock.locked());
    assert_eq!(site.attempts(), [Progress::Failed(DoorFailure::Expired)]);

    // Check-outs on a slow lock: the door goes first.
    let mut site = Site::with("slots");
    for n in 0..15 {
        site.create(Some(&format!("3{:05}", 10_000 + n * 37)), until(600), None);
    }
    site.settle();
    site.fault(FaultKind::Slow, None);
    site.pass(Duration::from_millis(600_000 - site.now.mono.0));
    site.door(Deed::Unlock, None);
    let first = site.under_way.front().unwrap();
    assert!(matches!(first.steps[0], lockbridge::model::Step::Door { .. }) && first.steps.len() > 1);
}

#[test]
fn a_lost_door_command_does_not_leave_a_lock_offline() {
    for profile in ["slots", "write-only"] {
        let mut site = Site::with(profile);
        site.wait(600);
        site.fault(FaultKind::Hang, Some(1));
        site.door(Deed::Lock, None);
        site.wait(60);
        assert_eq!(site.attempts(), [Progress::Failed(DoorFailure::Silent)]);
        assert!(site.gateway.device(DEVICE, site.now).unwrap().online, "{profile}");
    }
}

#[test]
fn nobody_can_storm_a_silent_lock() {
    let mut site = Site::with("slots");
    site.lock.disconnect();
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.settle();
    let before = site.exchanges;
    for second in 0..HOUR {
        site.door(if second % 2 == 0 { Deed::Lock } else { Deed::Unlock }, None);
        site.wait(1);
    }
    // One each ten seconds, and those of the code's own back-off.
    assert!(site.exchanges - before <= 360 + 70, "{}", site.exchanges - before);
    site.lock.connect();
    site.wait(90);
    assert_eq!(site.status(code), Some(Status::Set));
}

#[test]
fn a_code_on_which_the_lock_hangs_does_not_keep_the_next_guest_out() {
    for batch in [true, false] {
        let mut setup = Setup::profile("slots").unwrap();
        setup.capabilities.batch = batch;
        let mut site = Site::of(setup);
        let last = site.create(Some("345678"), until(HOUR), None).code;
        site.settle();
        site.wait(HOUR - 10);
        let next = site.create(Some("456789"), until(20 * HOUR), None).code;
        // The lock answers everything but what takes this one code off.
        let hangs = |site: &mut Site| {
            while let Some(exchange) = site.under_way.front().cloned() {
                let at = exchange.steps.iter().position(
                    |step| matches!(step, lockbridge::model::Step::Remove { code, .. } if *code == last),
                );
                match at {
                    None => {
                        let (call, outcome) = site.perform();
                        site.tell(Event::Done(call, outcome));
                    }
                    Some(at) => {
                        site.under_way.pop_front();
                        let took = Duration::from_secs(10);
                        let mut findings = Vec::new();
                        for step in &exchange.steps[..at] {
                            findings.push(site.lock.perform(site.now, step).finding);
                        }
                        findings.push(Finding::Unanswered);
                        findings.resize(exchange.steps.len(), Finding::Untried);
                        site.pass(took);
                        site.tell(Event::Done(exchange.call, Outcome { findings, took }));
                    }
                }
            }
        };
        // Both wait at once.
        site.recode(next, "567891");
        for _ in 0..600 {
            hangs(&mut site);
            site.pass(Duration::from_secs(1));
            site.tell(Event::Timer);
        }
        assert_eq!(site.status(next), Some(Status::Set), "batch {batch}");
        assert_eq!(site.status(last), Some(Status::Removing), "batch {batch}");
    }
}

#[test]
fn many_changes_do_not_swell_what_is_stored() {
    let mut site = Site::with("slots");
    site.create(Some("345678"), Window::Ongoing, None);
    site.settle();
    let code = site.gateway.codes_of(DEVICE, site.now)[0].code;
    let mut sizes = Vec::new();
    for n in 0..1_500 {
        site.pass(Duration::from_secs(1));
        site.recode(code, &format!("{:06}", 345_000 + n));
        site.settle();
        sizes.push(site.bytes_of_last_batch);
    }
    let (half, all) = (sizes[..750].iter().max(), sizes.iter().max());
    assert_eq!(half, all);
}

#[test]
fn door_commands_do_not_use_up_the_room_for_bookings() {
    let mut site = Site::with("slots");
    for n in 0..Settings::default().limits.jobs + 10 {
        site.pass(Duration::from_secs(2));
        site.door(Deed::Lock, Some(format!("k{n}")));
        site.settle();
    }
    site.create(None, Window::Ongoing, None);
}

#[test]
fn jobs_that_are_done_make_room() {
    let mut site = Site::with("slots");
    for n in 0..Settings::default().limits.jobs / 2 + 10 {
        site.pass(Duration::from_secs(2));
        let code = site.create(None, Window::Ongoing, None).code;
        site.settle();
        let answer = site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
        assert_eq!(answer, Answer::Ok, "round {n}");
        site.settle();
    }
}

/// A broker that takes no answers may not keep a code on a door.
#[test]
fn a_code_is_taken_off_however_many_answers_wait() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.settle();
    let most = Settings::default().limits.replies;
    let refused = (0..=most).find_map(|n| {
        let job = Update {
            code,
            device: None,
            pin: None,
            name: Some(format!("guest {n}")),
            times: NewTimes::Keep,
            attempt_offline: true,
            prefer_native: None,
        };
        match site.command(&format!("rename-{n}"), Verb::Update, Request::Update(job)) {
            Answer::Refused(refusal) => Some(refusal.reason),
            _ => None,
        }
    });
    assert_eq!(refused, Some(Reason::Busy));
    let job = Request::Delete(Delete { code, device: None });
    assert_eq!(site.command("delete", Verb::Delete, job), Answer::Ok);
    site.settle();
    assert!(site.on_lock().is_empty());
}

#[test]
fn a_code_that_comes_back_after_its_removal_is_removed_again() {
    for profile in ["slots", "keypad-6"] {
        for deleted in [true, false] {
            let mut site = Site::with(profile);
            let code = site.create(Some("345678"), until(HOUR), None).code;
            site.wait(600);
            if deleted {
                let answer = site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
                assert_eq!(answer, Answer::Ok);
                site.settle();
            } else {
                site.wait(HOUR - 600);
            }
            assert!(site.on_lock().is_empty());
            // The lock's memory was not what it said.
            site.by_hand(Some(1), "345678");
            site.wait(120);
            assert!(site.on_lock().is_empty(), "{profile}, deleted: {deleted}");
            assert!(site.has_told(EventKind::CodeNotRemoved));
            assert!(site.gateway.unmanaged(DEVICE).is_empty());
            assert_eq!(site.gateway.code(code, site.now).is_none(), deleted);
        }
    }
}

#[test]
fn a_code_that_comes_back_before_its_time_is_removed_and_nobody_is_told_that_it_was_not() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(600);
    let later = site.now.wall + Duration::from_secs(100 * HOUR);
    let times = NewTimes::Bound {
        starts_at: Some(later),
        ends_at: Some(later + Duration::from_secs(HOUR)),
    };
    site.update(code, None, times);
    site.settle();
    assert!(site.on_lock().is_empty());
    site.by_hand(Some(1), "345678");
    site.wait(120);
    assert!(site.on_lock().is_empty());
    assert!(!site.has_told(EventKind::CodeNotRemoved));
}

#[test]
fn as_many_codes_as_a_lock_holds_are_looked_for_after_their_removal() {
    let mut site = Site::with("keypad-6");
    let pins: Vec<Pin> = (0..100)
        .map(|_| site.create(None, until(HOUR), None).pin)
        .collect();
    site.wait(HOUR);
    while !site.on_lock().is_empty() {
        site.wait(1);
    }
    for pin in &pins {
        site.by_hand(None, pin.expose());
    }
    site.wait(180);
    assert!(site.on_lock().is_empty());
}

#[test]
fn what_somebody_else_puts_where_a_code_was_is_left_alone() {
    for profile in ["slots", "masked"] {
        let mut site = Site::with(profile);
        let code = site.create(Some("345678"), until(HOUR), None).code;
        site.wait(HOUR);
        assert!(site.on_lock().is_empty());
        site.by_hand(Some(1), "456789");
        site.wait(24 * HOUR);
        assert_eq!(site.on_lock(), ["456789"]);
        assert_eq!(site.gateway.unmanaged(DEVICE).len(), 1);
        assert_eq!(site.status(code), Some(Status::Unset));
    }
}

#[test]
fn the_second_look_after_a_removal_outlives_a_power_cut_and_ends() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.settle();
    site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
    site.settle();
    let setup = Setup::profile("slots").unwrap();
    site.gateway = booted(&mut site.disk, &setup, site.now);
    site.tell(Event::Timer);
    // Every start reads every lock once.
    site.settle();
    site.by_hand(Some(1), "345678");
    site.wait(120);
    assert!(site.on_lock().is_empty());
    // Looked for once more after the second removal, and then no more.
    site.wait(300);
    let exchanges = site.exchanges;
    site.wait(HOUR);
    assert_eq!(site.exchanges, exchanges);
}

#[test]
fn checks_that_somebody_wants_are_spaced_also_from_one_that_was_put_off() {
    let mut site = Site::with("slots");
    site.wait(60);
    let before = site.exchanges;
    // At 0 s; at 9 s, put off to 10 s; and a moment after that one.
    for (seconds, reads) in [(9, 1), (1, 2), (1, 2)] {
        site.tell(Event::Verify(DEVICE));
        site.wait(seconds);
        assert_eq!(site.exchanges - before, reads);
    }
    // Nobody is forgotten.
    site.wait(10);
    assert_eq!(site.exchanges - before, 3);
}

#[test]
fn a_step_back_of_the_clock_does_not_put_off_the_second_look_after_a_removal() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(600);
    site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
    site.settle();
    site.by_hand(Some(1), "345678");
    site.now.wall = site.now.wall - Duration::from_secs(HOUR);
    site.tell(Event::Timer);
    site.wait(120);
    assert!(site.on_lock().is_empty());
}

#[test]
fn a_lock_that_refuses_to_be_read_is_not_asked_in_a_storm() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(600);
    site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
    site.settle();
    let exchanges = site.exchanges;
    site.refuses_reads = true;
    site.wait(4 * HOUR);
    let tries = site.exchanges - exchanges;
    // After a minute, two, four and so on, and then every hour.
    assert!((5..12).contains(&tries), "{tries}");
}

#[test]
fn after_a_restore_no_lock_is_written_before_it_was_read() {
    for profile in ["slots", "keypad-6", "masked"] {
        let mut site = Site::with(profile);
        site.lock.disconnect();
        let set = site.create(Some("345678"), Window::Ongoing, None).code;
        let over = site.create(Some("456789"), until(HOUR), None).code;
        site.settle();
        let export = site.export();
        // Silent, and then unwilling to be read; the power is cut in between.
        site.restore(&export);
        site.wait(2 * HOUR);
        site.lock.connect();
        site.refuses_reads = true;
        site.wait(4 * HOUR);
        site.start();
        site.wait(4 * HOUR);
        assert!(site.unread && site.on_lock().is_empty(), "{profile}");
        site.refuses_reads = false;
        site.wait(2 * HOUR);
        assert!(!site.unread);
        assert_eq!(
            (site.on_lock(), site.status(set)),
            (vec!["345678".into()], Some(Status::Set))
        );
        assert_ne!(site.status(over), Some(Status::Set));
    }
}

#[test]
fn a_code_that_was_set_after_the_export_is_found_again_and_taken_off_at_its_end() {
    for profile in ["slots", "keypad-6"] {
        // Back at once; or so late that its record would have been dropped.
        for away in [0, 40 * 86_400] {
            let mut site = Site::with(profile);
            let start = START + Duration::from_secs(80 * HOUR);
            let window = Window::between(start, start + Duration::from_secs(10 * HOUR)).unwrap();
            let code = site.create(Some("345678"), window, None).code;
            let export = site.export();
            site.by_hand(Some(1), "999111");
            site.wait(81 * HOUR);
            assert_eq!(site.on_lock().len(), 2);
            site.pass(Duration::from_secs(away));
            site.restore(&export);
            site.wait(60);
            assert_eq!(
                site.gateway.unmanaged(DEVICE).len(),
                1,
                "{profile}: the stranger's"
            );
            if away == 0 {
                assert_eq!(site.status(code), Some(Status::Set), "{profile}");
            }
            site.wait(10 * HOUR);
            assert_eq!(site.on_lock(), ["999111"], "{profile}, away {away}");
        }
    }
}

#[test]
fn a_pin_that_was_free_at_the_export_is_whoever_has_it_now() {
    for profile in ["slots", "keypad-6"] {
        for how in ["ended", "deleted"] {
            // With the second look after the removal still to come; and long after it.
            for since in [30, 5 * HOUR] {
                let mut site = Site::with(profile);
                let first = site.create(Some("345678"), until(HOUR), None).code;
                site.wait(HOUR - 60);
                assert_eq!(site.on_lock(), ["345678"]);
                match how {
                    "deleted" => {
                        let job = Delete {
                            code: first,
                            device: None,
                        };
                        site.ask(Verb::Delete, None, Request::Delete(job));
                        site.wait(since);
                    }
                    _ => site.wait(60 + since),
                }
                assert!(site.on_lock().is_empty());
                let export = site.export();
                site.create(Some("345678"), until(40 * HOUR), None);
                site.wait(600);
                // Silent for a while, and started twice before it was read.
                site.lock.disconnect();
                site.restore(&export);
                site.wait(HOUR);
                site.start();
                site.lock.connect();
                site.wait(2 * HOUR);
                let case = format!("{profile}, {how}, {since} s");
                assert!(!site.unread, "{case}");
                assert_eq!(site.on_lock(), ["345678"], "{case}");
                assert_eq!(site.gateway.unmanaged(DEVICE).len(), 1, "{case}");
                // Nor does the PIN's new owner go when nobody looks at the old one any more.
                site.wait(31 * 24 * HOUR);
                assert_eq!(site.on_lock(), ["345678"], "{case}");
                assert!(site.gateway.code(first, site.now).is_none(), "{case}");
            }
        }
    }
}

#[test]
fn a_lock_that_two_restores_found_silent_is_held_against_the_first_export() {
    let mut site = Site::with("slots");
    let start = START + Duration::from_secs(5 * HOUR);
    let window = Window::between(start, start + Duration::from_secs(5 * HOUR)).unwrap();
    site.create(Some("345678"), window, None);
    let export = site.export();
    site.wait(6 * HOUR);
    assert_eq!(site.on_lock(), ["345678"]);
    site.lock.disconnect();
    site.pass(Duration::from_secs(6 * HOUR));
    site.restore(&export);
    site.wait(HOUR);
    let second = site.export();
    site.restore(&second);
    site.lock.connect();
    site.wait(HOUR);
    assert!(!site.unread && site.on_lock().is_empty());
}

#[test]
fn a_code_that_ended_since_the_export_is_taken_off() {
    for profile in ["slots", "keypad-6", "masked", "write-only"] {
        let mut site = Site::with(profile);
        let code = site.create(Some("345678"), until(HOUR), None).code;
        site.wait(600);
        let export = site.export();
        site.pass(Duration::from_secs(5 * HOUR));
        site.restore(&export);
        site.wait(120);
        assert!(site.on_lock().is_empty(), "{profile}");
        assert_eq!(site.status(code), Some(Status::Unset));
    }
}

#[test]
fn a_code_that_was_taken_off_since_the_export_waits_for_a_word() {
    for profile in ["slots", "keypad-6", "masked"] {
        for word in ["none", "verify", "update", "delete"] {
            let mut site = Site::with(profile);
            let code = site.create(Some("345678"), until(40 * HOUR), None).code;
            site.wait(600);
            let export = site.export();
            site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
            site.wait(600);
            site.restore(&export);
            // Through a check of the lock, and another start.
            site.wait(13 * HOUR);
            site.start();
            site.wait(HOUR);
            assert!(site.on_lock().is_empty(), "{profile}");
            assert_eq!(site.reason(code), Some(Waiting::GoneSinceExport));
            let lost = site
                .gateway
                .events()
                .filter(|event| event.kind == EventKind::CodeLost);
            assert_eq!(lost.count(), 1);
            let there = match word {
                "verify" => {
                    site.tell(Event::Verify(DEVICE));
                    true
                }
                "update" => {
                    site.recode(code, "456789");
                    true
                }
                "delete" => {
                    site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
                    false
                }
                _ => false,
            };
            site.wait(600);
            assert_eq!(site.on_lock().len(), usize::from(there), "{profile}, {word}");
            site.wait(40 * HOUR);
            assert!(
                site.on_lock().is_empty() && site.reason(code).is_none(),
                "{profile}, {word}"
            );
        }
    }
}

#[test]
fn a_code_that_nobody_knows_after_a_restore_is_left_alone_and_shown_where_it_can_be_told() {
    for (profile, suspects) in [("slots", 0), ("keypad-6", 1), ("masked", 0)] {
        let mut site = Site::with(profile);
        site.by_hand(Some(9), "999111");
        site.wait(13 * HOUR);
        let export = site.export();
        site.create(Some("345678"), until(20 * HOUR), None);
        site.settle();
        site.by_hand(Some(8), "888111");
        site.restore(&export);
        site.wait(40 * HOUR);
        assert_eq!(site.on_lock().len(), 3, "{profile}");
        assert_eq!(
            (site.gateway.unmanaged(DEVICE).len(), site.suspects()),
            (3, suspects),
            "{profile}"
        );
        site.start();
        site.settle();
        assert_eq!(site.suspects(), suspects);
        // Taken off at the lock, by whoever knew it.
        let change = ByHand::Remove {
            slot: None,
            code: Some(pin("345678")),
        };
        site.lock.by_hand(site.now, &change).unwrap();
        site.wait(13 * HOUR);
        assert_eq!(
            (site.gateway.unmanaged(DEVICE).len(), site.suspects()),
            (2, 0),
            "{profile}"
        );
    }
}

#[test]
fn no_number_of_an_event_is_given_out_twice_and_followers_are_told_of_the_gap() {
    let mut site = Site::with("slots");
    site.create(Some("345678"), Window::Ongoing, None);
    site.wait(600);
    let (export, exported) = (site.export(), site.newest_event());
    for n in 0..5 {
        site.create(Some(&format!("45678{n}")), Window::Ongoing, None);
        site.wait(60);
    }
    let given_out = site.newest_event();
    site.restore(&export);
    let restored = site
        .gateway
        .events()
        .find(|event| event.kind == EventKind::Restored)
        .unwrap()
        .seq;
    assert!(restored > given_out);
    // Who stood before the gap, at it, or beyond it.
    let (lost, run) = site.gateway.events_after(exported - 1, 64);
    assert_eq!((lost, run.len(), run[0].seq), (None, 1, exported));
    for after in [exported, given_out] {
        let (lost, run) = site.gateway.events_after(after, 64);
        assert_eq!((lost, run[0].seq), (Some((after + 1, restored - 1)), restored));
    }
    // It is done once.
    site.start();
    site.settle();
    let told = site
        .gateway
        .events()
        .filter(|event| event.kind == EventKind::Restored);
    assert_eq!(told.count(), 1);
}

#[test]
fn a_place_that_gets_free_is_no_word() {
    let mut setup = Setup::profile("slots").unwrap();
    setup.capabilities.capacity = 1;
    let mut site = Site::of(setup);
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(600);
    let export = site.export();
    site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
    site.wait(600);
    site.by_hand(Some(1), "999111");
    site.restore(&export);
    site.wait(HOUR);
    let change = ByHand::Remove {
        slot: Some(Slot(1)),
        code: None,
    };
    site.lock.by_hand(site.now, &change).unwrap();
    site.wait(30 * HOUR);
    assert!(site.gateway.unmanaged(DEVICE).is_empty() && site.on_lock().is_empty());
    assert_eq!(site.reason(code), Some(Waiting::GoneSinceExport));
}

#[test]
fn a_start_tells_until_when_it_ran_and_a_loop_of_starts_tells_little() {
    fn told(site: &Site) -> Vec<(Timestamp, Detail)> {
        let starts = site.gateway.events();
        let starts = starts.filter(|event| event.kind == EventKind::Restarted);
        starts.map(|event| (event.at, event.detail.clone())).collect()
    }
    let mut site = Site::with("slots");
    assert_eq!(told(&site), [], "the first start is none again");
    site.wait(5 * HOUR / 2);
    let before = site.now.wall;
    site.pass(Duration::from_secs(600));
    site.start();
    let (at, Detail::RanUntil(ran_until)) = told(&site)[0] else {
        panic!("{:?}", told(&site));
    };
    // Without anything to write down, a sign of life is written every hour.
    assert!(
        at == site.now.wall && ran_until <= before && before.since(ran_until) < Duration::from_secs(HOUR)
    );
    for _ in 0..20 {
        site.pass(Duration::from_secs(5));
        site.start();
    }
    assert_eq!(told(&site).len(), 1);
    // What happens meanwhile makes each start worth telling.
    site.create(Some("345678"), Window::Ongoing, None);
    site.settle();
    let done = site.gateway.events().next_back().unwrap();
    assert_eq!(done.kind, EventKind::JobDone);
    let ran_until = Detail::RanUntil(done.at);
    site.pass(Duration::from_secs(5));
    site.start();
    assert_eq!(told(&site).last(), Some(&(site.now.wall, ran_until)));
}
