//! One manager of btleplug, from its first call to its last: everything that btleplug says or is asked.
//!
//! btleplug's own tasks live in a runtime that ends with the session. So a new session leaves nothing of the old
//! one behind: no task, no connection to the bus, no match rule.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bluez_async::BluetoothError;
use btleplug::api::{
    BDAddr, Central as _, CentralEvent, CentralState, Characteristic as Door, Manager as _, Peripheral as _,
    ScanFilter,
};
use btleplug::platform::{Adapter, Manager, Peripheral};
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;
use tokio::task::block_in_place;
use tokio::time::timeout;
use uuid::Uuid;

use super::address::Address;
use super::bus::failure;
use super::failure::Failure;
use super::heard::Advert;
use crate::model::Outage;

/// For a call that the daemon answers by itself.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// From the call to a link whose services are known.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// For the list of services, each of which is asked for by itself.
const SERVICES_WITHIN: Duration = Duration::from_secs(10);
/// For a word with the lock.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(5);

/// What the air tells.
pub(super) enum Air {
    Heard(Address, Advert),
    /// A link came about, and may be gone again: this may be told late, too.
    Linked(Address),
    /// A link ended; or it ended some time ago, and this is told late.
    Unlinked(Address),
    /// The adapter was switched off; or it was some time ago, and this is told late.
    Off,
}

/// An indication, and of whom.
pub(super) type Indication = (Address, Uuid, Vec<u8>);

pub(super) struct Session {
    tasks: Tasks,
    adapter: Adapter,
    name: String,
    address: Option<BDAddr>,
    /// Opened before anything else and drained always: its match rules are the oldest of this connection to
    /// the bus and cover everything, so that the removal of a younger rule, which the bus daemon may mistake for
    /// another, deafens nobody.
    events: BoxStream<'static, CentralEvent>,
    /// One for each lock that ever got a link, kept: one that ends takes a match rule with it that may be another's.
    indications: SelectAll<BoxStream<'static, Indication>>,
    known: BTreeMap<Address, Peripheral>,
    /// Listed when the session began: their discovery is told once more, and is no sign of life.
    old: BTreeSet<Address>,
}

/// A link that just came about.
pub(super) struct Made {
    pub peripheral: Peripheral,
    pub doors: BTreeMap<Uuid, Door>,
    /// If this lock never had one before.
    pub indications: Option<BoxStream<'static, Indication>>,
}

impl Session {
    /// Opens the adapter: the one seen `before` under whatever name, else the one that is called `wanted`, else the only
    /// one. Ends links to `ours` that an earlier run left behind.
    pub async fn open(
        wanted: &str,
        before: Option<BDAddr>,
        ours: &BTreeSet<Address>,
    ) -> Result<Session, Failure> {
        let tasks = Tasks::begin()?;
        let manager = tasks.make_manager().map_err(|error| of(&error, Outage::Bus))?;
        let (adapter, name, address) = find(&manager, wanted, before).await?;
        let mut session = Session {
            tasks,
            adapter,
            name,
            address,
            events: stream::pending().boxed(),
            indications: SelectAll::new(),
            known: BTreeMap::new(),
            old: BTreeSet::new(),
        };
        let listed = call(session.adapter.peripherals()).await?;
        let of = |peripheral: &Peripheral| Address(peripheral.address().into_inner());
        session.old = listed.iter().map(of).collect();
        session.events = call(session.adapter.events()).await?;
        let ours = listed.iter().filter(|peripheral| ours.contains(&of(peripheral)));
        join_all(ours.map(end_if_linked)).await;
        Ok(session)
    }

    /// The adapter's name, such as `hci0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The adapter's address, by which it is known under another name.
    pub fn adapter_address(&self) -> Option<BDAddr> {
        self.address
    }

    /// What comes next: of the air, or an indication.
    pub async fn next(&mut self) -> Coming {
        loop {
            tokio::select! {
                Some(event) = self.events.next() => {
                    if let Some(air) = air(event).filter(|air| self.is_new(air)) {
                        return Coming::Air(air);
                    }
                }
                Some(indication) = self.indications.next(), if !self.indications.is_empty() => {
                    return Coming::Indication(indication);
                }
                else => return Coming::Nothing,
            }
        }
    }

    fn is_new(&mut self, air: &Air) -> bool {
        match air {
            Air::Heard(address, Advert::Found) => !self.old.remove(address),
            _ => true,
        }
    }

    /// Whether the adapter is switched on. One about which nothing can be learnt is not.
    pub fn is_powered(&self) -> impl Future<Output = bool> + Send + use<> {
        let adapter = self.adapter.clone();
        async move { call(adapter.adapter_state()).await == Ok(CentralState::PoweredOn) }
    }

    /// Keeps what a new link brought.
    pub fn keep(
        &mut self,
        address: Address,
        peripheral: &Peripheral,
        new: Option<BoxStream<'static, Indication>>,
    ) {
        if let Some(new) = new {
            self.known.insert(address, peripheral.clone());
            self.indications.push(new);
        }
    }

    /// Begins or ends to listen.
    pub fn scan(&self, on: bool) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let adapter = self.adapter.clone();
        async move {
            let done = if on {
                call(adapter.start_scan(ScanFilter::default())).await
            } else {
                call(adapter.stop_scan()).await
            };
            match (on, done) {
                // A daemon that has just started says that it listens, and does not.
                (true, Err(Failure::Stuck)) => {
                    call(adapter.stop_scan()).await?;
                    Err(Failure::Stuck)
                }
                // It did not listen.
                (false, Err(Failure::Passing | Failure::Stuck)) => Ok(()),
                (_, done) => done,
            }
        }
    }

    /// Makes one link and switches the indications of a characteristic on. However it fails, nothing is left
    /// under way. `lost`: the link came about and ended again, of which btleplug tells nobody who waits for its services.
    pub fn link(
        &self,
        address: Address,
        indicates: Uuid,
        lost: Arc<Notify>,
    ) -> impl Future<Output = Result<Made, Failure>> + Send + use<> {
        let (adapter, known) = (self.adapter.clone(), self.known.get(&address).cloned());
        async move {
            let is_known = known.is_some();
            let peripheral = match known {
                Some(peripheral) => peripheral,
                None => listed(&adapter, address).await?,
            };
            let made = tokio::select! {
                made = make(peripheral.clone(), address, indicates, is_known) => made,
                () = lost.notified() => Err(Failure::Passing),
            };
            if made.is_err() {
                end(&peripheral).await;
            }
            made
        }
    }

    /// Whether a link stands. One about which nothing can be learnt does not.
    pub fn is_linked(&self, address: Address) -> impl Future<Output = bool> + Send + use<> {
        let known = self.known.get(&address).cloned();
        async move {
            match known {
                Some(peripheral) => call(peripheral.is_connected()).await.unwrap_or(false),
                None => false,
            }
        }
    }

    /// Ends a link, or whatever is under way with a lock.
    pub fn unlink(&self, address: Address) -> impl Future<Output = ()> + Send + use<> {
        let (adapter, known) = (self.adapter.clone(), self.known.get(&address).cloned());
        async move {
            match known {
                Some(peripheral) => end(&peripheral).await,
                None => {
                    if let Ok(peripheral) = listed(&adapter, address).await {
                        end(&peripheral).await;
                    }
                }
            }
        }
    }
}

/// What [`Session::next`] brings.
pub(super) enum Coming {
    Air(Air),
    Indication(Indication),
    /// Nothing will come any more.
    Nothing,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Streams start a task when they end: here, so that it ends with the session.
        let (events, indications) = (&mut self.events, &mut self.indications);
        self.tasks.inside(|| {
            *events = stream::pending().boxed();
            indications.clear();
        });
    }
}

/// Where btleplug's own tasks live. They end when this is dropped, wherever that happens.
struct Tasks {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Tasks {
    fn begin() -> Result<Tasks, Failure> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bluetooth")
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => Ok(Tasks {
                runtime: Some(runtime),
            }),
            Err(error) => {
                tracing::error!(%error, "no thread for the Bluetooth radio");
                Err(Failure::Worn)
            }
        }
    }

    /// Connects, and blocks while it does so.
    fn make_manager(&self) -> btleplug::Result<Manager> {
        match &self.runtime {
            Some(runtime) => block_in_place(|| runtime.block_on(Manager::new())),
            None => Err(btleplug::Error::NoAdapterAvailable),
        }
    }

    fn inside(&self, work: impl FnOnce()) {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        work();
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn find(
    manager: &Manager,
    wanted: &str,
    before: Option<BDAddr>,
) -> Result<(Adapter, String, Option<BDAddr>), Failure> {
    let mut there = Vec::new();
    for adapter in call(manager.adapters()).await? {
        let info = call(adapter.adapter_info()).await?;
        let name = info.split(' ').next().unwrap_or_default().to_owned();
        let address = call(adapter.adapter_address()).await?;
        there.push((adapter, name, address));
    }
    let same = before.and_then(|before| there.iter().position(|(.., address)| *address == Some(before)));
    let named = there.iter().position(|(_, name, _)| name == wanted);
    let only = (there.len() == 1).then_some(0);
    let at = same.or(named).or(only).ok_or(Failure::Radio(Outage::Adapter))?;
    let (adapter, name, address) = there.swap_remove(at);
    if name != wanted {
        tracing::warn!(
            wanted,
            using = name,
            "the Bluetooth adapter has another name than it should"
        );
    }
    Ok((adapter, name, address))
}

/// The daemon's object for a lock.
async fn listed(adapter: &Adapter, address: Address) -> Result<Peripheral, Failure> {
    let all = call(adapter.peripherals()).await?;
    let address = BDAddr::from(address.0);
    all.into_iter()
        .find(|peripheral| peripheral.address() == address)
        .ok_or(Failure::Unheard)
}

async fn make(
    peripheral: Peripheral,
    address: Address,
    indicates: Uuid,
    is_known: bool,
) -> Result<Made, Failure> {
    // Left over from a run that was killed, or a link that is up in name only.
    if call(peripheral.is_connected()).await? {
        tracing::info!(%address, "a link that nobody uses is taken down first");
        end(&peripheral).await;
    }
    match timeout(CONNECT_WITHIN, peripheral.connect()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(of(&error, Outage::Daemon)),
        Err(_) => return Err(Failure::Silent),
    }
    match timeout(SERVICES_WITHIN, peripheral.discover_services()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(of(&error, Outage::Daemon)),
        Err(_) => return Err(Failure::Passing),
    }
    let doors: BTreeMap<Uuid, Door> = peripheral
        .characteristics()
        .into_iter()
        .map(|door| (door.uuid, door))
        .collect();
    let Some(door) = doors.get(&indicates) else {
        // Known services, or those of a link that is gone again: only the former tell something.
        return Err(if call(peripheral.is_connected()).await? && !doors.is_empty() {
            Failure::Misfit
        } else {
            Failure::Passing
        });
    };
    let indications = if is_known {
        None
    } else {
        let indications = call(peripheral.notifications()).await?;
        Some(
            indications
                .map(move |told| (address, told.uuid, told.value))
                .boxed(),
        )
    };
    match timeout(SUBSCRIBE_WITHIN, peripheral.subscribe(door)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => match of(&error, Outage::Daemon) {
            // The daemon keeps subscriptions beyond a link.
            Failure::Stuck => {}
            failure => return Err(failure),
        },
        Err(_) => return Err(Failure::Passing),
    }
    Ok(Made {
        peripheral,
        doors,
        indications,
    })
}

/// Ends a link that a run left behind which was killed.
async fn end_if_linked(peripheral: &Peripheral) {
    if call(peripheral.is_connected()).await == Ok(true) {
        tracing::info!(address = %peripheral.address(), "a link that nobody uses is taken down");
        end(peripheral).await;
    }
}

/// Ends a link, or an attempt that goes on inside the daemon after everybody gave it up.
async fn end(peripheral: &Peripheral) {
    if let Err(failure) = call(peripheral.disconnect()).await {
        tracing::debug!(?failure, address = %peripheral.address(), "a link did not let itself be ended");
    }
}

/// A call that takes no longer than it may.
async fn call<T>(calling: impl Future<Output = btleplug::Result<T>>) -> Result<T, Failure> {
    match timeout(CALL_WITHIN, calling).await {
        Ok(called) => called.map_err(|error| of(&error, Outage::Daemon)),
        Err(_) => Err(Failure::Radio(Outage::Daemon)),
    }
}

fn of(error: &btleplug::Error, unnamed: Outage) -> Failure {
    match error {
        btleplug::Error::Other(other) => match other.downcast_ref() {
            Some(BluetoothError::DbusError(error)) => failure(error, unnamed),
            _ => Failure::Passing,
        },
        btleplug::Error::DeviceNotFound => Failure::Unheard,
        _ => Failure::Passing,
    }
}

fn air(event: CentralEvent) -> Option<Air> {
    let address = |id: &btleplug::platform::PeripheralId| Address::of_object(&id.to_string());
    match event {
        CentralEvent::DeviceDiscovered(id) => Some(Air::Heard(address(&id)?, Advert::Found)),
        CentralEvent::RssiUpdate { id, rssi } => Some(Air::Heard(address(&id)?, Advert::Rssi(rssi))),
        CentralEvent::ManufacturerDataAdvertisement {
            id,
            manufacturer_data,
        } => {
            let data = manufacturer_data.into_iter().collect();
            Some(Air::Heard(address(&id)?, Advert::Manufacturer(data)))
        }
        CentralEvent::ServiceDataAdvertisement { id, service_data } => {
            let data = service_data.into_iter().collect();
            Some(Air::Heard(address(&id)?, Advert::Services(data)))
        }
        CentralEvent::DeviceConnected(id) => Some(Air::Linked(address(&id)?)),
        CentralEvent::DeviceDisconnected(id) => Some(Air::Unlinked(address(&id)?)),
        CentralEvent::StateUpdate(CentralState::PoweredOff) => Some(Air::Off),
        _ => None,
    }
}
