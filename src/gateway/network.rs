//! What comes to light while the gateway runs: locks of which a network tells, whether its radio is
//! there, and what locks say by themselves.
//!
//! A lock that was met once is remembered: after a start its codes and its place in the API are all there,
//! whether or not its network is. While a radio is away its locks are asked nothing, and none is blamed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::device::{Device, DeviceSpec};
use super::ledger::Desk;
use super::records::{Confirmed, DeviceRecord};
use super::view::{Advertised, Away};
use super::{Gateway, Radio, Subject};
use crate::model::{
    BATTERY_LOW, Bookmark, By, CodeId, Detail, DeviceId, EventKind, Exchange, Logbook, Mono, Now, Outage,
    Pin, RadioId, ReadBack, Slot, Step, Typed, Word,
};

/// What a lock says so long after we moved its bolt or changed a code is our own work.
pub(super) const ECHO: Duration = Duration::from_secs(10);

impl Radio {
    /// One that does one thing at a time.
    pub(super) fn single() -> Radio {
        Radio {
            links: 1,
            in_flight: 0,
            spare_until: Mono(0),
            away: None,
            told_away: false,
        }
    }
}

impl Gateway {
    /// A network tells of a lock, for the first time or with something new.
    pub(super) fn meet(&mut self, now: Now, spec: DeviceSpec) {
        let id = spec.device;
        let radio = self
            .radios
            .entry(spec.radio.clone())
            .or_insert_with(Radio::single);
        let device = self.devices.entry(id).or_insert_with(|| {
            let record = DeviceRecord::default();
            Device::new(spec.clone(), record, true, now, &self.settings)
        });
        device.away = radio.away;
        self.with_device(now, id, |device, desk| device.meet(spec, desk));
    }

    /// All that a network has: what was met there before, and is not among these, is gone.
    pub(super) fn take_census(&mut self, now: Now, radio: &RadioId, present: &BTreeSet<DeviceId>) {
        let met = self.devices.values().filter(|device| device.was_met_on(radio));
        let ids: Vec<DeviceId> = met.map(|device| device.spec.device).collect();
        for id in ids.into_iter().filter(|id| !present.contains(id)) {
            self.with_device(now, id, Device::remove);
        }
    }

    /// A radio went away, or came back.
    pub(super) fn note_radio(&mut self, now: Now, id: &RadioId, outage: Option<Outage>) {
        let radio = self.radios.entry(id.clone()).or_insert_with(Radio::single);
        let before = radio.away;
        radio.away = outage.map(|outage| Away {
            since: before.map_or(now.wall, |before| before.since),
            outage: Some(outage),
        });
        // At a start a radio is away until somebody has heard of it, and that is no event.
        let told = match (outage, std::mem::replace(&mut radio.told_away, outage.is_some())) {
            (Some(outage), false) => Some((EventKind::RadioAway, Detail::Outage(outage))),
            (None, true) => Some((EventKind::RadioBack, Detail::None)),
            _ => None,
        };
        if told.is_none() && radio.away == before {
            return;
        }
        if let Some((kind, detail)) = told {
            self.ledger.tell(now.wall, kind, None, None, None, detail);
        }
        let away = radio.away;
        for device in self
            .devices
            .values_mut()
            .filter(|device| device.spec.radio == *id)
        {
            device.away = away;
            device.dirty = true;
            if away.is_none() {
                device.try_now();
            }
            self.news.insert(Subject::Device(device.spec.device));
        }
    }

    /// What a lock says by itself.
    pub(super) fn note_word(&mut self, now: Now, id: DeviceId, word: Word) {
        let is_door = |exchange: &Exchange| {
            exchange.device == id && (exchange.steps.iter()).any(|step| matches!(step, Step::Door { .. }))
        };
        let moving = self.flights.values().any(is_door);
        self.with_device(now, id, |device, desk| device.take_word(word, moving, desk));
    }
}

impl Device {
    fn was_met_on(&self, radio: &RadioId) -> bool {
        !self.record.left && self.record.met.as_ref().is_some_and(|met| met.radio == *radio)
    }

    fn meet(&mut self, mut spec: DeviceSpec, desk: &mut Desk<'_>) {
        let known = self.record.met.as_ref().map(|met| &met.capabilities);
        // What a lock said when it was interviewed holds while it is interviewed anew.
        if let Some(known) = known.filter(|_| spec.capabilities.is_unknown()) {
            spec.capabilities = known.clone();
        }
        let is_new = std::mem::replace(&mut self.removed, false);
        if is_new {
            self.online = true;
            desk.tell(EventKind::DeviceAdded, self.spec.device, None, Detail::None);
        }
        if is_new || spec.capabilities.read_back != self.spec.capabilities.read_back {
            self.next_check = (spec.capabilities.read_back != ReadBack::None).then_some(desk.now.mono);
        }
        if self.record.left || self.record.met.as_ref() != Some(&spec) {
            self.record.created_at.get_or_insert(desk.now.wall);
            self.record.met = Some(spec.clone());
            if std::mem::take(&mut self.record.left) {
                // What it wrote down meanwhile is none of our business.
                self.record.logged = Bookmark::Unread;
            }
            self.store(desk.ledger);
            self.describe(spec);
            self.dirty = true;
        }
        if std::mem::take(&mut self.paired_anew) {
            self.be_let_in(desk.now.mono);
        }
    }

    /// `moving`: it is being asked to move its bolt.
    fn take_word(&mut self, word: Word, moving: bool, desk: &mut Desk<'_>) {
        let device = self.spec.device;
        self.hours.spoke(desk.now.mono);
        match word {
            Word::Moved { locked, by } => {
                self.locked = Some(locked);
                let echo = moving || self.moved_at.is_some_and(|at| desk.now.mono < at + ECHO);
                if by == By::Radio && echo {
                    return;
                }
                let kind = match locked {
                    true => EventKind::LockLocked,
                    false => EventKind::LockUnlocked,
                };
                let code = match by {
                    By::Keypad(Some(slot)) => self.code_at(slot),
                    _ => None,
                };
                desk.tell(kind, device, code, Detail::Moved(by));
            }
            Word::Bolt(locked) => self.locked = locked,
            Word::Jammed => {
                self.locked = None;
                desk.tell(EventKind::LockJammed, device, None, Detail::None);
            }
            Word::Denied => desk.tell(EventKind::AccessDenied, device, None, Detail::None),
            Word::Tampered => desk.tell(EventKind::DeviceTampered, device, None, Detail::None),
            Word::Battery(level) => {
                let before = self.battery.replace(level);
                let was_low = before.is_some_and(|before| before < BATTERY_LOW);
                if level < BATTERY_LOW && !was_low {
                    let left = Detail::Battery(Some(level));
                    desk.tell(EventKind::DeviceLowBattery, device, None, left);
                }
            }
            Word::BatteryLow => {
                let left = Detail::Battery(self.battery);
                desk.tell(EventKind::DeviceLowBattery, device, None, left);
            }
            Word::Advertised(rssi) => {
                self.hours.advertised(desk.now.mono);
                self.advertised = Some(Advertised {
                    at: desk.now.wall,
                    rssi,
                });
            }
            // Its word for what we just did there is no news.
            Word::CodeChanged(slot) if self.is_writing(slot, desk.now.mono) => {}
            Word::CodeChanged(_) | Word::CodesErased => {
                self.changed_meanwhile = self.flight.is_some();
                self.check_soon(desk.now.mono);
            }
        }
    }

    /// What its own logbook tells that was not told yet. When it is read for the first time, all of it is from before our time.
    pub fn take_logbook(&mut self, logbook: &Logbook, desk: &mut Desk<'_>) {
        if self.removed || self.record.logged == logbook.read {
            return;
        }
        let before = std::mem::replace(&mut self.record.logged, logbook.read);
        self.store(desk.ledger);
        let is_new = |typed: &&Typed| match (before, logbook.read) {
            (Bookmark::Unread, _) => false,
            (Bookmark::At(before), Bookmark::At(now)) if before < now => before < typed.number,
            // It was empty, or has been emptied since.
            _ => true,
        };
        for typed in logbook.entries.iter().filter(is_new) {
            let kind = match typed.locked {
                true => EventKind::LockLocked,
                false => EventKind::LockUnlocked,
            };
            // A place of which no table tells is no code's.
            let by = By::Keypad(typed.pin.as_ref().map(|_| typed.slot));
            let detail = match typed.at {
                Some(at) => Detail::Logged {
                    by,
                    at: at.min(desk.now.wall),
                },
                None => Detail::Moved(by),
            };
            let code = typed.pin.as_ref().and_then(|pin| self.code_with(pin));
            desk.tell(kind, self.spec.device, code, detail);
        }
    }

    /// Whether we change a code there, or just did; of a change without a slot, any code.
    fn is_writing(&self, slot: Option<Slot>, now: Mono) -> bool {
        let (slots, until) = &self.writes;
        let ours = match slot {
            Some(slot) => slots.contains(&slot),
            None => !slots.is_empty(),
        };
        ours && now < *until
    }

    /// The code of ours that the lock holds with these digits, or held until just now.
    fn code_with(&self, pin: &Pin) -> Option<CodeId> {
        let here = self.codes.values().find(|code| code.ours().contains(pin));
        let gone = || {
            let mut gone = self.record.gone.iter().rev();
            gone.find(|gone| gone.record.confirmed.pins().contains(pin))
        };
        here.map(|code| code.record.code)
            .or_else(|| gone().map(|gone| gone.record.code))
    }

    /// The code of ours that the lock holds in a slot.
    fn code_at(&self, slot: Slot) -> Option<CodeId> {
        let here = self.codes.values().find(|code| code.record.slot == Some(slot));
        here.filter(|code| code.record.confirmed != Confirmed::Absent)
            .map(|code| code.record.code)
    }
}
