//! Door commands: the bolt of a lock moves because a person wants it now. They are kept in memory only,
//! and never wait for long: a door must not open when nobody expects it any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::Rng;

use super::carry_out::{Planned, new_uuid};
use super::device::Device;
use super::records::Answer;
use super::view::{AttemptView, DoorFailure, Progress};
use super::{Gateway, Subject};
use crate::model::{
    AttemptId, Deed, Detail, DeviceId, DoorCommand, EventKind, Exchange, Finding, Mono, Now, Outcome, Reason,
    Refusal, Step,
};

/// A command that its radio had no time for within this is given up. Callers wait 5 to 10 s for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// Commands that may wait for one lock at once.
const MOST_WAITING: usize = 8;
/// Commands that are remembered, so that their callers can ask what became of them.
const MOST_KEPT: usize = 1_000;

/// A command that its lock was not asked for yet.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub attempt: AttemptId,
    pub deed: Deed,
    pub since: Now,
}

impl Waiting {
    /// After this the lock is not asked any more.
    pub fn expires(&self) -> Mono {
        self.since.mono + PATIENCE
    }

    /// What the lock is asked.
    pub fn step(&self) -> Step {
        Step::Door {
            attempt: self.attempt,
            deed: self.deed,
            not_after: self.expires(),
        }
    }
}

/// Every command that is remembered.
#[derive(Default)]
pub(super) struct Doors {
    attempts: BTreeMap<AttemptId, AttemptView>,
    oldest_first: VecDeque<AttemptId>,
}

impl Doors {
    pub fn get(&self, id: AttemptId) -> Option<&AttemptView> {
        self.attempts.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &AttemptView> {
        self.oldest_first.iter().filter_map(|id| self.attempts.get(id))
    }

    fn begin(&mut self, attempt: AttemptView) {
        self.oldest_first.push_back(attempt.attempt);
        self.attempts.insert(attempt.attempt, attempt);
        while self.oldest_first.len() > MOST_KEPT {
            let oldest = self.oldest_first.pop_front();
            oldest.and_then(|oldest| self.attempts.remove(&oldest));
        }
    }

    fn end(&mut self, id: AttemptId, progress: Progress) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.progress = progress;
        }
    }
}

impl Gateway {
    pub(super) fn ask_door(
        &mut self,
        now: Now,
        command: DoorCommand,
        rng: &mut dyn Rng,
    ) -> Result<Planned, Refusal> {
        let remote_unlock = self.settings.remote_unlock;
        let device = self.present(command.device)?;
        if !device.spec.capabilities.door {
            let problem = "the bolt of this lock cannot be moved by radio";
            return Err(Refusal::invalid("device_id", problem));
        }
        if command.deed == Deed::Unlock && !device.may_be_unlocked(remote_unlock) {
            let told =
                "unlocking by radio is switched off here; the operator allows it with [locks] remote_unlock";
            return Err(Refusal::new(Reason::Forbidden, told));
        }
        if device.doors.len() >= MOST_WAITING {
            let told = format!("{}: too many door commands wait for this lock", device.spec.name);
            return Err(Refusal::new(Reason::Busy, told));
        }
        let attempt = AttemptId(new_uuid(rng));
        device.want_door(Waiting {
            attempt,
            deed: command.deed,
            since: now,
        });
        let view = AttemptView {
            attempt,
            device: command.device,
            deed: command.deed,
            at: now.wall,
            progress: Progress::Pending,
        };
        self.doors.begin(view.clone());
        Ok(Planned {
            answer: Answer::Attempt(view),
            members: Vec::new(),
        })
    }

    /// What came of the door commands of an exchange.
    pub(super) fn learn_doors(&mut self, now: Now, exchange: &Exchange, outcome: &Outcome) {
        for (step, finding) in exchange.steps.iter().zip(&outcome.findings) {
            let Step::Door { attempt, deed, .. } = step else {
                continue;
            };
            let (progress, locked) = match finding {
                Finding::Proven(_) => (Progress::Done, Some(*deed == Deed::Lock)),
                Finding::Unanswered => (Progress::Failed(DoorFailure::Silent), None),
                Finding::Cut => {
                    let failure = match outcome.unanswered() {
                        true => DoorFailure::Silent,
                        false => DoorFailure::RadioAway,
                    };
                    (Progress::Failed(failure), None)
                }
                // Whoever stood at the door tries again, or uses the key.
                Finding::Unreached | Finding::Untried => {
                    let failure = match outcome.unanswered() {
                        true => DoorFailure::Silent,
                        false => DoorFailure::Expired,
                    };
                    (Progress::Failed(failure), self.bolt(exchange.device))
                }
                Finding::Denied | Finding::Refused(_) | Finding::Table(_) => {
                    (Progress::Failed(DoorFailure::Refused), self.bolt(exchange.device))
                }
            };
            if progress == Progress::Done {
                let kind = match deed {
                    Deed::Lock => EventKind::LockLocked,
                    Deed::Unlock => EventKind::LockUnlocked,
                };
                let detail = Detail::Attempt(*attempt);
                self.ledger
                    .tell(now.wall, kind, Some(exchange.device), None, None, detail);
            }
            self.doors.end(*attempt, progress);
            if let Some(device) = self.devices.get_mut(&exchange.device) {
                device.locked = locked;
                if progress == Progress::Done {
                    device.moved_at = Some(now.mono);
                }
            }
        }
    }

    fn bolt(&self, device: DeviceId) -> Option<bool> {
        self.devices.get(&device).and_then(|device| device.locked)
    }

    /// Gives up the commands that waited too long, or whose lock is gone.
    pub(super) fn expire_doors(&mut self, now: Now) {
        for (id, device) in &mut self.devices {
            for (attempt, failure) in device.give_up_doors(now.mono) {
                self.doors.end(attempt, Progress::Failed(failure));
                self.news.insert(Subject::Device(*id));
            }
        }
    }
}

impl Device {
    /// Whether its bolt may be drawn back by radio: a simulated door keeps nobody out.
    pub(super) fn may_be_unlocked(&self, remote_unlock: bool) -> bool {
        remote_unlock || self.spec.simulated
    }

    /// When the first command that waits is given up.
    pub(super) fn door_expires(&self) -> Option<Mono> {
        self.doors.front().map(Waiting::expires)
    }

    fn give_up_doors(&mut self, now: Mono) -> Vec<(AttemptId, DoorFailure)> {
        let failure = match (self.away, self.in_trouble()) {
            _ if self.removed => DoorFailure::Removed,
            (Some(_), _) => DoorFailure::RadioAway,
            (None, true) => DoorFailure::Silent,
            (None, false) => DoorFailure::Expired,
        };
        let mut given_up = Vec::new();
        while let Some(first) = self.doors.front() {
            if !self.removed && now < first.expires() {
                break;
            }
            given_up.push((first.attempt, failure));
            self.doors.pop_front();
        }
        given_up
    }
}
