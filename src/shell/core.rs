//! The loop around the core.
//!
//! The loop owns the [`Gateway`]. It brings events to it, one at a time, and carries its effects
//! out: batches go to the committer's thread, exchanges to a task each, answers and news to who
//! waits for them. Nothing else spawns work for the core.
//!
//! A failed store ends the loop: what memory holds may then differ from what the card holds, and
//! only a new start can tell. A panicking driver counts as a silent lock.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rand::CryptoRng;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;

use super::committer::Committer;
use super::counts::Counts;
use super::handle::{AskedFor, Core, Deliver, Incoming, Measured, Message};
use crate::clock::{Busy, Clock};
use crate::gateway::view::{ClockView, Trust};
use crate::gateway::{Answer, Ask, DeviceSpec, Effect, Event, Gateway, Subject, Token};
use crate::lock::{self, Fact, Lock, Met, Registry, Report};
use crate::model::{CallId, DeviceId, Exchange, JobId, Mono, Outcome, Reading};
use crate::store::{Exported, Exporter, Fail, MemoryStore, Store, Ticket, Unexported};

/// Requests that wait for the core; more are told to come again.
const INBOX: usize = 256;
/// News that a follower may lag behind before it must look at everything again.
const NEWS: usize = 1024;

/// What the core is started with.
pub struct Parts {
    /// The core, as it was left.
    pub gateway: Gateway,
    /// Its store, whose content the core has read.
    pub store: Box<dyn Store>,
    /// Tells whether the storage is below its reserve.
    pub storage_low: Box<dyn Fn() -> bool + Send>,
    /// What makes exports of the store; `None` where nobody wants any.
    pub exporter: Option<Arc<Exporter>>,
    /// Its locks.
    pub locks: Registry,
    /// What drivers hear; see [`ear`].
    pub facts: mpsc::UnboundedReceiver<Fact>,
    /// Its clock.
    pub clock: Clock,
    /// Where PINs and ids are drawn from.
    pub rng: Box<dyn CryptoRng + Send>,
}

/// Where drivers say what they heard, and where the loop takes it from.
#[must_use]
pub fn ear() -> (Report, mpsc::UnboundedReceiver<Fact>) {
    let (say, hear) = mpsc::unbounded_channel();
    // Nobody hears it only once the gateway stops.
    let report: Report = Arc::new(move |fact| {
        let _ = say.send(fact);
    });
    (report, hear)
}

/// Starts the loop. It ends on [`Core::stop`], or with the failure of the store.
///
/// # Errors
/// The committer's thread cannot be started.
pub fn start(parts: Parts) -> std::io::Result<(Core, tokio::task::JoinHandle<Result<(), Fail>>)> {
    let (inbox, messages) = mpsc::channel(INBOX);
    let (marks, marked) = mpsc::unbounded_channel();
    let (news, _) = broadcast::channel(NEWS);
    let core = Core {
        inbox,
        marks,
        news: news.clone(),
        clock: parts.clock.clone(),
    };
    let (say_synced, synced) = mpsc::unbounded_channel();
    let committer = Committer::start(parts.store, move |ticket, result| {
        // The loop is gone only after a failure, which it has told.
        let _ = say_synced.send((ticket, result));
    })?;
    let shell = Shell {
        gateway: parts.gateway,
        committer,
        storage_low: parts.storage_low,
        low: false,
        exporter: parts.exporter,
        exports: JoinSet::new(),
        locks: parts.locks,
        judged: parts.clock.reading(),
        clock: parts.clock,
        rng: parts.rng,
        news,
        calls: JoinSet::new(),
        counts: Counts::default(),
        unsynced: BTreeMap::new(),
        looks: BTreeMap::new(),
        waiting: BTreeMap::new(),
        next_token: Token(0),
        wake: Mono(u64::MAX),
        advance: None,
    };
    Ok((
        core,
        tokio::spawn(shell.run(messages, marked, synced, parts.facts)),
    ))
}

/// An export that was made or not, who asked for it, and the word that time was not to be skipped over it.
type ExportOver = (Result<Exported, Unexported>, Option<AskedFor>, Busy);

struct Shell {
    gateway: Gateway,
    committer: Committer,
    storage_low: Box<dyn Fn() -> bool + Send>,
    low: bool,
    exporter: Option<Arc<Exporter>>,
    exports: JoinSet<ExportOver>,
    locks: Registry,
    clock: Clock,
    rng: Box<dyn CryptoRng + Send>,
    news: broadcast::Sender<Arc<BTreeSet<Subject>>>,
    calls: JoinSet<(CallId, Outcome, Busy)>,
    counts: Counts,
    /// Batches on their way to the card count as work, so that no time is skipped over them.
    unsynced: BTreeMap<Ticket, Busy>,
    looks: BTreeMap<Ticket, Vec<Deliver>>,
    waiting: BTreeMap<Token, oneshot::Sender<(JobId, Answer)>>,
    next_token: Token,
    /// What the clocks showed when the core was last told.
    judged: Reading,
    wake: Mono,
    advance: Option<(Mono, oneshot::Sender<()>)>,
}

impl Shell {
    async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut marked: mpsc::UnboundedReceiver<Event>,
        mut synced: mpsc::UnboundedReceiver<(Ticket, Result<(), Fail>)>,
        mut facts: mpsc::UnboundedReceiver<Fact>,
    ) -> Result<(), Fail> {
        self.handle(Event::Timer);
        loop {
            let idle = synced.is_empty() && facts.is_empty() && self.clock.awake() == 0;
            if idle && self.step_ahead() {
                continue;
            }
            let clock = self.clock.clone();
            // What is over is finished before anything new begins.
            tokio::select! {
                biased;
                Some((ticket, result)) = synced.recv() => {
                    result?;
                    // Held on until what waited for it is under way.
                    let _busy = self.unsynced.remove(&ticket);
                    self.handle(Event::Synced(ticket));
                    self.deliver(ticket);
                }
                Some(done) = self.calls.join_next() => match done {
                    Ok((call, outcome, _busy)) => {
                        self.counts.exchange(&outcome);
                        self.handle(Event::Done(call, outcome));
                    }
                    Err(error) => tracing::error!(%error, "an exchange was lost"),
                },
                Some(over) = self.exports.join_next() => match over {
                    Ok((made, asked, _busy)) => self.export_is_over(made, asked),
                    Err(error) => {
                        tracing::error!(%error, "an export was lost");
                        self.handle(Event::ExportFailed);
                    }
                },
                Some(fact) = facts.recv() => self.hear(fact),
                Some(mark) = marked.recv() => self.handle(mark),
                // Before the messages: looks among them tell the core nothing of the time.
                () = clock.changed(self.judged) => self.handle(Event::Timer),
                message = messages.recv() => {
                    // A mark may have come after that arm was looked at, and before this message.
                    while let Ok(mark) = marked.try_recv() {
                        self.handle(mark);
                    }
                    match message {
                        Some(Message::Stop) | None => break,
                        Some(message) => self.take(message),
                    }
                }
                () = clock.until(self.wake) => self.handle(Event::Timer),
                () = clock.quiet(), if self.advance.is_some() && !idle => {}
            }
        }
        // Exchanges under way are given up: their rows stay, and the next start asks again.
        self.calls.abort_all();
        self.committer.close();
        Ok(())
    }

    fn hear(&mut self, fact: Fact) {
        let event = match fact {
            Fact::Heard(device) => Event::Heard(device),
            Fact::Lost(device) => Event::Lost(device),
            Fact::Removed(device) => Event::Removed(device),
            Fact::Forget(device, insists, answer) => {
                let now = self.gateway.now(self.clock.reading());
                let codes = self.gateway.codes_of(device, now).len();
                let stays = codes > 0 && !insists;
                if !stays {
                    self.handle(Event::Removed(device));
                }
                return self.once_durable(Box::new(move || {
                    // Who asked may have gone.
                    let _ = answer.send(if stays { Err(codes) } else { Ok(()) });
                }));
            }
            Fact::Census(radio, present) => Event::Census(radio, present),
            Fact::Radio(radio, outage) => Event::Radio(radio, outage),
            Fact::Told(device, word) => Event::Told(device, word),
            Fact::Logged(device, logbook) => Event::Logged(device, logbook),
            Fact::Keep(device, credential, kept) => {
                self.handle(Event::Keep(device, credential));
                // Who waited for it may have gone.
                return self.once_durable(Box::new(move || {
                    let _ = kept.send(());
                }));
            }
            Fact::Met(Met { device, driver, open }) => {
                let spec = spec(device, driver, &open);
                // In place before the core can ask for it.
                self.locks.insert(device, open);
                Event::Met(Box::new(spec))
            }
        };
        self.handle(event);
    }

    fn take(&mut self, message: Message) {
        let low = (self.storage_low)();
        if low != self.low {
            self.low = low;
            self.handle(Event::StorageLow(low));
        }
        match message {
            Message::Ask(incoming, answer) => {
                self.next_token.0 += 1;
                self.waiting.insert(self.next_token, answer);
                let Incoming {
                    caller,
                    verb,
                    door,
                    hash,
                    request,
                } = *incoming;
                let token = self.next_token;
                self.handle(Event::Ask(Box::new(Ask {
                    token,
                    caller,
                    verb,
                    door,
                    hash,
                    request,
                })));
            }
            Message::Look(look) => {
                let now = self.gateway.now(self.clock.reading());
                let deliver = look(&self.gateway, now);
                self.once_durable(deliver);
            }
            Message::Tell(event) => self.handle(event),
            Message::Export(asked) => self.export(Some(asked)),
            Message::Measure(answer) => {
                let counts = self.counts.clone();
                self.committer.look(Box::new(move |store| {
                    let store_bytes = store.size();
                    // The asker may have gone.
                    let _ = answer.send(Measured { counts, store_bytes });
                }));
            }
            Message::Advance(span, done) => self.advance = Some((self.clock.now().mono + span, done)),
            Message::Stop => {}
        }
    }

    /// Hands something over as soon as all that was decided so far is durable.
    fn once_durable(&mut self, deliver: Deliver) {
        let seen = self.gateway.last_ticket();
        if self.unsynced.contains_key(&seen) {
            self.looks.entry(seen).or_default().push(deliver);
        } else {
            deliver();
        }
    }

    /// Hands over what readers saw, now that it is durable.
    fn deliver(&mut self, ticket: Ticket) {
        while let Some(first) = self.looks.first_entry() {
            if *first.key() > ticket {
                break;
            }
            first.remove().into_iter().for_each(|deliver| deliver());
        }
    }

    /// Goes on towards the goal of an advance, while nothing is under way. Returns whether anything
    /// was done.
    fn step_ahead(&mut self) -> bool {
        let Some((goal, _)) = &self.advance else {
            return false;
        };
        let (now, goal) = (self.clock.now().mono, *goal);
        if self.wake <= now {
            return false;
        }
        if now < goal {
            let next = self
                .clock
                .next_sleeper()
                .map_or(self.wake, |sleeper| sleeper.min(self.wake));
            self.clock.jump_to(next.min(goal));
            self.handle(Event::Timer);
            return true;
        }
        if !self.calls.is_empty() {
            // Under way at the goal: it ends in its own time.
            return false;
        }
        if let Some((_, done)) = self.advance.take() {
            // The asker may have gone.
            let _ = done.send(());
        }
        true
    }

    fn handle(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.wake = Mono(u64::MAX);
        self.judged = self.clock.reading();
        self.gateway
            .handle(self.judged, event, &mut *self.rng, &mut effects);
        self.clock
            .set_counts(self.gateway.clock().trust == Trust::Trusted);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    /// The core writes no log, and whoever runs the gateway must know what its clock is worth.
    fn log_clock(&self) {
        let ClockView { trust, ahead_ms } = self.gateway.clock();
        match trust {
            Trust::Trusted => tracing::info!("the clock is trusted again"),
            Trust::Untrusted => tracing::warn!(
                ahead_ms,
                "nothing vouches for the clock: until something has set it right, `[clock] untrusted` says what \
                 codes go by"
            ),
            Trust::Wild => tracing::error!(
                ahead_ms,
                "the clock moved as no clock moves by itself, and is not followed for now: if it is right, say \
                 `lockbridge clock accept`"
            ),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(ticket, batch) => {
                self.unsynced.insert(ticket, self.clock.busy());
                if let Err(fail) = self.committer.submit(ticket, batch) {
                    // Its own answer to this ticket ends the loop.
                    tracing::error!(%fail, "the store took no batch");
                }
            }
            Effect::Reply { token, job, answer } => {
                self.counts.answer(&answer);
                if let Some(waiting) = self.waiting.remove(&token) {
                    // The caller may have hung up.
                    let _ = waiting.send((job, answer));
                }
            }
            Effect::Drive(exchange) => {
                let lock = self
                    .locks
                    .get(&exchange.device)
                    .map(|device| Arc::clone(&device.lock));
                // At work from here on, not only once the task gets its turn: no time is skipped before.
                let busy = self.clock.busy();
                self.calls.spawn(drive(lock, exchange, self.clock.clone(), busy));
            }
            Effect::Changed(subjects) => {
                if subjects.contains(&Subject::Clock) {
                    self.log_clock();
                }
                // Nobody may be following.
                let _ = self.news.send(Arc::new(subjects));
            }
            Effect::Export => self.export(None),
            Effect::WakeAt(at) => self.wake = at,
        }
    }

    /// Has an export made of what was committed so far. The committer only copies; rows are checked,
    /// sealed and written beside everything else.
    fn export(&mut self, asked: Option<AskedFor>) {
        let busy = self.clock.busy();
        let exporter = self
            .exporter
            .clone()
            .filter(|exporter| exporter.has_recovery_key());
        let Some(exporter) = exporter else {
            // Over like any other that was not made: the key may come at any time.
            let nobody = Err(Unexported::NoRecoveryKey);
            self.exports.spawn(async move { (nobody, asked, busy) });
            return;
        };
        let (copied, copy) = oneshot::channel();
        self.committer.look(Box::new(move |store| {
            drop(copied.send(MemoryStore::copy_of(store)))
        }));
        let made_at = self.gateway.now(self.clock.reading()).wall;
        let last_event = self.gateway.last_event();
        self.exports.spawn(async move {
            let made = async {
                let copy = copy.await.map_err(|_| stopped())??;
                let export = move || exporter.export(&copy, made_at, last_event);
                tokio::task::spawn_blocking(export).await.map_err(|_| stopped())?
            };
            (made.await, asked, busy)
        });
    }

    fn export_is_over(&mut self, made: Result<Exported, Unexported>, asked: Option<AskedFor>) {
        match (&made, &asked) {
            (Ok(made), _) => tracing::info!(
                export = %made.path.display(),
                bytes = made.bytes,
                last_event = made.last_event,
                "exported"
            ),
            // Who asked is told.
            (Err(_), Some(_)) => {}
            (Err(why), None) => {
                // Nobody to seal to was said at the start.
                if !matches!(why, Unexported::NoRecoveryKey) {
                    tracing::warn!(%why, "no export was made; the next try is in an hour");
                }
                self.handle(Event::ExportFailed);
            }
        }
        if let Some(asked) = asked {
            // The asker may have gone.
            let _ = asked.send(made);
        }
    }
}

/// Why an export came to nothing whose store or thread is gone.
fn stopped() -> Fail {
    Fail::Broken("the store stopped".into())
}

/// A lock as the core knows it.
pub fn spec(device: DeviceId, driver: &str, open: &lock::Device) -> DeviceSpec {
    DeviceSpec {
        device,
        name: open.name.clone(),
        driver: driver.to_owned(),
        radio: open.radio.clone(),
        capabilities: open.capabilities().clone(),
        simulated: open.sim.is_some(),
    }
}

/// One exchange with a lock; always comes to an outcome, by its deadline at the latest.
async fn drive(
    lock: Option<Arc<dyn Lock>>,
    exchange: Exchange,
    clock: Clock,
    busy: Busy,
) -> (CallId, Outcome, Busy) {
    let began = clock.now().mono;
    if let Some(outcome) = exchange.missed(began) {
        return (exchange.call, outcome, busy);
    }
    let Some(lock) = lock else {
        return (exchange.call, Outcome::untried(exchange.steps.len()), busy);
    };
    let findings = tokio::select! {
        biased;
        told = AssertUnwindSafe(async { lock.exchange(&exchange.steps, &busy).await }).catch_unwind() => told.ok(),
        () = clock.until(began + exchange.deadline) => None,
    };
    let took = Duration::from_millis(clock.now().mono.0.saturating_sub(began.0));
    let outcome = match findings {
        Some(findings) if findings.len() == exchange.steps.len() => Outcome { findings, took },
        _ => {
            tracing::warn!(device = %exchange.device, ?took, "an exchange ended without an answer");
            Outcome::given_up(exchange.steps.len(), took)
        }
    };
    (exchange.call, outcome, busy)
}
