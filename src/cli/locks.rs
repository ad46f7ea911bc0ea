//! The locks that a configuration names, ready to be spoken to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Failure;
use crate::clock::Clock;
use crate::config::{Config, Driver};
use crate::gateway::DeviceSpec;
use crate::lock::sim::SimDriver;
use crate::lock::{Device, Registry, Report};
use crate::model::RadioId;
use crate::shell;

/// Where simulated locks keep their memories, in the data directory.
const SIM: &str = "sim";

/// The locks, as the shell and as the core know them.
pub(super) struct Locks {
    pub registry: Registry,
    pub specs: Vec<DeviceSpec>,
    /// How many links each radio has.
    pub radios: BTreeMap<RadioId, usize>,
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
    Ok(locks)
}
