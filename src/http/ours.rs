//! What Seam has no words for: how the gateway is, receipts, queues, jobs.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::answer::{Outcome, Refused, Told, json as body, told, told_flat};
use super::devices::no_such_device;
use super::keys::Scope;
use super::who::Who;
use crate::api::answer;
use crate::model::{DeviceId, GroupKey, JobId, Reason, Refusal};

/// Whether somebody is at home; the same as Seam's.
pub async fn health() -> Told {
    told_flat(json!({}))
}

/// The whole truth: whether new work is taken, and what is wrong if not.
pub async fn ready(State(api): State<Arc<Api>>) -> Response {
    let storage_low = (api.storage_low)();
    let seen = api.core.look(|gateway, now| {
        let ids: Vec<DeviceId> = gateway.device_ids().collect();
        let devices: Vec<_> = ids.iter().filter_map(|id| gateway.device(*id, now)).collect();
        let codes: usize = ids.iter().map(|id| gateway.codes_of(*id, now).len()).sum();
        json!({
            "devices": {
                "total": devices.len(),
                "online": devices.iter().filter(|d| d.online && !d.removed).count(),
                "offline": devices.iter().filter(|d| !d.online && !d.removed).count(),
                "removed": devices.iter().filter(|d| d.removed).count(),
                "drift": devices.iter().filter(|d| d.drift).count(),
            },
            "access_codes": codes,
            "groups": gateway.groups().count(),
            "commands_waiting": devices.iter().map(|d| d.pending).sum::<usize>(),
            "jobs_open": gateway.open_jobs(),
            "replies_waiting": gateway.replies().count(),
        })
    });
    let seen = seen.await;
    let alive = seen.is_ok();
    let ready = alive && !storage_low;
    let mut told = seen.unwrap_or_else(|_| json!({}));
    told["ok"] = ready.into();
    told["store"] = match alive {
        true => "ok",
        false => "stopped",
    }
    .into();
    told["storage_low"] = storage_low.into();
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    body(status, &told).into_response()
}

/// The receipt of a group.
pub async fn group(State(api): State<Arc<Api>>, who: Who, Path(key): Path<String>) -> Outcome {
    who.may(Scope::Codes)?;
    let members = api
        .core
        .look(move |gateway, now| gateway.group(&GroupKey(key), now))
        .await?
        .ok_or_else(|| {
            Refused(Refusal::new(
                Reason::AccessCodeNotFound,
                "no access codes have this common_code_key",
            ))
        })?;
    Ok(told_flat(answer::receipt(&members, who.pins())))
}

/// What a device waits for, most pressing first; and what waits for its time.
pub async fn queue(State(api): State<Arc<Api>>, who: Who, Path(id): Path<String>) -> Outcome {
    who.may(Scope::Codes)?;
    let device = device_id(&id)?;
    let (queue, codes) = api
        .core
        .look(move |gateway, now| (gateway.queue(device, now), gateway.codes_of(device, now)))
        .await?;
    let queue = queue.ok_or_else(no_such_device)?;
    Ok(told_flat(json!({
        "device_id": device,
        "queue": answer::queue(&queue),
        "upcoming": answer::upcoming(&codes),
    })))
}

/// How far a job is.
pub async fn job(State(api): State<Arc<Api>>, who: Who, Path(id): Path<String>) -> Outcome {
    who.may(Scope::Codes)?;
    let not_found = || Refused(Refusal::new(Reason::JobNotFound, "no such job"));
    let id = JobId::parse(&id).ok_or_else(not_found)?;
    let job = api
        .core
        .look(move |gateway, now| gateway.job(&id, now))
        .await?
        .ok_or_else(not_found)?;
    Ok(told("job", answer::job(&job, who.pins())))
}

/// A device named in a path.
pub(super) fn device_id(text: &str) -> Result<DeviceId, Refused> {
    uuid::Uuid::try_parse(text)
        .map(DeviceId)
        .map_err(|_| no_such_device())
}
