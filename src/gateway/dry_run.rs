//! What `create_multiple` would come to now: the same planner, and nothing on record.

use rand::Rng;

use super::device::Device;
use super::view::{DryDoor, DryRun, Share};
use super::{Door, Gateway, Waiting};
use crate::model::{CreateMultiple, Now, Refusal, Request};
use crate::plan::{self, Assigned};

impl Gateway {
    /// Plans a job as if it came over HTTP now. Says of each known device what it would get, and what stands in its way.
    #[must_use]
    pub fn dry_run(&self, job: &CreateMultiple, now: Now, rng: &mut dyn Rng) -> DryRun {
        let door = Door::Http { handle: None };
        let planned = self
            .room_for(now, &Request::CreateMultiple(job.clone()), &door)
            .and_then(|()| self.assign(now, job, rng));
        let devices = job.devices.iter().filter_map(|id| self.devices.get(id));
        DryRun {
            doors: devices
                .map(|device| dry_door(device, job, &planned, now))
                .collect(),
            length: planned.map(|assigned| {
                let shared = assigned.iter().find(|one| !one.own_pin);
                shared.map(|one| one.pin.length())
            }),
        }
    }
}

fn dry_door(
    device: &Device,
    job: &CreateMultiple,
    planned: &Result<Vec<Assigned>, Refusal>,
    now: Now,
) -> DryDoor {
    let id = device.spec.device;
    let member = device.member(None, now.wall);
    let share = match planned {
        Err(_) => Share::None,
        Ok(assigned) => match assigned.iter().find(|one| one.device == id) {
            None => Share::None,
            Some(one) if one.own_pin => Share::OwnPin,
            Some(_) => Share::Shared,
        },
    };
    DryDoor {
        device: id,
        name: device.spec.name.clone(),
        share,
        delay: match (device.away, device.is_online()) {
            (Some(away), _) => Some(Waiting::RadioAway(away)),
            (None, false) => Some(Waiting::Silent),
            (None, true) => None,
        },
        full: plan::full(
            member.capabilities.capacity,
            &member.occupied,
            job.window,
            now.wall,
        ),
        heard: device.hours.tell(now.mono),
    }
}
