//! Why a job was not accepted: one word per cause, the same over HTTP and MQTT.

use serde::{Deserialize, Serialize};

use super::id::DeviceId;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $retryable:literal, $hint:literal;)*) => {
        /// The cause of a refusal. Its word is stable: clients match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Reason {
            /// The word: Seam's error `type`, and the reason over MQTT.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Reason::$name => $word,)* }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Reason::$name => $retryable,)* }
            }

            /// What to do about it, in a sentence.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Reason::$name => $hint,)* }
            }
        }
    };
}

reasons! {
    /// The body is not JSON.
    InvalidJson = "invalid_json", false, "Send a JSON object.";
    /// A parameter is missing, of the wrong kind, or says something impossible.
    InvalidInput = "invalid_input", false, "Correct the named parameters.";
    /// No PIN suits all members.
    CannotShare = "cannot_share", false, "Name other devices, or allow create_random_code.";
    /// No key, or one that is not known.
    Unauthorized = "unauthorized", false, "Send a key made by `lockbridge keys create`.";
    /// The key may not do this.
    Forbidden = "forbidden", false, "Use a key with the scope that is named.";
    /// No such device.
    DeviceNotFound = "device_not_found", false, "List the devices and use one of their ids.";
    /// No such access code or group.
    AccessCodeNotFound = "access_code_not_found", false, "List the access codes of the device.";
    /// No such job.
    JobNotFound = "job_not_found", false, "Use the job id of an answer of the last 30 days.";
    /// No such door command.
    ActionAttemptNotFound = "action_attempt_not_found", false, "Door commands are forgotten when the gateway starts anew.";
    /// No such event.
    EventNotFound = "event_not_found", false, "List the events; the oldest are forgotten.";
    /// No such path, or no such command.
    NotFound = "not_found", false, "Check the path, or the topic of the command.";
    /// The path takes other methods.
    MethodNotAllowed = "method_not_allowed", false, "Use one of the methods in the Allow header.";
    /// The PIN is taken on a device.
    DuplicateAccessCode = "duplicate_access_code", false, "Choose another PIN, or leave it out.";
    /// The device does not answer, and the caller did not want to wait.
    DeviceOffline = "device_offline", true, "Try again later, or allow attempt_for_offline_device.";
    /// The device is no longer part of this gateway.
    DeviceRemoved = "device_removed", false, "Put the device back into the configuration.";
    /// Codes of the device are not over.
    DeviceInUse = "device_in_use", false, "Delete its codes first and wait until they are off the lock, or force it.";
    /// The lock holds no more codes at some time of the window.
    NoSpace = "no_space_for_access_code_on_device", true, "Delete codes, or choose another window.";
    /// The id was used for another request.
    JobIdReused = "job_id_reused", false, "Use a new id for a new request.";
    /// The body is too large.
    PayloadTooLarge = "payload_too_large", false, "Send at most 64 kB.";
    /// Too many requests.
    RateLimited = "rate_limited", true, "Wait and try again.";
    /// A limit of the gateway is reached.
    Busy = "busy", true, "Wait and try again.";
    /// There is no key to which an export could be sealed.
    NoRecoveryKey = "no_recovery_key", false, "Say `lockbridge init` on the gateway's machine.";
    /// An export could not be made.
    ExportFailed = "export_failed", true, "See what the message names, and try again.";
    /// The card is full.
    StorageFull = "storage_full", true, "Make room on the gateway's storage.";
    /// A command came as a retained message.
    RetainedCommand = "retained_command", false, "Publish commands without the retain flag.";
    /// The answer may not be sent where the caller asked.
    ReplyNotAllowed = "reply_not_allowed", false, "Use a reply topic below the configured prefix.";
    /// The command's message expiry had passed.
    Expired = "expired", true, "Send the command again.";
}

/// A refused job: nothing was changed, on no device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The cause.
    pub reason: Reason,
    /// What went wrong, for a person. Holds no secret.
    pub message: String,
    /// What each device objects to, where that is the cause.
    pub devices: Vec<DeviceReason>,
    /// What is wrong with each parameter, where that is the cause.
    pub fields: Vec<(String, String)>,
    /// When the same request may succeed, in whole seconds from now, if that is known.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
}

/// What one device objects to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReason {
    /// The device.
    pub device: DeviceId,
    /// The cause.
    pub reason: Reason,
    /// What went wrong, for a person. Holds no secret.
    pub message: String,
}

impl Refusal {
    /// A refusal with a cause and a sentence.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            message: message.into(),
            devices: Vec::new(),
            fields: Vec::new(),
            retry_after_s: None,
        }
    }

    /// An `invalid_input` that names the parameter.
    #[must_use]
    pub fn invalid(field: &str, problem: impl Into<String>) -> Refusal {
        let problem = problem.into();
        let mut refusal = Refusal::new(Reason::InvalidInput, format!("{field}: {problem}"));
        refusal.fields.push((field.to_owned(), problem));
        refusal
    }

    /// A refusal for what devices object to; its cause is that of the first.
    #[must_use]
    pub fn by_devices(reason: Reason, message: impl Into<String>, devices: Vec<DeviceReason>) -> Refusal {
        Refusal {
            reason,
            message: message.into(),
            devices,
            fields: Vec::new(),
            retry_after_s: None,
        }
    }
}
