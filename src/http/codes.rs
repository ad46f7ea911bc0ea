//! Access codes, as Seam serves them; and every other change, which is a job as theirs are.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::Api;
use super::answer::{Outcome, Refused, refused, told, unanswered};
use super::arrival::JobOfAnswer;
use super::devices::no_such_device;
use super::page::Page;
use super::who::Who;
use crate::api::answer::{
    self, Always, CodePage, Generated, GeneratedCode, OneCode, OneDryRun, Pagination, Revealed, RevealedCode,
    access_code,
};
use crate::api::form::Form;
use crate::api::request;
use crate::gateway::view::CodeView;
use crate::gateway::{Answer, Door, Event, Verb};
use crate::model::{CodeId, DeviceId, Pin, Reason, Refusal};
use crate::shell::Incoming;

/// Codes on one page, unless the caller wants fewer (Seam's number).
const PAGE: usize = 55_000;

/// `Idempotency-Key`: the caller's own handle on a job.
pub fn handle(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    const NAME: &str = "Idempotency-Key";
    let Some(header) = headers.get(NAME) else {
        return Ok(None);
    };
    // ASCII alone: of other characters, one client sends these bytes and another those.
    match header.to_str() {
        Ok(text) if (1..=255).contains(&text.len()) && !text.contains('\t') => Ok(Some(text.to_owned())),
        _ => Err(Refused(Refusal::invalid(
            NAME,
            "must be a text of 1 to 255 printable ASCII characters",
        ))),
    }
}

/// Asks the core for a change; what it answers is durable.
pub async fn job(
    api: &Api,
    verb: Verb,
    who: &Who,
    handle: Option<String>,
    body: &Value,
) -> Result<Response, Refused> {
    may_say_pin(who, body)?;
    let incoming = Incoming {
        caller: who.caller.clone(),
        verb,
        door: Door::Http { handle },
        hash: request::hash(verb, body),
        request: request::parse(verb, body),
    };
    let (id, answer) = match api.core.ask(incoming).await {
        Ok(answered) => answered,
        Err(none) => return unanswered(none),
    };
    if let Answer::Refused(refusal) = answer {
        return Err(Refused(refusal));
    }
    let mut response = told(&answer::answer(&api.site, &answer, who.pins())).into_response();
    if let Ok(text) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert("lockbridge-job-id", text);
    }
    response.extensions_mut().insert(JobOfAnswer(id));
    Ok(response)
}

/// A refusal tells whether a PIN is taken: who may not see PINs may not try them either.
fn may_say_pin(who: &Who, body: &Value) -> Result<(), Refused> {
    match body.get("code").is_some_and(|code| !code.is_null()) {
        true => who.may_try_pins(),
        false => Ok(()),
    }
}

/// What `create_multiple` would come to now.
pub async fn dry_run(api: &Api, who: &Who, body: &Value) -> Outcome {
    may_say_pin(who, body)?;
    let job = request::dry_run(body)?;
    let mut rng = (api.randomness)();
    let found = api
        .core
        .look(move |gateway, now| gateway.dry_run(&job, now, &mut rng))
        .await?;
    Ok(told(&OneDryRun {
        dry_run: answer::dry_run(&found),
        ok: Always,
    }))
}

/// By id, or by device and PIN.
pub async fn get(api: &Api, who: &Who, form: Form<'_>) -> Outcome {
    let id = form.uuid("access_code_id").map(CodeId);
    let device = form.uuid("device_id").map(DeviceId);
    let code = form.text("code");
    form.close()?;
    let found = match (id, device, code) {
        (Some(id), device, None) => api
            .core
            .look(move |gateway, now| gateway.code(id, now))
            .await?
            .filter(|view| device.is_none_or(|device| device == view.device)),
        (None, Some(device), Some(code)) => {
            // Else who may not see PINs could try them all.
            who.may_try_pins()?;
            let pin = Pin::parse(code);
            api.core
                .look(move |gateway, now| {
                    let mut codes = gateway.codes_after(device, None, now)?;
                    codes.find(|view| Some(&view.pin) == pin.as_ref())
                })
                .await?
        }
        _ => {
            return Err(refused(
                Reason::InvalidInput,
                "give access_code_id, or device_id and code",
            ));
        }
    };
    let found = found.ok_or_else(no_such_code)?;
    Ok(told(&OneCode {
        access_code: access_code(&api.site, &found, who.pins()),
        ok: Always,
    }))
}

/// By device or by ids, page by page.
pub async fn list(api: &Api, who: &Who, mut form: Form<'_>) -> Outcome {
    const ONE_OF: [&str; 5] = [
        "device_id",
        "access_code_ids",
        "access_method_id",
        "access_grant_id",
        "access_grant_key",
    ];
    if !ONE_OF.iter().any(|name| form.has(name)) {
        form.wrong("device_id", "give device_id or access_code_ids");
    }
    let wanted = Wanted {
        device: form.uuid("device_id").map(DeviceId),
        ids: form.uuids("access_code_ids"),
        search: form.text("search").map(str::to_lowercase),
        nothing: form.matches_nothing(),
    };
    let (page, pins) = (Page::read(&form, PAGE), who.pins());
    form.close()?;
    let found = api.core.look(move |gateway, now| {
        let id = |view: &CodeView| view.code.0;
        let matches = |view: &CodeView| {
            let search = wanted.search.as_deref();
            search.is_none_or(|search| answer::matches(view, search, pins))
        };
        match (wanted.ids, wanted.device) {
            _ if wanted.nothing => Some(page.take(std::iter::empty(), id)),
            (Some(mut ids), device) => {
                ids.sort_unstable();
                ids.dedup();
                let views = ids
                    .into_iter()
                    .filter(|id| page.has_yet(*id))
                    .filter_map(|id| gateway.listed(CodeId(id), now))
                    .filter(|view| device.is_none_or(|device| device == view.device));
                Some(page.take(views.filter(matches), id))
            }
            (None, Some(device)) => {
                let views = gateway.codes_after(device, page.after.map(CodeId), now)?;
                Some(page.take(views.filter(matches), id))
            }
            (None, None) => Some(page.take(std::iter::empty(), id)),
        }
    });
    let (codes, pagination): (Vec<CodeView>, Pagination) = found.await?.ok_or_else(no_such_device)?;
    Ok(told(&CodePage {
        access_codes: codes
            .iter()
            .map(|view| access_code(&api.site, view, pins))
            .collect(),
        pagination,
        ok: Always,
    }))
}

/// Which access codes are wanted.
struct Wanted {
    device: Option<DeviceId>,
    ids: Option<Vec<uuid::Uuid>>,
    search: Option<String>,
    nothing: bool,
}

/// A PIN that a device would take. What is never drawn is taken, so that it asks for a key that may see PINs.
pub async fn generate(api: &Api, who: &Who, form: Form<'_>) -> Outcome {
    who.may_try_pins()?;
    let device = form.uuid("device_id").map(DeviceId);
    form.close()?;
    let device = device.ok_or_else(no_such_device)?;
    let mut rng = (api.randomness)();
    let pin = api
        .core
        .look(move |gateway, now| gateway.generate_code(device, now, &mut rng))
        .await??;
    Ok(told(&Generated {
        generated_code: GeneratedCode {
            device_id: device.0,
            code: pin.expose().to_owned(),
        },
        ok: Always,
    }))
}

/// The PIN of one access code, for a person who asks for this one; also through a cookie. That it was shown, and
/// to whom, is durable before it is.
pub async fn reveal(api: &Api, who: &Who, form: Form<'_>) -> Outcome {
    let id = form.uuid("access_code_id").map(CodeId);
    form.close()?;
    let id = id.ok_or_else(no_such_code)?;
    api.reveals.one_more(&who.caller, api.clock().now().mono)?;
    api.core.tell(Event::Revealed(id, who.name().to_owned())).await?;
    // A look is answered once all is durable that was told before.
    let found = api.core.look(move |gateway, now| gateway.code(id, now)).await?;
    let found = found.ok_or_else(no_such_code)?;
    Ok(told(&Revealed {
        access_code: RevealedCode {
            access_code_id: id.0,
            code: found.pin.expose().to_owned(),
        },
        ok: Always,
    }))
}

pub(super) fn no_such_code() -> Refused {
    refused(Reason::AccessCodeNotFound, "no such access code")
}
