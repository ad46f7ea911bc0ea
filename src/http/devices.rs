//! Devices, as Seam serves them.

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;

use super::Api;
use super::answer::{Outcome, Refused, Told, told, told_flat};
use super::codes::Page;
use super::keys::Scope;
use super::params::Params;
use super::who::Who;
use crate::api::answer;
use crate::api::request::Form;
use crate::gateway::view::DeviceView;
use crate::lock::sim::SimDriver;
use crate::model::{DeviceId, Reason, Refusal};

/// Devices on one page, unless the caller wants fewer (Seam's number).
const PAGE: usize = 500;

/// By id or by name.
pub async fn get(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    who.may(Scope::Codes)?;
    let mut form = Form::open(&params)?;
    let id = form.uuid("device_id").map(DeviceId);
    let name = form.text("name");
    if id.is_none() && name.is_none() {
        form.wrong("device_id", "give device_id or name");
    }
    form.close()?;
    let found = all(&api)
        .await?
        .into_iter()
        .find(|view| id.is_none_or(|id| id == view.device) && name.is_none_or(|name| name == view.name));
    let found = found.ok_or_else(no_such_device)?;
    Ok(told("device", answer::device(&api.site, &found)))
}

/// All of them, page by page, by their ids.
pub async fn list(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    who.may(Scope::Codes)?;
    let mut form = Form::open(&params)?;
    let ids = form.uuids("device_ids");
    let search = form.text("search").map(str::to_lowercase);
    let page = Page::read(&mut form, PAGE);
    form.close()?;
    let mut devices = all(&api).await?;
    devices.retain(|view| {
        let named = ids.as_ref().is_none_or(|ids| ids.contains(&view.device.0));
        let has = |text: &str, search: &str| text.to_lowercase().contains(search);
        let matches = search
            .as_deref()
            .is_none_or(|search| has(&view.name, search) || has(&view.device.to_string(), search));
        named && matches
    });
    let (devices, pagination) = page.cut(devices, |view| view.device.to_string());
    let devices: Vec<Value> = devices
        .iter()
        .map(|view| answer::device(&api.site, view))
        .collect();
    let Told(mut body) = told("devices", devices.into());
    body["pagination"] = pagination;
    Ok(Told(body))
}

async fn all(api: &Api) -> Result<Vec<DeviceView>, Refused> {
    let devices = api.core.look(|gateway, now| {
        let ids: Vec<DeviceId> = gateway.device_ids().collect();
        ids.into_iter().filter_map(|id| gateway.device(id, now)).collect()
    });
    Ok(devices.await?)
}

/// Brings a simulated lock within reach.
pub async fn connect(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    simulate(&api, &who, &params, SimDriver::connect)
}

/// Takes a simulated lock out of reach.
pub async fn disconnect(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    simulate(&api, &who, &params, SimDriver::disconnect)
}

/// Takes a simulated lock away for good.
pub async fn remove(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    simulate(&api, &who, &params, SimDriver::remove)
}

/// The core hears of it before it hears of whatever is asked next.
fn simulate(api: &Api, who: &Who, params: &Value, change: fn(&SimDriver)) -> Outcome {
    who.may_one_of(&[Scope::Operate, Scope::Admin])?;
    let mut form = Form::open(params)?;
    let id = form.uuid("device_id").map(DeviceId);
    if id.is_none() {
        form.required("device_id");
    }
    form.close()?;
    let device = id.and_then(|id| api.locks.get(&id)).ok_or_else(no_such_device)?;
    let sim = device.sim.as_ref().ok_or_else(|| {
        Refused(Refusal::invalid(
            "device_id",
            "this device is real, and cannot be simulated",
        ))
    })?;
    change(sim);
    Ok(told_flat(serde_json::json!({})))
}

pub(super) fn no_such_device() -> Refused {
    Refused(Refusal::new(Reason::DeviceNotFound, "no such device"))
}
