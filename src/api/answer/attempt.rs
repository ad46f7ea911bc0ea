//! A door command in Seam's shape.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::word::Always;
use crate::gateway::view::{AttemptView, DoorFailure, Progress};
use crate::model::Deed;

/// A door command, and what came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "action_attempt")]
pub struct Attempt {
    /// Its id.
    action_attempt_id: Uuid,
    /// What it asks for.
    action_type: ActionType,
    /// How far it is.
    status: AttemptStatus,
    /// What came of it; `null` unless it is a success.
    result: Option<Success>,
    /// Why it failed; `null` unless it did.
    error: Option<Failure>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(inline)]
enum ActionType {
    LockDoor,
    UnlockDoor,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum AttemptStatus {
    Pending,
    Success,
    Error,
}

/// What came of a door command.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "action_attempt_result")]
struct Success {
    /// The lock has said so itself.
    was_confirmed_by_device: Always<true>,
}

/// Why a door command failed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "action_attempt_error")]
struct Failure {
    /// A stable word for it.
    #[serde(rename = "type")]
    kind: FailureType,
    /// The same for a person, and what to do about it.
    message: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum FailureType {
    DeviceRemoved,
    DeviceSilent,
    Expired,
    RadioAway,
    RefusedByDevice,
}

/// A door command.
#[must_use]
pub fn attempt(view: &AttemptView) -> Attempt {
    let (status, result, error) = match view.progress {
        Progress::Pending => (AttemptStatus::Pending, None, None),
        Progress::Done => {
            let success = Success {
                was_confirmed_by_device: Always,
            };
            (AttemptStatus::Success, Some(success), None)
        }
        Progress::Failed(why) => (AttemptStatus::Error, None, Some(failure(why))),
    };
    Attempt {
        action_attempt_id: view.attempt.0,
        action_type: match view.deed {
            Deed::Lock => ActionType::LockDoor,
            Deed::Unlock => ActionType::UnlockDoor,
        },
        status,
        result,
        error,
    }
}

fn failure(why: DoorFailure) -> Failure {
    let (kind, message) = match why {
        DoorFailure::Silent => (
            FailureType::DeviceSilent,
            "The lock did not answer, and may have moved all the same: look at the door before you ask again.",
        ),
        DoorFailure::Expired => (
            FailureType::Expired,
            "The lock could not be asked in time, and was not asked later: ask again.",
        ),
        DoorFailure::RadioAway => (
            FailureType::RadioAway,
            "The radio of the lock was away, and the lock may have moved all the same: look at the door before you ask \
             again.",
        ),
        DoorFailure::Refused => (
            FailureType::RefusedByDevice,
            "The lock said no: check whether something blocks its bolt, or whether it is in a private mode.",
        ),
        DoorFailure::Removed => (
            FailureType::DeviceRemoved,
            "The device left this gateway: put it back into the configuration.",
        ),
    };
    Failure { kind, message }
}
