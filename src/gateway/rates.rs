//! How often each device may be asked for changes over HTTP, as Seam limits it: so many a minute, all at
//! once if need be. Kept in memory only: after a start everybody begins anew.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Deed, DeviceId, Limits, Mono, Reason, Refusal, Request};

/// What is counted by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Creation,
    Update,
    Deletion,
    Lock,
    Unlock,
}

const MINUTE: Duration = Duration::from_secs(60);

/// For each device and kind the time at which all that was asked would be worked off at an even pace.
#[derive(Default)]
pub(super) struct Rates {
    worked_off: BTreeMap<(DeviceId, Kind), Mono>,
}

impl Rates {
    /// Whether a request about these devices may be carried out.
    ///
    /// # Errors
    /// `rate_limited`, with the time to wait.
    pub fn room(
        &self,
        now: Mono,
        request: &Request,
        devices: &[DeviceId],
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let (kind, most, word) = counted(request, limits);
        let pace = MINUTE / most.max(1);
        let wait = devices
            .iter()
            .filter_map(|device| self.worked_off.get(&(*device, kind)))
            .map(|at| (*at + pace).0.saturating_sub((now + MINUTE).0))
            .max()
            .unwrap_or(0);
        if wait == 0 {
            return Ok(());
        }
        let told = format!("more than {most} {word} in a minute for one device");
        let mut refusal = Refusal::new(Reason::RateLimited, told);
        refusal.retry_after_s = Some(wait.div_ceil(1000));
        Err(refusal)
    }

    /// Counts a request that was carried out.
    pub fn count(&mut self, now: Mono, request: &Request, devices: &[DeviceId], limits: &Limits) {
        let (kind, most, _) = counted(request, limits);
        for device in devices {
            let at = self.worked_off.entry((*device, kind)).or_insert(now);
            *at = (*at).max(now) + MINUTE / most.max(1);
        }
        self.worked_off.retain(|_, at| now < *at);
    }
}

fn counted(request: &Request, limits: &Limits) -> (Kind, u32, &'static str) {
    match request {
        Request::Create(_) | Request::CreateMultiple(_) => {
            (Kind::Creation, limits.creations_per_minute, "creations")
        }
        Request::Update(_)
        | Request::UpdateMultiple(_)
        | Request::UpdateDevice(_)
        | Request::ReportConstraints(_) => (Kind::Update, limits.updates_per_minute, "updates"),
        Request::Delete(_) => (Kind::Deletion, limits.deletions_per_minute, "deletions"),
        Request::Door(command) => {
            let kind = match command.deed {
                Deed::Lock => Kind::Lock,
                Deed::Unlock => Kind::Unlock,
            };
            (kind, limits.door_commands_per_minute, "door commands")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DoorCommand;

    const DOOR: DeviceId = DeviceId(uuid::Uuid::nil());

    fn lock() -> Request {
        Request::Door(DoorCommand {
            device: DOOR,
            deed: Deed::Lock,
        })
    }

    #[test]
    fn a_minutes_worth_at_once_and_then_at_an_even_pace() {
        let limits = Limits {
            door_commands_per_minute: 3,
            ..Limits::default()
        };
        let mut rates = Rates::default();
        let mut ask = |at: u64| {
            let now = Mono(at);
            rates.room(now, &lock(), &[DOOR], &limits)?;
            rates.count(now, &lock(), &[DOOR], &limits);
            Ok::<(), Refusal>(())
        };
        assert!([0, 0, 0].into_iter().all(|at| ask(at).is_ok()));
        assert_eq!(ask(1_000).unwrap_err().retry_after_s, Some(19));
        assert!(ask(20_000).is_ok() && ask(20_001).is_err());
        assert!([200_000; 3].into_iter().all(|at| ask(at).is_ok()));
    }
}
