//! Refusals, in Seam's envelope.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::word::Always;
use crate::model::{self, Reason};

/// What tells of a refusal.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "refusal")]
pub struct Refusal {
    /// Why.
    error: Cause,
    /// Nothing was changed.
    ok: Always<false>,
}

/// Why a call was refused.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "refusal_cause")]
struct Cause {
    /// A stable word for it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same for a person.
    message: String,
    /// What is wrong with each parameter, with `invalid_input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_errors: Option<FieldErrors>,
    /// What else belongs to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

/// What is wrong with the call as a whole, and with each of its parameters.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "validation_errors")]
struct FieldErrors {
    /// With the call as a whole.
    #[serde(rename = "_errors")]
    whole: Vec<String>,
    /// With each parameter.
    #[serde(flatten)]
    fields: BTreeMap<String, FieldError>,
}

/// What is wrong with a parameter.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "validation_error")]
struct FieldError {
    /// In sentences.
    #[serde(rename = "_errors")]
    errors: Vec<String>,
}

/// What belongs to a refusal beyond Seam's words.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "refusal_data")]
struct Data {
    /// What each device objects to.
    reasons: Vec<DeviceReason>,
}

/// What a device objects to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "device_reason")]
pub struct DeviceReason {
    /// The device; `null` if it is no device's objection.
    pub(super) device_id: Option<Uuid>,
    /// A stable word for it.
    pub(super) reason: &'static str,
    /// The same for a person.
    pub(super) message: String,
    /// The same call may succeed later.
    pub(super) retryable: bool,
    /// What to do about it.
    pub(super) hint: &'static str,
}

/// The body that tells of a refusal.
#[must_use]
pub fn refusal(refusal: &model::Refusal) -> Refusal {
    let invalid = refusal.reason == Reason::InvalidInput;
    Refusal {
        error: Cause {
            kind: refusal.reason.word(),
            message: refusal.message.clone(),
            validation_errors: invalid.then(|| field_errors(refusal)),
            data: (!refusal.devices.is_empty()).then(|| Data {
                reasons: reasons(refusal),
            }),
        },
        ok: Always,
    }
}

/// What each device objects to.
#[must_use]
pub fn reasons(refusal: &model::Refusal) -> Vec<DeviceReason> {
    let by = |device: Option<Uuid>, reason: Reason, message: &str| DeviceReason {
        device_id: device,
        reason: reason.word(),
        message: message.to_owned(),
        retryable: reason.retryable(),
        hint: reason.hint(),
    };
    let devices = refusal.devices.iter();
    devices
        .map(|device| by(Some(device.device.0), device.reason, &device.message))
        .collect()
}

/// The same; the refusal's own cause if it is no device's.
#[must_use]
pub fn all_reasons(refusal: &model::Refusal) -> Vec<DeviceReason> {
    match refusal.devices.is_empty() {
        false => reasons(refusal),
        true => vec![DeviceReason {
            device_id: None,
            reason: refusal.reason.word(),
            message: refusal.message.clone(),
            retryable: refusal.reason.retryable(),
            hint: refusal.reason.hint(),
        }],
    }
}

fn field_errors(refusal: &model::Refusal) -> FieldErrors {
    let whole = refusal.fields.is_empty().then(|| refusal.message.clone());
    let field = |(name, problem): &(String, String)| {
        let errors = vec![problem.clone()];
        (name.clone(), FieldError { errors })
    };
    FieldErrors {
        whole: whole.into_iter().collect(),
        fields: refusal.fields.iter().map(field).collect(),
    }
}

/// The HTTP status of a refusal.
#[must_use]
pub fn status_of(reason: Reason) -> u16 {
    match reason {
        Reason::InvalidJson | Reason::InvalidInput | Reason::CannotShare => 400,
        Reason::RetainedCommand | Reason::ReplyNotAllowed | Reason::Expired => 400,
        Reason::Unauthorized => 401,
        Reason::Forbidden => 403,
        Reason::DeviceNotFound
        | Reason::AccessCodeNotFound
        | Reason::JobNotFound
        | Reason::NotFound
        | Reason::ActionAttemptNotFound
        | Reason::EventNotFound => 404,
        Reason::MethodNotAllowed => 405,
        Reason::DuplicateAccessCode
        | Reason::DeviceOffline
        | Reason::DeviceRemoved
        | Reason::DeviceInUse
        | Reason::NoSpace
        | Reason::NoRecoveryKey
        | Reason::JobIdReused => 409,
        Reason::PayloadTooLarge => 413,
        Reason::RateLimited => 429,
        Reason::Busy | Reason::ExportFailed => 503,
        Reason::StorageFull => 507,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_in_seams_envelope() {
        let told = refusal(&model::Refusal::invalid("ends_at", "must be after starts_at"));
        assert_eq!(
            serde_json::to_value(told).unwrap(),
            json!({
                "error": {
                    "type": "invalid_input",
                    "message": "ends_at: must be after starts_at",
                    "validation_errors": {
                        "_errors": [],
                        "ends_at": {"_errors": ["must be after starts_at"]},
                    },
                },
                "ok": false,
            })
        );
    }
}
