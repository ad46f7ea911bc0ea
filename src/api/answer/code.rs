//! An access code in Seam's shape.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::trouble::{Error, Warning};
use super::word::{Always, Moment, Nothing};
use super::{Pins, Site};
use crate::gateway::Aim;
use crate::gateway::Waiting;
use crate::gateway::view::{self, Change, CodeView, Pending, QueueView};
use crate::model::{Timestamp, Window};

/// One PIN on one device.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "access_code")]
pub struct AccessCode {
    /// Its id.
    access_code_id: Uuid,
    /// Its device.
    device_id: Uuid,
    /// The site.
    workspace_id: Uuid,
    /// Its name, as it was given.
    name: Option<String>,
    /// Its PIN; `null` for a key that may not see PINs.
    code: Option<String>,
    /// What links it with others that have the same PIN.
    common_code_key: Option<String>,
    /// Whether it has times.
    #[serde(rename = "type")]
    kind: Type,
    /// From when on it opens; `null` for an ongoing one.
    starts_at: Option<Moment>,
    /// From when on it opens no more; `null` for an ongoing one.
    ends_at: Option<Moment>,
    /// Where it is in its life.
    status: Status,
    /// When it was recorded.
    created_at: Moment,
    /// What is wrong with it.
    errors: Vec<Error>,
    /// What is not as it should be.
    warnings: Vec<Warning>,
    /// What is still to be done on the lock.
    pending_mutations: Vec<Mutation>,
    /// How it looks on the lock.
    appearance: CodeAppearance,
    /// A code of this gateway.
    is_managed: Always<true>,
    /// The lock holds it with its own schedule.
    is_scheduled_on_device: bool,
    /// What others change on a lock is set again.
    is_external_modification_allowed: Always<false>,
    /// No lock here makes codes by itself.
    is_offline_access_code: Always<false>,
    /// It stays until its end.
    is_one_time_use: Always<false>,
    /// There are no backup codes.
    is_backup: Always<false>,
    /// There are no backup codes.
    is_backup_access_code_available: Always<false>,
    /// The PIN stands from the start.
    is_waiting_for_code_assignment: Always<false>,
    /// There are no backup codes.
    pulled_backup_access_code_id: Nothing,
    /// Of another maker's locks.
    dormakaba_oracode_metadata: Nothing,
}

/// How a code looks on its lock.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "access_code_appearance")]
struct CodeAppearance {
    /// Its name as the lock stores it; `null` if it stores none, or does not hold the code yet.
    name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Type {
    Ongoing,
    TimeBound,
}

/// Where an access code is in its life.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Status {
    Unset,
    Setting,
    Set,
    Removing,
}

impl From<view::Status> for Status {
    fn from(status: view::Status) -> Status {
        match status {
            view::Status::Unset => Status::Unset,
            view::Status::Setting => Status::Setting,
            view::Status::Set => Status::Set,
            view::Status::Removing => Status::Removing,
        }
    }
}

/// Something that is still to be done on the lock.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "pending_mutation")]
struct Mutation {
    /// What.
    mutation_code: MutationCode,
    /// The same for a person.
    message: &'static str,
    /// Since when.
    created_at: Moment,
    /// When it is done, with `deferring_creation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<Moment>,
    /// What the lock holds, with an update.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Side>,
    /// What it is to hold, with an update.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Side>,
}

/// What is done to a code on its lock.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum MutationCode {
    Creating,
    DeferringCreation,
    Deleting,
    UpdatingCode,
    UpdatingName,
    UpdatingTimeFrame,
}

/// One side of a change.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "side_of_change")]
pub(super) enum Side {
    /// The PIN; `null` for a key that may not see PINs.
    Code {
        /// The PIN; `null` for a key that may not see PINs.
        code: Option<String>,
    },
    /// The name.
    Name {
        /// The name.
        name: Option<String>,
    },
    /// The times.
    Times {
        /// From when on it opens.
        starts_at: Option<Moment>,
        /// From when on it opens no more.
        ends_at: Option<Moment>,
    },
}

impl Side {
    /// The times of a window.
    pub(super) fn times(window: Window) -> Side {
        let (starts_at, ends_at) = bounds(window);
        Side::Times { starts_at, ends_at }
    }
}

/// An access code.
#[must_use]
pub fn access_code(site: &Site, code: &CodeView, pins: Pins) -> AccessCode {
    let (starts_at, ends_at) = bounds(code.window);
    AccessCode {
        access_code_id: code.code.0,
        device_id: code.device.0,
        workspace_id: site.workspace,
        name: code.name.clone(),
        code: pins.show(&code.pin),
        common_code_key: code.group.as_ref().map(ToString::to_string),
        kind: match code.window {
            Window::Ongoing => Type::Ongoing,
            Window::Bound { .. } => Type::TimeBound,
        },
        starts_at,
        ends_at,
        status: code.status.into(),
        created_at: Moment(code.created_at),
        errors: errors(code),
        warnings: warnings(code),
        pending_mutations: pending_mutations(code, pins),
        appearance: CodeAppearance {
            name: code.name_on_lock.clone(),
        },
        is_managed: Always,
        is_scheduled_on_device: code.scheduled_on_device,
        is_external_modification_allowed: Always,
        is_offline_access_code: Always,
        is_one_time_use: Always,
        is_backup: Always,
        is_backup_access_code_available: Always,
        is_waiting_for_code_assignment: Always,
        pulled_backup_access_code_id: Nothing,
        dormakaba_oracode_metadata: Nothing,
    }
}

/// Whether a code is what somebody searches for: in its name, its id, or its PIN, if that may be
/// seen. `search` is in small letters.
#[must_use]
pub fn matches(code: &CodeView, search: &str, pins: Pins) -> bool {
    let has = |text: &str| text.to_lowercase().contains(search);
    code.name.as_deref().is_some_and(has)
        || has(&code.code.to_string())
        || pins.show(&code.pin).as_deref().is_some_and(has)
}

/// `starts_at` and `ends_at`, or twice nothing.
pub(super) fn bounds(window: Window) -> (Option<Moment>, Option<Moment>) {
    match window {
        Window::Ongoing => (None, None),
        Window::Bound { starts_at, ends_at } => (Some(Moment(starts_at)), Some(Moment(ends_at))),
    }
}

fn row(code: &CodeView) -> Option<&QueueView> {
    match &code.pending {
        Some(Pending::Queued(row)) => Some(row),
        Some(Pending::Deferred { .. }) | None => None,
    }
}

fn errors(code: &CodeView) -> Vec<Error> {
    let row = row(code);
    let since = row.map_or(code.created_at, |row| row.since);
    let silent = code.device_offline || row.is_some_and(|row| row.reason == Waiting::Silent);
    let mut errors = Vec::new();
    if code.device_removed {
        errors.push(Error::device_removed(since));
    } else if let Some(away) = code.radio_away {
        errors.push(Error::radio_away(away));
    } else if silent {
        errors.push(Error::device_offline(since));
    }
    errors.extend(code.external.map(Error::external));
    errors.extend(row.and_then(|row| Error::of_lock(row.aim, row.reason, since)));
    errors
}

fn warnings(code: &CodeView) -> Vec<Warning> {
    let deleted = code.deleted_at.map(Warning::being_deleted);
    let late = row(code).filter(|row| row.tries > 0 || row.reason == Waiting::NoSlot);
    let delay = late.map(|row| Warning::delay(row.aim, row.since));
    let clock = code.clock_untrusted.map(Warning::clock_untrusted);
    deleted.into_iter().chain(delay).chain(clock).collect()
}

fn pending_mutations(code: &CodeView, pins: Pins) -> Vec<Mutation> {
    use MutationCode::{Creating, DeferringCreation, Deleting};
    let one = |mutation_code, message, since: Timestamp| Mutation {
        mutation_code,
        message,
        created_at: Moment(since),
        scheduled_at: None,
        from: None,
        to: None,
    };
    match &code.pending {
        None => Vec::new(),
        Some(Pending::Deferred { until }) => {
            let message = "The code goes onto the lock when its time comes near.";
            vec![Mutation {
                scheduled_at: Some(Moment(*until)),
                ..one(DeferringCreation, message, code.created_at)
            }]
        }
        Some(Pending::Queued(row)) => match (row.aim, &row.update) {
            (Aim::Remove, _) => vec![one(Deleting, "The code is being taken off the lock.", row.since)],
            (Aim::Set, Some(change)) if differs(change) => updates(change, pins)
                .map(|(mutation_code, message, from, to)| Mutation {
                    from: Some(from),
                    to: Some(to),
                    ..one(mutation_code, message, row.since)
                })
                .collect(),
            (Aim::Set, _) => vec![one(Creating, "The code is being put onto the lock.", row.since)],
        },
    }
}

fn differs(change: &Change) -> bool {
    change.pin_from != change.pin_to
        || change.name_from != change.name_to
        || change.window_from != change.window_to
}

type Told = (MutationCode, &'static str, Side, Side);

/// Code, message, from and to of everything that an update changes on the lock.
fn updates(change: &Change, pins: Pins) -> impl Iterator<Item = Told> {
    let pin = (change.pin_from != change.pin_to).then(|| {
        let (from, to) = (pins.show(&change.pin_from), pins.show(&change.pin_to));
        (
            MutationCode::UpdatingCode,
            "The lock is being given another PIN; until then the one before may open.",
            Side::Code { code: from },
            Side::Code { code: to },
        )
    });
    let name = (change.name_from != change.name_to).then(|| {
        let (from, to) = (change.name_from.clone(), change.name_to.clone());
        (
            MutationCode::UpdatingName,
            "The lock is being given another name for the code.",
            Side::Name { name: from },
            Side::Name { name: to },
        )
    });
    let window = (change.window_from != change.window_to).then(|| {
        (
            MutationCode::UpdatingTimeFrame,
            "The lock is being given other times.",
            Side::times(change.window_from),
            Side::times(change.window_to),
        )
    });
    [pin, name, window].into_iter().flatten()
}
