//! The daemon's objects: which there are, and what they show.

use std::collections::BTreeMap;

use dbus::arg::{PropMap, RefArg, Variant};
use lockbridge::lock::ble::Address;
use uuid::Uuid;

use super::{ADAPTER, CHARACTERISTIC, DESCRIPTOR, DEVICE, OBJECTS, PROPERTIES, SERVICE, World, value};
use crate::lock::{Kind, SimLock, characteristic};

/// What a lock offers: a service to pair, one for every day, with a characteristic and its descriptor each.
const BELOW_DEVICE: [&str; 6] = [
    "service0010",
    "service0010/char0011",
    "service0010/char0011/desc0013",
    "service0020",
    "service0020/char0021",
    "service0020/char0021/desc0023",
];

/// The last part of a characteristic's path.
pub fn characteristic_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The name on the air of a service or a characteristic.
pub fn uuid(lock: &SimLock, object: &str) -> Uuid {
    let pairing = match lock.kind {
        Kind::Classic => 0x100,
        Kind::Ultra => 0x300,
    };
    characteristic(match object {
        "service0010" => pairing,
        "char0011" => pairing + 1,
        "service0020" => 0x200,
        _ => 0x202,
    })
}

/// The manufacturer's data of a lock that is set up: its number is the end of its address.
pub fn beacon(address: Address) -> Variant<Box<dyn RefArg>> {
    let mut data = vec![0x02, 0x15];
    data.extend(characteristic(0x200).as_bytes());
    data.extend(&address.0[2..]);
    data.push(0xc4);
    let bytes: Variant<Box<dyn RefArg>> = value(data);
    value(BTreeMap::from([(0x004c_u16, bytes)]))
}

fn properties<const N: usize>(properties: [(&str, Variant<Box<dyn RefArg>>); N]) -> PropMap {
    properties
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn object_path(path: &str) -> Variant<Box<dyn RefArg>> {
    value(dbus::Path::from(path.to_owned()))
}

impl World {
    /// All objects.
    pub fn paths(&self) -> Vec<String> {
        let Some(adapter) = &self.adapter else {
            return Vec::new();
        };
        let mut paths = vec![format!("/org/bluez/{adapter}")];
        for (address, device) in self.devices.iter().filter(|(_, device)| device.listed) {
            let path = self.path(*address);
            if device.shows_services() {
                paths.extend(BELOW_DEVICE.iter().map(|below| format!("{path}/{below}")));
            }
            paths.push(path);
        }
        paths
    }

    fn is_there(&self, path: &str) -> bool {
        let Some(address) = self.address(path) else {
            let adapter = self.adapter.as_ref();
            return adapter.is_some_and(|adapter| path == format!("/org/bluez/{adapter}"));
        };
        let device = &self.devices[&address];
        let Some(rest) = path.strip_prefix(&self.path(address)) else {
            return false;
        };
        match rest.strip_prefix('/') {
            None => rest.is_empty(),
            Some(below) => device.shows_services() && BELOW_DEVICE.contains(&below),
        }
    }

    /// The lock to whose object, or to one below it, a path leads.
    pub fn address(&self, path: &str) -> Option<Address> {
        let (_, rest) = path.split_once("/dev_")?;
        let address = rest.get(..17)?.replace('_', ":").parse().ok()?;
        self.devices
            .get(&address)
            .filter(|device| device.listed)
            .map(|_| address)
    }

    /// What an object shows, by interface; `None` if there is no such object.
    pub fn object(&self, path: &str) -> Option<BTreeMap<String, PropMap>> {
        let only = |interface: &str, properties| Some(BTreeMap::from([(interface.to_owned(), properties)]));
        if path == "/" {
            return Some(BTreeMap::new());
        }
        if !self.is_there(path) {
            return None;
        }
        let last = characteristic_of(path);
        let Some(address) = self.address(path) else {
            return only(
                ADAPTER,
                properties([
                    ("Address", value("00:1A:7D:DA:71:13".to_owned())),
                    ("AddressType", value("public".to_owned())),
                    ("Name", value("gateway".to_owned())),
                    ("Alias", value("gateway".to_owned())),
                    ("Modalias", value("usb:v1D6Bp0246d0552".to_owned())),
                    ("Powered", value(self.powered)),
                    ("Discovering", value(self.is_scanning())),
                ]),
            );
        };
        let device = &self.devices[&address];
        if last.starts_with("dev_") {
            let name = address.to_string().replace(':', "-");
            return only(
                DEVICE,
                properties([
                    ("Address", value(address.to_string())),
                    ("AddressType", value("random".to_owned())),
                    ("Alias", value(name)),
                    ("Paired", value(false)),
                    ("Trusted", value(false)),
                    ("Blocked", value(false)),
                    ("LegacyPairing", value(false)),
                    ("Connected", value(device.connected || device.phantom)),
                    ("ServicesResolved", value(device.resolved)),
                    ("Adapter", object_path(&path[..path.len() - last.len() - 1])),
                    ("ManufacturerData", beacon(address)),
                    ("RSSI", value(-60_i16)),
                ]),
            );
        }
        let (parent, _) = path.rsplit_once('/')?;
        if last.starts_with("service") {
            let uuid = uuid(&device.lock, last).to_string();
            let (primary, of) = (value(true), object_path(parent));
            return only(
                SERVICE,
                properties([("UUID", value(uuid)), ("Primary", primary), ("Device", of)]),
            );
        }
        if last.starts_with("char") {
            let flags: Vec<String> = ["write", "indicate", "read"].map(str::to_owned).into();
            return only(
                CHARACTERISTIC,
                properties([
                    ("UUID", value(uuid(&device.lock, last).to_string())),
                    ("Flags", value(flags)),
                    ("MTU", value(517_u16)),
                    ("Notifying", value(device.notifying.contains(path))),
                    (
                        "Value",
                        value(device.values.get(path).cloned().unwrap_or_default()),
                    ),
                    ("Service", object_path(parent)),
                ]),
            );
        }
        let uuid = value("00002902-0000-1000-8000-00805f9b34fb".to_owned());
        only(
            DESCRIPTOR,
            properties([("UUID", uuid), ("Characteristic", object_path(parent))]),
        )
    }

    /// The names of the objects right below one.
    pub fn introspect(&self, path: &str) -> String {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let paths = self.paths();
        let below = paths.iter().filter_map(|there| there.strip_prefix(&prefix));
        let nodes: String = below
            .filter(|name| !name.contains('/'))
            .map(|name| format!("  <node name=\"{name}\"/>\n"))
            .collect();
        let interfaces = [PROPERTIES, OBJECTS]
            .map(|name| format!("  <interface name=\"{name}\"/>\n"))
            .concat();
        format!("<node>\n{interfaces}{nodes}</node>\n")
    }
}
