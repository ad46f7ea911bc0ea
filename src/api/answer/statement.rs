//! The receipt of a group as a statement that others can check: who says it, when, and of each door when the
//! lock said that it held the code, and when that it holds it no more.
//!
//! What is signed are the bytes of the statement as they stand. It holds no PIN and no name of a guest, so
//! that it can be given away.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Site;
use super::code::bounds;
use super::receipt::{How, Proof};
use super::word::Moment;
use crate::api::time;
use crate::gateway::view::{ClockView, DoorReceipt, Held, Trust};
use crate::model::{GroupKey, Timestamp, Window};

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
    /// Whether the clock was trusted when this was said.
    clock_trusted: bool,
    /// Those of which the gateway still knew: it forgets who was deleted or ended long ago.
    doors_on_record: Vec<Door>,
}

#[derive(Serialize, Deserialize)]
struct Door {
    device_id: Uuid,
    device_name: String,
    access_code_id: Uuid,
    /// As last recorded.
    #[serde(flatten)]
    times: Times,
    /// The lock's last word that it held the code.
    proven: Option<Holding>,
    /// By that word it holds the code as recorded, and nothing is to be done on it.
    as_recorded: bool,
    /// Its word that it holds it no more.
    removed: Option<Proof>,
}

/// The lock's word that it held the code, and for which times.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Holding {
    #[serde(flatten)]
    proof: Proof,
    #[serde(flatten)]
    times: Times,
}

/// When a code is to open; neither of one that opens until it is deleted.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Times {
    starts_at: Option<Moment>,
    ends_at: Option<Moment>,
}

impl From<Window> for Times {
    fn from(window: Window) -> Times {
        let (starts_at, ends_at) = bounds(window);
        Times { starts_at, ends_at }
    }
}

impl From<Held> for Holding {
    fn from(held: Held) -> Holding {
        Holding {
            proof: held.proven.into(),
            times: held.window.into(),
        }
    }
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
        doors_on_record: doors.iter().map(door).collect(),
    }
}

fn door(receipt: &DoorReceipt) -> Door {
    Door {
        device_id: receipt.device.0,
        device_name: receipt.device_name.clone(),
        access_code_id: receipt.code.0,
        times: receipt.window.into(),
        proven: receipt.held.map(Holding::from),
        as_recorded: receipt.as_recorded,
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
            "The gateway {}/{} said at {} of the access codes {}, door by door as far as it had them on record:",
            self.site,
            self.gateway,
            moment(self.made_at, self.clock_trusted),
            self.common_code_key
        )];
        lines.extend(self.doors_on_record.iter().map(Door::line));
        lines.push(self.whole());
        lines
    }

    /// The doors together.
    fn whole(&self) -> String {
        let doors = &self.doors_on_record;
        let removed: Vec<Proof> = doors.iter().filter_map(|door| door.removed).collect();
        let held = doors.iter().filter(|door| door.as_recorded);
        let held: Vec<Proof> = held.filter_map(|door| Some(door.proven?.proof)).collect();
        let count = doors.len();
        match (last(&removed), last(&held)) {
            (Some(at), _) if removed.len() == count => format!("Off {} at {at}.", all(count)),
            (_, Some(at)) if held.len() == count => format!("Proven on {} at {at}.", all(count)),
            _ if count == 1 => {
                "The one door on record has said neither that it holds the code as recorded, nor that \
                 it holds it no more."
                    .to_owned()
            }
            _ => format!(
                "Of {count} doors on record {} hold the code as recorded by their own word, and {} hold it no more.",
                held.len(),
                removed.len()
            ),
        }
    }
}

impl Door {
    fn line(&self) -> String {
        let name = &self.device_name;
        let Some(proven) = self.proven else {
            return format!("{name}: the lock never said that it held the code");
        };
        let mut line = format!("{name}: proven at {}, {}", word(proven.proof), proven.times);
        if proven.times != self.times {
            line += &format!("; recorded since {}", self.times);
        }
        match self.removed {
            Some(removed) => line += &format!("; off the door at {}", word(removed)),
            None if self.as_recorded => {}
            None => line += "; not proven as recorded any more",
        }
        line
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.starts_at, self.ends_at) {
            (Some(from), Some(to)) => write!(f, "to open from {} to {}", second(from), second(to)),
            _ => f.write_str("to open until it is deleted"),
        }
    }
}

fn word(proof: Proof) -> String {
    let how = match proof.how {
        How::ReadBack => "by read-back",
        How::Acknowledged => "by the lock's acknowledgement",
    };
    format!("{} {how}", moment(proof.at, proof.clock_trusted))
}

fn all(doors: usize) -> String {
    match doors {
        1 => "the one door on record".to_owned(),
        more => format!("all {more} doors on record"),
    }
}

/// The last time of some, and whether all of them are vouched for.
fn last(proofs: &[Proof]) -> Option<String> {
    let at = proofs.iter().map(|proof| proof.at).max_by_key(|at| at.0)?;
    Some(moment(at, proofs.iter().all(|proof| proof.clock_trusted)))
}

fn moment(at: Moment, clock_trusted: bool) -> String {
    match clock_trusted {
        true => second(at),
        false => format!("{} (nothing vouched for the clock)", second(at)),
    }
}

fn second(at: Moment) -> String {
    time::second(at.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What is said at the end of doors, each proven and removed at some time.
    fn whole(doors: &[(bool, Value, Value)]) -> String {
        let door = |(as_recorded, proven, removed): &(bool, Value, Value)| {
            json!({
                "device_id": Uuid::nil(), "device_name": "Front door", "access_code_id": Uuid::nil(),
                "starts_at": null, "ends_at": null,
                "proven": proven, "as_recorded": as_recorded, "removed": removed,
            })
        };
        let doors: Vec<Value> = doors.iter().map(door).collect();
        let statement = json!({
            "form": FORM, "site": "villa-7", "gateway": "gw1", "common_code_key": "k",
            "made_at": "2027-05-03T11:20:00.000Z", "clock_trusted": true, "doors_on_record": doors,
        });
        let statement = Statement::parse(&statement.to_string()).expect("it is one");
        statement.lines().pop().expect("a last line")
    }

    #[test]
    fn one_door_is_not_told_of_as_many() {
        let then = || json!({"how": "read_back", "at": "2027-05-01T14:50:01.000Z", "clock_trusted": true});
        let held = || {
            json!({
                "how": "read_back", "at": "2027-05-01T14:50:01.000Z", "clock_trusted": true,
                "starts_at": null, "ends_at": null,
            })
        };
        let proven = (true, held(), Value::Null);
        let gone = (false, held(), then());
        let unheard = (false, Value::Null, Value::Null);
        for (doors, says) in [
            (
                vec![proven.clone()],
                "Proven on the one door on record at 2027-05-01T14:50:01Z.",
            ),
            (
                vec![gone.clone()],
                "Off the one door on record at 2027-05-01T14:50:01Z.",
            ),
            (vec![unheard.clone()], "The one door on record has said neither"),
            (
                vec![proven.clone(), proven.clone()],
                "Proven on all 2 doors on record at",
            ),
            (vec![gone.clone(), gone], "Off all 2 doors on record at"),
            (vec![proven, unheard], "Of 2 doors on record 1 hold the code"),
        ] {
            let said = whole(&doors);
            assert!(said.starts_with(says), "{said}");
        }
    }
}
