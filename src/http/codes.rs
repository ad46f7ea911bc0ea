//! Access codes, as Seam serves them.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;
use super::answer::{Outcome, Refused, Told, told};
use super::keys::Scope;
use super::params::Params;
use super::serve::JobOfAnswer;
use super::who::Who;
use crate::api::answer::{access_code, answer_body};
use crate::api::request::{self, Form};
use crate::gateway::view::CodeView;
use crate::gateway::{Answer, Door, Verb};
use crate::model::{CodeId, DeviceId, Pin, Reason, Refusal};
use crate::shell::Incoming;

/// Codes on one page, unless the caller wants fewer (Seam's number).
const PAGE: usize = 55_000;

/// `Idempotency-Key`: the caller's own handle on a job.
pub struct Handle(Option<String>);

impl FromRequestParts<Arc<Api>> for Handle {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &Arc<Api>) -> Result<Handle, Refused> {
        const NAME: &str = "Idempotency-Key";
        let Some(header) = head.headers.get(NAME) else {
            return Ok(Handle(None));
        };
        let text = std::str::from_utf8(header.as_bytes()).unwrap_or_default();
        match text.chars().count() {
            1..=255 => Ok(Handle(Some(text.to_owned()))),
            _ => Err(Refused(Refusal::invalid(
                NAME,
                "must be a text of 1 to 255 characters",
            ))),
        }
    }
}

/// One PIN on many devices.
pub async fn create_multiple(
    State(api): State<Arc<Api>>,
    who: Who,
    handle: Handle,
    params: Params,
) -> Result<Response, Refused> {
    job(&api, Verb::CreateMultiple, &who, handle, &params).await
}

/// Other times or another name for a whole group.
pub async fn update_multiple(
    State(api): State<Arc<Api>>,
    who: Who,
    handle: Handle,
    params: Params,
) -> Result<Response, Refused> {
    job(&api, Verb::UpdateMultiple, &who, handle, &params).await
}

/// Takes one code away.
pub async fn delete(
    State(api): State<Arc<Api>>,
    who: Who,
    handle: Handle,
    params: Params,
) -> Result<Response, Refused> {
    job(&api, Verb::Delete, &who, handle, &params).await
}

/// Asks the core for a change; what it answers is durable.
async fn job(
    api: &Api,
    verb: Verb,
    who: &Who,
    Handle(handle): Handle,
    Params(body): &Params,
) -> Result<Response, Refused> {
    who.may(Scope::Codes)?;
    let incoming = Incoming {
        caller: who.caller.clone(),
        verb,
        door: Door::Http { handle },
        hash: request::hash(verb, body),
        request: request::parse(verb, body),
    };
    let (id, answer) = api.core.ask(incoming).await?;
    if let Answer::Refused(refusal) = answer {
        return Err(Refused(refusal));
    }
    let mut response = Told(answer_body(&api.site, &answer, who.pins())).into_response();
    if let Ok(text) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert("lockbridge-job-id", text);
    }
    response.extensions_mut().insert(JobOfAnswer(id));
    Ok(response)
}

/// By id, or by device and PIN.
pub async fn get(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    who.may(Scope::Codes)?;
    let mut form = Form::open(&params)?;
    let id = form.uuid("access_code_id").map(CodeId);
    let device = form.uuid("device_id").map(DeviceId);
    let code = form.text("code").map(str::to_owned);
    form.close()?;
    let found = match (id, device, code) {
        (Some(id), device, None) => api
            .core
            .look(move |gateway, now| gateway.code(id, now))
            .await?
            .filter(|view| device.is_none_or(|device| device == view.device)),
        (None, Some(device), Some(code)) => {
            // Else a key that may not see PINs could try them all.
            who.may(Scope::Pins)?;
            let codes = api.core.look(move |gateway, now| gateway.codes_of(device, now));
            let pin = Pin::parse(&code);
            codes
                .await?
                .into_iter()
                .find(|view| Some(&view.pin) == pin.as_ref())
        }
        _ => {
            let needed = "give access_code_id, or device_id and code";
            return Err(Refused(Refusal::new(Reason::InvalidInput, needed)));
        }
    };
    let found =
        found.ok_or_else(|| Refused(Refusal::new(Reason::AccessCodeNotFound, "no such access code")))?;
    Ok(told("access_code", access_code(&api.site, &found, who.pins())))
}

/// By device or by ids, page by page, in the order in which they were made.
pub async fn list(State(api): State<Arc<Api>>, who: Who, Params(params): Params) -> Outcome {
    who.may(Scope::Codes)?;
    let mut form = Form::open(&params)?;
    let device = form.uuid("device_id").map(DeviceId);
    let ids = form.uuids("access_code_ids");
    let search = form.text("search").map(str::to_lowercase);
    let page = Page::read(&mut form, PAGE);
    if device.is_none() && ids.is_none() {
        form.wrong("device_id", "give device_id or access_code_ids");
    }
    form.close()?;
    let (known, mut codes) = api
        .core
        .look(move |gateway, now| match (ids, device) {
            (Some(ids), device) => {
                let mut codes: Vec<CodeView> = ids
                    .into_iter()
                    .filter_map(|id| gateway.code(CodeId(id), now))
                    .filter(|view| device.is_none_or(|device| device == view.device))
                    .collect();
                codes.sort_by_key(|view| (view.created_at, view.code));
                codes.dedup_by_key(|view| view.code);
                (true, codes)
            }
            (None, Some(device)) => (
                gateway.device(device, now).is_some(),
                gateway.codes_of(device, now),
            ),
            (None, None) => (true, Vec::new()),
        })
        .await?;
    if !known {
        return Err(Refused(Refusal::new(Reason::DeviceNotFound, "no such device")));
    }
    if let Some(search) = search {
        let pins = who.pins();
        codes.retain(|view| {
            let shown = access_code(&api.site, view, pins);
            let has = |field: &str| {
                shown[field]
                    .as_str()
                    .is_some_and(|text| text.to_lowercase().contains(&search))
            };
            has("name") || has("code") || has("access_code_id")
        });
    }
    let key = |view: &CodeView| format!("{:020}.{}", view.created_at.0, view.code);
    let (codes, pagination) = page.cut(codes, key);
    let codes: Vec<Value> = codes
        .iter()
        .map(|view| access_code(&api.site, view, who.pins()))
        .collect();
    let Told(mut body) = told("access_codes", codes.into());
    body["pagination"] = pagination;
    Ok(Told(body))
}

/// Which part of a list is wanted.
pub struct Page {
    limit: usize,
    after: Option<String>,
}

impl Page {
    /// Reads `limit` and `page_cursor`.
    pub fn read(form: &mut Form<'_>, most: usize) -> Page {
        let limit = form.whole("limit");
        if limit == Some(0) {
            form.wrong("limit", "must be at least 1");
        }
        Page {
            limit: limit
                .and_then(|limit| usize::try_from(limit).ok())
                .map_or(most, |limit| limit.min(most)),
            after: form.text("page_cursor").map(str::to_owned),
        }
    }

    /// Cuts the page out of a list that is sorted by `key`. A cursor is the key of the last one
    /// before it, so that a page does not move when others go away.
    pub fn cut<T>(self, mut all: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Value) {
        if let Some(after) = &self.after {
            all.retain(|one| key(one) > *after);
        }
        let more = all.len() > self.limit;
        all.truncate(self.limit);
        let cursor = all.last().filter(|_| more).map(key);
        let pagination = json!({
            "has_next_page": more,
            "next_page_cursor": cursor,
            "next_page_url": null,
        });
        (all, pagination)
    }
}
