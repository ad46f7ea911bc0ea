//! What Seam has no words for: how the gateway is, receipts, queues, jobs. And the site itself.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::Api;
use super::answer::{Outcome, Refused, Told, json, refused, told};
use super::codes::no_such_code;
use super::devices::no_such_device;
use super::who::Who;
use crate::api::answer::{
    self, Always, Done, Export, Moment, OneClock, OneExport, OneIncident, OneJob, OneQueue, OneReceipt,
    OneReceiptKey, OneSignedReceipt, OneStatus, OneWhy, OneWorkspace, ReceiptKey, SignedReceipt,
};
use crate::api::form::Form;
use crate::api::openapi;
use crate::gateway::view::DeviceView;
use crate::gateway::{Event, Gateway};
use crate::model::{CodeId, DeviceId, GroupKey, JobId, Now, Reason, Timestamp};
use crate::shell::Unexported;

/// Whether somebody is at home; the same as Seam's.
pub fn health() -> Told {
    told(&Done { ok: Always })
}

/// What can be asked, for machines.
pub fn document(api: &Api) -> Response {
    let document = api.document.get_or_init(|| answer::text(&openapi::document()));
    json(StatusCode::OK, document.clone())
}

/// The site.
pub fn workspace(api: &Api) -> Told {
    let is_sandbox = api.household.is_none()
        && !api.locks.is_empty()
        && api.locks.values().all(|device| device.sim.is_some());
    told(&OneWorkspace {
        workspace: answer::workspace(&api.site, is_sandbox),
        ok: Always,
    })
}

/// The whole truth: whether new work is taken, and what is away or late.
pub async fn ready(api: &Api) -> Response {
    let edges = api.edges();
    let seen = api.core.look(|gateway, now| gateway.summary(now)).await.ok();
    let body = answer::readiness(seen.as_ref(), edges);
    let status = match body.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, answer::text(&body))
}

/// The whole gateway in one look, and what needs a person.
pub async fn status(api: &Api) -> Outcome {
    let edges = api.edges();
    let look = |gateway: &Gateway, now| {
        let summary = gateway.summary(now);
        let why = |device: &DeviceView| gateway.why_device(device.device, now);
        let causes: Vec<_> = summary.devices.iter().map(why).collect();
        (summary, causes)
    };
    let (summary, causes) = api.core.look(look).await?;
    let causes: Vec<_> = causes
        .iter()
        .map(|why| why.as_ref().map(answer::why_device))
        .collect();
    Ok(told(&OneStatus {
        status: answer::status(&api.site, Timestamp(api.started), &summary, &causes, edges),
        ok: Always,
    }))
}

/// The operator vouches for a clock that made a wild step.
pub async fn accept_clock(api: &Api, form: Form<'_>) -> Outcome {
    form.close()?;
    api.core.tell(Event::AcceptClock).await?;
    let source = api.clock().source().word();
    let clock = api.core.look(|gateway, _| gateway.clock()).await?;
    Ok(told(&OneClock {
        clock: answer::clock(clock, source),
        ok: Always,
    }))
}

/// An export, made now.
pub async fn export(api: &Api, form: Form<'_>) -> Outcome {
    form.close()?;
    let made = api.core.export().await?.map_err(|why| {
        let reason = match &why {
            Unexported::NoRecoveryKey => Reason::NoRecoveryKey,
            Unexported::NoRoom { .. } => Reason::StorageFull,
            Unexported::Failed(_) => Reason::ExportFailed,
        };
        refused(reason, &why.to_string())
    })?;
    Ok(told(&OneExport {
        export: Export {
            path: made.path.display().to_string(),
            bytes: made.bytes,
            last_event: made.last_event,
            made_at: Moment(made.made_at),
        },
        ok: Always,
    }))
}

/// What happened since a moment, of which the caller says when it was or how long ago.
pub async fn incident(api: &Api, form: Form<'_>) -> Outcome {
    let (since, ago) = (form.time("since"), form.whole("ago_s"));
    form.close()?;
    let incident = api
        .core
        .look(move |gateway, now| {
            let ago = ago.map(|seconds| now.wall - Duration::from_secs(seconds));
            let oldest = gateway.events().next().map_or(now.wall, |event| event.at);
            // Of what lies ahead there is nothing to tell yet, and nothing of the time before 1970.
            let since = since.max(ago).unwrap_or(oldest);
            gateway.incident(since.clamp(Timestamp(0), now.wall.max(Timestamp(0))), now)
        })
        .await?;
    Ok(told(&OneIncident {
        incident: answer::bundle(&incident, api.clock().source().word()),
        ok: Always,
    }))
}

/// The receipt of a group.
pub async fn receipt(api: &Api, who: &Who, form: Form<'_>) -> Outcome {
    let key = form.text("common_code_key").map(|key| GroupKey(key.to_owned()));
    form.close()?;
    let source = api.clock().source().word();
    let look = move |gateway: &Gateway, now: Now| {
        let members = gateway.group(&key?, now)?;
        Some((members, gateway.clock(), now.wall))
    };
    let (members, clock, now) = api.core.look(look).await?.ok_or_else(no_such_group)?;
    Ok(told(&OneReceipt {
        receipt: answer::receipt(&members, now, who.pins()),
        now: Moment(now),
        clock: answer::clock(clock, source),
        ok: Always,
    }))
}

/// The receipt of a group as a statement that others can check.
pub async fn signed_receipt(api: &Api, form: Form<'_>) -> Outcome {
    let key = form.text("common_code_key").map(|key| GroupKey(key.to_owned()));
    form.close()?;
    let key = key.ok_or_else(no_such_group)?;
    let site = api.site.clone();
    let look = move |gateway: &Gateway, now: Now| {
        let doors = gateway.doors_of(&key)?;
        Some(answer::statement(&site, &key, &doors, gateway.clock(), now.wall))
    };
    let statement = api.core.look(look).await?.ok_or_else(no_such_group)?;
    let statement = answer::text(&statement);
    let signature = api.signing_key.sign(&statement).to_string();
    Ok(told(&OneSignedReceipt {
        signed_receipt: SignedReceipt {
            statement,
            signature,
            public_key: api.signing_key.public().to_string(),
        },
        ok: Always,
    }))
}

/// What signed receipts are checked with.
pub fn receipt_key(api: &Api) -> Told {
    told(&OneReceiptKey {
        receipt_key: ReceiptKey {
            algorithm: "ed25519".to_owned(),
            public_key: api.signing_key.public().to_string(),
        },
        ok: Always,
    })
}

fn no_such_group() -> Refused {
    refused(
        Reason::AccessCodeNotFound,
        "no access codes have this common_code_key",
    )
}

/// What a device waits for, most pressing first; and what waits for its time.
pub async fn queue(api: &Api, form: Form<'_>) -> Outcome {
    let device = form.uuid("device_id").map(DeviceId);
    form.close()?;
    let device = device.ok_or_else(no_such_device)?;
    let (queue, codes) = api
        .core
        .look(move |gateway, now| (gateway.queue(device, now), gateway.codes_of(device, now)))
        .await?;
    let queue = queue.ok_or_else(no_such_device)?;
    Ok(told(&OneQueue {
        queue: answer::queue(device, &queue, &codes),
        ok: Always,
    }))
}

/// Why an access code is as it is.
pub async fn why_code(api: &Api, form: Form<'_>) -> Outcome {
    let id = form.uuid("access_code_id").map(CodeId);
    form.close()?;
    let id = id.ok_or_else(no_such_code)?;
    let why = api
        .core
        .look(move |gateway, now| gateway.why_code(id, now))
        .await?;
    Ok(told(&OneWhy {
        why: answer::why_code(id, &why.ok_or_else(no_such_code)?),
        ok: Always,
    }))
}

/// Why a device is as it is.
pub async fn why_device(api: &Api, form: Form<'_>) -> Outcome {
    let id = form.uuid("device_id").map(DeviceId);
    form.close()?;
    let id = id.ok_or_else(no_such_device)?;
    let why = api
        .core
        .look(move |gateway, now| gateway.why_device(id, now))
        .await?;
    Ok(told(&OneWhy {
        why: answer::why_device(&why.ok_or_else(no_such_device)?),
        ok: Always,
    }))
}

/// Has a lock read and compared with what it should hold; what comes of it is seen in its codes and in events.
pub async fn verify(api: &Api, form: Form<'_>) -> Outcome {
    let id = form.uuid("device_id").map(DeviceId);
    form.close()?;
    let id = id.ok_or_else(no_such_device)?;
    let is_known = move |gateway: &Gateway, _| gateway.device_ids().any(|known| known == id);
    if !api.core.look(is_known).await? {
        return Err(no_such_device());
    }
    api.core.tell(Event::Verify(id)).await?;
    Ok(told(&Done { ok: Always }))
}

/// How far a job is.
pub async fn job(api: &Api, who: &Who, form: Form<'_>) -> Outcome {
    let id = form.text("job_id").and_then(JobId::parse);
    form.close()?;
    let job = api
        .core
        .look(move |gateway, now| gateway.job(&id?, now))
        .await?
        .ok_or_else(|| refused(Reason::JobNotFound, "no such job"))?;
    Ok(told(&OneJob {
        job: answer::job(&job, who.pins()),
        ok: Always,
    }))
}

/// A device named in a path.
pub(super) fn device_id(text: &str) -> Result<DeviceId, Refused> {
    Uuid::try_parse(text).map(DeviceId).map_err(|_| no_such_device())
}
