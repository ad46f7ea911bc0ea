//! How the gateway is: for whoever watches over it, a person or a program.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::body::{ClockState, clock};
use super::device::display_name;
use super::door::{DoorState, door_state};
use super::word::Moment;
use super::{Cause, Site};
use crate::gateway::view::{DeviceView, RadioView, Summary, Trust};
use crate::model::{BATTERY_LOW, Outage, Timestamp};

/// What the core does not know of itself.
#[derive(Clone, Copy, Debug)]
pub struct Edges {
    /// What vouches for the clock.
    pub clock_source: &'static str,
    /// The storage is below its reserve.
    pub storage_low: bool,
    /// Whether a connection to the broker stands; `None` without a broker.
    pub broker: Option<bool>,
}

/// Whether the gateway takes new work, and what of it is away or late.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "readiness")]
pub struct Readiness {
    /// New work is taken.
    ok: bool,
    /// Whether the store is at work.
    store: StoreState,
    /// The storage is below its reserve.
    storage_low: bool,
    /// The MQTT broker; `null` without one.
    broker: Option<BrokerState>,
    /// What is seen of the core, unless it has stopped.
    #[serde(flatten)]
    seen: Option<Seen>,
}

impl Readiness {
    /// Whether new work is taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ok
    }
}

/// Whether the store is at work.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum StoreState {
    /// It is.
    Ok,
    /// It failed, or the gateway is stopping.
    Stopped,
}

/// The MQTT broker.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "broker")]
struct BrokerState {
    /// A connection to it stands.
    connected: bool,
}

/// What is seen of the core.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "readiness_seen")]
struct Seen {
    /// Devices by their state.
    devices: DeviceCounts,
    /// Radios, by name.
    radios: Vec<RadioState>,
    /// Access codes that are not over.
    access_codes: usize,
    /// Groups of access codes.
    groups: usize,
    /// Groups with a door on which the code is due and not proven.
    groups_unproven: usize,
    /// Commands that wait for a lock.
    commands_waiting: usize,
    /// Those of them that a lock within reach would have been done with.
    commands_overdue: usize,
    /// Since when the oldest of these is wanted at its door.
    overdue_since: Option<Moment>,
    /// Jobs that are not done.
    jobs_open: usize,
    /// Answers over MQTT that wait to be sent.
    replies_waiting: usize,
    /// The clock.
    clock: ClockState,
}

/// Devices by their state.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "device_counts")]
struct DeviceCounts {
    /// In all.
    total: usize,
    /// That answer.
    online: usize,
    /// That do not.
    offline: usize,
    /// That left this gateway.
    removed: usize,
    /// That hold something else than was proven.
    drift: usize,
}

/// A radio.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "radio_state")]
struct RadioState {
    /// Its name.
    radio: String,
    /// Its locks can be asked.
    up: bool,
    /// Since when it is away.
    away_since: Option<Moment>,
    /// What is missing, in a word; `null` if it is there, or nobody has heard of it since the start.
    #[schemars(with = "Option<String>")]
    outage: Option<Outage>,
    /// What to do about it.
    hint: Option<&'static str>,
}

/// The whole gateway in one look.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "status")]
pub struct Status {
    /// The site.
    site: String,
    /// The gateway.
    gateway: String,
    /// The version of the program.
    version: &'static str,
    /// When it was started.
    started_at: Moment,
    /// As of when all this is.
    at: Moment,
    /// Whether it takes new work, and what is away or late.
    #[serde(flatten)]
    readiness: Readiness,
    /// What needs a person, the most pressing first; empty if nothing does.
    problems: Vec<Problem>,
    /// Every device that is part of this gateway.
    doors: Vec<StatusDoor>,
}

/// Something that needs a person.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "problem")]
pub struct Problem {
    /// A stable word for it.
    problem: &'static str,
    /// The same for a person, with what to do.
    sentence: String,
    /// The device, if it is about one.
    device_id: Option<Uuid>,
    /// The group, if it is about one.
    common_code_key: Option<String>,
}

/// A device that is part of this gateway.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "status_door")]
struct StatusDoor {
    /// The device.
    device_id: Uuid,
    /// How it is.
    #[serde(flatten)]
    state: DoorState,
}

/// Whether the gateway takes new work. `seen` is `None` once the core has stopped.
#[must_use]
pub fn readiness(seen: Option<&Summary>, edges: Edges) -> Readiness {
    Readiness {
        ok: seen.is_some() && !edges.storage_low,
        store: match seen {
            Some(_) => StoreState::Ok,
            None => StoreState::Stopped,
        },
        storage_low: edges.storage_low,
        broker: edges.broker.map(|connected| BrokerState { connected }),
        seen: seen.map(|summary| see(summary, edges)),
    }
}

fn see(summary: &Summary, edges: Edges) -> Seen {
    let devices = &summary.devices;
    let count = |wanted: fn(&DeviceView) -> bool| devices.iter().filter(|device| wanted(device)).count();
    Seen {
        devices: DeviceCounts {
            total: devices.len(),
            online: count(|device| device.online && !device.removed),
            offline: count(|device| !device.online && !device.removed),
            removed: count(|device| device.removed),
            drift: count(|device| device.drift),
        },
        radios: summary.radios.iter().map(radio).collect(),
        access_codes: summary.codes,
        groups: summary.groups,
        groups_unproven: summary.groups_unproven,
        commands_waiting: summary.pending(),
        commands_overdue: summary.overdue(),
        overdue_since: summary.overdue_since().map(Moment),
        jobs_open: summary.jobs_open,
        replies_waiting: summary.replies_waiting,
        clock: clock(summary.clock, edges.clock_source),
    }
}

fn radio(view: &RadioView) -> RadioState {
    RadioState {
        radio: view.radio.0.clone(),
        up: view.away.is_none(),
        away_since: view.away.map(|away| Moment(away.since)),
        outage: view.away.and_then(|away| away.outage),
        hint: view.away.map(|away| away.hint()),
    }
}

/// The whole gateway in one look. `causes` says why a device is as it is, for each in the summary.
#[must_use]
pub fn status(
    site: &Site,
    started_at: Timestamp,
    summary: &Summary,
    causes: &[Option<Cause>],
    edges: Edges,
) -> Status {
    let here = summary.devices.iter().filter(|device| !device.removed);
    Status {
        site: site.name.clone(),
        gateway: site.gateway.clone(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: Moment(started_at),
        at: Moment(summary.at),
        readiness: readiness(Some(summary), edges),
        problems: problems(summary, causes, edges),
        doors: here.map(door).collect(),
    }
}

fn door(view: &DeviceView) -> StatusDoor {
    StatusDoor {
        device_id: view.device.0,
        state: door_state(view),
    }
}

fn problems(summary: &Summary, causes: &[Option<Cause>], edges: Edges) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut whole = |problem, sentence: &str| {
        problems.push(Problem {
            problem,
            sentence: sentence.to_owned(),
            device_id: None,
            common_code_key: None,
        });
    };
    if edges.storage_low {
        whole(
            "storage_low",
            "The storage is nearly full, and new work is refused: make room on the card.",
        );
    }
    match summary.clock.trust {
        Trust::Trusted => {}
        Trust::Untrusted => whole(
            "clock_untrusted",
            "Nothing vouches for the clock, so that times are not certain: have it synchronised.",
        ),
        Trust::Wild => whole(
            "clock_wild",
            "The clock moved as no clock moves by itself, and does not count: if it is right, say `lockbridge clock accept`.",
        ),
    }
    if edges.broker == Some(false) {
        whole(
            "broker_away",
            "There is no connection to the MQTT broker: see that it runs, and what the log says of it.",
        );
    }
    for radio in &summary.radios {
        if let Some(away) = radio.away {
            whole(
                "radio_away",
                &format!("The radio {}: {away}. {}", radio.radio.0, away.hint()),
            );
        }
    }
    for (view, cause) in summary.devices.iter().zip(causes) {
        if let Some((problem, sentence)) = of_device(view, cause.as_ref()) {
            problems.push(Problem {
                problem,
                sentence,
                device_id: Some(view.device.0),
                common_code_key: None,
            });
        }
    }
    problems.extend(summary.groups_with_problem.iter().map(|key| Problem {
        problem: "group_problem",
        sentence: format!(
            "The group {key} is not as it should be on a door: see `lockbridge receipt {key}`."
        ),
        device_id: None,
        common_code_key: Some(key.to_string()),
    }));
    problems
}

/// The most pressing of what is wrong with a device.
fn of_device(view: &DeviceView, cause: Option<&Cause>) -> Option<(&'static str, String)> {
    let name = display_name(view);
    let why = |otherwise: String| cause.map_or(otherwise, |cause| cause.sentence.clone());
    if view.removed {
        let codes = view.slots_used - view.unmanaged;
        return (codes > 0).then(|| {
            let sentence = format!("{name} left this gateway with codes on it: take them off at the lock.");
            ("device_removed", sentence)
        });
    }
    Some(match view {
        view if view.overdue > 0 => ("overdue", why(format!("{name} is late."))),
        // Said of the radio.
        view if !view.online && view.radio_away.is_none() => {
            ("device_offline", why(format!("{name} does not answer.")))
        }
        view if view.drift => (
            "drift",
            format!(
                "{name} held something else than was proven: somebody changed its codes, or it loses them."
            ),
        ),
        view if view.suspects > 0 => (
            "suspect_codes",
            format!("{name} holds codes that may be from before a restore: look at them at the lock."),
        ),
        view if view.battery.is_some_and(|left| left < BATTERY_LOW) => (
            "battery_low",
            format!("The battery of {name} is nearly empty: change it."),
        ),
        _ => return None,
    })
}
