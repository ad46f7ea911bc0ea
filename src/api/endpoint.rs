//! The table of endpoints. Routing, the reading of queries, the check of parameters, the OpenAPI
//! document and the documentation all go by it.

mod takes;

use Method::{Delete, Get, Patch, Post, Put};

use schemars::{Schema, SchemaGenerator};

use super::Scope;
use super::answer::{
    AttemptPage, CodePage, Codes, DevicePage, Document, Done, Doors, Events, Generated, Groups, Locks,
    OneAttempt, OneBluetooth, OneClock, OneCode, OneDevice, OneDryRun, OneErrand, OneEvent, OneExport,
    OneIncident, OneJob, OneLock, OneQueue, OneReceipt, OneReceiptKey, OneSession, OneSignedReceipt,
    OneStatus, OneUnpaired, OneWhy, OneWorkspace, Readiness, Revealed, Streamed,
};
use super::parameter::Parameter;
use crate::gateway::Verb;

pub use takes::BEHAVIORS;
use takes::{
    CREATE, CREATE_MULTIPLE, DELETE, DEVICE_ID, DOOR, GET_ATTEMPT, GET_CODE, GET_DEVICE, GET_EVENT, INCIDENT,
    JOB, LIST_ATTEMPTS, LIST_CODES, LIST_DEVICES, LIST_EVENTS, LIST_GROUPS, PAIR, QUEUE, RECEIPT,
    REPORT_CONSTRAINTS, REVEAL, SIGN_IN, STREAM, UNPAIR, UPDATE, UPDATE_DEVICE, UPDATE_MULTIPLE, WHY_CODE,
    WHY_DEVICE,
};

/// One path, and what it takes.
#[derive(Debug)]
pub struct Endpoint {
    /// The path; `{name}` is a parameter.
    pub path: &'static str,
    /// The methods that Seam's SDKs of all ages use for it, the plainest first.
    pub methods: &'static [Method],
    /// What is asked.
    pub call: Call,
    /// Who may ask.
    pub needs: Needs,
    /// What may be said with it.
    pub parameters: &'static [Parameter],
    /// The shape of its answer.
    pub answer: Shape,
    /// What it is for, in a sentence.
    pub about: &'static str,
}

/// What describes a shape.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With a query.
    Get,
    /// With a body.
    Post,
    /// With a body; SDKs repeat it by themselves.
    Put,
    /// With a body.
    Patch,
    /// With a query.
    Delete,
}

/// What is asked. Paths that ask the same twice have two; a path that is asked different things by its method
/// stands in the table once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A change, which becomes a job.
    Change(Verb),
    /// One access code.
    GetCode,
    /// Access codes, page by page.
    ListCodes,
    /// A PIN that a device would take.
    GenerateCode,
    /// The PIN of one access code.
    Reveal,
    /// One device.
    GetDevice,
    /// Devices, page by page.
    ListDevices,
    /// One device, once more as a lock.
    GetLock,
    /// Devices, once more as locks.
    ListLocks,
    /// A simulated lock comes within reach.
    Connect,
    /// A simulated lock goes out of reach.
    Disconnect,
    /// A simulated lock goes for good.
    Remove,
    /// One event.
    GetEvent,
    /// Events.
    ListEvents,
    /// One door command.
    GetAttempt,
    /// Door commands, page by page.
    ListAttempts,
    /// The site.
    GetWorkspace,
    /// Whether somebody is at home.
    Health,
    /// Whether new work is taken, and what is wrong if not.
    Ready,
    /// Figures for Prometheus.
    Metrics,
    /// The whole gateway in one look.
    Status,
    /// The receipt of a group.
    Receipt,
    /// The same, as somebody else can check it.
    SignedReceipt,
    /// What that is checked with.
    ReceiptKey,
    /// Groups, page by page.
    ListGroups,
    /// Every door at a glance.
    Doors,
    /// What `create_multiple` would come to.
    DryRun,
    /// What a device waits for.
    Queue,
    /// Why an access code is as it is.
    WhyCode,
    /// Why a device is as it is.
    WhyDevice,
    /// How far a job is.
    Job,
    /// Events as they happen.
    Stream,
    /// The operator vouches for the clock.
    AcceptClock,
    /// An export is made now.
    Export,
    /// What happened since a moment.
    Incident,
    /// Who is heard over Bluetooth.
    Scan,
    /// A lock is to be paired.
    Pair,
    /// A paired lock is to be forgotten.
    Unpair,
    /// A paired lock is to be tested.
    Test,
    /// How far a pairing, test or unpairing is.
    Errand,
    /// Somebody signs in on the page.
    SignIn,
    /// Who is signed in.
    GetSession,
    /// Somebody signs out.
    SignOut,
    /// The OpenAPI document.
    Document,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody.
    Nothing,
    /// Whoever has a key.
    Key,
    /// Whoever is signed in on the page.
    Session,
    /// Whoever has a key with one of these scopes.
    OneOf(&'static [Scope]),
}

const CODES: Needs = Needs::OneOf(&[Scope::Codes]);
const PINS: Needs = Needs::OneOf(&[Scope::Pins]);
const OPERATE: Needs = Needs::OneOf(&[Scope::Operate]);
/// Whoever may move a bolt may see what came of it.
const CODES_OR_OPERATE: Needs = Needs::OneOf(&[Scope::Codes, Scope::Operate]);
const ADMIN: Needs = Needs::OneOf(&[Scope::Admin]);
/// Whoever may see more may see figures.
const METRICS: Needs = Needs::OneOf(&[Scope::Metrics, Scope::Codes, Scope::Admin]);
const SIMULATE: Needs = Needs::OneOf(&[Scope::Operate, Scope::Admin]);

const SESSION: &str = "/lockbridge/v1/session";

/// Every endpoint: Seam's, then our own.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        path: "/access_codes/create_multiple",
        methods: &[Post, Put],
        call: Call::Change(Verb::CreateMultiple),
        needs: CODES,
        parameters: CREATE_MULTIPLE,
        answer: SchemaGenerator::subschema_for::<Codes>,
        about: "Puts one PIN on many devices.",
    },
    Endpoint {
        path: "/access_codes/update_multiple",
        methods: &[Post, Patch],
        call: Call::Change(Verb::UpdateMultiple),
        needs: CODES,
        parameters: UPDATE_MULTIPLE,
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Gives all codes of a group other times or another name.",
    },
    Endpoint {
        path: "/access_codes/create",
        methods: &[Post],
        call: Call::Change(Verb::Create),
        needs: CODES,
        parameters: CREATE,
        answer: SchemaGenerator::subschema_for::<OneCode>,
        about: "Puts a PIN on one device.",
    },
    Endpoint {
        path: "/access_codes/update",
        methods: &[Post, Patch, Put],
        call: Call::Change(Verb::Update),
        needs: CODES,
        parameters: UPDATE,
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Gives an access code another PIN, other times or another name.",
    },
    Endpoint {
        path: "/access_codes/delete",
        methods: &[Post, Delete],
        call: Call::Change(Verb::Delete),
        needs: CODES,
        parameters: DELETE,
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Takes an access code away.",
    },
    Endpoint {
        path: "/access_codes/get",
        methods: &[Post, Get],
        call: Call::GetCode,
        needs: CODES,
        parameters: GET_CODE,
        answer: SchemaGenerator::subschema_for::<OneCode>,
        about: "An access code, by its id or by its device and PIN.",
    },
    Endpoint {
        path: "/access_codes/list",
        methods: &[Post, Get],
        call: Call::ListCodes,
        needs: CODES,
        parameters: LIST_CODES,
        answer: SchemaGenerator::subschema_for::<CodePage>,
        about: "Access codes that are not over, page by page.",
    },
    Endpoint {
        path: "/access_codes/generate_code",
        methods: &[Post, Get],
        call: Call::GenerateCode,
        needs: CODES,
        parameters: &[DEVICE_ID],
        answer: SchemaGenerator::subschema_for::<Generated>,
        about: "A PIN that a device would take now. Nothing is reserved by it.",
    },
    Endpoint {
        path: "/access_codes/report_device_constraints",
        methods: &[Post],
        call: Call::Change(Verb::ReportConstraints),
        needs: CODES,
        parameters: REPORT_CONSTRAINTS,
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Tells how many digits a lock takes that does not say so itself.",
    },
    Endpoint {
        path: "/devices/get",
        methods: &[Post, Get],
        call: Call::GetDevice,
        needs: CODES,
        parameters: GET_DEVICE,
        answer: SchemaGenerator::subschema_for::<OneDevice>,
        about: "A device, by its id or by its name.",
    },
    Endpoint {
        path: "/devices/list",
        methods: &[Post, Get],
        call: Call::ListDevices,
        needs: CODES,
        parameters: LIST_DEVICES,
        answer: SchemaGenerator::subschema_for::<DevicePage>,
        about: "Devices, page by page.",
    },
    Endpoint {
        path: "/devices/update",
        methods: &[Post, Patch],
        call: Call::Change(Verb::UpdateDevice),
        needs: CODES,
        parameters: UPDATE_DEVICE,
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Gives a device another name, or notes of its owner.",
    },
    Endpoint {
        path: "/devices/simulate/connect",
        methods: &[Post],
        call: Call::Connect,
        needs: SIMULATE,
        parameters: &[DEVICE_ID],
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Brings a simulated lock within reach.",
    },
    Endpoint {
        path: "/devices/simulate/disconnect",
        methods: &[Post],
        call: Call::Disconnect,
        needs: SIMULATE,
        parameters: &[DEVICE_ID],
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Takes a simulated lock out of reach.",
    },
    Endpoint {
        path: "/devices/simulate/remove",
        methods: &[Post],
        call: Call::Remove,
        needs: SIMULATE,
        parameters: &[DEVICE_ID],
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Takes a simulated lock away for good.",
    },
    Endpoint {
        path: "/locks/get",
        methods: &[Post, Get],
        call: Call::GetLock,
        needs: CODES,
        parameters: GET_DEVICE,
        answer: SchemaGenerator::subschema_for::<OneLock>,
        about: "The same as `/devices/get`, and once more as `lock`.",
    },
    Endpoint {
        path: "/locks/list",
        methods: &[Post, Get],
        call: Call::ListLocks,
        needs: CODES,
        parameters: LIST_DEVICES,
        answer: SchemaGenerator::subschema_for::<Locks>,
        about: "The same as `/devices/list`, and once more as `locks`, without word of further pages.",
    },
    Endpoint {
        path: "/locks/lock_door",
        methods: &[Post],
        call: Call::Change(Verb::LockDoor),
        needs: OPERATE,
        parameters: DOOR,
        answer: SchemaGenerator::subschema_for::<OneAttempt>,
        about: "Moves a bolt out.",
    },
    Endpoint {
        path: "/locks/unlock_door",
        methods: &[Post],
        call: Call::Change(Verb::UnlockDoor),
        needs: OPERATE,
        parameters: DOOR,
        answer: SchemaGenerator::subschema_for::<OneAttempt>,
        about: "Moves a bolt in.",
    },
    Endpoint {
        path: "/events/get",
        methods: &[Post, Get],
        call: Call::GetEvent,
        needs: CODES,
        parameters: GET_EVENT,
        answer: SchemaGenerator::subschema_for::<OneEvent>,
        about: "An event.",
    },
    Endpoint {
        path: "/events/list",
        methods: &[Post, Get],
        call: Call::ListEvents,
        needs: CODES,
        parameters: LIST_EVENTS,
        answer: SchemaGenerator::subschema_for::<Events>,
        about: "Events, oldest first.",
    },
    Endpoint {
        path: "/action_attempts/get",
        methods: &[Post, Get],
        call: Call::GetAttempt,
        needs: CODES_OR_OPERATE,
        parameters: GET_ATTEMPT,
        answer: SchemaGenerator::subschema_for::<OneAttempt>,
        about: "How far a door command is.",
    },
    Endpoint {
        path: "/action_attempts/list",
        methods: &[Post, Get],
        call: Call::ListAttempts,
        needs: CODES_OR_OPERATE,
        parameters: LIST_ATTEMPTS,
        answer: SchemaGenerator::subschema_for::<AttemptPage>,
        about: "Door commands, page by page.",
    },
    Endpoint {
        path: "/workspaces/get",
        methods: &[Post, Get],
        call: Call::GetWorkspace,
        needs: Needs::Key,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneWorkspace>,
        about: "The site that this gateway belongs to.",
    },
    Endpoint {
        path: "/health",
        methods: &[Get],
        call: Call::Health,
        needs: Needs::Nothing,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Whether somebody is at home.",
    },
    Endpoint {
        path: "/readyz",
        methods: &[Get],
        call: Call::Ready,
        needs: Needs::Nothing,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<Readiness>,
        about: "Whether new work is taken, and what is wrong if not.",
    },
    Endpoint {
        path: "/metrics",
        methods: &[Get],
        call: Call::Metrics,
        needs: METRICS,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<String>,
        about: "Figures for Prometheus, in its text form or as OpenMetrics.",
    },
    Endpoint {
        path: "/openapi.json",
        methods: &[Get],
        call: Call::Document,
        needs: Needs::Nothing,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<Document>,
        about: "This document.",
    },
    Endpoint {
        path: "/lockbridge/v1/groups/{common_code_key}",
        methods: &[Get],
        call: Call::Receipt,
        needs: CODES,
        parameters: RECEIPT,
        answer: SchemaGenerator::subschema_for::<OneReceipt>,
        about: "The receipt of a group: what is proven, and what is waited for.",
    },
    Endpoint {
        path: "/lockbridge/v1/groups/{common_code_key}/signed",
        methods: &[Get],
        call: Call::SignedReceipt,
        needs: CODES,
        parameters: RECEIPT,
        answer: SchemaGenerator::subschema_for::<OneSignedReceipt>,
        about: "The receipt of a group as a signed statement, without its PIN.",
    },
    Endpoint {
        path: "/lockbridge/v1/receipt-key",
        methods: &[Get],
        call: Call::ReceiptKey,
        needs: Needs::Nothing,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneReceiptKey>,
        about: "The public key with which signed receipts are checked.",
    },
    Endpoint {
        path: "/lockbridge/v1/status",
        methods: &[Get],
        call: Call::Status,
        needs: CODES,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneStatus>,
        about: "The whole gateway in one look, and what needs a person.",
    },
    Endpoint {
        path: "/lockbridge/v1/groups",
        methods: &[Get],
        call: Call::ListGroups,
        needs: CODES,
        parameters: LIST_GROUPS,
        answer: SchemaGenerator::subschema_for::<Groups>,
        about: "The receipts of groups that are not over, the first to begin first, page by page.",
    },
    Endpoint {
        path: "/lockbridge/v1/doors",
        methods: &[Get],
        call: Call::Doors,
        needs: CODES,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<Doors>,
        about: "Every door at a glance: reach, battery, signal, what waits and why.",
    },
    Endpoint {
        path: "/lockbridge/v1/dry_run",
        methods: &[Post],
        call: Call::DryRun,
        needs: CODES,
        parameters: CREATE_MULTIPLE,
        answer: SchemaGenerator::subschema_for::<OneDryRun>,
        about: "What `/access_codes/create_multiple` would come to now, door by door. It changes nothing.",
    },
    Endpoint {
        path: "/lockbridge/v1/devices/{device_id}/queue",
        methods: &[Get],
        call: Call::Queue,
        needs: CODES,
        parameters: QUEUE,
        answer: SchemaGenerator::subschema_for::<OneQueue>,
        about: "What a device waits for, most pressing first; and what waits for its time.",
    },
    Endpoint {
        path: "/lockbridge/v1/devices/{device_id}/why",
        methods: &[Get],
        call: Call::WhyDevice,
        needs: CODES,
        parameters: WHY_DEVICE,
        answer: SchemaGenerator::subschema_for::<OneWhy>,
        about: "Why a device is as it is, in a sentence.",
    },
    Endpoint {
        path: "/lockbridge/v1/access_codes/{access_code_id}/why",
        methods: &[Get],
        call: Call::WhyCode,
        needs: CODES,
        parameters: WHY_CODE,
        answer: SchemaGenerator::subschema_for::<OneWhy>,
        about: "Why an access code is as it is, in a sentence.",
    },
    Endpoint {
        path: "/lockbridge/v1/access_codes/reveal",
        methods: &[Post],
        call: Call::Reveal,
        needs: PINS,
        parameters: REVEAL,
        answer: SchemaGenerator::subschema_for::<Revealed>,
        about: "The PIN of one access code, through a cookie too. That it was shown, and to whom, is an event first.",
    },
    Endpoint {
        path: "/lockbridge/v1/jobs/{job_id}",
        methods: &[Get],
        call: Call::Job,
        needs: CODES,
        parameters: JOB,
        answer: SchemaGenerator::subschema_for::<OneJob>,
        about: "How far a job is.",
    },
    Endpoint {
        path: "/lockbridge/v1/stream",
        methods: &[Get],
        call: Call::Stream,
        needs: CODES,
        parameters: STREAM,
        answer: SchemaGenerator::subschema_for::<Streamed>,
        about: "Events as they happen, as server-sent events, without PINs.",
    },
    Endpoint {
        path: SESSION,
        methods: &[Post],
        call: Call::SignIn,
        needs: Needs::Nothing,
        parameters: SIGN_IN,
        answer: SchemaGenerator::subschema_for::<OneSession>,
        about: "Signs in on the page: a cookie then stands for the key, and shows no PINs.",
    },
    Endpoint {
        path: SESSION,
        methods: &[Get],
        call: Call::GetSession,
        needs: Needs::Session,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneSession>,
        about: "Who is signed in.",
    },
    Endpoint {
        path: SESSION,
        methods: &[Delete],
        call: Call::SignOut,
        needs: Needs::Session,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<Done>,
        about: "Signs out.",
    },
    Endpoint {
        path: "/lockbridge/v1/clock/accept",
        methods: &[Post],
        call: Call::AcceptClock,
        needs: ADMIN,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneClock>,
        about: "Vouches for a clock that moved as no clock moves by itself.",
    },
    Endpoint {
        path: "/lockbridge/v1/export",
        methods: &[Post],
        call: Call::Export,
        needs: ADMIN,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneExport>,
        about: "Makes an export now, and says where it lies.",
    },
    Endpoint {
        path: "/lockbridge/v1/incident",
        methods: &[Get],
        call: Call::Incident,
        needs: ADMIN,
        parameters: INCIDENT,
        answer: SchemaGenerator::subschema_for::<OneIncident>,
        about: "What happened since a moment, without PINs and names, to be played through once more.",
    },
    Endpoint {
        path: "/lockbridge/v1/bluetooth",
        methods: &[Get],
        call: Call::Scan,
        needs: ADMIN,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneBluetooth>,
        about: "Who is heard over Bluetooth, and whether the radio works.",
    },
    Endpoint {
        path: "/lockbridge/v1/bluetooth/pair",
        methods: &[Post],
        call: Call::Pair,
        needs: ADMIN,
        parameters: PAIR,
        answer: SchemaGenerator::subschema_for::<OneErrand>,
        about: "Begins to pair with a lock; over the Unix socket alone.",
    },
    Endpoint {
        path: "/lockbridge/v1/bluetooth/unpair",
        methods: &[Post],
        call: Call::Unpair,
        needs: ADMIN,
        parameters: UNPAIR,
        answer: SchemaGenerator::subschema_for::<OneUnpaired>,
        about: "Forgets a paired lock, once it was asked to delete this gateway from its users.",
    },
    Endpoint {
        path: "/lockbridge/v1/bluetooth/test",
        methods: &[Post],
        call: Call::Test,
        needs: ADMIN,
        parameters: &[DEVICE_ID],
        answer: SchemaGenerator::subschema_for::<OneErrand>,
        about: "Begins to test a paired lock: a code is added and taken off again.",
    },
    Endpoint {
        path: "/lockbridge/v1/bluetooth/errand",
        methods: &[Get],
        call: Call::Errand,
        needs: ADMIN,
        parameters: &[],
        answer: SchemaGenerator::subschema_for::<OneErrand>,
        about: "How far the pairing, test or unpairing is that was begun last.",
    },
];

/// The parameters of a change.
#[must_use]
pub fn parameters(verb: Verb) -> &'static [Parameter] {
    let endpoint = ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.call == Call::Change(verb));
    endpoint.map_or(&[], |endpoint| endpoint.parameters)
}

#[cfg(test)]
mod tests;
