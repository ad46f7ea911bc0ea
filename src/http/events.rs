//! Events, as Seam serves them.

use uuid::Uuid;

use super::Api;
use super::answer::{Outcome, refused, told};
use super::who::Who;
use crate::api::answer::{self, Always, Events, OneEvent, Site, event};
use crate::api::form::Form;
use crate::api::time;
use crate::model::{Event, EventKind, Reason, Timestamp};

/// Events of one answer, unless the caller wants fewer (Seam's number).
const MOST: usize = 500;

/// The newest that matches.
pub async fn get(api: &Api, who: &Who, mut form: Form<'_>) -> Outcome {
    let names = ["event_id", "event_type", "device_id"];
    if !names.iter().any(|name| form.has(name)) {
        form.wrong("event_id", "give event_id, event_type or device_id");
    }
    let wanted = Wanted {
        ids: form.uuid("event_id").map(|one| vec![one]),
        ..Wanted::read(&form, api)
    };
    form.close()?;
    let found = api.core.look(move |gateway, _| {
        let mut newest_first = gateway.events().rev();
        newest_first.find(|event| wanted.matches(event)).cloned()
    });
    let found = found
        .await?
        .ok_or_else(|| refused(Reason::EventNotFound, "no such event"))?;
    Ok(told(&OneEvent {
        event: event(&api.site, &found, who.pins()),
        ok: Always,
    }))
}

/// All that match, oldest first.
pub async fn list(api: &Api, who: &Who, mut form: Form<'_>) -> Outcome {
    if !form.has("since") && !form.has("between") {
        form.wrong("since", "give since or between");
    }
    let wanted = Wanted::read(&form, api);
    if wanted.between.is_some_and(|(after, before)| before <= after) {
        form.wrong("between", "must be two times, the earlier first");
    }
    let number = |name| form.whole(name).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let (limit, offset) = (
        number("limit").unwrap_or(MOST).min(MOST),
        number("unstable_offset").unwrap_or(0),
    );
    form.close()?;
    let found = api.core.look(move |gateway, _| {
        let matching = gateway.events().filter(|event| wanted.matches(event));
        let page = matching.skip(offset).take(limit);
        page.cloned().collect::<Vec<Event>>()
    });
    Ok(told(&Events {
        events: found
            .await?
            .iter()
            .map(|found| event(&api.site, found, who.pins()))
            .collect(),
        ok: Always,
    }))
}

/// What words stand for, before many events are held against them; unknown ones match nothing.
fn kinds<T: AsRef<str>>(words: &[T]) -> Vec<EventKind> {
    words
        .iter()
        .filter_map(|word| answer::event_kind(word.as_ref()))
        .collect()
}

/// Which events are wanted: all conditions hold.
struct Wanted {
    site: Site,
    since: Option<Timestamp>,
    between: Option<(Timestamp, Timestamp)>,
    ids: Option<Vec<Uuid>>,
    devices: [Option<Vec<Uuid>>; 2],
    codes: [Option<Vec<Uuid>>; 2],
    kinds: [Option<Vec<EventKind>>; 2],
    nothing: bool,
}

impl Wanted {
    fn read(form: &Form<'_>, api: &Api) -> Wanted {
        let uuids = |one: &str, many: &str| [form.uuid(one).map(|one| vec![one]), form.uuids(many)];
        let between = form.list("between", |item| time::parse(item.as_str()?).ok());
        let elsewhere = |account| account != api.site.account;
        Wanted {
            site: api.site.clone(),
            since: form.time("since"),
            between: match between.as_deref() {
                Some([after, before]) => Some((*after, *before)),
                _ => None,
            },
            ids: form.uuids("event_ids"),
            devices: uuids("device_id", "device_ids"),
            codes: uuids("access_code_id", "access_code_ids"),
            kinds: [
                form.text("event_type").map(|word| kinds(&[word])),
                form.texts("event_types").map(|words| kinds(&words)),
            ],
            nothing: form.matches_nothing() || form.uuid("connected_account_id").is_some_and(elsewhere),
        }
    }

    fn matches(&self, event: &Event) -> bool {
        let among = |wanted: &[Option<Vec<Uuid>>], id: Option<Uuid>| {
            let mut wanted = wanted.iter().flatten();
            wanted.all(|wanted| id.is_some_and(|id| wanted.contains(&id)))
        };
        !self.nothing
            && self.since.is_none_or(|since| since <= event.at)
            && self
                .between
                .is_none_or(|(after, before)| after < event.at && event.at < before)
            && among(&self.devices, event.device.map(|device| device.0))
            && among(&self.codes, answer::event_code(event))
            && (self.kinds.iter().flatten()).all(|kinds| kinds.contains(&event.kind))
            && self
                .ids
                .as_ref()
                .is_none_or(|ids| ids.contains(&answer::event_id(&self.site, event)))
    }
}
