//! What can go wrong on the way to a link, by what helps.

use crate::model::Outage;

/// Why a lock could not be linked to. Whoever asked may ask again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLink {
    /// It did not answer.
    #[error("the lock did not answer")]
    Silent,
    /// It was not heard.
    #[error("the lock was not heard: out of reach, or a phone is connected to it")]
    Unheard,
    /// It answers, and is no lock of this kind.
    #[error("the lock does not offer what a lock of its kind has to offer")]
    Misfit,
    /// Links come about and fail, or the daemon is stuck with it.
    #[error("the link to the lock failed again and again")]
    Failed,
    /// The radio did not get round to it: others had it all the time, or it began anew. The lock is not to blame.
    #[error("the radio did not get round to the lock")]
    Untried,
    /// There is no radio.
    #[error("{0}")]
    Radio(Outage),
    /// The gateway ends.
    #[error("the gateway ends")]
    Over,
}

/// How one attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// What the air does now and then; also how running out of links looks.
    Passing,
    /// The lock did not answer within the time for it.
    Silent,
    /// The daemon does not list it: it has to be heard first.
    Unheard,
    /// The daemon is at something that it does not end.
    Stuck,
    /// What the lock offers lacks what was asked for.
    Misfit,
    /// The connection to the bus is worn out; a new one helps.
    Worn,
    /// There is no radio.
    Radio(Outage),
}

impl Failure {
    /// Of an error of the bus or of the daemon.
    pub fn of(name: &str, text: &str) -> Failure {
        match name.strip_prefix("org.freedesktop.DBus.Error.") {
            Some("LimitsExceeded") => Failure::Worn,
            Some("AccessDenied") => Failure::Radio(Outage::Denied),
            Some("UnknownObject" | "UnknownMethod" | "UnknownInterface") => Failure::Unheard,
            Some("ServiceUnknown" | "NameHasNoOwner" | "NoReply" | "Timeout" | "TimedOut") => {
                Failure::Radio(Outage::Daemon)
            }
            Some(spawn) if spawn.starts_with("Spawn.") => Failure::Radio(Outage::Daemon),
            Some("Disconnected" | "NoServer" | "FileNotFound") => Failure::Radio(Outage::Bus),
            _ => match name.strip_prefix("org.bluez.Error.") {
                Some("InProgress") => Failure::Stuck,
                Some("DoesNotExist") => Failure::Unheard,
                Some("NotReady") => Failure::Radio(Outage::AdapterOff),
                // Older daemons say it in words only.
                _ if text.contains("already in progress") => Failure::Stuck,
                _ => Failure::Passing,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_what_helps() {
        for (name, text, failure) in [
            (
                "org.bluez.Error.Failed",
                "le-connection-abort-by-local",
                Failure::Passing,
            ),
            ("org.bluez.Error.Failed", "Input/output error", Failure::Passing),
            (
                "org.bluez.Error.Failed",
                "br-connection-canceled",
                Failure::Passing,
            ),
            (
                "org.bluez.Error.Failed",
                "Operation already in progress",
                Failure::Stuck,
            ),
            ("org.bluez.Error.InProgress", "In Progress", Failure::Stuck),
            (
                "org.bluez.Error.NotReady",
                "Resource Not Ready",
                Failure::Radio(Outage::AdapterOff),
            ),
            ("org.freedesktop.DBus.Error.UnknownObject", "", Failure::Unheard),
            (
                "org.freedesktop.DBus.Error.ServiceUnknown",
                "",
                Failure::Radio(Outage::Daemon),
            ),
            (
                "org.freedesktop.DBus.Error.Spawn.ChildExited",
                "",
                Failure::Radio(Outage::Daemon),
            ),
            (
                "org.freedesktop.DBus.Error.Timeout",
                "Timeout waiting for reply",
                Failure::Radio(Outage::Daemon),
            ),
            ("org.freedesktop.DBus.Error.LimitsExceeded", "", Failure::Worn),
            (
                "org.freedesktop.DBus.Error.AccessDenied",
                "",
                Failure::Radio(Outage::Denied),
            ),
        ] {
            assert_eq!(Failure::of(name, text), failure, "{name}: {text}");
        }
    }
}
