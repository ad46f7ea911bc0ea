//! What callers are told.
//!
//! ```text
//! mod.rs    envelopes: bodies of answers, refusals, statuses      device.rs  a device
//! code.rs   an access code in Seam's shape                        receipt.rs receipts, jobs, queues
//! ```

mod code;
mod device;
mod receipt;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::gateway::Answer;
use crate::model::{Pin, Reason, Refusal};

pub use code::access_code;
pub use device::device;
pub use receipt::{job, queue, receipt, upcoming, waiting_hint};

/// Whether the caller may see PINs (I8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pins {
    /// In the clear.
    Shown,
    /// `null` in their place.
    Hidden,
}

impl Pins {
    /// A PIN as this caller sees it.
    fn show(self, pin: &Pin) -> Value {
        match self {
            Pins::Shown => Value::from(pin.expose()),
            Pins::Hidden => Value::Null,
        }
    }
}

/// The ids under which a gateway's objects stand in Seam's world: the same at every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// `workspace_id`: the site.
    pub workspace: Uuid,
    /// `connected_account_id`: the gateway.
    pub account: Uuid,
}

impl Site {
    /// The ids of a gateway, from the names in its configuration.
    #[must_use]
    pub fn new(site: &str, gateway: &str) -> Site {
        let id = |name: String| Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
        Site {
            workspace: id(format!("lockbridge:{site}")),
            account: id(format!("lockbridge:{site}/{gateway}")),
        }
    }
}

/// The body of the answer to a job.
#[must_use]
pub fn answer_body(site: &Site, answer: &Answer, pins: Pins) -> Value {
    match answer {
        Answer::Created(codes) => {
            let codes: Vec<Value> = codes.iter().map(|code| access_code(site, code, pins)).collect();
            json!({"access_codes": codes, "ok": true})
        }
        Answer::CreatedOne(code) => json!({"access_code": access_code(site, code, pins), "ok": true}),
        Answer::Attempt(_) => json!({"ok": true}),
        Answer::Ok => json!({"ok": true}),
        Answer::Refused(refused) => refusal(refused),
    }
}

/// The body that tells of a refusal, in Seam's envelope.
#[must_use]
pub fn refusal(refusal: &Refusal) -> Value {
    let mut error = Map::new();
    error.insert("type".into(), refusal.reason.word().into());
    error.insert("message".into(), refusal.message.clone().into());
    if refusal.reason == Reason::InvalidInput {
        error.insert("validation_errors".into(), validation_errors(refusal));
    }
    if !refusal.devices.is_empty() {
        error.insert("data".into(), json!({"reasons": reasons(refusal)}));
    }
    json!({"error": error, "ok": false})
}

/// What each device objects to.
#[must_use]
pub fn reasons(refusal: &Refusal) -> Value {
    let reason = |device: &crate::model::DeviceReason| {
        json!({
            "device_id": device.device,
            "reason": device.reason.word(),
            "message": device.message,
            "retryable": device.reason.retryable(),
            "hint": device.reason.hint(),
        })
    };
    refusal.devices.iter().map(reason).collect()
}

/// Seam's form: what is wrong with the request as a whole, and with each parameter.
fn validation_errors(refusal: &Refusal) -> Value {
    let mut errors = Map::new();
    let whole: Vec<&str> = match refusal.fields.is_empty() {
        true => vec![&refusal.message],
        false => Vec::new(),
    };
    errors.insert("_errors".into(), json!(whole));
    for (field, problem) in &refusal.fields {
        errors.insert(field.clone(), json!({"_errors": [problem]}));
    }
    Value::Object(errors)
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
        | Reason::NoSpace
        | Reason::JobIdReused => 409,
        Reason::PayloadTooLarge => 413,
        Reason::RateLimited => 429,
        Reason::Busy => 503,
        Reason::StorageFull => 507,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_in_seams_envelope() {
        let told = refusal(&Refusal::invalid("ends_at", "must be after starts_at"));
        assert_eq!(
            told,
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

    #[test]
    fn the_ids_of_a_site_stay() {
        let (one, other) = (Site::new("villa-7", "gw1"), Site::new("villa-7", "gw2"));
        assert_eq!(one, Site::new("villa-7", "gw1"));
        assert_eq!(one.workspace, other.workspace);
        assert_ne!(one.account, other.account);
    }
}
