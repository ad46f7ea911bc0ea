//! The table of endpoints. Routing, the reading of queries, the check of parameters, the OpenAPI
//! document and the documentation all go by it.

mod table;
mod takes;

use schemars::{Schema, SchemaGenerator};

use super::Scope;
use super::parameter::Parameter;
use crate::gateway::Verb;

pub use table::ENDPOINTS;
pub use takes::BEHAVIORS;

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
    /// A lock is to be read and compared.
    Verify,
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
