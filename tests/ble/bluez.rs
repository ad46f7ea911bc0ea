//! A stand-in for BlueZ on a bus of our own: what btleplug calls, answered as BlueZ 5.66 answers it, and signals in
//! the order in which it sends them. Behind it stand the simulated locks.
//!
//! It reads and writes messages itself, over the same libdbus that the program brings: a framework for services would
//! hide what matters here, which is when an answer goes out and what goes before it.
#![allow(clippy::disallowed_methods, reason = "the daemon's own clock and thread")]

mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dbus::Message;
use dbus::arg::{PropMap, RefArg, Variant};
use dbus::channel::Channel;
use dbus::strings::ErrorName;
use lockbridge::lock::ble::Address;

use super::bus::ADDRESS;
use super::lock::SimLock;

/// Between two advertisements of a lock, unless it is said otherwise.
const ADVERTISES_EVERY: Duration = Duration::from_millis(40);
/// How long one that was never connected stays listed without being heard.
const TEMPORARY: Duration = Duration::from_secs(30);
/// When the kernel gives up a connect.
const KERNEL_GIVES_UP: Duration = Duration::from_secs(41);
/// Longer than anybody waits.
const NEVER: Duration = Duration::from_secs(3600);
/// For the daemon's own work between two signals.
const SHORTLY: Duration = Duration::from_millis(2);

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
pub const ADAPTER: &str = "org.bluez.Adapter1";
pub const DEVICE: &str = "org.bluez.Device1";
pub const SERVICE: &str = "org.bluez.GattService1";
pub const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
pub const DESCRIPTOR: &str = "org.bluez.GattDescriptor1";

/// Where a link is cut, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The lock never gets the next write.
    BeforeWrite,
    /// The lock carries the next write out, and nobody hears of it.
    AfterWrite,
}

/// A lock, and what the daemon knows of it.
pub struct Device {
    pub lock: SimLock,
    /// It hears and is heard.
    pub in_range: bool,
    /// Between two advertisements.
    pub advertises_every: Duration,
    /// So many connects fail at once.
    pub refuses: usize,
    /// So many links end as soon as they came about, before anybody knows the services.
    pub dies_young: usize,
    pub cut: Option<Cut>,
    /// So many writes go through before that.
    pub spared: usize,
    /// Before each answer of the lock.
    pub slow: Duration,
    /// After so many writes more the next one does not arrive before the link ends.
    pub stalls_after: Option<usize>,
    /// The daemon says that it is linked, and it is not.
    pub phantom: bool,
    pub connected: bool,
    /// Connects that came about.
    pub connects: usize,
    /// Writes that came to the lock, or were cut off.
    pub writes: usize,
    /// Connects that the kernel gave up.
    pub gave_up: usize,
    /// When it was heard first, since somebody last forgot that.
    pub first_word: Option<Instant>,
    resolved: bool,
    listed: bool,
    permanent: bool,
    notifying: BTreeSet<String>,
    connecting: Option<Message>,
    /// The connect under way waits until the lock is heard, as in the kernel.
    waits: bool,
    values: BTreeMap<String, Vec<u8>>,
    advertised: Instant,
    /// Counts links: what was meant for an earlier one is void.
    link: u64,
}

impl Device {
    fn new(lock: SimLock) -> Device {
        Device {
            lock,
            in_range: true,
            advertises_every: ADVERTISES_EVERY,
            refuses: 0,
            dies_young: 0,
            cut: None,
            spared: 0,
            slow: Duration::ZERO,
            stalls_after: None,
            phantom: false,
            connected: false,
            connects: 0,
            writes: 0,
            gave_up: 0,
            first_word: None,
            resolved: false,
            listed: false,
            permanent: false,
            notifying: BTreeSet::new(),
            connecting: None,
            waits: false,
            values: BTreeMap::new(),
            advertised: Instant::now(),
            link: 0,
        }
    }

    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Services stay listed beyond a link.
    fn shows_services(&self) -> bool {
        self.resolved || self.permanent && self.connects > 0
    }

    /// A connect is under way inside the daemon.
    pub fn is_connecting(&self) -> bool {
        self.connecting.is_some()
    }
}

pub struct World {
    /// The daemon runs.
    pub up: bool,
    /// The name of the adapter, if one is plugged in.
    pub adapter: Option<String>,
    pub powered: bool,
    /// The adapter cannot be switched on.
    pub blocked: bool,
    /// Links that it bears.
    pub slots: usize,
    /// Links, and attempts at one, that there were at once at most.
    pub most_links: usize,
    /// The controller is wedged: nothing is heard of a scan that is to begin, until the adapter is switched off.
    pub wedged: bool,
    /// What is to be removed was removed by somebody else a moment before.
    pub outrun: bool,
    /// Nobody is told that the daemon is busy with this: every connect answers so.
    pub stuck: BTreeSet<Address>,
    pub devices: BTreeMap<Address, Device>,
    /// Calls that came, by method.
    pub calls: BTreeMap<String, usize>,
    /// Who called, by the names that the bus gives: each connection to it has another.
    pub callers: BTreeSet<String>,
    scanning: BTreeSet<String>,
    out: Vec<Message>,
    due: Vec<(Instant, Due)>,
    /// It has its name on the bus.
    is_named: bool,
    ends: bool,
}

/// What happens later.
enum Due {
    Connected(Address, u64),
    Resolved(Address, u64),
    GivesUp(Address, u64),
    /// A link that somebody wants to end has ended: only then it is answered.
    Disconnected(Message, Address, u64),
    /// A write reaches the lock.
    Written(Message, Address, u64, String, Vec<u8>),
}

/// The running stand-in.
pub struct Bluez {
    world: Arc<Mutex<World>>,
    thread: Option<JoinHandle<()>>,
}

impl Bluez {
    /// Starts it on the bus of this process, with these locks.
    pub fn start(locks: impl IntoIterator<Item = (Address, SimLock)>) -> Bluez {
        let world = Arc::new(Mutex::new(World {
            up: true,
            adapter: Some("hci0".to_owned()),
            powered: true,
            blocked: false,
            slots: 5,
            most_links: 0,
            wedged: false,
            outrun: false,
            stuck: BTreeSet::new(),
            devices: locks
                .into_iter()
                .map(|(address, lock)| (address, Device::new(lock)))
                .collect(),
            calls: BTreeMap::new(),
            callers: BTreeSet::new(),
            scanning: BTreeSet::new(),
            out: Vec::new(),
            due: Vec::new(),
            is_named: false,
            ends: false,
        }));
        let served = world.clone();
        let thread = std::thread::spawn(move || serve(&served));
        while !world.lock().unwrap().is_named {
            std::thread::sleep(SHORTLY);
        }
        Bluez {
            world,
            thread: Some(thread),
        }
    }

    /// More of them come, each of which is heard so rarely.
    pub fn come(&self, locks: impl IntoIterator<Item = (Address, SimLock)>, every: Duration) {
        let mut world = self.world();
        for (address, lock) in locks {
            let device = Device {
                advertises_every: every,
                ..Device::new(lock)
            };
            world.devices.insert(address, device);
        }
    }

    /// The world as it is: to look at, and to change.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// One lock.
    pub fn with<R>(&self, address: Address, look: impl FnOnce(&mut Device) -> R) -> R {
        look(self.world().devices.get_mut(&address).unwrap())
    }
}

impl Drop for Bluez {
    fn drop(&mut self) {
        self.world
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .ends = true;
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the stand-in panicked");
    }
}

fn serve(shared: &Mutex<World>) {
    let mut channel: Option<Channel> = None;
    loop {
        {
            let mut world = shared.lock().unwrap();
            if world.ends {
                return;
            }
            match (&channel, world.up) {
                (None, true) => {
                    channel = take_name();
                    world.is_named |= channel.is_some();
                }
                (Some(_), false) => {
                    channel = None;
                    world.crash();
                }
                _ => {}
            }
        }
        let Some(bus) = &channel else {
            std::thread::sleep(SHORTLY);
            continue;
        };
        if bus.read_write(Some(SHORTLY)).is_err() || !bus.is_connected() {
            channel = None;
            continue;
        }
        let mut world = shared.lock().unwrap();
        while let Some(message) = bus.pop_message() {
            world.hear(&message);
        }
        world.pass(Instant::now());
        for message in std::mem::take(&mut world.out) {
            let _ = bus.send(message);
        }
        bus.flush();
    }
}

/// Connects as BlueZ; `None` while there is no bus.
fn take_name() -> Option<Channel> {
    let mut channel = Channel::open_private(&std::env::var(ADDRESS).unwrap()).ok()?;
    channel.register().ok()?;
    let call = |member| {
        let bus = "org.freedesktop.DBus";
        Message::new_method_call(bus, "/org/freedesktop/DBus", bus, member).unwrap()
    };
    let rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
    let within = Duration::from_secs(5);
    channel
        .send_with_reply_and_block(call("AddMatch").append1(rule), within)
        .ok()?;
    let name = call("RequestName").append2("org.bluez", 4_u32);
    channel.send_with_reply_and_block(name, within).ok()?;
    Some(channel)
}

/// A property's value.
fn value(value: impl RefArg + 'static) -> Variant<Box<dyn RefArg>> {
    Variant(Box::new(value))
}

fn failed(text: &str) -> (&'static str, String) {
    ("org.bluez.Error.Failed", text.to_owned())
}

/// A call that is answered later. A copy alone would not know what it answers.
fn kept(call: &Message) -> Message {
    let mut kept = call.duplicate().unwrap();
    kept.set_serial(call.get_serial().unwrap());
    kept
}

type Answer = Result<Message, (&'static str, String)>;

impl World {
    /// The daemon ends without a word: links and what was not permanent are gone.
    fn crash(&mut self) {
        self.scanning.clear();
        self.due.clear();
        self.out.clear();
        for device in self.devices.values_mut() {
            device.connected = false;
            device.resolved = false;
            device.listed = device.permanent;
            device.notifying.clear();
            device.connecting = None;
            device.link += 1;
        }
    }

    /// The adapter is pulled out.
    pub fn unplug(&mut self) {
        let Some(name) = self.adapter.clone() else { return };
        let listed: Vec<Address> = self
            .devices
            .iter()
            .filter(|(_, device)| device.listed)
            .map(|(address, _)| *address)
            .collect();
        for address in listed {
            self.lose(address);
            self.devices.get_mut(&address).unwrap().listed = false;
            self.removed(&self.path(address), DEVICE);
        }
        self.scanning.clear();
        self.removed(&format!("/org/bluez/{name}"), ADAPTER);
        self.adapter = None;
    }

    /// It is back, under this name.
    pub fn plug(&mut self, name: &str) {
        self.adapter = Some(name.to_owned());
        self.powered = true;
        self.added(&format!("/org/bluez/{name}"));
    }

    /// Somebody walks out of reach, or a link breaks by itself.
    pub fn lose(&mut self, address: Address) {
        let path = self.path(address);
        let device = self.devices.get_mut(&address).unwrap();
        if device.connected {
            device.connected = false;
            device.link += 1;
            if std::mem::take(&mut device.resolved) {
                self.changed(&path, DEVICE, [("ServicesResolved", value(false))]);
            }
            self.changed(&path, DEVICE, [("Connected", value(false))]);
        }
    }

    /// Somebody else changes the adapter's power.
    pub fn power(&mut self, on: bool) {
        let Some(name) = self.adapter.clone() else { return };
        if self.powered == on {
            return;
        }
        self.powered = on;
        if !on {
            self.wedged = false;
            self.scanning.clear();
            let all: Vec<Address> = self.devices.keys().copied().collect();
            for address in all {
                self.devices.get_mut(&address).unwrap().connected = false;
                self.devices.get_mut(&address).unwrap().resolved = false;
                self.devices.get_mut(&address).unwrap().link += 1;
            }
        }
        self.changed(&format!("/org/bluez/{name}"), ADAPTER, [("Powered", value(on))]);
    }

    /// A lock says something that nobody asked for, on its characteristic for pairings or on that for every day.
    pub fn says(&mut self, address: Address, pairing: bool, bytes: &[u8]) {
        let below = if pairing {
            "service0010/char0011"
        } else {
            "service0020/char0021"
        };
        let path = format!("{}/{below}", self.path(address));
        self.changed(&path, CHARACTERISTIC, [("Value", value(bytes.to_vec()))]);
    }

    pub fn is_scanning(&self) -> bool {
        !self.scanning.is_empty()
    }

    pub fn called(&self, method: &str) -> usize {
        self.calls.get(method).copied().unwrap_or(0)
    }

    fn path(&self, address: Address) -> String {
        let adapter = self.adapter.as_deref().unwrap_or("none");
        format!(
            "/org/bluez/{adapter}/dev_{}",
            address.to_string().replace(':', "_")
        )
    }

    fn changed<const N: usize>(
        &mut self,
        path: &str,
        interface: &str,
        properties: [(&str, Variant<Box<dyn RefArg>>); N],
    ) {
        let properties: PropMap = properties
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let signal = Message::new_signal(path, PROPERTIES, "PropertiesChanged").unwrap();
        self.out
            .push(signal.append3(interface, properties, Vec::<String>::new()));
    }

    fn added(&mut self, path: &str) {
        let interfaces = self.object(path).expect("it is there");
        let signal = Message::new_signal("/", OBJECTS, "InterfacesAdded").unwrap();
        self.out
            .push(signal.append2(dbus::Path::from(path.to_owned()), interfaces));
    }

    fn removed(&mut self, path: &str, interface: &str) {
        let signal = Message::new_signal("/", OBJECTS, "InterfacesRemoved").unwrap();
        self.out
            .push(signal.append2(dbus::Path::from(path.to_owned()), vec![interface]));
    }

    fn hear(&mut self, message: &Message) {
        let member = message.member().map(|name| name.to_string()).unwrap_or_default();
        if message.msg_type() == dbus::MessageType::Signal {
            if let (Some(client), Some(_), Some("")) = message.get3::<&str, &str, &str>() {
                self.scanning.remove(client);
            }
            return;
        }
        if message.msg_type() != dbus::MessageType::MethodCall {
            return;
        }
        *self.calls.entry(member.clone()).or_default() += 1;
        self.callers
            .extend(message.sender().map(|caller| caller.to_string()));
        match self.answer(message, &member) {
            Some(Ok(reply)) => self.out.push(reply),
            Some(Err((name, text))) => {
                let text = CString::new(text).unwrap();
                self.out.push(message.error(&ErrorName::from(name), &text));
            }
            // Later.
            None => {}
        }
    }

    fn answer(&mut self, message: &Message, member: &str) -> Option<Answer> {
        let path = message.path().unwrap().to_string();
        let interface = message
            .interface()
            .map(|name| name.to_string())
            .unwrap_or_default();
        if member == "Introspect" {
            return Some(Ok(message.method_return().append1(self.introspect(&path))));
        }
        if member == "GetManagedObjects" {
            let all: BTreeMap<dbus::Path<'static>, _> = self
                .paths()
                .into_iter()
                .filter_map(|path| Some((dbus::Path::from(path.clone()), self.object(&path)?)))
                .collect();
            return Some(Ok(message.method_return().append1(all)));
        }
        let Some(mut interfaces) = self.object(&path) else {
            return Some(Err((
                "org.freedesktop.DBus.Error.UnknownObject",
                format!("Method \"{member}\" doesn't exist"),
            )));
        };
        match (interface.as_str(), member) {
            (PROPERTIES, "GetAll") => {
                let of: &str = message.read1().unwrap();
                let all = interfaces.remove(of).unwrap_or_default();
                Some(Ok(message.method_return().append1(all)))
            }
            (PROPERTIES, "Get") => {
                let (of, name): (&str, &str) = message.read2().unwrap();
                let value = interfaces.remove(of).and_then(|mut all| all.remove(name));
                Some(value.map(|value| message.method_return().append1(value)).ok_or((
                    "org.freedesktop.DBus.Error.InvalidArgs",
                    format!("No such property '{name}'"),
                )))
            }
            (PROPERTIES, "Set") => {
                let (_, name, to): (&str, &str, Variant<bool>) = message.read3().unwrap();
                assert_eq!(name, "Powered", "nothing else is set");
                if to.0 && self.blocked {
                    return Some(Err(failed("Blocked through rfkill")));
                }
                self.power(to.0);
                Some(Ok(message.method_return()))
            }
            (ADAPTER, _) => self.asked_adapter(message, member),
            (DEVICE, _) => self.asked_device(message, member, self.address(&path)?),
            (CHARACTERISTIC, _) => self.asked_characteristic(message, member, &path),
            _ => Some(Err((
                "org.freedesktop.DBus.Error.UnknownMethod",
                format!("no {interface}.{member}"),
            ))),
        }
    }

    fn asked_adapter(&mut self, message: &Message, member: &str) -> Option<Answer> {
        let client = message.sender().unwrap().to_string();
        let path = message.path().unwrap().to_string();
        match member {
            "RemoveDevice" => {
                let device: dbus::Path<'_> = message.read1().unwrap();
                let Some(address) = self.address(&device) else {
                    return Some(Err(("org.bluez.Error.DoesNotExist", "Does Not Exist".to_owned())));
                };
                self.lose(address);
                self.stuck.remove(&address);
                let device = self.devices.get_mut(&address).unwrap();
                (device.listed, device.permanent, device.phantom) = (false, false, false);
                self.removed(&self.path(address), DEVICE);
                if self.outrun {
                    return Some(Err(("org.bluez.Error.DoesNotExist", "Does Not Exist".to_owned())));
                }
            }
            _ if !self.powered => {
                return Some(Err(("org.bluez.Error.NotReady", "Resource Not Ready".to_owned())));
            }
            "SetDiscoveryFilter" => {}
            "StartDiscovery" if self.wedged => return None,
            "StartDiscovery" => {
                if !self.scanning.insert(client) {
                    return Some(Err((
                        "org.bluez.Error.InProgress",
                        "Operation already in progress".to_owned(),
                    )));
                }
                self.out.push(message.method_return());
                self.changed(&path, ADAPTER, [("Discovering", value(true))]);
                // The answer went first.
                return None;
            }
            "StopDiscovery" => {
                if !self.scanning.remove(&client) {
                    return Some(Err(failed("No discovery started")));
                }
                self.changed(&path, ADAPTER, [("Discovering", value(false))]);
            }
            _ => panic!("nobody asks an adapter to {member}"),
        }
        Some(Ok(message.method_return()))
    }

    fn asked_device(&mut self, message: &Message, member: &str, address: Address) -> Option<Answer> {
        let links = self.devices.values().filter(|device| device.connected).count();
        let crowded = links >= self.slots;
        let stuck = self.stuck.contains(&address);
        let powered = self.powered;
        let device = self.devices.get_mut(&address).unwrap();
        let now = Instant::now();
        match member {
            "Connect" if stuck || device.connecting.is_some() => {
                Some(Err(failed("Operation already in progress")))
            }
            "Connect" if !powered => Some(Err(failed("Input/output error"))),
            "Connect" if device.connected || device.phantom => Some(Ok(message.method_return())),
            "Connect" => {
                device.permanent = true;
                if crowded || device.refuses > 0 {
                    device.refuses = device.refuses.saturating_sub(1);
                    return Some(Err(failed("le-connection-abort-by-local")));
                }
                device.connecting = Some(kept(message));
                self.most_links = self.most_links.max(links + 1);
                device.link += 1;
                device.waits = !device.in_range;
                let due = if device.in_range {
                    (now + SHORTLY + device.slow, Due::Connected(address, device.link))
                } else {
                    (now + KERNEL_GIVES_UP, Due::GivesUp(address, device.link))
                };
                self.due.push(due);
                None
            }
            "Disconnect" => {
                device.phantom = false;
                if device.connected {
                    let due = Due::Disconnected(kept(message), address, device.link);
                    self.due.push((now + SHORTLY, due));
                    return None;
                }
                self.abort(address, c"br-connection-canceled");
                Some(Ok(message.method_return()))
            }
            _ => panic!("nobody asks a device to {member}"),
        }
    }

    fn asked_characteristic(&mut self, message: &Message, member: &str, path: &str) -> Option<Answer> {
        let address = self.address(path)?;
        let device = self.devices.get_mut(&address).unwrap();
        if !device.connected {
            return Some(Err(failed("Not connected")));
        }
        match member {
            "StartNotify" => {
                device.notifying.insert(path.to_owned());
                Some(Ok(message.method_return()))
            }
            "StopNotify" => {
                device.notifying.remove(path);
                Some(Ok(message.method_return()))
            }
            "WriteValue" => {
                let (bytes, _): (Vec<u8>, PropMap) = message.read2().unwrap();
                if bytes.len() > 512 {
                    return Some(Err(failed("Invalid Length")));
                }
                let due = Due::Written(kept(message), address, device.link, path.to_owned(), bytes);
                let stalls = device.stalls_after == Some(0);
                device.stalls_after = device.stalls_after.map(|left| left.saturating_sub(1));
                let wait = if stalls { NEVER } else { device.slow };
                self.due.push((Instant::now() + wait, due));
                None
            }
            _ => panic!("nobody asks a characteristic to {member}"),
        }
    }

    /// Time passes.
    fn pass(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.due = later;
        let due: Vec<(Instant, Due)> = due;
        for (_, due) in due {
            self.happen(due, now);
        }
        let listens = self.powered && self.adapter.is_some() && !self.scanning.is_empty();
        let all: Vec<Address> = self.devices.keys().copied().collect();
        for address in all {
            let device = self.devices.get_mut(&address).unwrap();
            if device.in_range && device.connecting.is_some() && std::mem::take(&mut device.waits) {
                let due = Due::Connected(address, device.link);
                self.due.push((now + SHORTLY, due));
            }
            let device = self.devices.get_mut(&address).unwrap();
            let silent = now - device.advertised;
            if listens
                && device.in_range
                && !device.connected
                && device.connecting.is_none()
                && (silent >= device.advertises_every || !device.listed)
            {
                device.advertised = now;
                device.first_word.get_or_insert(now);
                self.advertise(address);
            } else if device.listed && !device.permanent && silent >= TEMPORARY {
                device.listed = false;
                self.removed(&self.path(address), DEVICE);
            }
        }
    }

    fn advertise(&mut self, address: Address) {
        let path = self.path(address);
        if !std::mem::replace(&mut self.devices.get_mut(&address).unwrap().listed, true) {
            // Of one that it did not list the daemon says nothing else.
            return self.added(&path);
        }
        let data = objects::beacon(address);
        let rssi = value(-60_i16);
        self.changed(&path, DEVICE, [("RSSI", rssi), ("ManufacturerData", data)]);
    }

    fn happen(&mut self, due: Due, now: Instant) {
        match due {
            Due::Connected(address, link) => {
                let path = self.path(address);
                let device = self.devices.get_mut(&address).unwrap();
                if device.link != link {
                    return;
                }
                let Some(call) = device.connecting.take() else {
                    return;
                };
                device.connected = true;
                device.connects += 1;
                device.lock.connect();
                let dies = device.dies_young > 0;
                device.dies_young = device.dies_young.saturating_sub(1);
                self.due.push((now + SHORTLY, Due::Resolved(address, link)));
                self.changed(&path, DEVICE, [("Connected", value(true))]);
                self.out.push(call.method_return());
                if dies {
                    self.lose(address);
                }
            }
            Due::Resolved(address, link) => {
                let path = self.path(address);
                let device = self.devices.get_mut(&address).unwrap();
                if device.link == link && device.connected {
                    device.resolved = true;
                    for below in self
                        .paths()
                        .into_iter()
                        .filter(|below| below.starts_with(&format!("{path}/")))
                    {
                        self.added(&below);
                    }
                    self.changed(&path, DEVICE, [("ServicesResolved", value(true))]);
                }
            }
            Due::GivesUp(address, link) => {
                let device = self.devices.get_mut(&address).unwrap();
                if device.link == link && device.connecting.is_some() {
                    device.gave_up += 1;
                    self.abort(address, c"le-connection-abort-by-local");
                }
            }
            Due::Disconnected(call, address, link) => {
                self.out.push(call.method_return());
                if self.devices[&address].link == link {
                    self.lose(address);
                }
            }
            Due::Written(call, address, link, path, bytes) => {
                self.written(&call, address, link, &path, &bytes)
            }
        }
    }

    /// A pending connect fails.
    fn abort(&mut self, address: Address, text: &CStr) {
        let device = self.devices.get_mut(&address).unwrap();
        if let Some(call) = device.connecting.take() {
            device.link += 1;
            self.out
                .push(call.error(&ErrorName::from("org.bluez.Error.Failed"), text));
        }
    }

    fn written(&mut self, call: &Message, address: Address, link: u64, path: &str, bytes: &[u8]) {
        let characteristic = objects::characteristic_of(path);
        let device = self.devices.get_mut(&address).unwrap();
        let lost = |out: &mut Vec<Message>| {
            let name = ErrorName::from("org.bluez.Error.Failed");
            out.push(call.error(&name, c"Operation failed with ATT error: 0x0e"));
        };
        if device.link != link || !device.connected {
            return lost(&mut self.out);
        }
        let cut = match device.spared {
            0 => device.cut.take(),
            _ => None,
        };
        device.spared = device.spared.saturating_sub(1);
        device.writes += 1;
        if cut == Some(Cut::BeforeWrite) {
            self.lose(address);
            return lost(&mut self.out);
        }
        let said = device
            .lock
            .write(objects::uuid(&device.lock, characteristic), bytes);
        device.values.insert(path.to_owned(), bytes.to_vec());
        if cut == Some(Cut::AfterWrite) {
            self.lose(address);
            return lost(&mut self.out);
        }
        let listens = device.notifying.contains(path);
        self.out.push(call.method_return());
        for part in said.iter().flat_map(|indication| indication.value.chunks(20)) {
            if listens {
                self.changed(path, CHARACTERISTIC, [("Value", value(part.to_vec()))]);
            }
        }
    }
}
