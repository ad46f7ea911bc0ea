//! Errors and warnings, as access codes, devices and events carry them.

use schemars::JsonSchema;
use serde::Serialize;

use super::word::{Always, Moment};
use crate::gateway::view::{Away, External, ExternalChange};
use crate::gateway::{Aim, Waiting};
use crate::model::{Objection, Outage, Timestamp};

/// Something is wrong, and the gateway cannot help it alone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "error")]
pub struct Error {
    /// What is wrong.
    error_code: ErrorCode,
    /// The same for a person.
    message: &'static str,
    /// Since when.
    created_at: Moment,
    /// It is about the access code.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_access_code_error: Option<Always<true>>,
    /// It is about the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_device_error: Option<Always<true>>,
    /// What somebody else did, with `conflicting_external_modification`.
    #[serde(skip_serializing_if = "Option::is_none")]
    change_type: Option<ChangeType>,
    /// Always empty: what others wrote is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_fields: Option<[(); 0]>,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ErrorCode {
    ConflictingExternalModification,
    DeviceOffline,
    DeviceRemoved,
    DuplicateCodeOnDevice,
    FailedToRemoveFromDevice,
    FailedToSetOnDevice,
    HubDisconnected,
    NoSpaceForAccessCodeOnDevice,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ChangeType {
    Modified,
    Removed,
}

/// Something is not as it should be, and the gateway is at it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "warning")]
pub struct Warning {
    /// What is not as it should be.
    warning_code: WarningCode,
    /// The same for a person.
    message: &'static str,
    /// Since when.
    created_at: Moment,
    /// Codes that the lock holds, with `max_access_codes_reached`.
    #[serde(skip_serializing_if = "Option::is_none")]
    active_access_code_count: Option<usize>,
    /// Codes that it can hold, with `max_access_codes_reached`.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_active_access_code_count: Option<usize>,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum WarningCode {
    BeingDeleted,
    ClockUntrusted,
    DelayInRemovingFromDevice,
    DelayInSettingOnDevice,
    MaxAccessCodesReached,
    SuspectAccessCodes,
}

impl Error {
    fn on_code(error_code: ErrorCode, message: &'static str, since: Timestamp) -> Error {
        Error {
            error_code,
            message,
            created_at: Moment(since),
            is_access_code_error: Some(Always),
            is_device_error: None,
            change_type: None,
            modified_fields: None,
        }
    }

    fn on_device(error_code: ErrorCode, message: &'static str, since: Timestamp) -> Error {
        Error {
            is_access_code_error: None,
            is_device_error: Some(Always),
            ..Error::on_code(error_code, message, since)
        }
    }

    /// The lock does not answer.
    pub fn device_offline(since: Timestamp) -> Error {
        let message = "The lock does not answer. The gateway keeps trying.";
        Error::on_device(ErrorCode::DeviceOffline, message, since)
    }

    /// What speaks to the lock is away, and the lock is not to blame.
    pub fn radio_away(away: Away) -> Error {
        let Some(outage) = away.outage else {
            let message = "The gateway has just started, and has not heard of the lock's radio yet.";
            return Error::on_device(ErrorCode::HubDisconnected, message, away.since);
        };
        let message = match outage {
            Outage::Server => "The Z-Wave server cannot be reached. The gateway keeps trying.",
            Outage::Stick => "The Z-Wave stick does not answer its server. The gateway keeps trying.",
            Outage::Bus => "The D-Bus system bus does not answer. The gateway keeps trying.",
            Outage::Daemon => "The Bluetooth daemon does not answer. The gateway keeps trying.",
            Outage::Adapter => "There is no such Bluetooth adapter. The gateway keeps trying.",
            Outage::AdapterOff => "The Bluetooth adapter stays off. The gateway keeps trying.",
            Outage::Denied => "The Bluetooth daemon refuses the gateway's user. The gateway keeps trying.",
        };
        Error::on_device(ErrorCode::HubDisconnected, message, away.since)
    }

    /// The device left this gateway.
    pub fn device_removed(since: Timestamp) -> Error {
        let message = "The device is no longer part of this gateway.";
        Error::on_device(ErrorCode::DeviceRemoved, message, since)
    }

    /// Somebody else changed a code of ours.
    pub fn external(external: External) -> Error {
        let (change, message) = match external.change {
            ExternalChange::Modified => (
                ChangeType::Modified,
                "Somebody else changed the code on the lock. The gateway sets it again.",
            ),
            ExternalChange::Removed => (
                ChangeType::Removed,
                "Somebody else took the code off the lock. The gateway sets it again.",
            ),
        };
        Error {
            change_type: Some(change),
            modified_fields: Some([]),
            ..Error::on_code(ErrorCode::ConflictingExternalModification, message, external.at)
        }
    }

    /// What the lock has against a command, if its own answer is why it still waits.
    pub fn of_lock(aim: Aim, reason: Waiting, since: Timestamp) -> Option<Error> {
        use ErrorCode::{
            DuplicateCodeOnDevice, FailedToRemoveFromDevice, FailedToSetOnDevice,
            NoSpaceForAccessCodeOnDevice,
        };
        let (code, message) = match (reason, aim) {
            (Waiting::InLine | Waiting::Silent | Waiting::RadioAway(_) | Waiting::NoSlot, _) => return None,
            (_, Aim::Remove) => (
                FailedToRemoveFromDevice,
                "The lock did not remove the code. The gateway keeps trying.",
            ),
            (Waiting::Refused(Objection::Full), Aim::Set) => (
                NoSpaceForAccessCodeOnDevice,
                "The lock has no free place for the code.",
            ),
            (Waiting::Refused(Objection::Duplicate), Aim::Set) => (
                DuplicateCodeOnDevice,
                "The lock holds this PIN already, in a code that this gateway did not set.",
            ),
            (Waiting::Refused(Objection::SlotTaken), Aim::Set) => (
                FailedToSetOnDevice,
                "Somebody else's code stands where this one was to go. The gateway keeps trying.",
            ),
            (Waiting::Refused(Objection::Credential), Aim::Set) => (
                FailedToSetOnDevice,
                "The lock does not accept the gateway's credentials.",
            ),
            (Waiting::Refused(Objection::Unsecured), Aim::Set) => (
                FailedToSetOnDevice,
                "The lock was joined without encryption: no PIN is sent to it in the clear.",
            ),
            (Waiting::Refused(Objection::Other), Aim::Set) => (
                FailedToSetOnDevice,
                "The lock refused the code. The gateway keeps trying.",
            ),
            (Waiting::Denied, Aim::Set) => (
                FailedToSetOnDevice,
                "The lock accepted the code and did not store it. The gateway keeps trying.",
            ),
            (Waiting::GoneSinceExport, Aim::Set) => (
                FailedToSetOnDevice,
                "The lock held the code when the export was made from which the gateway was restored, and \
                 holds it no more. It is not set again before somebody says so.",
            ),
            (Waiting::NotKept, Aim::Set) => (
                FailedToSetOnDevice,
                "The lock loses the code again and again. The gateway tries again later.",
            ),
        };
        Some(Error::on_code(code, message, since))
    }
}

impl Warning {
    fn new(warning_code: WarningCode, message: &'static str, since: Timestamp) -> Warning {
        Warning {
            warning_code,
            message,
            created_at: Moment(since),
            active_access_code_count: None,
            max_active_access_code_count: None,
        }
    }

    /// Deletion was asked for.
    pub fn being_deleted(since: Timestamp) -> Warning {
        let message = "Deletion was asked for; the lock has not yet confirmed it.";
        Warning::new(WarningCode::BeingDeleted, message, since)
    }

    /// Nothing vouches for the clock.
    pub fn clock_untrusted(since: Timestamp) -> Warning {
        let message = "The gateway's clock is not trusted: the code is set and removed only once its time has certainly come.";
        Warning::new(WarningCode::ClockUntrusted, message, since)
    }

    /// A command takes longer than usual.
    pub fn delay(aim: Aim, since: Timestamp) -> Warning {
        let (code, message) = match aim {
            Aim::Set => (
                WarningCode::DelayInSettingOnDevice,
                "Setting the code takes longer than usual.",
            ),
            Aim::Remove => (
                WarningCode::DelayInRemovingFromDevice,
                "Removing the code takes longer than usual.",
            ),
        };
        Warning::new(code, message, since)
    }

    /// The lock holds codes that may be ours, and that nobody knows.
    pub fn suspects(since: Timestamp) -> Warning {
        let message = "Codes stand on the lock that may have been set by this gateway before it was restored. They are left alone: whoever knows no use for them takes them off at the lock.";
        Warning::new(WarningCode::SuspectAccessCodes, message, since)
    }

    /// The lock is full.
    pub fn full(held: usize, most: usize, since: Timestamp) -> Warning {
        let message = "The lock holds as many codes as it can.";
        Warning {
            active_access_code_count: Some(held),
            max_active_access_code_count: Some(most),
            ..Warning::new(WarningCode::MaxAccessCodesReached, message, since)
        }
    }
}
