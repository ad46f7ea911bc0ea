//! The start: what the store kept, held against the configuration and against itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::credentials;
use super::device::{Device, DeviceSpec, departed};
use super::doors::Doors;
use super::exports::Exports;
use super::jobs::Jobs;
use super::ledger::{Ledger, SENT_KEY};
use super::rates::Rates;
use super::records::{DeviceRecord, JobRecord, Record, Reply, Row, code_key, decode, split_code_key};
use super::restored::{RESTORED_KEY, Restored};
use super::timekeeper::{MARK_KEY, Timekeeper};
use super::view::Away;
use super::{Gateway, Radio, Subject};
use crate::model::{
    Addressing, Alphabet, Boot, CallId, Capabilities, Detail, DeviceId, EventKind, NativeWindow, Now,
    RadioId, ReadBack, Reading, Settings, Timestamp,
};
use crate::store::{Content, Fail, Rows, Tree, Vault};

/// A gateway that is started over and over, and does nothing between, tells of it no more often than this: it
/// must not push out what happened before.
const RESTARTS_APART: Duration = Duration::from_secs(3600);

/// What the start found that was not as it should be, and repaired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Queue rows without a record.
    pub stray_rows: usize,
    /// Codes in doubt without a queue row.
    pub missing_rows: usize,
}

impl Gateway {
    /// Builds the gateway from what the store holds. Nothing is asked of any lock before the first
    /// event is handled.
    ///
    /// # Errors
    /// [`Fail::Damaged`] if a row cannot be understood.
    pub fn boot(
        vault: Vault,
        mut content: Content,
        devices: Vec<DeviceSpec>,
        radios: BTreeMap<RadioId, usize>,
        settings: Settings,
        boot: Boot,
        reading: Reading,
    ) -> Result<(Gateway, Repairs), Fail> {
        let mut device_records: BTreeMap<DeviceId, DeviceRecord> = BTreeMap::new();
        let mut rows = content.take(Tree::Devices);
        let credentials = credentials::take(&mut rows)?;
        let departed = departed::take(&mut rows)?;
        for (key, value) in rows {
            let id =
                uuid::Uuid::from_slice(&key).map_err(|_| Fail::Damaged("a device key is no UUID".into()))?;
            device_records.insert(DeviceId(id), decode("devices", &value)?);
        }
        let meta = content.take(Tree::Meta);
        let sent = one(&meta, SENT_KEY)?;
        let restored: Option<Restored> = one(&meta, RESTORED_KEY)?;
        let timekeeper = Timekeeper::new(
            settings.untrusted,
            boot,
            one(&meta, MARK_KEY)?.unwrap_or_default(),
        );
        let (now, _) = timekeeper.tell(reading);
        let mut records: Vec<Record> = Vec::new();
        for (_, value) in content.take(Tree::Codes) {
            records.push(decode("codes", &value)?);
        }
        let mut held: BTreeMap<DeviceId, Device> = BTreeMap::new();
        for spec in devices {
            let record = device_records.remove(&spec.device).unwrap_or_default();
            held.insert(spec.device, Device::new(spec, record, false, now, &settings));
        }
        // What a network told of is part of this gateway as long as the network is; nobody has heard of either
        // yet.
        for (id, record) in std::mem::take(&mut device_records) {
            let is_there = |met: &DeviceSpec| !record.left && radios.contains_key(&met.radio);
            match record.met.clone().filter(is_there) {
                Some(met) => {
                    let mut device = Device::new(met, record, false, now, &settings);
                    device.away = Some(unheard(now));
                    held.insert(id, device);
                }
                None => drop(device_records.insert(id, record)),
            }
        }
        // Devices gone from the configuration keep their records.
        let known: BTreeSet<DeviceId> = records.iter().map(|r| r.device).collect();
        for id in known
            .into_iter()
            .filter(|id| !held.contains_key(id))
            .collect::<Vec<_>>()
        {
            let record = device_records.remove(&id).unwrap_or_default();
            let spec = record.met.clone().unwrap_or_else(|| gone(id));
            held.insert(id, Device::new(spec, record, true, now, &settings));
        }
        for (id, departed) in departed {
            if let Some(device) = held.get_mut(&id) {
                device.departed = departed;
            }
        }
        let mut gateway = Gateway {
            radios: radios
                .into_iter()
                .map(|(id, links)| {
                    let on_it = |device: &&Device| device.spec.radio == id;
                    let away = held.values().find(on_it).and_then(|device| device.away);
                    let radio = Radio {
                        links,
                        away,
                        ..Radio::single()
                    };
                    (id, radio)
                })
                .collect(),
            devices: held,
            credentials,
            owners: BTreeMap::new(),
            groups: BTreeMap::new(),
            forgotten: device_records.into_keys().collect(),
            jobs: Jobs::default(),
            doors: Doors::default(),
            rates: Rates::default(),
            timekeeper,
            exports: Exports::new(reading.mono),
            replies: BTreeMap::new(),
            next_reply: 1,
            ledger: Ledger::new(vault, events(&mut content)?, settings.limits.events, sent),
            flights: BTreeMap::new(),
            next_call: CallId(0),
            storage_low: false,
            resettle: BTreeSet::new(),
            news: BTreeSet::new(),
            prune_at: Timestamp::MIN,
            before: None,
            settings,
        };
        match restored {
            Some(restored) => gateway.take_up_restored(&restored, now),
            None => gateway.note_restart(now),
        }
        gateway.note_new_devices(now);
        gateway.take_up_codes(records, now);
        let repairs = gateway.take_up_rows(content.take(Tree::Queue), now)?;
        let mut jobs: Vec<JobRecord> = Vec::new();
        for (_, value) in content.take(Tree::Jobs) {
            jobs.push(decode("jobs", &value)?);
        }
        jobs.sort_by_key(|job| job.at);
        jobs.into_iter().for_each(|job| gateway.jobs.insert(job));
        for (key, value) in content.take(Tree::Replies) {
            let seq = key
                .try_into()
                .map_err(|_| Fail::Damaged("a reply key is no number".into()))?;
            gateway
                .replies
                .insert(u64::from_be_bytes(seq), decode::<Reply>("replies", &value)?);
        }
        gateway.next_reply = gateway.replies.keys().next_back().map_or(1, |last| last + 1);
        Ok((gateway, repairs))
    }

    /// Tells that the gateway runs again, unless this is the first time that it runs.
    fn note_restart(&mut self, now: Now) {
        let last = self.ledger.events().back();
        let told = last.is_some_and(|event| {
            event.kind == EventKind::Restarted && now.wall.since(event.at) < RESTARTS_APART
        });
        let ran_until = last.map(|event| event.at).max(self.timekeeper.known_until());
        if let Some(ran_until) = ran_until.filter(|_| !told) {
            let detail = Detail::RanUntil(ran_until);
            let kind = EventKind::Restarted;
            self.ledger.tell(now.wall, kind, None, None, None, detail);
            self.changed(Subject::Events);
        }
    }

    /// Remembers since when each device is known.
    fn note_new_devices(&mut self, now: Now) {
        let new = self
            .devices
            .values_mut()
            .filter(|device| device.record.created_at.is_none());
        for device in new {
            device.record.created_at = Some(now.wall);
            device.store(&mut self.ledger);
        }
    }

    fn take_up_codes(&mut self, mut records: Vec<Record>, now: Now) {
        // Members of a group stand in the order in which they were made.
        records.sort_by_key(|record| (record.created_at, record.place, record.code));
        for record in records {
            self.owners.insert(record.code, record.device);
            self.resettle.insert(record.code);
            if let Some(key) = &record.group {
                self.groups.entry(key.clone()).or_default().push(record.code);
            }
            if let Some(device) = self.devices.get_mut(&record.device) {
                device.restore(record, now, &self.settings);
            }
        }
    }

    fn take_up_rows(&mut self, rows: Rows, now: Now) -> Result<Repairs, Fail> {
        let mut repairs = Repairs::default();
        for (key, value) in rows {
            let (device, code) = split_code_key(&key)?;
            let row: Row = decode("queue", &value)?;
            let wanted = self
                .devices
                .get_mut(&device)
                .is_some_and(|d| d.restore_row(code, row, now));
            if !wanted {
                repairs.stray_rows += 1;
                self.ledger.remove(Tree::Queue, &code_key(device, code));
            }
        }
        repairs.missing_rows = self.devices.values().map(Device::missing_rows).sum();
        Ok(repairs)
    }
}

fn events(content: &mut Content) -> Result<VecDeque<crate::model::Event>, Fail> {
    content
        .take(Tree::Events)
        .iter()
        .map(|(_, value)| decode("events", value))
        .collect()
}

/// What is known of a network at the start.
fn unheard(now: Now) -> Away {
    Away {
        since: now.wall,
        outage: None,
    }
}

/// A row of the store's own.
fn one<T: DeserializeOwned>(rows: &Rows, key: &[u8]) -> Result<Option<T>, Fail> {
    let row = rows.iter().find(|(other, _)| other == key);
    row.map(|(_, value)| decode("meta", value)).transpose()
}

/// What stands for a device that the configuration no longer names.
fn gone(device: DeviceId) -> DeviceSpec {
    DeviceSpec {
        device,
        name: format!("removed device {device}"),
        driver: "none".into(),
        radio: RadioId(String::new()),
        simulated: false,
        capabilities: Capabilities {
            door: false,
            lengths: BTreeSet::new(),
            alphabet: Alphabet::DIGITS,
            forbidden_prefixes: Vec::new(),
            forbidden_patterns: BTreeSet::new(),
            capacity: u16::MAX,
            reserved: BTreeSet::new(),
            closed: None,
            name_limit: 0,
            read_back: ReadBack::None,
            window: NativeWindow::None,
            addressing: Addressing::Chosen,
            batch: false,
            patience: Duration::ZERO,
        },
    }
}
