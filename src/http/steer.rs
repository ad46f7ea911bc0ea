//! Simulated locks and their time, steered from outside: to try a gateway, and to test it.
//!
//! Served to keys with the scope `admin`, and only where there is something simulated: faults and
//! hands belong to simulated locks, and time is steered only where every lock is simulated.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Outcome, Refused, refused, told};
use super::devices::no_such_device;
use super::keys::Scope;
use super::ours::device_id;
use super::params::Params;
use super::who::Who;
use crate::api::form::Form;
use crate::api::parameter::{Effect, Kind, Parameter};
use crate::api::time;
use crate::gateway::Event;
use crate::lock::sim::{ByHand, Fault, SimDriver};
use crate::model::{Entry, Pin, Reason, Refusal, Window};

/// A year of simulated time is enough for one call.
const LONGEST_ADVANCE: u64 = 366 * 86_400;

const KEYPAD: &[Parameter] = &[Parameter {
    name: "code",
    kind: Kind::TEXT,
    required: true,
    effect: Effect::Heeded,
    about: "What is typed.",
}];

const CLOCK: &[Parameter] = &[
    Parameter {
        name: "advance_s",
        kind: Kind::Whole {
            least: 0,
            most: LONGEST_ADVANCE,
        },
        required: false,
        effect: Effect::Heeded,
        about: "All time moves on by so many seconds.",
    },
    Parameter {
        name: "now",
        kind: Kind::Time,
        required: false,
        effect: Effect::Heeded,
        about: "The gateway's wall clock is set to this.",
    },
    Parameter {
        name: "trusted",
        kind: Kind::Flag,
        required: false,
        effect: Effect::Heeded,
        about: "Whether the gateway's clock is trusted.",
    },
];

/// The lock's true table, digits and all.
pub async fn table(State(api): State<Arc<Api>>, who: Who, Path(id): Path<String>) -> Outcome {
    let sim = lock(&api, &who, &id)?;
    who.shows_key()?;
    let codes: Vec<Value> = sim.table().iter().map(row).collect();
    Ok(told(&json!({"codes": codes, "locked": sim.locked(), "ok": true})))
}

fn row(entry: &Entry) -> Value {
    let (starts_at, ends_at) = match entry.window {
        Window::Ongoing => (Value::Null, Value::Null),
        Window::Bound { starts_at, ends_at } => (time::show(starts_at), time::show(ends_at)),
    };
    json!({
        "slot": entry.slot,
        "code": entry.pin.as_ref().map(Pin::expose),
        "name": entry.name,
        "starts_at": starts_at,
        "ends_at": ends_at,
    })
}

/// Brings a fault upon a lock.
pub async fn fault(
    State(api): State<Arc<Api>>,
    who: Who,
    Path(id): Path<String>,
    Params(params): Params,
) -> Outcome {
    let sim = lock(&api, &who, &id)?;
    sim.fault(read::<Fault>(params)?);
    Ok(told(&json!({"ok": true})))
}

/// Changes a lock by hand, behind the gateway's back.
pub async fn code(
    State(api): State<Arc<Api>>,
    who: Who,
    Path(id): Path<String>,
    Params(params): Params,
) -> Outcome {
    let sim = lock(&api, &who, &id)?;
    who.shows_key()?;
    let slot = sim
        .by_hand(&read::<ByHand>(params)?)
        .map_err(|error| Refusal::new(Reason::InvalidInput, error.to_string()))?;
    Ok(told(&json!({"slot": slot, "ok": true})))
}

/// Types digits at a lock.
pub async fn keypad(
    State(api): State<Arc<Api>>,
    who: Who,
    Path(id): Path<String>,
    Params(params): Params,
) -> Outcome {
    let sim = lock(&api, &who, &id)?;
    who.shows_key()?;
    let form = Form::open(KEYPAD, &params)?;
    let code = form.text("code");
    form.close()?;
    let opened = code.and_then(Pin::parse).is_some_and(|pin| sim.keypad(&pin));
    Ok(told(&json!({"opened": opened, "ok": true})))
}

/// What time it is, for the gateway and inside its locks.
pub async fn clock(State(api): State<Arc<Api>>, who: Who) -> Outcome {
    all_simulated(&api, &who)?;
    Ok(told(&show_clock(&api)))
}

/// Moves time: `advance_s` all of it, `now` the gateway's wall clock alone.
pub async fn set_clock(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    all_simulated(&api, &who)?;
    let mut form = Form::open(CLOCK, &params)?;
    let advance = form.whole("advance_s");
    let now = form.time("now");
    let trusted = form.flag("trusted");
    if usize::from(advance.is_some()) + usize::from(now.is_some()) + usize::from(trusted.is_some()) != 1 {
        form.wrong("advance_s", "give one of advance_s, now and trusted");
    }
    form.close()?;
    if let Some(seconds) = advance {
        let _turn = api.advancing.lock().await;
        api.core.advance(Duration::from_secs(seconds)).await?;
    }
    if let Some(now) = now {
        api.clock().set_wall(now);
        api.core.tell(Event::Timer).await?;
    }
    if let Some(trusted) = trusted {
        api.clock().set_trusted(trusted);
        api.core.tell(Event::Timer).await?;
    }
    Ok(told(&show_clock(&api)))
}

fn show_clock(api: &Api) -> Value {
    json!({
        "now": time::show(api.clock().now().wall),
        "trusted": api.clock().reading().trusted,
        "in_locks": time::show(api.clock().in_lock().wall),
        "ok": true,
    })
}

fn all_simulated(api: &Api, who: &Who) -> Result<(), Refused> {
    who.may(Scope::Admin)?;
    if api.time_is_steered {
        return Ok(());
    }
    Err(Refused(Refusal::new(
        Reason::NotFound,
        "time is steered only where every lock is simulated",
    )))
}

fn lock<'a>(api: &'a Api, who: &Who, id: &str) -> Result<&'a SimDriver, Refused> {
    who.may(Scope::Admin)?;
    let device = api.locks.get(&device_id(id)?).ok_or_else(no_such_device)?;
    device
        .sim
        .as_deref()
        .ok_or_else(|| refused(Reason::NotFound, "this lock is not simulated"))
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, Refused> {
    // Not with the parser's own words: they may quote a PIN.
    let wrong = "a parameter is missing, unknown, or not of the kind that it should be";
    serde_json::from_value(params).map_err(|_| Refused(Refusal::new(Reason::InvalidInput, wrong)))
}
