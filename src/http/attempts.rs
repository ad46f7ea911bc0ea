//! Door commands, as Seam serves them.

use super::Api;
use super::answer::{Outcome, refused, told};
use super::page::Page;
use crate::api::answer::{Always, AttemptPage, OneAttempt, attempt};
use crate::api::form::Form;
use crate::gateway::view::AttemptView;
use crate::model::{AttemptId, DeviceId, Reason};

/// Door commands on one page, unless the caller wants fewer (Seam's number).
const PAGE: usize = 500;

/// By id.
pub async fn get(api: &Api, form: Form<'_>) -> Outcome {
    let id = form.uuid("action_attempt_id").map(AttemptId);
    form.close()?;
    let found = api.core.look(move |gateway, _| gateway.attempt(id?));
    let found = found
        .await?
        .ok_or_else(|| refused(Reason::ActionAttemptNotFound, "no such action attempt"))?;
    Ok(told(&OneAttempt {
        action_attempt: attempt(&found),
        ok: Always,
    }))
}

/// All that match, page by page.
pub async fn list(api: &Api, form: Form<'_>) -> Outcome {
    let ids = form.uuids("action_attempt_ids");
    let device = form.uuid("device_id").map(DeviceId);
    let page = Page::read(&form, PAGE);
    form.close()?;
    let found = api.core.look(move |gateway, _| {
        let mut ahead: Vec<&AttemptView> = gateway
            .attempts()
            .filter(|view| page.has_yet(view.attempt.0))
            .filter(|view| ids.as_ref().is_none_or(|ids| ids.contains(&view.attempt.0)))
            .filter(|view| device.is_none_or(|device| device == view.device))
            .collect();
        ahead.sort_unstable_by_key(|view| view.attempt);
        page.take(ahead.into_iter().cloned(), |view| view.attempt.0)
    });
    let (attempts, pagination) = found.await?;
    Ok(told(&AttemptPage {
        action_attempts: attempts.iter().map(attempt).collect(),
        pagination,
        ok: Always,
    }))
}
