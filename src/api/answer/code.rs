//! An access code in Seam's shape.

use serde_json::{Value, json};

use super::{Pins, Site};
use crate::api::time;
use crate::gateway::view::{Change, CodeView, Pending, QueueView, Status};
use crate::gateway::{Aim, Waiting};
use crate::model::{Objection, Window};

/// An access code.
#[must_use]
pub fn access_code(site: &Site, code: &CodeView, pins: Pins) -> Value {
    let (starts_at, ends_at) = bounds(code.window);
    json!({
        "access_code_id": code.code,
        "device_id": code.device,
        "workspace_id": site.workspace,
        "name": code.name,
        "code": pins.show(&code.pin),
        "common_code_key": code.group,
        "type": kind(code.window),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "status": status_word(code.status),
        "created_at": time::show(code.created_at),
        "errors": errors(code),
        "warnings": warnings(code),
        "pending_mutations": pending_mutations(code, pins),
        "is_managed": true,
        "is_scheduled_on_device": code.scheduled_on_device,
        "is_external_modification_allowed": false,
        "is_offline_access_code": false,
        "is_one_time_use": false,
        "is_backup": false,
        "is_backup_access_code_available": false,
        "is_waiting_for_code_assignment": false,
        "pulled_backup_access_code_id": null,
        "dormakaba_oracode_metadata": null,
    })
}

/// `starts_at` and `ends_at`, or twice `null`.
pub(super) fn bounds(window: Window) -> (Value, Value) {
    match window {
        Window::Ongoing => (Value::Null, Value::Null),
        Window::Bound { starts_at, ends_at } => (time::show(starts_at), time::show(ends_at)),
    }
}

fn kind(window: Window) -> &'static str {
    match window {
        Window::Ongoing => "ongoing",
        Window::Bound { .. } => "time_bound",
    }
}

pub(super) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Unset => "unset",
        Status::Setting => "setting",
        Status::Set => "set",
        Status::Removing => "removing",
    }
}

fn row(code: &CodeView) -> Option<&QueueView> {
    match &code.pending {
        Some(Pending::Queued(row)) => Some(row),
        Some(Pending::Deferred { .. }) | None => None,
    }
}

fn errors(code: &CodeView) -> Value {
    let row = row(code);
    let since = time::show(row.map_or(code.created_at, |row| row.since));
    let mut errors = Vec::new();
    if code.device_offline || row.is_some_and(|row| row.reason == Waiting::Silent) {
        errors.push(json!({
            "error_code": "device_offline",
            "message": "The lock does not answer. The gateway keeps trying.",
            "is_device_error": true,
            "created_at": since,
        }));
    }
    if let Some((error_code, message)) = row.and_then(|row| failure(row.aim, row.reason)) {
        errors.push(json!({
            "error_code": error_code,
            "message": message,
            "is_access_code_error": true,
            "created_at": since,
        }));
    }
    Value::Array(errors)
}

/// What the lock has against it, if its own answer is the reason.
fn failure(aim: Aim, reason: Waiting) -> Option<(&'static str, &'static str)> {
    Some(match (reason, aim) {
        (Waiting::InLine | Waiting::Silent | Waiting::NoSlot, _) => return None,
        (_, Aim::Remove) => (
            "failed_to_remove_from_device",
            "The lock did not remove the code. The gateway keeps trying.",
        ),
        (Waiting::Refused(Objection::Full), Aim::Set) => (
            "no_space_for_access_code_on_device",
            "The lock has no free place for the code.",
        ),
        (Waiting::Refused(Objection::Duplicate), Aim::Set) => (
            "duplicate_code_on_device",
            "The lock holds this PIN already, in a code that this gateway did not set.",
        ),
        (Waiting::Refused(Objection::SlotTaken), Aim::Set) => (
            "failed_to_set_on_device",
            "Somebody else's code stands where this one was to go. The gateway keeps trying.",
        ),
        (Waiting::Refused(Objection::Credential), Aim::Set) => (
            "failed_to_set_on_device",
            "The lock does not accept the gateway's credentials.",
        ),
        (Waiting::Refused(Objection::Other), Aim::Set) => (
            "failed_to_set_on_device",
            "The lock refused the code. The gateway keeps trying.",
        ),
        (Waiting::Denied, Aim::Set) => (
            "failed_to_set_on_device",
            "The lock accepted the code and did not store it. The gateway keeps trying.",
        ),
        (Waiting::NotKept, Aim::Set) => (
            "failed_to_set_on_device",
            "The lock loses the code again and again. The gateway tries again later.",
        ),
    })
}

fn warnings(code: &CodeView) -> Value {
    let mut warnings = Vec::new();
    if let Some(at) = code.deleted_at {
        warnings.push(json!({
            "warning_code": "being_deleted",
            "message": "Deletion was asked for; the lock has not yet confirmed it.",
            "created_at": time::show(at),
        }));
    }
    if let Some(row) = row(code).filter(|row| row.tries > 0 || row.reason == Waiting::NoSlot) {
        let (warning_code, message) = match row.aim {
            Aim::Set => (
                "delay_in_setting_on_device",
                "Setting the code takes longer than usual.",
            ),
            Aim::Remove => (
                "delay_in_removing_from_device",
                "Removing the code takes longer than usual.",
            ),
        };
        warnings.push(json!({
            "warning_code": warning_code,
            "message": message,
            "created_at": time::show(row.since),
        }));
    }
    Value::Array(warnings)
}

fn pending_mutations(code: &CodeView, pins: Pins) -> Value {
    let one = |mutation_code: &str, message: &str, since| {
        json!({
            "mutation_code": mutation_code,
            "message": message,
            "created_at": time::show(since),
        })
    };
    match &code.pending {
        None => json!([]),
        Some(Pending::Deferred { until }) => {
            let message = "The code goes onto the lock when its time comes near.";
            let mut deferring = one("deferring_creation", message, code.created_at);
            deferring["scheduled_at"] = time::show(*until);
            json!([deferring])
        }
        Some(Pending::Queued(row)) => match (row.aim, &row.update) {
            (Aim::Remove, _) => {
                json!([one(
                    "deleting",
                    "The code is being taken off the lock.",
                    row.since
                )])
            }
            (Aim::Set, Some(change)) if differs(change) => {
                let update = |(mutation_code, message, from, to): (&str, &str, Value, Value)| {
                    let mut update = one(mutation_code, message, row.since);
                    update["from"] = from;
                    update["to"] = to;
                    update
                };
                updates(code, change, pins).into_iter().map(update).collect()
            }
            (Aim::Set, _) => json!([one("creating", "The code is being put onto the lock.", row.since)]),
        },
    }
}

fn differs(change: &Change) -> bool {
    change.pin || change.name_from != change.name_to || change.window_from != change.window_to
}

/// Code, message, from and to of everything that an update changes on the lock.
fn updates(code: &CodeView, change: &Change, pins: Pins) -> Vec<(&'static str, &'static str, Value, Value)> {
    let mut updates = Vec::new();
    if change.pin {
        updates.push((
            "updating_code",
            "The lock is being given another PIN.",
            // The PIN before is nobody's any more, and is not shown.
            json!({"code": null}),
            json!({"code": pins.show(&code.pin)}),
        ));
    }
    if change.name_from != change.name_to {
        updates.push((
            "updating_name",
            "The lock is being given another name for the code.",
            json!({"name": change.name_from}),
            json!({"name": change.name_to}),
        ));
    }
    if change.window_from != change.window_to {
        let frame = |window| {
            let (starts_at, ends_at) = bounds(window);
            json!({"starts_at": starts_at, "ends_at": ends_at})
        };
        updates.push((
            "updating_time_frame",
            "The lock is being given other times.",
            frame(change.window_from),
            frame(change.window_to),
        ));
    }
    updates
}
