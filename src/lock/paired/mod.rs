//! Locks that this gateway is paired with over Bluetooth: who they are, how they are asked, and how one becomes one.
//!
//! ```text
//! bond.rs     what a pairing left behind, sealed and opened    errand.rs   a pairing, a test, an unpairing, step by step
//! lock.rs     one lock: a link, the exchange, what it tells     chores.rs   carries those out
//! air.rs      the radio, as all of them share it                look.rs     a look at a lock
//! goodbye.rs  the last that a lock is asked
//! ```
//!
//! [`Household::run`] keeps the radio going, and says what is heard of paired locks. What lets us in at a lock is kept by
//! the core, through [`Fact::Keep`]: this room forgets it all when the gateway stops.

mod air;
mod bond;
mod chores;
mod errand;
mod goodbye;
mod lock;
mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::CryptoRng;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::clock::Clock;
use crate::lock::ble::{self, Address, News, Options, Sighting};
use crate::lock::nuki::{self, Applicant, SecurityPin};
use crate::lock::{Device, Fact, Met, Report};
use crate::model::{Bookmark, Credential, DeviceId, Logbook, Mono, Outage, RadioId, Timestamp, Word};
use air::Air;
use bond::Bond;
use chores::Order;
use lock::PairedLock;

pub use errand::{Errand, Kind, Problem, Said, Step, Unproven};
pub use goodbye::Lingering;

/// The word for the driver of these locks.
pub const DRIVER: &str = "nuki";
/// Ids of locks are made of their addresses within this.
const NAMESPACE: Uuid = Uuid::from_u128(0x4d1c_63a4_0c5e_4f0b_9a55_2f3d_6a0b_7e11);

/// A lock whose button was held may be paired for so long.
const PAIRABLE_FOR: Duration = Duration::from_secs(30);

/// The radio that all of them share.
#[must_use]
pub fn radio() -> RadioId {
    RadioId("ble".to_owned())
}

/// The id of a lock: the same whenever it is paired.
#[must_use]
pub fn device_id(address: Address) -> DeviceId {
    DeviceId(Uuid::new_v5(&NAMESPACE, address.to_string().as_bytes()))
}

/// Where keys and nonces are drawn from.
pub type Randomness = fn() -> Box<dyn CryptoRng + Send>;

/// All locks that this gateway is paired with, and the radio to them.
pub struct Household {
    options: Options,
    applicant: Applicant,
    clock: Clock,
    report: Report,
    randomness: Randomness,
    air: Arc<Air>,
    locks: Mutex<BTreeMap<Address, Arc<PairedLock>>>,
    errand: watch::Sender<Option<Errand>>,
    ask: mpsc::Sender<Order>,
    asked: tokio::sync::Mutex<mpsc::Receiver<Order>>,
    ends: watch::Sender<bool>,
}

/// Somebody who was heard on the air.
pub struct Neighbour {
    /// Where.
    pub address: Address,
    /// What it is.
    pub kind: NeighbourKind,
    /// What it calls itself, or what a paired one is called here.
    pub name: Option<String>,
    /// Its id, if it is paired.
    pub device: Option<DeviceId>,
    /// How loud, in dBm.
    pub rssi: Option<i16>,
    /// Charge in percent, where it advertises it.
    pub battery: Option<u8>,
    /// When it was heard last.
    pub at: Timestamp,
}

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourKind {
    /// A lock of the Nuki family.
    Nuki,
    /// The same, whose button was held: it may be paired now.
    NukiPairable,
    /// Something else.
    Other,
}

/// What became of a lock that was to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpaired {
    /// It is forgotten, and has us among its users no more, or may.
    Forgotten(Result<(), Lingering>),
    /// It is not.
    Not(Problem),
}

/// Another pairing, test or unpairing is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another pairing, test or unpairing is under way")]
pub struct Occupied;

/// How this gateway introduces itself to locks: the same at every start.
#[must_use]
pub fn applicant(site: &str, gateway: &str) -> Applicant {
    let id = Uuid::new_v5(&NAMESPACE, format!("{site}/{gateway}").as_bytes());
    let (app_id, ..) = id.as_fields();
    Applicant {
        app_id,
        name: format!("lockbridge {gateway}"),
    }
}

impl Household {
    /// Takes up the locks whose credentials were kept, each with how far its logbook was read, and says that they are there.
    pub fn open<'a>(
        options: Options,
        applicant: Applicant,
        clock: Clock,
        report: Report,
        randomness: Randomness,
        kept: impl Iterator<Item = (DeviceId, &'a Credential, Bookmark)>,
    ) -> Household {
        // More than one is never taken.
        let (ask, asked) = mpsc::channel(1);
        let household = Household {
            options,
            applicant,
            air: Arc::new(Air::new(clock.clone())),
            clock,
            report,
            randomness,
            locks: Mutex::default(),
            errand: watch::Sender::new(None),
            ask,
            asked: tokio::sync::Mutex::new(asked),
            ends: watch::Sender::new(false),
        };
        let mut present = BTreeSet::new();
        for (device, credential, read) in kept {
            present.insert(device);
            match Bond::open(credential) {
                Some(bond) => household.meet(bond, read),
                None => tracing::error!(%device, "what was kept of this lock cannot be read: pair it again"),
            }
        }
        // One that was forgotten just before the gateway stopped is gone.
        household.say(Fact::Census(radio(), present));
        household
    }

    /// Keeps the radio going, and carries out what is asked, one at a time, until [`Household::end`]. Needs a runtime with
    /// several threads. A run that was given up is taken up by the next.
    pub async fn run(self: Arc<Household>) {
        let listener = Arc::clone(&self);
        let report: ble::Report = Arc::new(move |news| listener.hear(news));
        let (radio, running) = ble::open(self.options.clone(), self.clock.clone(), report);
        self.air.set(Some(radio));
        self.tell_ours();
        let mut asked = self.asked.lock().await;
        let chores = async {
            while let Some(order) = asked.recv().await {
                self.carry_out(order).await;
            }
        };
        let mut ends = self.ends.subscribe();
        let until_the_end = async {
            tokio::select! {
                () = chores => {}
                _ = ends.wait_for(|ends| *ends) => {}
            }
            // Without anybody who holds it, the radio takes its links down and ends.
            self.air.set(None);
        };
        tokio::join!(running, until_the_end);
    }

    /// Lets [`Household::run`] end: what is under way is given up, and links are taken down.
    pub fn end(&self) {
        self.ends.send_replace(true);
    }

    /// Begins to pair with a lock. A name of its own wins over the one in its app.
    ///
    /// # Errors
    /// [`Occupied`]
    pub fn pair(&self, address: Address, pin: SecurityPin, name: Option<String>) -> Result<Errand, Occupied> {
        self.begin(Kind::Pair, address, Order::Pair { address, pin, name })
    }

    /// Whether a device is one of them.
    #[must_use]
    pub fn has(&self, device: DeviceId) -> bool {
        self.lock(device).is_some()
    }

    /// Begins to test a lock; `None` if it is not paired.
    ///
    /// # Errors
    /// [`Occupied`]
    pub fn test(&self, device: DeviceId) -> Result<Option<Errand>, Occupied> {
        let Some(lock) = self.lock(device) else {
            return Ok(None);
        };
        let address = lock.address;
        self.begin(Kind::Test, address, Order::Test(lock)).map(Some)
    }

    fn begin(&self, kind: Kind, address: Address, order: Order) -> Result<Errand, Occupied> {
        let permit = self.ask.try_reserve().map_err(|_| Occupied)?;
        let errand = Errand::new(kind, address);
        let mut free = false;
        self.errand.send_modify(|current| {
            free = !current.as_ref().is_some_and(Errand::is_under_way);
            if free {
                *current = Some(errand.clone());
            }
        });
        if !free {
            return Err(Occupied);
        }
        permit.send(order);
        Ok(errand)
    }

    /// The pairing, test or unpairing that is under way, or was last.
    #[must_use]
    pub fn errand(&self) -> Option<Errand> {
        self.errand.borrow().clone()
    }

    /// Has a lock delete us from its users if it is in reach, forgets it and what let us in, and returns once that is durable.
    /// `None` if it is not paired. While access codes of it are not over somebody has to insist. It is carried out whether or
    /// not anybody waits for it.
    ///
    /// # Errors
    /// [`Occupied`]
    pub async fn unpair(&self, device: DeviceId, insists: bool) -> Result<Option<Unpaired>, Occupied> {
        let Some(address) = self.lock(device).map(|lock| lock.address) else {
            return Ok(None);
        };
        let (tell, told) = oneshot::channel();
        let order = Order::Unpair {
            address,
            insists,
            tell,
        };
        self.begin(Kind::Unpair, address, order)?;
        let mut ends = self.ends.subscribe();
        let told = tokio::select! {
            biased;
            told = told => told.ok(),
            _ = ends.wait_for(|ends| *ends) => None,
        };
        Ok(told.unwrap_or(Some(Unpaired::Not(Problem::Interrupted))))
    }

    /// What this gateway is called among a lock's users.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.applicant.name
    }

    /// Why there is no radio; `None` if there is one.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        self.air.outage()
    }

    /// All that were heard: paired locks first, then the loudest.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Neighbour> {
        let sightings = self.air.sightings();
        let mut all: Vec<Neighbour> = sightings
            .iter()
            .map(|(address, sighting)| self.neighbour(*address, sighting))
            .collect();
        all.sort_by_key(|one| (one.device.is_none(), std::cmp::Reverse(one.rssi), one.address));
        all
    }

    fn neighbour(&self, address: Address, sighting: &Sighting) -> Neighbour {
        let now = self.clock.now();
        let paired = self.locks().get(&address).map(|lock| lock.name());
        let beacon = sighting
            .manufacturer
            .iter()
            .find_map(|(company, data)| nuki::beacon(*company, data));
        Neighbour {
            address,
            kind: kind(sighting, now.mono),
            device: paired.is_some().then(|| device_id(address)),
            name: paired.or(beacon.map(|beacon| format!("Nuki_{:08X}", beacon.nuki_id))),
            rssi: sighting.rssi,
            battery: sighting.battery,
            at: now.wall - Duration::from_millis(now.mono.0.saturating_sub(sighting.at.0)),
        }
    }

    fn hear(&self, news: News) {
        match news {
            News::Heard(address) => {
                if self.locks().contains_key(&address) {
                    self.say(Fact::Heard(device_id(address)));
                }
            }
            News::Rssi(address, rssi) => {
                if self.locks().contains_key(&address) {
                    self.say(Fact::Told(device_id(address), Word::Advertised(rssi)));
                }
            }
            News::Up => {
                self.air.came_up();
                self.say(Fact::Radio(radio(), None));
            }
            News::Cut => self.air.was_cut(),
            News::Down(outage) => {
                self.air.went_down(outage);
                self.say(Fact::Radio(radio(), Some(outage)));
            }
        }
    }

    /// Takes a lock in, or takes it in anew, whose logbook was read so far.
    fn meet(&self, bond: Bond, read: Bookmark) {
        let address = bond.address;
        let name = bond.name.clone();
        let lock = Arc::new(PairedLock::new(
            bond,
            read,
            self.errand.subscribe(),
            Arc::clone(&self.air),
            self.clock.clone(),
            Arc::clone(&self.report),
            self.randomness,
        ));
        if let Some(before) = self.locks().insert(address, Arc::clone(&lock)) {
            before.let_go();
        }
        self.tell_ours();
        if read == Bookmark::Unread {
            // What the core read of it may be another logbook: the lock may have been reset.
            self.say(Fact::Logged(device_id(address), Logbook::default()));
        }
        let open = Device {
            name,
            radio: radio(),
            lock,
            sim: None,
        };
        self.say(Fact::Met(Met {
            device: device_id(address),
            driver: DRIVER,
            open,
        }));
    }

    /// Has a credential kept or forgotten; says, once it is durable, that it is. `false` if the gateway stops.
    fn keep(
        &self,
        device: DeviceId,
        credential: Option<Credential>,
    ) -> impl Future<Output = bool> + Send + use<> {
        let (kept, durable) = oneshot::channel();
        self.say(Fact::Keep(device, credential, kept));
        async move { durable.await.is_ok() }
    }

    /// The same for a lock. A bond that cannot be written down is not kept.
    fn keep_bond(&self, address: Address, bond: Option<&Bond>) -> impl Future<Output = bool> + Send + use<> {
        let sealed = bond.map(Bond::seal).transpose();
        let keeping = match sealed {
            Ok(credential) => Some(self.keep(device_id(address), credential)),
            Err(error) => {
                tracing::error!(%address, %error, "a lock's key cannot be kept");
                None
            }
        };
        async move {
            match keeping {
                Some(keeping) => keeping.await,
                None => false,
            }
        }
    }

    /// The radio is to know whom it must not lose sight of.
    fn tell_ours(&self) {
        self.air.set_ours(self.locks().keys().copied().collect());
    }

    fn lock(&self, device: DeviceId) -> Option<Arc<PairedLock>> {
        let locks = self.locks();
        let found = locks.iter().find(|(address, _)| device_id(**address) == device);
        found.map(|(_, lock)| Arc::clone(lock))
    }

    fn locks(&self) -> MutexGuard<'_, BTreeMap<Address, Arc<PairedLock>>> {
        // Whole between any two statements, so that a panic elsewhere harms nothing.
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, fact: Fact) {
        (self.report)(fact);
    }
}

/// What is heard there.
fn kind(sighting: &Sighting, now: Mono) -> NeighbourKind {
    let beacon = |(company, data): (&u16, &Vec<u8>)| nuki::beacon(*company, data).is_some();
    let pairable = |service: &Uuid| nuki::pairable(*service).is_some();
    // The daemon shows what was told last long after the ring went dark.
    let is_fresh = now < sighting.services_at + PAIRABLE_FOR;
    if is_fresh && sighting.services.keys().any(pairable) {
        NeighbourKind::NukiPairable
    } else if sighting.manufacturer.iter().any(beacon) || sighting.services.keys().any(pairable) {
        NeighbourKind::Nuki
    } else {
        NeighbourKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    use crate::lock::ble::NoLink;
    use crate::lock::nuki::{Credentials, Model, SharedKey};
    use crate::model::Voucher;

    const LOCK: Address = Address([1; 6]);

    /// What a household says, as far as nobody waits for an answer.
    type Said = Arc<Mutex<Vec<String>>>;

    fn household(clock: &Clock) -> (Household, Said) {
        let credentials = Credentials {
            model: Model::Classic,
            authorization: 5,
            key: SharedKey::new([7; 32]),
            app_id: 77,
        };
        let pin = SecurityPin::parse(Model::Classic, "1234").unwrap();
        let kept = Bond::new(LOCK, credentials, pin, None).seal().unwrap();
        let said = Said::default();
        let ear = Arc::clone(&said);
        // A core that takes everything in at once, and in which a lock has the codes of nobody.
        let report: Report = Arc::new(move |fact| {
            ear.lock().unwrap().push(match fact {
                Fact::Met(met) => format!("met {}", met.device),
                Fact::Census(radio, of) => format!("census of {}: {}", radio.0, of.len()),
                Fact::Keep(device, credential, kept) => {
                    let _ = kept.send(());
                    let what = if credential.is_some() {
                        "keep"
                    } else {
                        "forget the key of"
                    };
                    format!("{what} {device}")
                }
                Fact::Forget(device, insists, told) => {
                    let _ = told.send(Ok(()));
                    format!("forget {device}{}", if insists { " all the same" } else { "" })
                }
                _ => return,
            });
        });
        let options = Options {
            adapter: "hci0".to_owned(),
            links: 1,
        };
        let household = Household::open(
            options,
            applicant("villa-7", "gw1"),
            clock.clone(),
            report,
            || Box::new(<rand::rngs::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1)),
            [(device_id(LOCK), &kept, Bookmark::Unread)].into_iter(),
        );
        (household, said)
    }

    #[test]
    fn a_start_tells_which_locks_there_are() {
        let (_household, said) = household(&Clock::real(Voucher::System));
        let device = device_id(LOCK);
        assert_eq!(
            *said.lock().unwrap(),
            [format!("met {device}"), "census of ble: 1".to_owned()]
        );
    }

    /// Carries out what was ordered, as [`Household::run`] does.
    async fn carry_out_next(household: &Household) {
        let order = household.asked.lock().await.recv().await.unwrap();
        household.carry_out(order).await;
    }

    #[tokio::test]
    async fn a_lock_is_forgotten_whether_or_not_anybody_waits_for_it_and_nothing_else_is_done_meanwhile() {
        let (household, said) = household(&Clock::real(Voucher::System));
        let device = device_id(LOCK);
        said.lock().unwrap().clear();
        {
            let unpairing = std::pin::pin!(household.unpair(device, false));
            let mut nobody = Context::from_waker(Waker::noop());
            assert!(unpairing.poll(&mut nobody).is_pending());
        }
        assert_eq!(household.unpair(device, true).await, Err(Occupied));
        assert_eq!(household.test(device), Err(Occupied));
        let pin = SecurityPin::parse(Model::Classic, "1234").unwrap();
        assert_eq!(household.pair(LOCK, pin, None), Err(Occupied));
        carry_out_next(&household).await;
        assert_eq!(
            *said.lock().unwrap(),
            [format!("forget {device}"), format!("forget the key of {device}")]
        );
        let errand = household.errand().unwrap();
        assert_eq!((errand.kind, errand.end), (Kind::Unpair, Some(Ok(()))));
        assert_eq!(household.unpair(device, false).await, Ok(None));
    }

    #[tokio::test]
    async fn nothing_begins_any_more_with_a_lock_that_is_being_forgotten() {
        let (household, _said) = household(&Clock::real(Voucher::System));
        let lock = household.lock(device_id(LOCK)).unwrap();
        assert_eq!(lock.ask(&[crate::model::Step::Read]).await, Err(NoLink::Over));
        // One that waits while something else is under way with it.
        let quiet = lock.quiet().await;
        let asking = lock.ask(&[crate::model::Step::Read]);
        let leaving = async {
            lock.let_go();
            drop(quiet);
        };
        let (asked, ()) = tokio::join!(asking, leaving);
        assert_eq!(asked, Err(NoLink::Untried), "it gets no link");
        let goodbye = lock.say_goodbye().await;
        assert_eq!(goodbye, Err(Lingering::Unreached(NoLink::Over)));
    }

    #[test]
    fn a_lock_may_be_paired_for_half_a_minute_after_it_said_so() {
        let classic = Uuid::from_u128(0xa92e_e100_5501_11e4_916c_0800_200c_9a66);
        let sighting = Sighting {
            services: BTreeMap::from([(classic, Vec::new())]),
            services_at: Mono(1_000),
            ..Sighting::default()
        };
        let kind = |at: u64| kind(&sighting, Mono(at));
        assert_eq!(kind(30_999), NeighbourKind::NukiPairable);
        assert_eq!(kind(31_000), NeighbourKind::Nuki);
    }
}
