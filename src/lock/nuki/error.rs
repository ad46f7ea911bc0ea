//! The lock's error codes, and what is to be done about them.

use std::fmt;

use crate::model::{Finding, Objection};

/// An error as the lock names it. The byte stays as it came, known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u8);

/// What is to be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same request would be refused again.
    Permanent,
    /// The request did not arrive as it was meant, or nobody knows what became of it: look, and ask again.
    Retry,
    /// Not now: the lock does something else, or makes somebody wait.
    Busy,
    /// The lock holds no more of these.
    Full,
    /// The lock holds these digits already.
    Conflict,
    /// The lock does not accept who we are, or our security PIN.
    Credential,
}

impl ErrorCode {
    /// Not in pairing mode.
    pub const NOT_PAIRING: ErrorCode = ErrorCode(0x10);
    /// It does not know us, or the key is another.
    pub const NOT_AUTHORIZED: ErrorCode = ErrorCode(0x20);
    /// It knows no user of that number.
    pub const INVALID_AUTHORIZATION: ErrorCode = ErrorCode(0x24);
    /// It takes no security PIN for a while, after too many wrong ones: each further one may prolong that.
    pub const TOO_MANY_PINS: ErrorCode = ErrorCode(0x28);
    /// The security PIN is wrong: another try would bring a lockout nearer.
    pub const BAD_PIN: ErrorCode = ErrorCode(0x21);

    /// What is to be done about it. A code that nobody published counts as permanent.
    #[must_use]
    pub fn class(self) -> Class {
        match self.0 {
            // Unknown; checksum; nonce.
            0xff | 0xfd | 0x22 => Class::Retry,
            // Not authorized; bad PIN; disabled; outside its times; too many wrong PINs.
            0x20 | 0x21 | 0x25 | 0x27 | 0x28 => Class::Credential,
            // Too many users; too many codes.
            0x13 | 0x29 => Class::Full,
            0x2a => Class::Conflict,
            // A keypad makes somebody wait; unlocked by itself just now; an action is running.
            0x2c..=0x2e | 0x40 | 0x45 => Class::Busy,
            _ => Class::Permanent,
        }
    }

    /// What a step has found that ended with it.
    pub(super) fn finding(self) -> Finding {
        Finding::Refused(match self.class() {
            // The lock said neither yes nor no.
            Class::Retry => return Finding::Unanswered,
            Class::Full => Objection::Full,
            Class::Conflict => Objection::Duplicate,
            Class::Credential => Objection::Credential,
            Class::Permanent | Class::Busy => Objection::Other,
        })
    }

    /// The vendor's name for it; `None` if none was published.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0xfd => "ERROR_BAD_CRC",
            0xfe => "ERROR_BAD_LENGTH",
            0xff => "ERROR_UNKNOWN",
            0x10 => "P_ERROR_NOT_PAIRING",
            0x11 => "P_ERROR_BAD_AUTHENTICATOR",
            0x12 => "P_ERROR_BAD_PARAMETER",
            0x13 => "P_ERROR_MAX_USER",
            0x20 => "K_ERROR_NOT_AUTHORIZED",
            0x21 => "K_ERROR_BAD_PIN",
            0x22 => "K_ERROR_BAD_NONCE",
            0x23 => "K_ERROR_BAD_PARAMETER",
            0x24 => "K_ERROR_INVALID_AUTH_ID",
            0x25 => "K_ERROR_DISABLED",
            0x26 => "K_ERROR_REMOTE_NOT_ALLOWED",
            0x27 => "K_ERROR_TIME_NOT_ALLOWED",
            0x28 => "K_ERROR_TOO_MANY_PIN_ATTEMPTS",
            0x29 => "K_ERROR_TOO_MANY_ENTRIES",
            0x2a => "K_ERROR_CODE_ALREADY_EXISTS",
            0x2b => "K_ERROR_CODE_INVALID",
            0x2c => "K_ERROR_CODE_INVALID_TIMEOUT_1",
            0x2d => "K_ERROR_CODE_INVALID_TIMEOUT_2",
            0x2e => "K_ERROR_CODE_INVALID_TIMEOUT_3",
            0x40 => "K_ERROR_AUTO_UNLOCK_TOO_RECENT",
            0x41 => "K_ERROR_POSITION_UNKNOWN",
            0x42 => "K_ERROR_MOTOR_BLOCKED",
            0x43 => "K_ERROR_CLUTCH_FAILURE",
            0x44 => "K_ERROR_MOTOR_TIMEOUT",
            0x45 => "K_ERROR_BUSY",
            0x46 => "K_ERROR_CANCELED",
            0x47 => "K_ERROR_NOT_CALIBRATED",
            0x48 => "K_ERROR_MOTOR_POSITION_LIMIT",
            0x49 => "K_ERROR_MOTOR_LOW_VOLTAGE",
            0x4a => "K_ERROR_MOTOR_POWER_FAILURE",
            0x4b => "K_ERROR_CLUTCH_POWER_FAILURE",
            0x4c => "K_ERROR_VOLTAGE_TOO_LOW",
            0x4d => "K_ERROR_FIRMWARE_UPDATE_NEEDED",
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (0x{:02X})",
            self.name().unwrap_or("an unknown error"),
            self.0
        )
    }
}
