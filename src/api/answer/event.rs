//! An event in Seam's shape.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::code::{MutationCode, Side};
use super::trouble::{Error, Warning};
use super::word::Moment;
use super::{Pins, Site};
use crate::api::time;
use crate::gateway::{Aim, Waiting};
use crate::model::{self, By, Detail, Edit, EventKind, Window};

/// Something that happened.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "event")]
pub struct Event {
    /// Its id.
    event_id: Uuid,
    /// What happened, in Seam's words; those that begin with `lockbridge.` are ours.
    #[schemars(with = "String")]
    event_type: EventKind,
    /// The site.
    workspace_id: Uuid,
    /// The gateway.
    connected_account_id: Uuid,
    /// When the gateway was told.
    created_at: Moment,
    /// When it happened.
    occurred_at: Moment,
    /// Whether the clock was trusted then; else it happened at that time or later.
    clock_trusted: bool,
    /// On which device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<Uuid>,
    /// Which access code.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_code_id: Option<Uuid>,
    /// Which job asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// What does not belong to every event.
    #[serde(flatten)]
    more: More,
}

/// The kind of what tells which events a reader will never see.
pub const EVENTS_LOST: &str = "lockbridge.events_lost";

/// An event as it goes to whoever follows, over MQTT or as server-sent events.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "streamed")]
pub enum Streamed {
    /// An event.
    Event {
        /// Its number.
        seq: u64,
        /// The event.
        #[serde(flatten)]
        event: Box<Event>,
    },
    /// Events that are kept no more.
    Lost {
        /// `lockbridge.events_lost`.
        event_type: &'static str,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
}

impl Streamed {
    /// Without `code`: not everybody who follows may see PINs.
    #[must_use]
    pub fn event(site: &Site, happened: &model::Event) -> Streamed {
        let mut told = event(site, happened, Pins::Hidden);
        told.more.code = None;
        Streamed::Event {
            seq: happened.seq,
            event: Box::new(told),
        }
    }

    /// Events that are kept no more, from the first to the last of them.
    #[must_use]
    pub fn lost(from: u64, to: u64) -> Streamed {
        Streamed::Lost {
            event_type: EVENTS_LOST,
            from,
            to,
        }
    }
}

/// What does not belong to every event.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(inline)]
struct More {
    /// The PIN that was set, scheduled or deleted; `null` for a key that may not see PINs.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Option<String>>,
    /// What the lock held before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Side>,
    /// What the lock took.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Side>,
    /// The same for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    /// What changed on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_properties: Option<Vec<ChangedProperty>>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_mutations: Option<Vec<RequestedMutation>>,
    /// What is wrong with the access code.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_code_errors: Option<Vec<Error>>,
    /// What is not as it should be with the access code.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_code_warnings: Option<Vec<Warning>>,
    /// What is wrong with the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_errors: Option<Vec<Error>>,
    /// Always empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_warnings: Option<[(); 0]>,
    /// Always empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_account_errors: Option<[(); 0]>,
    /// Always empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_account_warnings: Option<[(); 0]>,
    /// Why the device is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<Away>,
    /// How the bolt was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<MovedBy>,
    /// The door command that moved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    action_attempt_id: Option<Uuid>,
    /// What is left of the battery, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    battery_level: Option<f32>,
    /// What cannot be reached: the server of a Z-Wave network or its stick; the bus, the daemon or the adapter of Bluetooth.
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<Outage>,
    /// The last moment at which the gateway is known to have run before.
    #[serde(skip_serializing_if = "Option::is_none")]
    ran_until: Option<Moment>,
    /// To whom the PIN was shown: the name of a key, or `uid:` and the number of a user of the gateway's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    revealed_to: Option<String>,
}

/// What changed on record.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "changed_property")]
struct ChangedProperty {
    /// Which property.
    property: &'static str,
    /// What it was.
    from: Option<String>,
    /// What it is.
    to: Option<String>,
}

/// What was asked for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "requested_mutation")]
struct RequestedMutation {
    /// What.
    mutation_code: MutationCode,
    /// What was on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Side>,
    /// What is on record now.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Side>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Away {
    DeviceDisconnected,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum MovedBy {
    Automatic,
    Keycode,
    Manual,
    Remote,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Outage {
    Server,
    Stick,
    Bus,
    Daemon,
    Adapter,
    AdapterOff,
    Denied,
}

fn moved_by(by: By) -> MovedBy {
    match by {
        By::Keypad(_) => MovedBy::Keycode,
        By::Hand => MovedBy::Manual,
        By::Radio => MovedBy::Remote,
        By::Itself => MovedBy::Automatic,
    }
}

/// The id of an event: the same whenever it is told.
#[must_use]
pub fn event_id(site: &Site, event: &model::Event) -> Uuid {
    Uuid::new_v5(&site.account, event.seq.to_string().as_bytes())
}

/// The access code that an event is about. A code that this gateway did not set has no id on
/// record; it goes by its device and its place on the lock.
#[must_use]
pub fn event_code(event: &model::Event) -> Option<Uuid> {
    if event.code.is_some() {
        return event.code.map(|code| code.0);
    }
    match (&event.detail, event.device) {
        (
            Detail::Slot(slot)
            | Detail::Moved(By::Keypad(Some(slot)))
            | Detail::Logged {
                by: By::Keypad(Some(slot)),
                ..
            },
            Some(device),
        ) => Some(Uuid::new_v5(&device.0, slot.0.to_string().as_bytes())),
        _ => None,
    }
}

/// The kind of events that a word stands for; `None` if none here is called so.
#[must_use]
pub fn event_kind(word: &str) -> Option<EventKind> {
    serde_json::from_value(word.into()).ok()
}

/// The word for a kind of event.
#[must_use]
pub fn event_word(kind: EventKind) -> String {
    super::value(&kind).as_str().unwrap_or_default().to_owned()
}

/// An event.
#[must_use]
pub fn event(site: &Site, event: &model::Event, pins: Pins) -> Event {
    Event {
        event_id: event_id(site, event),
        event_type: event.kind,
        workspace_id: site.workspace,
        connected_account_id: site.account,
        created_at: Moment(event.at),
        occurred_at: Moment(event.occurred()),
        clock_trusted: event.clock_trusted,
        device_id: event.device.map(|device| device.0),
        access_code_id: event_code(event),
        job_id: event.job.as_ref().map(ToString::to_string),
        more: more(event, pins),
    }
}

fn more(event: &model::Event, pins: Pins) -> More {
    let edits: &[Edit] = match &event.detail {
        Detail::Changes(edits) => edits,
        _ => &[],
    };
    match event.kind {
        EventKind::CodeSet | EventKind::CodeScheduled | EventKind::CodeDeleted => More {
            code: Some(match &event.detail {
                Detail::Pin(pin) => pins.show(pin),
                _ => None,
            }),
            ..More::default()
        },
        EventKind::CodeChanged => More {
            changed_properties: Some(edits.iter().flat_map(|edit| properties(edit, pins)).collect()),
            ..More::default()
        },
        EventKind::CodeChangeRequested => More {
            requested_mutations: Some(edits.iter().map(|edit| mutation(edit, pins)).collect()),
            ..More::default()
        },
        EventKind::CodeRenamed => taken(
            edits.iter().find(|edit| matches!(edit, Edit::Name { .. })),
            "The lock took another name for the code.",
            pins,
        ),
        EventKind::CodeRecoded => taken(
            edits.iter().find(|edit| matches!(edit, Edit::Pin { .. })),
            "The lock took another PIN.",
            pins,
        ),
        EventKind::CodeMoved => taken(
            edits.iter().find(|edit| matches!(edit, Edit::Window { .. })),
            "The lock took other times.",
            pins,
        ),
        EventKind::CodeNotSet => failed(event, Aim::Set),
        EventKind::CodeNotRemoved => failed(event, Aim::Remove),
        EventKind::CodeDelayed => troubled(Vec::new(), vec![Warning::delay(Aim::Set, event.at)]),
        EventKind::CodeRemovalDelayed => troubled(Vec::new(), vec![Warning::delay(Aim::Remove, event.at)]),
        EventKind::DeviceDisconnected => More {
            error_code: Some(Away::DeviceDisconnected),
            device_errors: Some(vec![Error::device_offline(event.at)]),
            device_warnings: Some([]),
            connected_account_errors: Some([]),
            connected_account_warnings: Some([]),
            ..More::default()
        },
        EventKind::LockLocked | EventKind::LockUnlocked => {
            let (method, attempt) = match &event.detail {
                Detail::Moved(by) | Detail::Logged { by, .. } => (moved_by(*by), None),
                Detail::Attempt(attempt) => (MovedBy::Remote, Some(attempt.0)),
                _ => (MovedBy::Remote, None),
            };
            More {
                method: Some(method),
                action_attempt_id: attempt,
                ..More::default()
            }
        }
        EventKind::DeviceLowBattery => More {
            battery_level: match &event.detail {
                Detail::Battery(Some(percent)) => Some(f32::from((*percent).min(100)) / 100.0),
                _ => None,
            },
            ..More::default()
        },
        EventKind::RadioAway => More {
            outage: match &event.detail {
                Detail::Outage(outage) => Some(match outage {
                    model::Outage::Server => Outage::Server,
                    model::Outage::Stick => Outage::Stick,
                    model::Outage::Bus => Outage::Bus,
                    model::Outage::Daemon => Outage::Daemon,
                    model::Outage::Adapter => Outage::Adapter,
                    model::Outage::AdapterOff => Outage::AdapterOff,
                    model::Outage::Denied => Outage::Denied,
                }),
                _ => None,
            },
            ..More::default()
        },
        EventKind::CodeRevealed => More {
            revealed_to: match &event.detail {
                Detail::RevealedTo(name) => Some(name.clone()),
                _ => None,
            },
            ..More::default()
        },
        EventKind::Restarted => More {
            ran_until: match &event.detail {
                Detail::RanUntil(at) => Some(Moment(*at)),
                _ => None,
            },
            ..More::default()
        },
        EventKind::CodeCreated
        | EventKind::CodeRemoved
        | EventKind::CodeLost
        | EventKind::CodeAltered
        | EventKind::UnmanagedAppeared
        | EventKind::UnmanagedWent
        | EventKind::SuspectFound
        | EventKind::Restored
        | EventKind::DeviceConnected
        | EventKind::DeviceAdded
        | EventKind::DeviceRemoved
        | EventKind::DeviceTampered
        | EventKind::AccessDenied
        | EventKind::LockJammed
        | EventKind::RadioBack
        | EventKind::JobAccepted
        | EventKind::JobDone
        | EventKind::ClockTrusted
        | EventKind::ClockUntrusted
        | EventKind::ClockWild => More::default(),
    }
}

fn failed(event: &model::Event, aim: Aim) -> More {
    let reason = match &event.detail {
        Detail::Failure(Some(objection)) => Waiting::Refused(*objection),
        _ => Waiting::Denied,
    };
    troubled(
        Error::of_lock(aim, reason, event.at).into_iter().collect(),
        Vec::new(),
    )
}

fn troubled(errors: Vec<Error>, warnings: Vec<Warning>) -> More {
    More {
        access_code_errors: Some(errors),
        access_code_warnings: Some(warnings),
        device_errors: Some(Vec::new()),
        device_warnings: Some([]),
        connected_account_errors: Some([]),
        connected_account_warnings: Some([]),
        ..More::default()
    }
}

fn taken(edit: Option<&Edit>, description: &'static str, pins: Pins) -> More {
    let (from, to) = edit.map_or((None, None), |edit| sides(edit, pins));
    More {
        from,
        to,
        description: Some(description),
        ..More::default()
    }
}

fn mutation(edit: &Edit, pins: Pins) -> RequestedMutation {
    let (from, to) = sides(edit, pins);
    RequestedMutation {
        mutation_code: match edit {
            Edit::Name { .. } => MutationCode::UpdatingName,
            Edit::Pin { .. } => MutationCode::UpdatingCode,
            Edit::Window { .. } => MutationCode::UpdatingTimeFrame,
            Edit::Delete => MutationCode::Deleting,
        },
        from,
        to,
    }
}

fn sides(edit: &Edit, pins: Pins) -> (Option<Side>, Option<Side>) {
    match edit {
        Edit::Name { from, to } => (
            Some(Side::Name { name: from.clone() }),
            Some(Side::Name { name: to.clone() }),
        ),
        Edit::Pin { from, to } => (
            Some(Side::Code {
                code: pins.show(from),
            }),
            Some(Side::Code { code: pins.show(to) }),
        ),
        Edit::Window { from, to } => (Some(Side::times(*from)), Some(Side::times(*to))),
        Edit::Delete => (None, None),
    }
}

fn properties(edit: &Edit, pins: Pins) -> Vec<ChangedProperty> {
    let changed = |property, from, to| ChangedProperty { property, from, to };
    match edit {
        Edit::Name { from, to } => vec![changed("name", from.clone(), to.clone())],
        Edit::Pin { from, to } => vec![changed("code", pins.show(from), pins.show(to))],
        Edit::Window { from, to } => {
            let (from, to) = (bounds(*from), bounds(*to));
            let starts_at = (from.0 != to.0).then(|| changed("starts_at", from.0, to.0));
            let ends_at = (from.1 != to.1).then(|| changed("ends_at", from.1, to.1));
            starts_at.into_iter().chain(ends_at).collect()
        }
        Edit::Delete => Vec::new(),
    }
}

fn bounds(window: Window) -> (Option<String>, Option<String>) {
    match window {
        Window::Ongoing => (None, None),
        Window::Bound { starts_at, ends_at } => (time::text(starts_at), time::text(ends_at)),
    }
}
