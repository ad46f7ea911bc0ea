//! The locks that a configuration names, ready to be spoken to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Failure, randomness};
use crate::clock::Clock;
use crate::config::{self, Config, Driver};
use crate::gateway::{DeviceSpec, Gateway};
use crate::lock::ble;
use crate::lock::paired::{self, Household};
use crate::lock::sim::SimDriver;
use crate::lock::zwave::{self, Network};
use crate::lock::{Device, Registry, Report};
use crate::model::RadioId;
use crate::shell;
use crate::tls;

/// Where simulated locks keep their memories, in the data directory.
const SIM: &str = "sim";
/// What is sent to one node holds up what is sent to another.
const ZWAVE_LINKS: usize = 1;

/// The locks, as the shell and as the core know them.
pub(super) struct Locks {
    pub registry: Registry,
    pub specs: Vec<DeviceSpec>,
    /// How many links each radio has.
    pub radios: BTreeMap<RadioId, usize>,
}

/// The Z-Wave network, if there is one.
pub(super) fn network(config: &Config, clock: &Clock, report: &Report) -> Option<Network> {
    let config::Zwave {
        host,
        port,
        tls,
        backoff_max,
        locks,
    } = config.zwave.as_ref()?;
    let for_tls = clock.clone();
    let tls = tls.clone().map(|tls| -> zwave::Tls {
        Arc::new(move || tls::client(&tls, &for_tls).map_err(|error| error.to_string()))
    });
    Some(Network {
        address: zwave::Address {
            host: host.clone(),
            port: *port,
            tls,
        },
        rules: locks.clone(),
        backoff_max: *backoff_max,
        clock: clock.clone(),
        report: Arc::clone(report),
    })
}

/// The paired locks, if there is Bluetooth, with what let us in at them before.
pub(super) fn household(
    config: &Config,
    clock: &Clock,
    report: &Report,
    gateway: &Gateway,
) -> Option<Household> {
    let config::Ble { adapter, links } = config.ble.as_ref()?;
    let options = ble::Options {
        adapter: adapter.clone(),
        links: *links,
    };
    Some(Household::open(
        options,
        paired::applicant(&config.site, &config.gateway),
        clock.clone(),
        Arc::clone(report),
        || Box::new(randomness()),
        gateway.credentials(),
    ))
}

pub(super) fn open(config: &Config, clock: &Clock, report: &Report) -> Result<Locks, Failure> {
    let mut locks = Locks {
        registry: Registry::new(),
        specs: Vec::new(),
        radios: BTreeMap::new(),
    };
    for device in &config.devices {
        let (word, links, lock) = match &device.driver {
            Driver::Sim(setup) => {
                let folder = config.data_dir.join(SIM);
                let sim = SimDriver::open(
                    device.id,
                    setup.clone(),
                    &folder,
                    clock.clone(),
                    Arc::clone(report),
                )
                .map_err(Failure::other)?;
                ("sim", config.sim_links, Arc::new(sim))
            }
        };
        let open = Device {
            name: device.name.clone(),
            radio: device.radio.clone(),
            lock: Arc::clone(&lock) as Arc<_>,
            sim: Some(lock),
        };
        locks.specs.push(shell::spec(device.id, word, &open));
        locks.radios.insert(device.radio.clone(), links);
        locks.registry.insert(device.id, open);
    }
    if let Some(ble) = &config.ble {
        locks.radios.insert(paired::radio(), ble.links);
    }
    if config.zwave.is_some() {
        locks.radios.insert(zwave::radio(), ZWAVE_LINKS);
    }
    Ok(locks)
}
