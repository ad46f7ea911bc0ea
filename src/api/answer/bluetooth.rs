//! The Bluetooth radio, who is heard, and a pairing, test or unpairing that is under way.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::word::Moment;

/// What the Bluetooth radio hears.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "bluetooth")]
pub struct Bluetooth {
    /// What cannot be reached; `null` while the radio works.
    pub outage: Option<String>,
    /// Who was heard: paired locks first, then the loudest.
    pub heard: Vec<Neighbour>,
}

/// Somebody who was heard.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "neighbour")]
pub struct Neighbour {
    /// The address on the air.
    pub address: String,
    /// `nuki`, `nuki_pairable` while it lets itself be paired, or `other`.
    pub kind: &'static str,
    /// What it calls itself, or what a paired lock is called.
    pub name: Option<String>,
    /// The device, if it is a paired lock.
    pub device_id: Option<Uuid>,
    /// How loud it is, in dBm.
    pub rssi: Option<i16>,
    /// Charge from 0 to 1, where it says so unasked.
    pub battery_level: Option<f32>,
    /// When it was heard last.
    pub last_heard: Moment,
}

/// A pairing, a test or an unpairing of a lock, step by step.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "errand")]
pub struct Errand {
    /// `pair`, `test` or `unpair`.
    pub kind: &'static str,
    /// The lock's address on the air.
    pub address: String,
    /// The device that it is, or will be.
    pub device_id: Uuid,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// What was reached so far, in order.
    pub steps: Vec<Step>,
    /// Why it failed, for a person.
    pub problem: Option<String>,
    /// What to do about that.
    pub hint: Option<&'static str>,
}

/// A lock that was forgotten.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "unpaired")]
pub struct Unpaired {
    /// Whether the lock deleted this gateway from its users.
    pub user_deleted: bool,
    /// Why that is not known, for a person.
    pub problem: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
}

/// A step that was reached.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "errand_step")]
pub struct Step {
    /// A stable word for it.
    pub step: &'static str,
    /// The same for a person.
    pub sentence: String,
    /// When.
    pub at: Moment,
}
