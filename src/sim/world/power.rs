//! Power that fails, a gateway that is killed, and the start after it.

use std::time::Duration;

use rand::RngExt;
use uuid::Uuid;

use super::{What, World, radio};
use crate::gateway::{DeviceSpec, Event, Gateway};
use crate::model::{Boot, Mono};
use crate::sim::oracle::Violation;
use crate::sim::plan::{Stage, StepName, stream};
use crate::store::{SealKey, Ticket, Vault};

/// Where a clock without a battery begins when the machine starts.
const YEARS_BACK_MS: i64 = -3 * 365 * 86_400_000;

/// How a gateway ends that nobody asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fall {
    /// With the machine.
    Power,
    /// Alone: what it wrote, the system still has, and the machine's clock runs on.
    Kill,
}

impl World {
    /// Cuts the power now; it comes back seconds later.
    pub fn cut_power(&mut self) {
        self.fall(Fall::Power);
    }

    /// Counts a step by its name; `false` if the power is cut right before it.
    pub(super) fn step(&mut self, stage: Stage, whom: u32) -> bool {
        let nth = self.counts.entry((stage, whom)).or_default();
        *nth += 1;
        let name = StepName {
            stage,
            whom,
            nth: *nth,
        };
        let struck = self.plan.crashes.contains(&name);
        self.report.steps.push(name);
        if struck {
            let mut rng = stream(self.plan.seed, "fall", self.life);
            let (fall, word) = match rng.random_range(0..3) {
                0 => (Fall::Kill, "killed"),
                _ => (Fall::Power, "power cut"),
            };
            self.count(&format!("{word} at {stage:?}"));
            self.fall(fall);
        }
        !struck
    }

    pub(super) fn fall(&mut self, fall: Fall) {
        self.fall_until(fall, None);
    }

    /// The gateway falls, and starts again then, or soon.
    pub(super) fn fall_until(&mut self, fall: Fall, back: Option<Mono>) {
        let under_way = std::mem::take(&mut self.calls).into_iter();
        self.late
            .extend(under_way.map(|(call, open)| ((self.life, call), open)));
        self.life += 1;
        self.report.crashes += 1;
        let mut rng = stream(self.plan.seed, "crash", self.life);
        let kept = match fall {
            Fall::Power => rng.random_range(0..=self.disk.unsynced()),
            Fall::Kill => self.disk.unsynced(),
        };
        self.disk.crash(kept);
        self.gateway = None;
        self.tokens.clear();
        self.borrowed.clear();
        self.synced = Ticket(0);
        self.bad_sync = false;
        self.oracle.power(false, self.now);
        self.note(1, self.life, kept as u64, |_| match fall {
            Fall::Power => "the power fails".to_owned(),
            Fall::Kill => "the gateway is killed".to_owned(),
        });
        let soon = match fall {
            Fall::Power => {
                self.machine.1 = None;
                rng.random_range(2_000..60_000)
            }
            Fall::Kill => rng.random_range(100..5_000),
        };
        let soon = self.now + Duration::from_millis(soon);
        self.push(back.unwrap_or(soon), What::Boot);
        let verdict = self.judge_disk();
        self.note_verdict(verdict);
    }

    pub(super) fn boot(&mut self) {
        let machine_since = self.machine.1.unwrap_or(self.now);
        if self.machine.1.is_none() {
            self.machine = (self.machine.0 + 1, Some(self.now));
            if self.shown.alone {
                self.shown.off_ms = YEARS_BACK_MS;
                if !std::mem::replace(&mut self.shown.coarse, true) {
                    self.ids
                        .iter()
                        .for_each(|lock| self.oracle.trouble(*lock, false, self.now));
                }
            }
        }
        let key = SealKey::new([7; SealKey::BYTES]);
        let mut prefix = [0; 16];
        prefix[..8].copy_from_slice(&self.life.to_be_bytes());
        let devices = (0..self.locks.len())
            .filter(|i| !self.left_out.contains(i))
            .map(|i| DeviceSpec {
                device: self.ids[i],
                name: format!("lock {i}"),
                driver: "sim".into(),
                radio: radio(self.plan.locks[i].radio),
                capabilities: self.locks[i].capabilities().clone(),
                simulated: true,
            })
            .collect();
        let radios = self
            .plan
            .links
            .iter()
            .enumerate()
            .map(|(i, links)| (radio(i), *links))
            .collect();
        let opened = Vault::open(&mut self.disk, &key, prefix).and_then(|(vault, content)| {
            Gateway::boot(
                vault,
                content,
                devices,
                radios,
                self.settings.clone(),
                Boot {
                    id: Uuid::from_u128(self.machine.0.into()),
                    up: self.now.0 - machine_since.0,
                    at: self.now,
                },
                self.reading(),
            )
        });
        match opened {
            Ok((gateway, _)) => self.gateway = Some(gateway),
            Err(fail) => {
                let seen = format!("the store cannot be opened: {fail}");
                self.note_verdict(Err(Violation {
                    invariant: "I1",
                    at: self.now,
                    seen,
                }));
                return;
            }
        }
        self.oracle.power(true, self.now);
        self.note(2, self.life, 0, |_| "the gateway starts".to_owned());
        self.tell(Event::Timer, "start", self.life);
        if self.full {
            self.tell(Event::StorageLow(true), "full", self.life);
        }
        self.call_courier();
    }
}
