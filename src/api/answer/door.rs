//! How a door is, at a glance: the same facts for the page and for everybody who follows over MQTT.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::device::display_name;
use super::waiting_hint;
use super::why::{self, Cause};
use super::word::Moment;
use crate::gateway::Waiting;
use crate::gateway::view::DeviceView;
use crate::gateway::why::{DeviceCause, Why};

/// How a device is: flat, and numbers as numbers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "door_state")]
pub struct DoorState {
    /// Its name.
    name: String,
    /// It answered last time, or was heard since, and its radio is there.
    online: bool,
    /// It is no longer part of this gateway.
    removed: bool,
    /// When it last answered.
    last_seen: Option<Moment>,
    /// When it last advertised, told every five minutes at most; `null` where locks do not.
    last_heard: Option<Moment>,
    /// How loud that was, in dBm.
    rssi: Option<i16>,
    /// What is left of its battery, in percent.
    battery: Option<u8>,
    /// Its bolt is out.
    locked: Option<bool>,
    /// Codes that wait to be put on or taken off.
    pending: usize,
    /// Those of them that a lock within reach would have been done with.
    overdue: usize,
    /// Since when the oldest of these is wanted at the door.
    overdue_since: Option<Moment>,
    /// When the most pressing of them is tried next.
    next_try: Option<Moment>,
    /// Why it waits.
    reason: Option<&'static str>,
    /// It holds something else than was proven.
    drift: bool,
    /// Codes on it that this gateway did not set.
    unmanaged: usize,
    /// Those among them that may be ours, forgotten by a restore.
    suspects: usize,
    /// Codes that it holds or may hold, unmanaged ones included.
    slots_used: usize,
    /// Codes that it can hold beside them; `null` once it is removed.
    slots_free: Option<usize>,
}

/// How a device is.
#[must_use]
pub fn door_state(device: &DeviceView) -> DoorState {
    let capacity = usize::from(device.capabilities.capacity);
    DoorState {
        name: display_name(device).to_owned(),
        online: device.online,
        removed: device.removed,
        last_seen: device.last_seen.map(Moment),
        last_heard: device.advertised.map(|advertised| Moment(advertised.at)),
        rssi: device.advertised.map(|advertised| advertised.rssi),
        battery: device.battery,
        locked: device.locked,
        pending: device.pending,
        overdue: device.overdue,
        overdue_since: device.overdue_since.map(Moment),
        next_try: device.next_try.map(Moment),
        reason: device.reason.map(Waiting::word),
        drift: device.drift,
        unmanaged: device.unmanaged,
        suspects: device.suspects,
        slots_used: device.slots_used,
        slots_free: (!device.removed).then(|| capacity.saturating_sub(device.slots_used)),
    }
}

/// A door on the page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "door")]
pub struct Door {
    /// The device.
    device_id: Uuid,
    /// How it is.
    #[serde(flatten)]
    state: DoorState,
    /// What to do about what waits; `null` if nothing does.
    hint: Option<&'static str>,
    /// Why it is as it is, for a person.
    sentence: String,
    /// The word for its driver.
    driver: String,
    /// It is a lock that was paired over Bluetooth.
    paired: bool,
    /// In how many of the last hours it was heard.
    heard_hours: u32,
    /// Of so many.
    watched_hours: u32,
}

/// A door on the page.
#[must_use]
pub fn door(device: &DeviceView, why: &Why<DeviceCause>, paired: bool) -> Door {
    let Cause { sentence, .. } = why::why_device(why);
    Door {
        device_id: device.device.0,
        state: door_state(device),
        hint: device.reason.map(waiting_hint),
        sentence,
        driver: device.driver.clone(),
        paired,
        heard_hours: device.heard.hours,
        watched_hours: device.heard.of,
    }
}
