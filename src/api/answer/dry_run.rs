//! What `create_multiple` would come to now.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::refusal::{DeviceReason, reasons};
use super::waiting_hint;
use super::word::Moment;
use crate::gateway::Waiting;
use crate::gateway::view;
use crate::model::{self, Timestamp};

/// What a job would come to now.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "dry_run")]
pub struct DryRun {
    /// It would be accepted.
    possible: bool,
    /// Why it would not.
    refusal: Option<Cause>,
    /// Digits of the PIN that would be shared; `null` if none would be.
    length: Option<u8>,
    /// Door by door, in the order of the job; those that nobody knows are left out.
    doors: Vec<DryDoor>,
}

/// Why a job would be refused.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "dry_run_refusal")]
struct Cause {
    /// A stable word for it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same for a person.
    message: String,
}

/// One door of a dry run.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "dry_run_door")]
struct DryDoor {
    /// The device.
    device_id: Uuid,
    /// Its name.
    device_name: String,
    /// Which PIN it would get.
    share: Share,
    /// What it objects to, or why its code would have to wait.
    reasons: Vec<DeviceReason>,
    /// When its lock takes no more codes, within the window.
    full: Vec<Span>,
    /// In how many of the last hours it was heard.
    heard_hours: u32,
    /// Of so many.
    watched_hours: u32,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Share {
    Shared,
    OwnPin,
    None,
}

/// A span of time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "span")]
struct Span {
    /// From when on.
    from: Moment,
    /// Until when; `null` for good.
    until: Option<Moment>,
}

/// What a job would come to now.
#[must_use]
pub fn dry_run(view: &view::DryRun) -> DryRun {
    let refusal = view.length.as_ref().err();
    DryRun {
        possible: refusal.is_none(),
        refusal: refusal.map(|refusal| Cause {
            kind: refusal.reason.word(),
            message: refusal.message.clone(),
        }),
        length: view.length.as_ref().ok().copied().flatten(),
        doors: view.doors.iter().map(|one| door(one, refusal)).collect(),
    }
}

fn door(door: &view::DryDoor, refusal: Option<&model::Refusal>) -> DryDoor {
    let objections = refusal.map(reasons).unwrap_or_default();
    let objections = objections
        .into_iter()
        .filter(|one| one.device_id == Some(door.device.0));
    let mut reasons: Vec<DeviceReason> = objections.collect();
    if reasons.is_empty() {
        reasons.extend(door.delay.map(|delay| delayed(door, delay)));
    }
    DryDoor {
        device_id: door.device.0,
        device_name: door.name.clone(),
        share: match door.share {
            view::Share::Shared => Share::Shared,
            view::Share::OwnPin => Share::OwnPin,
            view::Share::None => Share::None,
        },
        reasons,
        full: door
            .full
            .iter()
            .map(|span| Span {
                from: Moment(span.from),
                until: (span.until < Timestamp::MAX).then_some(Moment(span.until)),
            })
            .collect(),
        heard_hours: door.heard.hours,
        watched_hours: door.heard.of,
    }
}

/// What keeps a door from taking its code at once.
fn delayed(door: &view::DryDoor, delay: Waiting) -> DeviceReason {
    let name = &door.name;
    let message = match delay {
        Waiting::RadioAway(away) => format!("{name} cannot be asked at present, since {away}"),
        _ => format!("{name} does not answer at present: the code goes onto it once it does"),
    };
    DeviceReason {
        device_id: Some(door.device.0),
        reason: delay.word(),
        message,
        retryable: true,
        hint: waiting_hint(delay),
    }
}
