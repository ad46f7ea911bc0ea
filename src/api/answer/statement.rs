//! The receipt of a group as a statement that others can check: who says it, when, and of each door when the
//! lock said that it held the code, and when that it holds it no more.
//!
//! What is signed are the bytes of the statement as they stand. It holds no PIN and no name of a guest, so
//! that it can be given away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Site;
use super::code::bounds;
use super::receipt::{How, Proof};
use super::word::Moment;
use crate::api::time;
use crate::gateway::view::{ClockView, DoorReceipt, Trust};
use crate::model::{GroupKey, Timestamp};

/// What a statement says of its own form. It is part of what is signed, so that nothing else that is signed with the
/// same key could ever be taken for a statement.
const FORM: &str = "lockbridge receipt 1";

/// A receipt that somebody else can check.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "signed_receipt")]
pub struct SignedReceipt {
    /// What is said: JSON, as a text, since exactly these bytes are signed.
    pub statement: String,
    /// The Ed25519 signature of the statement, in hexadecimal.
    pub signature: String,
    /// The public key of who signed it, in hexadecimal. It proves nothing: check with a key that came another way.
    pub public_key: String,
}

/// What checks signed receipts.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "receipt_key")]
pub struct ReceiptKey {
    /// How it signs: `ed25519`.
    pub algorithm: String,
    /// The key, in hexadecimal.
    pub public_key: String,
}

/// What is said of a group.
#[derive(Serialize, Deserialize)]
pub struct Statement {
    form: String,
    /// The site of the gateway.
    pub site: String,
    /// The gateway.
    pub gateway: String,
    /// What links the codes of the group.
    pub common_code_key: String,
    made_at: Moment,
    clock_trusted: bool,
    doors: Vec<Door>,
}

#[derive(Serialize, Deserialize)]
struct Door {
    device_id: Uuid,
    device_name: String,
    access_code_id: Uuid,
    starts_at: Option<Moment>,
    ends_at: Option<Moment>,
    /// The lock's last word that it held the code.
    proven: Option<Proof>,
    /// Its word that it holds it no more.
    removed: Option<Proof>,
}

/// What is said of a group.
#[must_use]
pub fn statement(
    site: &Site,
    key: &GroupKey,
    doors: &[DoorReceipt],
    clock: ClockView,
    at: Timestamp,
) -> Statement {
    Statement {
        form: FORM.to_owned(),
        site: site.name.clone(),
        gateway: site.gateway.clone(),
        common_code_key: key.to_string(),
        made_at: Moment(at),
        clock_trusted: clock.trust == Trust::Trusted,
        doors: doors.iter().map(door).collect(),
    }
}

fn door(receipt: &DoorReceipt) -> Door {
    let (starts_at, ends_at) = bounds(receipt.window);
    Door {
        device_id: receipt.device.0,
        device_name: receipt.device_name.clone(),
        access_code_id: receipt.code.0,
        starts_at,
        ends_at,
        proven: receipt.proven.map(Proof::from),
        removed: receipt.removed.map(Proof::from),
    }
}

impl Statement {
    /// Reads a statement whose signature was checked; `None` if it is none that this program knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Statement> {
        let statement: Statement = serde_json::from_str(text).ok()?;
        (statement.form == FORM).then_some(statement)
    }

    /// What it says, line by line, for a person; times are in UTC.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "The gateway {}/{} said at {} of the access codes {}:",
            self.site,
            self.gateway,
            second(self.made_at),
            self.common_code_key
        )];
        lines.extend(self.doors.iter().map(Door::line));
        lines.push(self.whole());
        if !self.clock_trusted {
            lines.push("Nothing vouched for the gateway's clock then: the times may be wrong.".to_owned());
        }
        lines
    }

    /// The doors together.
    fn whole(&self) -> String {
        let count = self.doors.len();
        let on = self.doors.iter().filter(|door| door.removed.is_none()).count();
        let last = |moments: Vec<Option<Proof>>| moments.into_iter().flatten().map(|proof| proof.at.0).max();
        let removed = last(self.doors.iter().map(|door| door.removed).collect());
        let proven = last(self.doors.iter().map(|door| door.proven).collect());
        let unproven = self.doors.iter().filter(|door| door.proven.is_none()).count();
        match (on, unproven, removed, proven) {
            (0, 0, Some(at), _) => format!("Off all {count} doors at {}.", time::second(at)),
            (_, 0, _, Some(at)) if on == count => {
                format!("Proven on all {count} doors at {}.", time::second(at))
            }
            _ => format!(
                "Of {count} doors {} held the code by their own word, and {} hold it no more.",
                count - unproven,
                count - on
            ),
        }
    }
}

impl Door {
    fn line(&self) -> String {
        let name = &self.device_name;
        match (self.proven, self.removed) {
            (None, _) => format!("{name}: the lock never said that it held the code"),
            (Some(proven), None) => format!("{name}: proven at {}", word(proven)),
            (Some(proven), Some(removed)) => {
                format!(
                    "{name}: proven at {}, off the door at {}",
                    word(proven),
                    word(removed)
                )
            }
        }
    }
}

fn word(proof: Proof) -> String {
    let how = match proof.how {
        How::ReadBack => "by read-back",
        How::Acknowledged => "by the lock's acknowledgement",
    };
    format!("{} {how}", second(proof.at))
}

fn second(at: Moment) -> String {
    time::second(at.0)
}
