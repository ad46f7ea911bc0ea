//! The Bluetooth radio: who is heard, and how locks are paired, tested and forgotten.
//!
//! A pairing takes as long as somebody takes to walk to a door. So it is begun by one call, and looked at by another.

use std::sync::Arc;

use super::Api;
use super::answer::{Outcome, Refused, refused, told};
use super::devices::no_such_device;
use super::who::Who;
use crate::api::answer::{
    Always, Bluetooth, Errand, ErrandStep, Moment, Neighbour, OneBluetooth, OneErrand, OneUnpaired, Unpaired,
};
use crate::api::form::Form;
use crate::lock::ble::Address;
use crate::lock::nuki::{Model, SecurityPin};
use crate::lock::paired::{self, Household, NeighbourKind, Occupied, Problem};
use crate::model::{DeviceId, Reason};

/// A gateway that began anew remembers no errand.
const NO_ERRAND: &str = "no pairing, test or unpairing was begun since the gateway started: one that was under way then was \
                         interrupted; see `lockbridge devices` for what it has paired, and say the command again";

impl From<Occupied> for Refused {
    fn from(occupied: Occupied) -> Refused {
        refused(Reason::Busy, &occupied.to_string())
    }
}

fn household(api: &Api) -> Result<&Arc<Household>, Refused> {
    let none = "this gateway uses no Bluetooth: its configuration has no [ble] section";
    api.household
        .as_ref()
        .ok_or_else(|| refused(Reason::NotFound, none))
}

/// Who is heard.
pub fn scan(api: &Api, form: Form<'_>) -> Outcome {
    form.close()?;
    let household = household(api)?;
    let heard = household.neighbours().into_iter().map(|one| Neighbour {
        address: one.address.to_string(),
        kind: match one.kind {
            NeighbourKind::Nuki => "nuki",
            NeighbourKind::NukiPairable => "nuki_pairable",
            NeighbourKind::Other => "other",
        },
        name: one.name,
        device_id: one.device.map(|device| device.0),
        rssi: one.rssi,
        battery_level: one.battery.map(|percent| f32::from(percent) / 100.0),
        last_heard: Moment(one.at),
    });
    Ok(told(&OneBluetooth {
        bluetooth: Bluetooth {
            outage: household.outage().map(|outage| outage.to_string()),
            heard: heard.collect(),
        },
        ok: Always,
    }))
}

/// Begins to pair with a lock. Its security PIN opens every code of it: it comes over the Unix socket alone.
pub fn pair(api: &Api, who: &Who, mut form: Form<'_>) -> Outcome {
    let address = form.text("address").and_then(|text| text.parse::<Address>().ok());
    if form.text("address").is_some() && address.is_none() {
        form.wrong("address", "must be an address such as 54:D2:72:AA:BB:CC");
    }
    let digits = form.text("security_pin");
    let pin = digits.and_then(|digits| {
        let models = [Model::Classic, Model::Ultra];
        models
            .into_iter()
            .find_map(|model| SecurityPin::parse(model, digits))
    });
    if digits.is_some() && pin.is_none() {
        form.wrong("security_pin", "must have four digits, or six for an Ultra");
    }
    let name = form
        .text("name")
        .map(str::to_owned)
        .filter(|name| !name.trim().is_empty());
    form.close()?;
    if !who.is_local() {
        let message =
            "locks are paired over the gateway's Unix socket alone: say `lockbridge pair` on its machine";
        return Err(refused(Reason::Forbidden, message));
    }
    let household = household(api)?;
    let (Some(address), Some(pin)) = (address, pin) else {
        return Err(refused(
            Reason::InvalidInput,
            "address and security_pin are required",
        ));
    };
    Ok(one(&household.pair(address, pin, name)?))
}

/// Begins to test a lock: a code is added and removed again.
pub fn test(api: &Api, form: Form<'_>) -> Outcome {
    let device = form.uuid("device_id").map(DeviceId);
    form.close()?;
    let device = device.ok_or_else(no_such_device)?;
    let errand = household(api)?.test(device)?.ok_or_else(not_paired)?;
    Ok(one(&errand))
}

/// The pairing, test or unpairing that is under way, or was last.
pub fn errand(api: &Api, form: Form<'_>) -> Outcome {
    form.close()?;
    let errand = household(api)?.errand();
    let errand = errand.ok_or_else(|| refused(Reason::NotFound, NO_ERRAND))?;
    Ok(one(&errand))
}

/// Forgets a lock, once it was asked to forget us. While codes of ours stand on it that is refused: nobody could take them off
/// any more, and they would open for as long as the lock lets them.
pub async fn unpair(api: &Api, form: Form<'_>) -> Outcome {
    let device = form.uuid("device_id").map(DeviceId);
    let force = form.flag("force").unwrap_or(false);
    form.close()?;
    let device = device.ok_or_else(no_such_device)?;
    let household = household(api)?;
    let goodbye = match household.unpair(device, force).await?.ok_or_else(not_paired)? {
        paired::Unpaired::Forgotten(goodbye) => goodbye.err(),
        paired::Unpaired::Not(problem) => {
            let reason = match problem {
                Problem::InUse { .. } => Reason::DeviceInUse,
                _ => Reason::Busy,
            };
            return Err(refused(reason, &problem.to_string()));
        }
    };
    let name = household.name();
    let hint = |_| format!("In the Nuki app, among the lock's users, delete \"{name}\" if it is there.");
    Ok(told(&OneUnpaired {
        unpaired: Unpaired {
            user_deleted: goodbye.is_none(),
            problem: goodbye.map(|lingering| lingering.to_string()),
            hint: goodbye.map(hint),
        },
        ok: Always,
    }))
}

fn not_paired() -> Refused {
    refused(Reason::DeviceNotFound, "no paired lock has this device_id")
}

fn one(errand: &paired::Errand) -> super::answer::Told {
    let (state, problem) = match &errand.end {
        None => ("running", None),
        Some(Ok(())) => ("done", None),
        Some(Err(problem)) => ("failed", Some(problem)),
    };
    let steps = errand.steps.iter().map(|said| ErrandStep {
        step: said.step.word(),
        sentence: said.step.sentence(),
        at: Moment(said.at),
    });
    told(&OneErrand {
        errand: Errand {
            kind: match errand.kind {
                paired::Kind::Pair => "pair",
                paired::Kind::Test => "test",
                paired::Kind::Unpair => "unpair",
            },
            address: errand.address.to_string(),
            device_id: errand.device().0,
            state,
            steps: steps.collect(),
            problem: problem.map(ToString::to_string),
            hint: problem.map(paired::Problem::hint),
        },
        ok: Always,
    })
}
