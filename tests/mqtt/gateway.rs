//! A gateway in this process: a store in memory, simulated locks, and the MQTT room.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lockbridge::clock::Clock;
use lockbridge::config::{Config, Driver};
use lockbridge::gateway::{self, DeviceSpec};
use lockbridge::lock::sim::SimDriver;
use lockbridge::lock::{Device, Registry};
use lockbridge::model::DeviceId;
use lockbridge::mqtt::{self, Mqtt};
use lockbridge::shell::{self, Core, Parts};
use lockbridge::store::{Fail, MemoryStore, SealKey, Vault};
use rand::SeedableRng;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::broker::until;

pub const BASE: &str = "lockbridge/villa/gw1";
pub const REPLY: &str = "lockbridge/villa/reply/cloud";
pub const FRONT: &str = "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73";
pub const BACK: &str = "d87eea5d-71c6-4633-a966-396c5ac51177";

pub struct House {
    pub core: Core,
    pub locks: BTreeMap<DeviceId, Arc<SimDriver>>,
    config: Config,
    mqtt: Option<Mqtt>,
    running: JoinHandle<Result<(), Fail>>,
    _dir: TempDir,
}

impl House {
    pub fn open(port: u16, more: &str) -> House {
        let dir = TempDir::new().expect("a folder");
        let lock = |id, name| {
            format!(
                "[[device]]\ndevice_id = \"{id}\"\nname = \"{name}\"\ndriver = \"sim\"\nprofile = \"slots\"\n\
                 latency = \"5ms\"\n"
            )
        };
        let text = format!(
            "[gateway]\nsite = \"villa\"\nid = \"gw1\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n{more}\n{}{}",
            lock(FRONT, "Front door"),
            lock(BACK, "Back door"),
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("a fine config");
        let clock = Clock::real();
        let (report, facts) = shell::ear();
        let mut locks = BTreeMap::new();
        let mut registry = Registry::new();
        let mut specs = Vec::new();
        for device in &config.devices {
            let Driver::Sim(setup) = &device.driver;
            let (clock, report) = (clock.clone(), report.clone());
            let driver =
                SimDriver::open(device.id, setup.clone(), dir.path(), clock, report).expect("a lock");
            let driver = Arc::new(driver);
            specs.push(DeviceSpec {
                device: device.id,
                name: device.name.clone(),
                driver: "sim".into(),
                radio: device.radio.clone(),
                capabilities: setup.capabilities.clone(),
                simulated: true,
            });
            let held = Device {
                name: device.name.clone(),
                radio: device.radio.clone(),
                lock: driver.clone(),
                sim: Some(driver.clone()),
            };
            registry.insert(device.id, held);
            locks.insert(device.id, driver);
        }
        let radios = specs.iter().map(|spec| (spec.radio.clone(), 3)).collect();
        let mut store = MemoryStore::new();
        let (vault, content) = Vault::open(&mut store, &SealKey::new([7; 32]), [1; 16]).expect("a new store");
        let (gateway, _) = gateway::Gateway::boot(
            vault,
            content,
            specs,
            radios,
            config.settings.clone(),
            clock.now(),
        )
        .expect("an empty one");
        let parts = Parts {
            gateway,
            store: Box::new(store),
            storage_low: Box::new(|| false),
            locks: registry,
            facts,
            clock,
            rng: Box::new(rand::rngs::ChaCha12Rng::seed_from_u64(1)),
        };
        let (core, running) = shell::start(parts).expect("threads");
        let mut house = House {
            core,
            locks,
            config,
            mqtt: None,
            running,
            _dir: dir,
        };
        house.connect();
        house
    }

    pub fn connect(&mut self) {
        let config = self.config.mqtt.as_ref().expect("there is a broker");
        self.mqtt = Some(mqtt::start("villa", "gw1", config, self.core.clone(), 1));
    }

    /// Takes the MQTT room down, and leaves the rest running.
    pub async fn disconnect(&mut self) {
        until(self.mqtt.take().expect("it runs").stop()).await;
    }

    pub async fn close(mut self) {
        if self.mqtt.is_some() {
            self.disconnect().await;
        }
        self.core.stop().await;
        until(self.running)
            .await
            .expect("no panic")
            .expect("a store that works");
    }

    /// Every PIN on a lock.
    pub fn pins(&self, device: &str) -> Vec<String> {
        let id = DeviceId(uuid::Uuid::parse_str(device).expect("a UUID"));
        let shown = self.locks[&id].table().into_iter();
        shown
            .filter_map(|entry| entry.pin.map(|pin| pin.expose().to_owned()))
            .collect()
    }
}
