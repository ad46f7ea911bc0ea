//! The bodies of answers: what was asked for, under Seam's key for it, and `ok`.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::word::{Always, Moment, Nothing};
use super::{
    AccessCode, Attempt, Bluetooth, Bundle, Cause, Device, Door, DryRun, Errand, Event, Job, Pins, Queue,
    Receipt, ReceiptKey, Session, SignedReceipt, Site, Status, Unpaired, Workspace, access_code, attempt,
};
use crate::gateway::Answer;
use crate::gateway::view::{ClockView, Trust};

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $key:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Serialize, JsonSchema)]
            #[schemars(inline)]
            pub struct $name {
                $($(#[$field_doc])* pub $key: $kind,)*
                /// It was done, or found.
                pub ok: Always<true>,
            }
        )*
    };
}

bodies! {
    /// The clock.
    OneClock {
        /// The clock.
        clock: ClockState,
    }
    /// An export.
    OneExport {
        /// The export.
        export: Export,
    }
    /// What the Bluetooth radio hears.
    OneBluetooth {
        /// The radio, and who is heard.
        bluetooth: Bluetooth,
    }
    /// A pairing, a test or an unpairing of a lock.
    OneErrand {
        /// How far it is.
        errand: Errand,
    }
    /// A lock that was forgotten.
    OneUnpaired {
        /// What the lock said to that.
        unpaired: Unpaired,
    }
    /// What happened since a moment.
    OneIncident {
        /// The bundle.
        incident: Bundle,
    }
    /// There is nothing to tell.
    Done {}
    /// An access code.
    OneCode {
        /// The access code.
        access_code: AccessCode,
    }
    /// The access codes of one call.
    Codes {
        /// The access codes, in the order of the devices.
        access_codes: Vec<AccessCode>,
    }
    /// A page of access codes.
    CodePage {
        /// The access codes, by their ids.
        access_codes: Vec<AccessCode>,
        /// Where the page stands.
        pagination: Pagination,
    }
    /// The PIN of an access code.
    Revealed {
        /// The access code, and its PIN.
        access_code: RevealedCode,
    }
    /// A PIN that a device would take.
    Generated {
        /// The PIN, and the device.
        generated_code: GeneratedCode,
    }
    /// A device.
    OneDevice {
        /// The device.
        device: Device,
    }
    /// A page of devices.
    DevicePage {
        /// The devices, by their ids.
        devices: Vec<Device>,
        /// Where the page stands.
        pagination: Pagination,
    }
    /// A device, twice.
    OneLock {
        /// The device.
        device: Device,
        /// The same.
        lock: Device,
    }
    /// Devices, twice.
    Locks {
        /// The devices, by their ids.
        devices: Vec<Device>,
        /// The same.
        locks: Vec<Device>,
    }
    /// An event.
    OneEvent {
        /// The event.
        event: Event,
    }
    /// Events.
    Events {
        /// The events, oldest first.
        events: Vec<Event>,
    }
    /// A door command.
    OneAttempt {
        /// The door command.
        action_attempt: Attempt,
    }
    /// A page of door commands.
    AttemptPage {
        /// The door commands, by their ids.
        action_attempts: Vec<Attempt>,
        /// Where the page stands.
        pagination: Pagination,
    }
    /// The site.
    OneWorkspace {
        /// The site.
        workspace: Workspace,
    }
    /// The receipt of a group.
    OneReceipt {
        /// The receipt.
        #[serde(flatten)]
        receipt: Receipt,
        /// What time it is.
        now: Moment,
        /// The clock: by it the receipt says what is due.
        clock: ClockState,
    }
    /// A receipt that somebody else can check.
    OneSignedReceipt {
        /// The receipt.
        signed_receipt: SignedReceipt,
    }
    /// What checks signed receipts.
    OneReceiptKey {
        /// The key.
        receipt_key: ReceiptKey,
    }
    /// The gateway in one look.
    OneStatus {
        /// How it is.
        status: Status,
    }
    /// What a device waits for.
    OneQueue {
        /// The queue.
        #[serde(flatten)]
        queue: Queue,
    }
    /// Every door at a glance.
    Doors {
        /// The doors, by their names; those that left the gateway last.
        doors: Vec<Door>,
        /// What time it is.
        now: Moment,
        /// The clock: by it the doors are as they are.
        clock: ClockState,
    }
    /// What a job would come to.
    OneDryRun {
        /// The job, door by door.
        dry_run: DryRun,
    }
    /// A page of groups.
    Groups {
        /// The receipts of groups that are not over, the first to begin first.
        groups: Vec<Receipt>,
        /// Where the page stands.
        pagination: Pagination,
        /// What time it is.
        now: Moment,
        /// The clock: by it the receipts say what is due.
        clock: ClockState,
    }
    /// Who is signed in on the page.
    OneSession {
        /// The session.
        session: Session,
    }
    /// Why something is as it is.
    OneWhy {
        /// The cause.
        why: Cause,
    }
    /// A job.
    OneJob {
        /// The job.
        job: Job,
    }
}

/// Where a page stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "pagination")]
pub struct Pagination {
    /// There is more.
    pub has_next_page: bool,
    /// The `page_cursor` of the next page.
    pub next_page_cursor: Option<Uuid>,
    /// The cursor is enough.
    pub next_page_url: Nothing,
}

/// A PIN that a device would take.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "generated_code")]
pub struct GeneratedCode {
    /// The device.
    pub device_id: Uuid,
    /// The PIN.
    pub code: String,
}

/// The PIN of an access code, shown because somebody asked for this one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "revealed_code")]
pub struct RevealedCode {
    /// The access code.
    pub access_code_id: Uuid,
    /// Its PIN.
    pub code: String,
}

/// The OpenAPI document.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(
    dead_code,
    reason = "says how a document looks that is put together elsewhere"
)]
pub struct Document {
    /// The version of OpenAPI.
    openapi: String,
}

/// The clock, and whether what it shows counts.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "clock")]
pub struct ClockState {
    /// Whether it is trusted; `wild` where it moved as no clock moves by itself.
    #[schemars(with = "String")]
    pub trust: Trust,
    /// What vouches for it.
    pub source: Cow<'static, str>,
    /// How far it is ahead of the time that counts, in milliseconds.
    pub ahead_ms: i64,
}

/// The clock, in a few words.
#[must_use]
pub fn clock(view: ClockView, source: &'static str) -> ClockState {
    ClockState {
        trust: view.trust,
        source: source.into(),
        ahead_ms: view.ahead_ms,
    }
}

/// An export that was made; never what is in it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "export")]
pub struct Export {
    /// Where it lies, on the gateway's own machine.
    pub path: String,
    /// How large it is.
    pub bytes: u64,
    /// The number of the last event in it.
    pub last_event: u64,
    /// As of when.
    pub made_at: Moment,
}

/// The body of the answer to a change.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Told {
    /// Access codes were made.
    Codes(Codes),
    /// One access code was made.
    OneCode(Box<OneCode>),
    /// A door command is under way.
    OneAttempt(OneAttempt),
    /// It is on record.
    Done(Done),
    /// Nothing was changed.
    Refused(super::Refusal),
}

/// The body of the answer to a change.
#[must_use]
pub fn answer(site: &Site, answer: &Answer, pins: Pins) -> Told {
    match answer {
        Answer::Created(codes) => Told::Codes(Codes {
            access_codes: codes.iter().map(|code| access_code(site, code, pins)).collect(),
            ok: Always,
        }),
        Answer::CreatedOne(code) => Told::OneCode(Box::new(OneCode {
            access_code: access_code(site, code, pins),
            ok: Always,
        })),
        Answer::Attempt(view) => Told::OneAttempt(OneAttempt {
            action_attempt: attempt(view),
            ok: Always,
        }),
        Answer::Ok => Told::Done(Done { ok: Always }),
        Answer::Refused(refusal) => Told::Refused(super::refusal(refusal)),
    }
}
