//! What the page shows at a glance: all doors, and all groups.

use uuid::Uuid;

use super::Api;
use super::answer::{Outcome, told};
use super::page::Page;
use super::who::Who;
use crate::api::answer::{self, Always, Doors, Groups, Moment};
use crate::api::form::Form;
use crate::gateway::Gateway;
use crate::gateway::view::DeviceView;
use crate::model::{GroupKey, Now, Timestamp};

/// Groups on one page, unless the caller wants fewer.
const PAGE: usize = 100;

/// Every door: by name, and those that left the gateway last.
pub async fn doors(api: &Api, form: Form<'_>) -> Outcome {
    form.close()?;
    let look = |gateway: &Gateway, now: Now| {
        let view = |id| Some((gateway.device(id, now)?, gateway.why_device(id, now)?));
        let doors: Vec<_> = gateway.device_ids().filter_map(view).collect();
        (doors, gateway.clock(), now.wall)
    };
    let (mut doors, clock, now) = api.core.look(look).await?;
    doors.sort_by(|(one, _), (other, _)| {
        let rank = |door: &DeviceView| (door.removed, door.name.to_lowercase(), door.device);
        rank(one).cmp(&rank(other))
    });
    let is_paired = |id| api.household.as_ref().is_some_and(|household| household.has(id));
    Ok(told(&Doors {
        doors: doors
            .iter()
            .map(|(door, why)| answer::door(door, why, is_paired(door.device)))
            .collect(),
        now: Moment(now),
        clock: answer::clock(clock, api.clock().source().word()),
        ok: Always,
    }))
}

/// Groups that are not over, the first to begin first, page by page.
pub async fn groups(api: &Api, who: &Who, form: Form<'_>) -> Outcome {
    let page = Page::read(&form, PAGE);
    form.close()?;
    let look = move |gateway: &Gateway, now: Now| {
        let mut ahead: Vec<(Uuid, &GroupKey)> = gateway
            .groups_not_over(now)
            .map(|(start, key)| (place(start, key), key))
            .filter(|(place, _)| page.has_yet(*place))
            .collect();
        ahead.sort_unstable();
        let (groups, pagination) = page.take(ahead.into_iter(), |(place, _)| *place);
        let groups: Vec<_> = groups
            .iter()
            .filter_map(|(_, key)| gateway.group(key, now))
            .collect();
        (groups, pagination, gateway.clock(), now.wall)
    };
    let (groups, pagination, clock, now) = api.core.look(look).await?;
    Ok(told(&Groups {
        groups: groups
            .iter()
            .map(|group| answer::receipt(group, now, who.pins()))
            .collect(),
        pagination,
        now: Moment(now),
        clock: answer::clock(clock, api.clock().source().word()),
        ok: Always,
    }))
}

/// Where a group stands among all: an id that sorts by its start, so that a page does not move when others
/// come or go.
fn place(start: Timestamp, key: &GroupKey) -> Uuid {
    let millis = u64::try_from(start.0).unwrap_or(0);
    let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.0.as_bytes());
    let [_, _, _, _, _, _, rest @ ..] = name.into_bytes();
    uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
}
