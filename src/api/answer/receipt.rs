//! Our own answers: receipts, jobs, queues.

use serde_json::{Value, json};

use super::code::{bounds, status_word};
use super::{Pins, reasons};
use crate::api::time;
use crate::gateway::view::{CodeView, JobMemberView, JobView, MemberReceipt, Pending, QueueView};
use crate::gateway::{Aim, Answer, Phase, Waiting};
use crate::model::{How, Objection};

/// The receipt of a group: proven, how and when; or why not yet, and the next try.
#[must_use]
pub fn receipt(members: &[MemberReceipt], pins: Pins) -> Value {
    let proven = members.iter().filter(|member| member.proven.is_some()).count();
    let first = members.first().map(|member| &member.code);
    let (starts_at, ends_at) = first.map_or((Value::Null, Value::Null), |code| bounds(code.window));
    json!({
        "common_code_key": first.and_then(|code| code.group.as_ref()),
        "name": first.and_then(|code| code.name.as_ref()),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "proven": proven,
        "members": members.len(),
        "all_proven": proven == members.len(),
        "receipts": members.iter().map(|m| member(m, pins)).collect::<Vec<_>>(),
    })
}

fn member(member: &MemberReceipt, pins: Pins) -> Value {
    let code = &member.code;
    let (starts_at, ends_at) = bounds(code.window);
    json!({
        "device_id": code.device,
        "device_name": member.device_name,
        "access_code_id": code.code,
        "code": pins.show(&code.pin),
        "own_pin": code.own_pin,
        "status": status_word(code.status),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "proven": member.proven.map(|proven| json!({
            "how": how_word(proven.how),
            "at": time::show(proven.at),
        })),
        "waiting": waiting(code),
        "still_on_lock": window_on_lock(code),
        "hint": hint(code),
    })
}

/// What a member waits for: its row in the queue, or its time.
fn waiting(code: &CodeView) -> Value {
    match &code.pending {
        None => Value::Null,
        Some(Pending::Deferred { until }) => json!({
            "aim": aim_word(Aim::Set),
            "reason": "not_due",
            "since": time::show(code.created_at),
            "tries": 0,
            "next_try": time::show(*until),
        }),
        Some(Pending::Queued(row)) => json!({
            "aim": aim_word(row.aim),
            "reason": row.reason.word(),
            "since": time::show(row.since),
            "tries": row.tries,
            "next_try": row.next_try.map(time::show),
        }),
    }
}

/// The window that a lock goes on enforcing until it has taken the new one.
fn window_on_lock(code: &CodeView) -> Value {
    match &code.pending {
        Some(Pending::Queued(QueueView {
            update: Some(change), ..
        })) if change.window_from != change.window_to => {
            let (starts_at, ends_at) = bounds(change.window_from);
            json!({"starts_at": starts_at, "ends_at": ends_at})
        }
        _ => Value::Null,
    }
}

fn hint(code: &CodeView) -> Value {
    match &code.pending {
        None => Value::Null,
        Some(Pending::Deferred { .. }) => Value::from("Nothing to do: it goes onto the lock in time."),
        Some(Pending::Queued(row)) => Value::from(waiting_hint(row.reason)),
    }
}

/// What to do about a command that waits, in a sentence.
#[must_use]
pub fn waiting_hint(reason: Waiting) -> &'static str {
    match reason {
        Waiting::InLine => "Nothing to do: its turn comes.",
        Waiting::Silent => "Check the lock's batteries and whether it is within reach of the gateway.",
        Waiting::NoSlot => "Nothing to do: a place gets free when another code is taken off.",
        Waiting::Refused(Objection::Full) => "Delete codes that nobody needs from the lock.",
        Waiting::Refused(Objection::Duplicate) => {
            "Remove the code with this PIN at the lock, or make a new access code."
        }
        Waiting::Refused(Objection::SlotTaken) => "Remove the foreign code at the lock.",
        Waiting::Refused(Objection::Credential) => "Pair the lock with the gateway again.",
        Waiting::Refused(Objection::Other) => "Check the lock; it may be in a mode that takes no codes.",
        Waiting::Denied => "Nothing to do yet: the gateway tries again.",
        Waiting::NotKept => "Check the lock: it loses what it is told. Update the code to try at once.",
    }
}

/// A job, member by member.
#[must_use]
pub fn job(view: &JobView, pins: Pins) -> Value {
    let settled = view.members.iter().filter(|member| member.settled).count();
    let mut told = json!({
        "job_id": view.id,
        "verb": view.verb.word(),
        "phase": phase_word(view.phase),
        "at": time::show(view.at),
        "done_at": view.done_at.map(time::show),
        "settled": settled,
        "members": view.members.len(),
        "receipts": view.members.iter().map(|m| job_member(m, pins)).collect::<Vec<_>>(),
    });
    if let Answer::Refused(refusal) = &view.answer {
        told["reason"] = refusal.reason.word().into();
        told["message"] = refusal.message.clone().into();
        told["reasons"] = reasons(refusal);
    }
    told
}

fn job_member(view: &JobMemberView, pins: Pins) -> Value {
    let mut told = match &view.now {
        Some(receipt) => member(receipt, pins),
        None => json!({"device_id": view.device, "access_code_id": view.code, "status": null}),
    };
    told["settled"] = view.settled.into();
    told
}

/// The commands that a device waits for.
#[must_use]
pub fn queue(rows: &[QueueView]) -> Value {
    let row = |row: &QueueView| {
        json!({
            "access_code_id": row.code,
            "aim": aim_word(row.aim),
            "is_update": row.update.is_some(),
            "reason": row.reason.word(),
            "since": time::show(row.since),
            "tries": row.tries,
            "next_try": row.next_try.map(time::show),
            "hint": waiting_hint(row.reason),
        })
    };
    rows.iter().map(row).collect()
}

/// The codes of a device that wait for their time: they have no command yet.
#[must_use]
pub fn upcoming(codes: &[CodeView]) -> Value {
    codes
        .iter()
        .filter_map(|code| match &code.pending {
            Some(Pending::Deferred { until }) => Some(json!({
                "access_code_id": code.code,
                "aim": aim_word(Aim::Set),
                "scheduled_at": time::show(*until),
            })),
            Some(Pending::Queued(_)) | None => None,
        })
        .collect()
}

fn aim_word(aim: Aim) -> &'static str {
    match aim {
        Aim::Set => "set",
        Aim::Remove => "remove",
    }
}

fn how_word(how: How) -> &'static str {
    match how {
        How::ReadBack => "read_back",
        How::Acknowledged => "acknowledged",
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Rejected => "rejected",
        Phase::Accepted => "accepted",
        Phase::Done => "done",
    }
}
