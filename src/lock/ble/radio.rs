//! Carries the desk's orders out, and tells it what came of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use btleplug::api::BDAddr;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use super::address::Address;
use super::bus::{Bus, Calls};
use super::desk::{Desk, Order, Ticket, Wish};
use super::failure::{Failure, NoLink};
use super::heard::{Heard, Sighting};
use super::ladder::Rung;
use super::link::BleLink;
use super::session::{Air, Coming, Made, Session};
use crate::clock::Clock;
use crate::model::{Mono, Outage};

/// Wishes that may wait to be heard.
const WISHES: usize = 64;
/// Indications of one link that may wait for whoever talks. A lock that sends more loses its link.
const INDICATIONS: usize = 256;
/// Longest pause between two attempts to open the radio.
const REOPEN_MOST: Duration = Duration::from_secs(15);
/// A session that lasted so long was no failure from its beginning.
const LASTED: Duration = Duration::from_secs(60);
/// After so many sessions that failed from their beginning the adapter is switched off and on.
const WEDGED: u32 = 2;

/// Which radio, and how much it bears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The adapter's name, such as `hci0`. If it comes back under another one, it is found by its address.
    pub adapter: String,
    /// Links at once, 1 at least. Adapters bear few, and do not say how many.
    pub links: usize,
}

/// What the radio tells by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Somebody is heard for the first time, or after twenty seconds of silence.
    Heard(Address),
    /// How loud somebody is heard, in dBm; every five minutes at most.
    Rssi(Address, i16),
    /// The radio works: it listens.
    Up,
    /// All links ended, and the radio goes on.
    Cut,
    /// The radio is gone, and why. All links ended.
    Down(Outage),
}

/// Where the radio says so. Must not block.
pub type Report = Arc<dyn Fn(News) + Send + Sync>;

/// The radio, as drivers know it. A clone is the same radio.
#[derive(Clone)]
pub struct Radio {
    ask: mpsc::Sender<Asked>,
    heard: Arc<Mutex<Heard>>,
}

struct Asked {
    address: Address,
    indicates: Uuid,
    within: Duration,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<BleLink, NoLink>>;

/// A radio, and what somebody must run for it on a runtime with several threads. It ends once nobody holds
/// the radio.
pub fn open(
    options: Options,
    clock: Clock,
    report: Report,
) -> (Radio, impl Future<Output = ()> + Send + use<>) {
    let (ask, asked) = mpsc::channel(WISHES);
    let (leave, left) = mpsc::unbounded_channel();
    let heard = Arc::new(Mutex::new(Heard::default()));
    let runner = Runner {
        desk: Desk::new(options.links),
        options,
        clock,
        report,
        asked,
        leave,
        left,
        heard: heard.clone(),
        before: None,
        tickets: 0,
        told: None,
        failures: 0,
        wedged: 0,
    };
    (Radio { ask, heard }, runner.run())
}

impl Radio {
    /// A link to a lock on which the indications of a characteristic are on, when it is its turn: tried within
    /// [`super::TURN_WITHIN`] and there `within` so long from the first attempt on, or not at all.
    ///
    /// # Errors
    /// There is none: [`NoLink`] says why.
    pub async fn link(&self, address: Address, indicates: Uuid, within: Duration) -> Result<BleLink, NoLink> {
        let (reply, told) = oneshot::channel();
        let asked = Asked {
            address,
            indicates,
            within,
            reply,
        };
        self.ask.send(asked).await.map_err(|_| NoLink::Over)?;
        told.await.unwrap_or(Err(match self.ask.is_closed() {
            true => NoLink::Over,
            // It began anew in the middle of an attempt.
            false => NoLink::Untried,
        }))
    }

    /// These are never forgotten, however many others are heard, and links to them that were left behind are ended.
    pub fn set_ours(&self, ours: BTreeSet<Address>) {
        lock(&self.heard).set_ours(ours);
    }

    /// What advertisements of a lock told, if it was ever heard.
    #[must_use]
    pub fn sighting(&self, address: Address) -> Option<Sighting> {
        lock(&self.heard).of(address).cloned()
    }

    /// All that were heard.
    #[must_use]
    pub fn sightings(&self) -> BTreeMap<Address, Sighting> {
        lock(&self.heard).all().clone()
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    // It is whole between any two statements, so that a panic elsewhere harms nothing.
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Runner {
    options: Options,
    clock: Clock,
    report: Report,
    asked: mpsc::Receiver<Asked>,
    leave: mpsc::UnboundedSender<Ticket>,
    left: mpsc::UnboundedReceiver<Ticket>,
    heard: Arc<Mutex<Heard>>,
    desk: Desk,
    /// The address of the adapter that was used last.
    before: Option<BDAddr>,
    tickets: Ticket,
    /// The outage that was told, until it works again.
    told: Option<Outage>,
    /// Sessions since it worked.
    failures: u32,
    /// Sessions one after the other in which the adapter did not do as it was asked.
    wedged: u32,
}

/// Why a session ended.
enum End {
    /// The radio is gone, with all its links.
    Gone(Outage),
    /// The radio does not do as it is asked.
    Failed(Outage),
    /// A new session helps.
    Renew,
    /// Nobody wants a radio any more.
    Over,
}

/// Where indications of a link go.
type Tell = mpsc::Sender<Vec<u8>>;

/// A link that stands.
struct Standing {
    address: Address,
    /// The characteristic whose indications are wanted.
    indicates: Uuid,
    /// `None` once the link ended: whoever uses it is told nothing more.
    tell: Option<Tell>,
}

/// An attempt at a link.
struct Trying {
    address: Address,
    /// The link came about.
    is_up: bool,
    /// Told if it ends again before anybody has it.
    lost: Arc<Notify>,
}

/// What is under way, beside links that stand: one thing at a time.
type Step = Pin<Box<dyn Future<Output = Did> + Send>>;

/// What came of it.
enum Did {
    /// The indications that are wanted go with it; `None` if whoever wanted the link gave up.
    Tried(Wish, (Uuid, Reply), Option<Result<Made, Failure>>),
    Scanned(bool, Result<(), Failure>),
    Climbed(Result<(), Failure>),
}

/// What goes on beside that, and takes no turn.
enum Aside {
    /// The link is down.
    Closed(Ticket),
    /// Whether a link stands that was said to have ended.
    Stands(Address, bool),
    /// Whether the adapter is on that was said to be switched off.
    Powered(bool),
}

/// All that ends with a session.
struct Sitting {
    session: Session,
    calls: Calls,
    step: Option<Step>,
    /// The attempt under way.
    trying: Option<Trying>,
    asides: FuturesUnordered<Pin<Box<dyn Future<Output = Aside> + Send>>>,
    /// Who waits.
    waiting: BTreeMap<Ticket, (Uuid, Reply)>,
    /// It has listened.
    listened: bool,
    standing: BTreeMap<Ticket, Standing>,
}

impl Runner {
    async fn run(mut self) {
        loop {
            let began = self.now();
            let word = match self.open().await {
                Ok((bus, session)) => match self.serve(bus, session).await {
                    End::Gone(outage) => {
                        self.wedged = 0;
                        NoLink::Radio(outage)
                    }
                    End::Failed(outage) => {
                        let lasted = self.now() >= began + LASTED;
                        self.wedged = if lasted { 1 } else { self.wedged + 1 };
                        NoLink::Radio(outage)
                    }
                    End::Renew => NoLink::Untried,
                    End::Over => return,
                },
                Err(Failure::Radio(outage)) => NoLink::Radio(outage),
                Err(_) => NoLink::Radio(Outage::Daemon),
            };
            if let NoLink::Radio(outage) = word {
                self.say_down(outage);
            }
            self.failures = self.failures.saturating_add(1);
            if !self.refuse(word, pause(self.failures)).await {
                return;
            }
        }
    }

    /// Says so once.
    fn say_down(&mut self, outage: Outage) {
        if self.told.replace(outage) != Some(outage) {
            let hint = outage.hint();
            tracing::warn!(%outage, hint, "no Bluetooth radio; trying again until it is back");
            (self.report)(News::Down(outage));
        }
    }

    async fn open(&mut self) -> Result<(Bus, Session), Failure> {
        let mut bus = Bus::open().await?;
        // The bus is watched while the session opens, so that nothing falls between.
        let name = self.options.adapter.clone();
        let ours = lock(&self.heard).ours().clone();
        let calls = (self.wedged >= WEDGED).then(|| bus.calls());
        let opening = async {
            let session = Session::open(&self.options.adapter, self.before, &ours).await?;
            if let Some(calls) = calls {
                tracing::warn!(
                    "the Bluetooth adapter does not do as it is asked, and is switched off and on"
                );
                if let Err(failure) = off_and_on(&calls, session.name()).await {
                    tracing::debug!(?failure, "the Bluetooth adapter did not let itself be switched");
                }
            }
            Ok(session)
        };
        let session = tokio::select! {
            session = opening => session?,
            outage = bus.gone(&name) => return Err(Failure::Radio(outage)),
        };
        if self.wedged >= WEDGED {
            self.wedged = 0;
        }
        self.before = session.adapter_address().or(self.before);
        self.desk.begin_anew(self.now());
        Ok((bus, session))
    }

    /// Says no to all for a time; `false` once nobody can ask any more.
    async fn refuse(&mut self, word: NoLink, span: Duration) -> bool {
        let until = self.now() + span;
        loop {
            tokio::select! {
                () = self.clock.until(until) => return true,
                asked = self.asked.recv() => match asked {
                    Some(asked) => answer(asked.reply, Err(word)),
                    None => return false,
                },
            }
        }
    }

    async fn serve(&mut self, mut bus: Bus, session: Session) -> End {
        let name = session.name().to_owned();
        let mut sitting = Sitting {
            session,
            calls: bus.calls(),
            step: None,
            trying: None,
            asides: FuturesUnordered::new(),
            waiting: BTreeMap::new(),
            listened: false,
            standing: BTreeMap::new(),
        };
        let end = loop {
            if let Some(end) = self.go_on(&mut sitting) {
                break end;
            }
            let now = self.now();
            let due = self.desk.due(now);
            let end = tokio::select! {
                outage = bus.gone(&name) => Some(End::Gone(outage)),
                coming = sitting.session.next() => self.came(coming, &mut sitting),
                asked = self.asked.recv() => match asked {
                    Some(asked) => {
                        self.take(asked, &mut sitting);
                        None
                    }
                    None => Some(End::Over),
                },
                Some(ticket) = self.left.recv() => {
                    sitting.close(ticket);
                    None
                }
                did = under_way(&mut sitting.step) => {
                    sitting.step = None;
                    sitting.trying = None;
                    self.did(did, &mut sitting)
                }
                Some(aside) = sitting.asides.next(), if !sitting.asides.is_empty() => {
                    match aside {
                        Aside::Closed(ticket) => self.desk.closed(ticket),
                        Aside::Stands(_, true) | Aside::Powered(true) => {}
                        Aside::Stands(address, false) => sitting.cut(|of| of == address),
                        // A new session switches it on, if it can.
                        Aside::Powered(false) => break End::Gone(Outage::AdapterOff),
                    }
                    None
                }
                () = until(&self.clock, due) => None,
            };
            if let Some(end) = end {
                break end;
            }
        };
        // Before any link ends: whoever loses one can see that the lock is not to blame.
        let word = match end {
            End::Gone(outage) | End::Failed(outage) => {
                self.say_down(outage);
                NoLink::Radio(outage)
            }
            End::Renew => {
                if !sitting.standing.is_empty() {
                    (self.report)(News::Cut);
                }
                NoLink::Untried
            }
            End::Over => NoLink::Over,
        };
        for (_, reply) in std::mem::take(&mut sitting.waiting).into_values() {
            answer(reply, Err(word));
        }
        if !matches!(end, End::Gone(_)) {
            sitting.end().await;
        }
        end
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    fn take(&mut self, asked: Asked, sitting: &mut Sitting) {
        self.tickets += 1;
        self.desk
            .wish(self.tickets, asked.address, asked.within, self.now());
        sitting
            .waiting
            .insert(self.tickets, (asked.indicates, asked.reply));
    }

    /// Begins what is to be done next, unless something is under way.
    fn go_on(&mut self, sitting: &mut Sitting) -> Option<End> {
        let now = self.now();
        for (ticket, word) in self.desk.expired(now) {
            if let Some((_, reply)) = sitting.waiting.remove(&ticket) {
                answer(reply, Err(word));
            }
        }
        sitting.waiting.retain(|_, (_, reply)| !reply.is_closed());
        self.desk.retain(|ticket| sitting.waiting.contains_key(&ticket));
        if sitting.step.is_some() {
            return None;
        }
        let session = &sitting.session;
        sitting.step = Some(match self.desk.next(now)? {
            Order::Scan(on) => scan(session, on),
            Order::Connect(wish) => {
                let wanted = sitting.waiting.remove(&wish.ticket)?;
                let lost = Arc::new(Notify::new());
                let link = session.link(wish.address, wanted.0, lost.clone());
                let stop = session.unlink(wish.address);
                sitting.trying = Some(Trying {
                    address: wish.address,
                    is_up: false,
                    lost,
                });
                let clock = self.clock.clone();
                let over = async move { clock.until(wish.until).await };
                Box::pin(tried(wish, wanted, link, over, stop))
            }
            Order::Climb(rung) => {
                tracing::warn!(?rung, "the Bluetooth radio is in trouble; trying to help it");
                match rung {
                    Rung::Renew => return Some(End::Renew),
                    Rung::Rescan => rescan(session),
                    Rung::Disconnect(address) => {
                        let stop = session.unlink(address);
                        Box::pin(async move {
                            stop.await;
                            Did::Climbed(Ok(()))
                        })
                    }
                    Rung::Remove(address) => {
                        let (calls, name) = (sitting.calls.clone(), session.name().to_owned());
                        Box::pin(async move { Did::Climbed(calls.remove(&name, address).await) })
                    }
                    Rung::PowerCycle => power_cycle(session, sitting.calls.clone()),
                }
            }
        });
        None
    }

    fn came(&mut self, coming: Coming, sitting: &mut Sitting) -> Option<End> {
        match coming {
            Coming::Air(Air::Heard(address, advert)) => {
                let now = self.now();
                self.desk.heard(address, now);
                let notice = lock(&self.heard).note(address, now, advert);
                if notice.appeared {
                    (self.report)(News::Heard(address));
                }
                if let Some(rssi) = notice.rssi {
                    (self.report)(News::Rssi(address, rssi));
                }
            }
            Coming::Air(Air::Linked(address)) => {
                if let Some(trying) = sitting.trying_to(address) {
                    trying.is_up = true;
                }
            }
            Coming::Air(Air::Unlinked(address)) => {
                // Else it is told late, of the link before this attempt.
                if let Some(trying) = sitting.trying_to(address).filter(|trying| trying.is_up) {
                    trying.lost.notify_one();
                }
                if sitting.standing.values().any(|link| link.address == address) {
                    // It may be told late, of the link before this one.
                    let stands = sitting.session.is_linked(address);
                    let aside = async move { Aside::Stands(address, stands.await) };
                    sitting.asides.push(Box::pin(aside));
                }
            }
            // Switched off by ourselves it will be on in a moment.
            Coming::Air(Air::Off) => {
                let powered = sitting.session.is_powered();
                let aside = async move { Aside::Powered(powered.await) };
                sitting.asides.push(Box::pin(aside));
            }
            Coming::Indication((address, characteristic, value)) => {
                sitting.indicate(address, characteristic, value);
            }
            Coming::Nothing => return Some(End::Renew),
        }
        None
    }

    /// It listens, for the first time in this session.
    fn works(&mut self, session: &Session) {
        self.failures = 0;
        self.told = None;
        tracing::info!(adapter = session.name(), "the Bluetooth radio works");
        (self.report)(News::Up);
    }

    fn did(&mut self, did: Did, sitting: &mut Sitting) -> Option<End> {
        let now = self.now();
        match did {
            Did::Tried(wish, (indicates, reply), Some(Ok(made))) => {
                self.desk.linked(&wish, now);
                let link = sitting.stand(&wish, indicates, made, self.leave.clone());
                answer(reply, Ok(link));
            }
            Did::Tried(_, _, None) => {}
            Did::Tried(wish, wanted, Some(Err(failure))) => {
                let ticket = wish.ticket;
                tracing::debug!(address = %wish.address, ?failure, "no link to a lock");
                match self.desk.failed(wish, failure, now) {
                    Some(word) => answer(wanted.1, Err(word)),
                    None => {
                        sitting.waiting.insert(ticket, wanted);
                    }
                }
                if let Failure::Radio(outage) = failure {
                    return Some(End::Failed(outage));
                }
            }
            Did::Scanned(on, Ok(())) => {
                self.desk.scanned(on, now);
                if on && !sitting.listened {
                    sitting.listened = true;
                    self.works(&sitting.session);
                }
            }
            Did::Scanned(_, Err(failure)) | Did::Climbed(Err(failure)) => {
                tracing::debug!(?failure, "the Bluetooth radio did not do as it was asked");
                return match failure {
                    Failure::Radio(outage) => Some(End::Failed(outage)),
                    Failure::Unheard => Some(End::Failed(Outage::Adapter)),
                    Failure::Worn => {
                        self.desk.wear(now);
                        None
                    }
                    _ if self.desk.not_scanned(now) => Some(End::Failed(Outage::AdapterOff)),
                    _ => None,
                };
            }
            Did::Climbed(Ok(())) => {}
        }
        None
    }
}

impl Sitting {
    /// A link stands from here on.
    fn stand(
        &mut self,
        wish: &Wish,
        indicates: Uuid,
        made: Made,
        leave: mpsc::UnboundedSender<Ticket>,
    ) -> BleLink {
        self.session
            .keep(wish.address, &made.peripheral, made.indications);
        let (tell, coming) = mpsc::channel(INDICATIONS);
        let standing = Standing {
            address: wish.address,
            indicates,
            tell: Some(tell),
        };
        self.standing.insert(wish.ticket, standing);
        BleLink {
            peripheral: made.peripheral,
            doors: made.doors,
            coming,
            came: VecDeque::new(),
            ticket: wish.ticket,
            leave,
        }
    }

    /// Takes a link down that its user left. One of an earlier session is down.
    fn close(&mut self, ticket: Ticket) {
        if let Some(link) = self.standing.remove(&ticket) {
            let down = self.session.unlink(link.address);
            self.asides.push(Box::pin(async move {
                down.await;
                Aside::Closed(ticket)
            }));
        }
    }

    /// The attempt under way, if it is one at this lock.
    fn trying_to(&mut self, address: Address) -> Option<&mut Trying> {
        self.trying.as_mut().filter(|trying| trying.address == address)
    }

    /// Takes all links down, and whatever is under way.
    async fn end(&mut self) {
        self.step = None;
        let standing = self.standing.values().map(|link| link.address);
        let trying = self.trying.iter().map(|trying| trying.address);
        let all: BTreeSet<Address> = standing.chain(trying).collect();
        let ending = all.into_iter().map(|address| self.session.unlink(address));
        join_all(ending).await;
        // Those that were left just before.
        while self.asides.next().await.is_some() {}
    }

    /// Tells users that their links ended. They count until they are left.
    fn cut(&mut self, whose: impl Fn(Address) -> bool) {
        for link in self.standing.values_mut().filter(|link| whose(link.address)) {
            link.tell = None;
        }
    }

    fn indicate(&mut self, address: Address, characteristic: Uuid, value: Vec<u8>) {
        let of = |link: &&mut Standing| link.address == address && link.indicates == characteristic;
        for link in self.standing.values_mut().filter(of) {
            let full = |tell: &Tell| tell.try_send(value.clone()).is_err();
            if link.tell.as_ref().is_some_and(full) {
                tracing::debug!(%address, "a lock says more than anybody listens to; its link ends");
                link.tell = None;
            }
        }
    }
}

/// Gives an answer to whoever waits for it. A link that nobody waits for is left by being dropped.
fn answer(reply: Reply, word: Result<BleLink, NoLink>) {
    let _ = reply.send(word);
}

async fn until(clock: &Clock, due: Option<Mono>) {
    match due {
        Some(due) => clock.until(due).await,
        None => std::future::pending().await,
    }
}

async fn under_way(step: &mut Option<Step>) -> Did {
    match step {
        Some(step) => step.await,
        None => std::future::pending().await,
    }
}

/// `over`: the time for it is over.
async fn tried(
    wish: Wish,
    mut wanted: (Uuid, Reply),
    link: impl Future<Output = Result<Made, Failure>>,
    over: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Did {
    let made = tokio::select! {
        made = link => return Did::Tried(wish, wanted, Some(made)),
        () = over => Some(Err(Failure::Silent)),
        () = wanted.1.closed() => None,
    };
    // The attempt would go on inside the daemon.
    stop.await;
    Did::Tried(wish, wanted, made)
}

fn scan(session: &Session, on: bool) -> Step {
    let scan = session.scan(on);
    Box::pin(async move { Did::Scanned(on, scan.await) })
}

fn rescan(session: &Session) -> Step {
    let (end, begin) = (session.scan(false), session.scan(true));
    Box::pin(async move {
        let done = match end.await {
            Ok(()) => begin.await,
            failed => failed,
        };
        Did::Scanned(true, done)
    })
}

fn power_cycle(session: &Session, calls: Calls) -> Step {
    let name = session.name().to_owned();
    Box::pin(async move { Did::Scanned(false, off_and_on(&calls, &name).await) })
}

async fn off_and_on(calls: &Calls, adapter: &str) -> Result<(), Failure> {
    calls.power(adapter, false).await?;
    calls.power(adapter, true).await
}

/// Doubles from a second.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(5)).min(REOPEN_MOST)
}
