//! A bundle: what happened since a moment, and all that it takes to play it through once more. It goes to people who
//! were not trusted with the doors, so it holds no PIN, and no word that a caller chose: names, keys and ids of
//! callers are left out, or become numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::body::{ClockState, clock};
use super::word::Moment;
use crate::gateway::Incident;
use crate::gateway::view::{CodeView, DeviceView, Status};
use crate::model::{
    Addressing, By, Capabilities, Closed, CodeId, Detail, DeviceId, Edit, Event, EventKind, GroupKey, JobId,
    Limits, NativeWindow, Objection, Outage, Pattern, RadioId, ReadBack, Settings, Timestamp, Untrusted,
    Window,
};

/// The form of the bundles that this program makes, and the newest that it understands.
pub const FORMAT: u32 = 1;

/// What happened since a moment, without PINs and without names.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "bundle")]
pub struct Bundle {
    /// The form of the bundle.
    pub format: u32,
    /// The gateway's version.
    pub version: String,
    /// When it was made.
    pub made_at: Moment,
    /// What happened from then on is in it.
    pub since: Moment,
    /// Events before this moment, which is later than `since`, were kept no more.
    pub pruned_before: Option<Moment>,
    /// The clock, and whether it counts.
    pub clock: ClockState,
    /// The storage is below its reserve.
    pub storage_low: bool,
    /// What the operator has set.
    pub settings: Set,
    /// The radios.
    pub radios: Vec<Radio>,
    /// The devices, by their ids.
    pub devices: Vec<Lock>,
    /// The access codes that lived in that time.
    pub access_codes: Vec<Code>,
    /// What happened, oldest first.
    pub events: Vec<Happening>,
}

/// What the operator has set, as far as the core goes by it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "bundle_settings")]
pub struct Set {
    /// `[schedule] lead`.
    pub lead_ms: u64,
    /// `[schedule] preload`.
    pub preload_ms: u64,
    /// `[schedule] second_look`.
    pub second_look_ms: u64,
    /// `[schedule] keep_ended`.
    pub keep_ended_ms: u64,
    /// `[schedule] check_every`.
    pub check_every_ms: u64,
    /// `[locks] remote_unlock`.
    pub remote_unlock: bool,
    /// `[clock] untrusted`.
    #[schemars(with = "String")]
    pub untrusted: Untrusted,
    /// `[limits]`.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub limits: Limits,
}

/// A radio.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "bundle_radio")]
pub struct Radio {
    /// Exchanges that it runs at once.
    pub links: usize,
}

/// A device.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "bundle_device")]
pub struct Lock {
    /// Its id.
    pub device_id: Uuid,
    /// What speaks to it.
    pub driver: String,
    /// Its place among the radios, from 0; `null` for a device that is gone from the configuration.
    pub radio: Option<usize>,
    /// It is simulated.
    pub simulated: bool,
    /// It answers.
    pub online: bool,
    /// It left this gateway.
    pub removed: bool,
    /// Codes on it that this gateway did not set.
    pub unmanaged_codes: usize,
    /// What its lock can do.
    pub capabilities: Abilities,
}

/// What a lock takes, holds and tells.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "bundle_capabilities")]
pub struct Abilities {
    /// Numbers of digits that it takes.
    pub lengths: Vec<u8>,
    /// Digits that its keypad has.
    pub digits: Vec<u8>,
    /// Beginnings that it refuses, digit by digit.
    pub forbidden_prefixes: Vec<Vec<u8>>,
    /// Shapes that it refuses.
    #[schemars(with = "Vec<String>")]
    pub forbidden_patterns: Vec<Pattern>,
    /// Codes that it holds.
    pub capacity: u16,
    /// Places that are left alone.
    #[serde(default)]
    pub reserved: Vec<u16>,
    /// Why it takes no codes at all, if that is so.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub closed: Option<Closed>,
    /// The longest name that it stores, in bytes.
    pub name_limit: u16,
    /// What a read of it shows.
    #[schemars(with = "String")]
    pub read_back: ReadBack,
    /// How finely it enforces times itself.
    #[schemars(with = "String")]
    pub native_window: NativeWindow,
    /// Its bolt can be moved by radio.
    pub door: bool,
    /// Who chooses the places of codes.
    #[schemars(with = "String")]
    pub addressing: Addressing,
    /// It takes several steps in one exchange.
    pub batch: bool,
    /// After how long it counts as silent.
    pub patience_ms: u64,
}

/// An access code: when it opens what, and nothing that it could be opened with.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "bundle_access_code")]
pub struct Code {
    /// Its id.
    pub access_code_id: Uuid,
    /// Its device.
    pub device_id: Uuid,
    /// The number of its group in this bundle.
    pub group: Option<u32>,
    /// Its times, as they were last.
    #[serde(flatten)]
    pub times: Times,
    /// Where it is in its life.
    pub status: Stage,
    /// How many digits it has.
    pub code_length: u8,
    /// When it was recorded.
    pub created_at: Moment,
    /// When it was deleted, if it is still to be taken off.
    pub deleted_at: Option<Moment>,
}

/// Where an access code is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Stage {
    /// Recorded, not due; or ended and gone.
    Unset,
    /// Due, not proven.
    Setting,
    /// Proven, and its time has come.
    Set,
    /// To be taken off, absence not confirmed.
    Removing,
    /// Deleted, and gone from the record.
    Gone,
}

/// When a code opens.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Times {
    /// From when on; `null` for an ongoing code.
    pub starts_at: Option<Moment>,
    /// From when on no more; `null` for an ongoing code.
    pub ends_at: Option<Moment>,
}

impl Times {
    fn of(window: Window) -> Times {
        let (starts_at, ends_at) = match window {
            Window::Ongoing => (None, None),
            Window::Bound { starts_at, ends_at } => (Some(Moment(starts_at)), Some(Moment(ends_at))),
        };
        Times { starts_at, ends_at }
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Window {
        match (self.starts_at, self.ends_at) {
            (Some(from), Some(until)) => Window::between(from.0, until.0).unwrap_or(Window::Ongoing),
            _ => Window::Ongoing,
        }
    }
}

/// Something that happened.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "bundle_event")]
pub struct Happening {
    /// Its number.
    pub seq: u64,
    /// When the gateway was told.
    pub at: Moment,
    /// When it happened, if that was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Moment>,
    /// What.
    #[schemars(with = "String")]
    pub event_type: EventKind,
    /// Whether the clock was trusted then.
    pub clock_trusted: bool,
    /// On which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<Uuid>,
    /// Which access code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_code_id: Option<Uuid>,
    /// The number, in this bundle, of the job that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u32>,
    /// What belongs to it beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<More>,
}

/// What an event tells beyond its kind.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum More {
    /// What was asked for, what changed on record, or what the lock took.
    Changes(Vec<Change>),
    /// The lock said no.
    Refused(#[schemars(with = "String")] Objection),
    /// The lock said yes, and its table says no.
    Denied,
    /// Where a code stands that is not ours.
    Slot(u16),
    /// What moved the bolt.
    Moved(#[schemars(with = "serde_json::Value")] By),
    /// What is left of the battery in percent, where the lock says it.
    Battery(Option<u8>),
    /// What keeps the radio away.
    Outage(#[schemars(with = "String")] Outage),
    /// The last moment at which the gateway is known to have run before.
    RanUntil(Moment),
}

/// A change of an access code.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "change")]
#[schemars(inline)]
pub enum Change {
    /// Another name.
    Name,
    /// Another PIN.
    Code {
        /// How many digits it has.
        length: u8,
    },
    /// Other times.
    Times {
        /// Before.
        from: Times,
        /// After.
        to: Times,
    },
    /// It is to go.
    Delete,
}

/// Numbers in the place of what callers chose, in the order of their first mention.
struct Numbers<T>(BTreeMap<T, u32>);

impl<T: Ord + Clone> Numbers<T> {
    fn of(&mut self, chosen: Option<&T>) -> Option<u32> {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        Some(*self.0.entry(chosen?.clone()).or_insert(next))
    }
}

/// What happened, without PINs and without names. `source` says what vouches for the clock.
#[must_use]
pub fn bundle(incident: &Incident, source: &'static str) -> Bundle {
    let radios: Vec<&RadioId> = incident.radios.keys().collect();
    let place = |radio: &RadioId| radios.iter().position(|known| *known == radio);
    let mut groups: Numbers<GroupKey> = Numbers(BTreeMap::new());
    let mut jobs: Numbers<JobId> = Numbers(BTreeMap::new());
    let recorded = incident.codes.iter().map(|code| (code, stage(code.status)));
    let gone = incident.gone.iter().map(|code| (code, Stage::Gone));
    Bundle {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Moment(incident.now),
        since: Moment(incident.since),
        pruned_before: incident.pruned_before.map(Moment),
        clock: clock(incident.clock, source),
        storage_low: incident.storage_low,
        settings: settings(&incident.settings),
        radios: incident
            .radios
            .values()
            .map(|links| Radio { links: *links })
            .collect(),
        devices: incident
            .devices
            .iter()
            .map(|(radio, device)| lock(device, place(radio)))
            .collect(),
        access_codes: recorded
            .chain(gone)
            .map(|(view, status)| code(view, status, groups.of(view.group.as_ref())))
            .collect(),
        events: incident
            .events
            .iter()
            .map(|event| happening(event, jobs.of(event.job.as_ref())))
            .collect(),
    }
}

fn settings(set: &Settings) -> Set {
    Set {
        lead_ms: millis(set.lead),
        preload_ms: millis(set.preload),
        second_look_ms: millis(set.second_look),
        keep_ended_ms: millis(set.keep_ended),
        check_every_ms: millis(set.check_every),
        remote_unlock: set.remote_unlock,
        untrusted: set.untrusted,
        limits: set.limits.clone(),
    }
}

fn lock(view: &DeviceView, radio: Option<usize>) -> Lock {
    let DeviceId(device_id) = view.device;
    Lock {
        device_id,
        driver: view.driver.clone(),
        radio,
        simulated: view.simulated,
        online: view.online,
        removed: view.removed,
        unmanaged_codes: view.unmanaged,
        capabilities: abilities(&view.capabilities),
    }
}

fn abilities(of: &Capabilities) -> Abilities {
    let digits = |ascii: &[u8]| ascii.iter().map(|digit| digit.wrapping_sub(b'0')).collect();
    Abilities {
        lengths: of.lengths.iter().copied().collect(),
        digits: digits(&of.alphabet.digits()),
        forbidden_prefixes: of
            .forbidden_prefixes
            .iter()
            .map(|prefix| digits(prefix.as_bytes()))
            .collect(),
        forbidden_patterns: of.forbidden_patterns.iter().copied().collect(),
        capacity: of.capacity,
        reserved: of.reserved.iter().map(|slot| slot.0).collect(),
        closed: of.closed,
        name_limit: of.name_limit,
        read_back: of.read_back,
        native_window: of.window,
        door: of.door,
        addressing: of.addressing,
        batch: of.batch,
        patience_ms: millis(of.patience),
    }
}

fn code(view: &CodeView, status: Stage, group: Option<u32>) -> Code {
    let (CodeId(access_code_id), DeviceId(device_id)) = (view.code, view.device);
    Code {
        access_code_id,
        device_id,
        group,
        times: Times::of(view.window),
        status,
        code_length: view.pin.length(),
        created_at: Moment(view.created_at),
        deleted_at: view.deleted_at.map(Moment),
    }
}

fn stage(status: Status) -> Stage {
    match status {
        Status::Unset => Stage::Unset,
        Status::Setting => Stage::Setting,
        Status::Set => Stage::Set,
        Status::Removing => Stage::Removing,
    }
}

fn happening(event: &Event, job: Option<u32>) -> Happening {
    Happening {
        seq: event.seq,
        at: Moment(event.at),
        occurred_at: (event.occurred() != event.at).then(|| Moment(event.occurred())),
        event_type: event.kind,
        clock_trusted: event.clock_trusted,
        device_id: event.device.map(|DeviceId(id)| id),
        access_code_id: event.code.map(|CodeId(id)| id),
        job,
        detail: match &event.detail {
            // The names of keys were chosen by somebody.
            Detail::None | Detail::Pin(_) | Detail::Attempt(_) | Detail::RevealedTo(_) => None,
            Detail::Changes(edits) => Some(More::Changes(edits.iter().map(change).collect())),
            Detail::Failure(Some(objection)) => Some(More::Refused(*objection)),
            Detail::Failure(None) => Some(More::Denied),
            Detail::Slot(slot) => Some(More::Slot(slot.0)),
            Detail::Moved(by) | Detail::Logged { by, .. } => Some(More::Moved(*by)),
            Detail::Battery(percent) => Some(More::Battery(*percent)),
            Detail::Outage(outage) => Some(More::Outage(*outage)),
            Detail::RanUntil(at) => Some(More::RanUntil(Moment(*at))),
        },
    }
}

fn change(edit: &Edit) -> Change {
    match edit {
        Edit::Name { .. } => Change::Name,
        Edit::Pin { to, .. } => Change::Code { length: to.length() },
        Edit::Window { from, to } => Change::Times {
            from: Times::of(*from),
            to: Times::of(*to),
        },
        Edit::Delete => Change::Delete,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Why a text is no bundle that this program understands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBundle {
    /// There is nothing in it.
    #[error("it is empty: the bundle was not written to its end; make it again with `lockbridge incident`")]
    Empty,
    /// It is something else.
    #[error("it is no bundle of `lockbridge incident`: {0}")]
    Other(String),
    /// A newer program made it.
    #[error(
        "its format is {format}, and this program knows formats up to {FORMAT}: use version {version} or newer"
    )]
    Newer {
        /// Its format.
        format: u32,
        /// The version of the gateway that made it.
        version: String,
    },
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// It is empty, no bundle, or one of a newer format.
    pub fn read(text: &str) -> Result<Bundle, NoBundle> {
        /// What every bundle says, whatever its format.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            version: String,
        }
        if text.trim().is_empty() {
            return Err(NoBundle::Empty);
        }
        let other = |error: serde_json::Error| NoBundle::Other(error.to_string());
        let Head { format, version } = serde_json::from_str(text).map_err(other)?;
        if format > FORMAT {
            return Err(NoBundle::Newer { format, version });
        }
        serde_json::from_str(text).map_err(other)
    }

    /// From when on its events tell all that happened.
    #[must_use]
    pub fn told_from(&self) -> Timestamp {
        self.pruned_before
            .map_or(self.since.0, |at| at.0.max(self.since.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn an_opening_that_was_told_later_shows_when_it_was() {
        let (then, now) = (Timestamp(1_000), Timestamp(9_000));
        let event = |detail| Event {
            seq: 1,
            at: now,
            kind: EventKind::LockUnlocked,
            device: None,
            code: None,
            job: None,
            clock_trusted: true,
            detail,
        };
        let by = By::Keypad(None);
        let later = happening(&event(Detail::Logged { by, at: then }), None);
        assert_eq!((later.at.0, later.occurred_at.map(|at| at.0)), (now, Some(then)));
        assert!(happening(&event(Detail::Moved(by)), None).occurred_at.is_none());
    }
}
