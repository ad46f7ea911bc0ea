//! Devices, as Seam serves them.

use uuid::Uuid;

use super::Api;
use super::answer::{Outcome, Refused, refused, told};
use super::page::Page;
use crate::api::answer::{self, Always, DevicePage, Done, Locks, OneDevice, OneLock, Pagination, Site};
use crate::api::form::Form;
use crate::gateway::view::DeviceView;
use crate::lock::sim::SimDriver;
use crate::model::{DeviceId, Note, Reason, Refusal, Timestamp};

/// Devices on one page, unless the caller wants fewer (Seam's number).
const PAGE: usize = 500;

/// By id or by name.
pub async fn get(api: &Api, form: Form<'_>) -> Outcome {
    let view = find(api, form).await?;
    Ok(told(&OneDevice {
        device: answer::device(&api.site, &view),
        ok: Always,
    }))
}

/// The same, once more as a lock.
pub async fn get_lock(api: &Api, form: Form<'_>) -> Outcome {
    let view = find(api, form).await?;
    Ok(told(&OneLock {
        device: answer::device(&api.site, &view),
        lock: answer::device(&api.site, &view),
        ok: Always,
    }))
}

async fn find(api: &Api, mut form: Form<'_>) -> Result<DeviceView, Refused> {
    let id = form.uuid("device_id").map(DeviceId);
    let name = form.text("name").map(str::to_owned);
    if !form.has("device_id") && !form.has("name") {
        form.wrong("device_id", "give device_id or name");
    }
    form.close()?;
    let found = api.core.look(move |gateway, now| {
        let is_called = |view: &DeviceView| {
            let name = name.as_ref();
            name.is_none_or(|name| *name == view.name || view.nickname.as_ref() == Some(name))
        };
        match id {
            Some(id) => gateway.device(id, now).filter(is_called),
            None => gateway
                .device_ids()
                .filter_map(|id| gateway.device(id, now))
                .find(is_called),
        }
    });
    found.await?.ok_or_else(no_such_device)
}

/// All that match, page by page.
pub async fn list(api: &Api, form: Form<'_>) -> Outcome {
    let (devices, pagination) = page(api, form).await?;
    Ok(told(&DevicePage {
        devices: devices
            .iter()
            .map(|view| answer::device(&api.site, view))
            .collect(),
        pagination,
        ok: Always,
    }))
}

/// The same, once more as locks: all devices here are.
pub async fn list_locks(api: &Api, form: Form<'_>) -> Outcome {
    let (devices, _) = page(api, form).await?;
    let devices = || devices.iter().map(|view| answer::device(&api.site, view));
    Ok(told(&Locks {
        devices: devices().collect(),
        locks: devices().collect(),
        ok: Always,
    }))
}

async fn page(api: &Api, form: Form<'_>) -> Result<(Vec<DeviceView>, Pagination), Refused> {
    let (wanted, page, site) = (Wanted::read(&form), Page::read(&form, PAGE), api.site.clone());
    form.close()?;
    let found = api.core.look(move |gateway, now| {
        let views = gateway
            .device_ids()
            .filter(|id| page.has_yet(id.0))
            .filter_map(|id| gateway.device(id, now))
            .filter(|view| wanted.matches(&site, view));
        page.take(views, |view| view.device.0)
    });
    Ok(found.await?)
}

/// Which devices are wanted: all conditions hold.
struct Wanted {
    ids: Option<Vec<Uuid>>,
    types: [Option<Vec<String>>; 2],
    manufacturer: Option<String>,
    accounts: [Option<Vec<Uuid>>; 2],
    created_before: Option<Timestamp>,
    notes: Vec<(String, String)>,
    include_if: Vec<String>,
    exclude_if: Vec<String>,
    search: Option<String>,
    nothing: bool,
}

impl Wanted {
    fn read(form: &Form<'_>) -> Wanted {
        let notes = form.object("custom_metadata_has").into_iter().flatten();
        Wanted {
            ids: form.uuids("device_ids"),
            types: [
                form.text("device_type").map(|one| vec![one.to_owned()]),
                form.texts("device_types"),
            ],
            manufacturer: form.text("manufacturer").map(str::to_owned),
            accounts: [
                form.uuid("connected_account_id").map(|one| vec![one]),
                form.uuids("connected_account_ids"),
            ],
            created_before: form.time("created_before"),
            notes: notes
                .map(|(name, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    (name.clone(), text)
                })
                .collect(),
            include_if: form.texts("include_if").unwrap_or_default(),
            exclude_if: form.texts("exclude_if").unwrap_or_default(),
            search: form.text("search").map(str::to_lowercase),
            nothing: form.matches_nothing(),
        }
    }

    fn matches(&self, site: &Site, view: &DeviceView) -> bool {
        let has_note = |(name, text): &(String, String)| match view.metadata.get(name) {
            // A query cannot tell a truth value from its word.
            Some(Note::Flag(flag)) => flag.to_string() == *text,
            Some(Note::Text(note)) => note == text,
            None => false,
        };
        let found = |search: &String| {
            let names = [answer::display_name(view), &view.name];
            let mut texts = names.iter().map(|name| name.to_lowercase());
            texts.any(|text| text.contains(search)) || view.device.to_string().contains(search)
        };
        !self.nothing
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&view.device.0))
            && (self.types.iter().flatten()).all(|types| types.contains(&answer::device_type(view)))
            && self
                .manufacturer
                .as_ref()
                .is_none_or(|name| name == answer::MANUFACTURER)
            && (self.accounts.iter().flatten()).all(|accounts| accounts.contains(&site.account))
            && self.created_before.is_none_or(|before| view.created_at < before)
            && self.notes.iter().all(has_note)
            && self.include_if.iter().all(|flag| answer::can(view, flag))
            && !self.exclude_if.iter().any(|flag| answer::can(view, flag))
            && self.search.as_ref().is_none_or(found)
    }
}

/// Changes what a simulated lock is like. The core hears of it before it hears of whatever is asked
/// next.
pub fn simulate(api: &Api, form: Form<'_>, change: fn(&SimDriver)) -> Outcome {
    let id = form.uuid("device_id").map(DeviceId);
    form.close()?;
    let device = id.and_then(|id| api.locks.get(&id)).ok_or_else(no_such_device)?;
    let sim = device.sim.as_ref().ok_or_else(|| {
        Refused(Refusal::invalid(
            "device_id",
            "this device is real, and cannot be simulated",
        ))
    })?;
    change(sim);
    Ok(told(&Done { ok: Always }))
}

pub(super) fn no_such_device() -> Refused {
    refused(Reason::DeviceNotFound, "no such device")
}
