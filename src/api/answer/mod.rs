//! What callers are told: shapes that are written as they stand, and described as they are written.
//!
//! ```text
//! body.rs     bodies of answers        event.rs      an event           trouble.rs  errors, warnings
//! bluetooth.rs  who is heard, pairings
//! code.rs     an access code           attempt.rs    a door command     refusal.rs  refusals
//! device.rs   a device                 workspace.rs  the site           receipt.rs  receipts, jobs, queues
//! door.rs     a door at a glance       session.rs    who is signed in   dry_run.rs  what a job would come to
//! why.rs      causes, in sentences     incident.rs   a bundle           word.rs     what they are made of
//! status.rs   the whole in one look    statement.rs  receipts that others can check
//! ```
//!
//! Shapes have no `Debug`: they may hold PINs.

mod attempt;
mod bluetooth;
mod body;
mod code;
mod device;
mod door;
mod dry_run;
mod event;
mod incident;
mod receipt;
mod refusal;
mod session;
mod statement;
mod status;
mod trouble;
mod why;
mod word;
mod workspace;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::model::Pin;

pub use attempt::{Attempt, attempt};
pub use bluetooth::{Bluetooth, Errand, Neighbour, Step as ErrandStep, Unpaired};
pub use body::{
    AttemptPage, CodePage, Codes, DevicePage, Document, Done, Doors, Events, Export, Generated,
    GeneratedCode, Groups, Locks, OneAttempt, OneBluetooth, OneClock, OneCode, OneDevice, OneDryRun,
    OneErrand, OneEvent, OneExport, OneIncident, OneJob, OneLock, OneQueue, OneReceipt, OneReceiptKey,
    OneSession, OneSignedReceipt, OneStatus, OneUnpaired, OneWhy, OneWorkspace, Pagination, Revealed,
    RevealedCode, Told, answer, clock,
};
pub use code::{AccessCode, access_code, matches};
pub use device::{Device, MANUFACTURER, can, device, device_type, display_name};
pub use door::{Door, DoorState, door, door_state};
pub use dry_run::{DryRun, dry_run};
pub use event::{EVENTS_LOST, Event, Streamed, event, event_code, event_id, event_kind, event_word};
pub use incident::{
    Abilities, Bundle, Change, Code, FORMAT, Happening, Lock, More, NoBundle, Radio, Set, Stage, Times,
    bundle,
};
pub use receipt::{Job, Queue, Receipt, job, queue, receipt, waiting_hint};
pub use refusal::{DeviceReason, Refusal, all_reasons, reasons, refusal, status_of};
pub use session::{Session, session};
pub use statement::{ReceiptKey, SignedReceipt, Statement, statement};
pub use status::{Edges, Problem, Readiness, Status, StoreState, readiness, status};
pub use why::{Cause, why_code, why_device};
pub use word::{Always, Moment, Nothing};
pub use workspace::{Workspace, workspace};

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
    #[must_use]
    pub fn show(self, pin: &Pin) -> Option<String> {
        match self {
            Pins::Shown => Some(pin.expose().to_owned()),
            Pins::Hidden => None,
        }
    }
}

/// How a gateway stands in Seam's world: its ids are the same at every start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// `workspace_id`: the site.
    pub workspace: Uuid,
    /// `connected_account_id`: the gateway.
    pub account: Uuid,
    /// The name of the site.
    pub name: String,
    /// The name of the gateway.
    pub gateway: String,
}

impl Site {
    /// A gateway, from the names in its configuration.
    #[must_use]
    pub fn new(site: &str, gateway: &str) -> Site {
        let id = |name: String| Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
        Site {
            workspace: id(format!("lockbridge:{site}")),
            account: id(format!("lockbridge:{site}/{gateway}")),
            name: site.to_owned(),
            gateway: gateway.to_owned(),
        }
    }
}

/// A shape as JSON, for who adds to it.
#[must_use]
pub fn value(shape: &impl Serialize) -> Value {
    serde_json::to_value(shape).expect("our own shapes have names for keys, and no numbers beyond JSON")
}

/// A shape as text.
#[must_use]
pub fn text(shape: &impl Serialize) -> String {
    serde_json::to_string(shape).expect("our own shapes have names for keys, and no numbers beyond JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_site_stay() {
        let (one, other) = (Site::new("villa-7", "gw1"), Site::new("villa-7", "gw2"));
        assert_eq!(one, Site::new("villa-7", "gw1"));
        assert_eq!(one.workspace, other.workspace);
        assert_ne!(one.account, other.account);
    }
}
