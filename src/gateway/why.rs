//! Why an access code or a device is as it is: one cause, with what belongs to it. Changes nothing; words
//! for people are made of it at the doors.

use super::Gateway;
use super::device::{Code, Device};
use super::records::{Aim, Confirmed, Row, Waiting};
use super::view::{Away, External, Trust};
use crate::model::{CodeId, DeviceId, How, Now, Objection, Timestamp, Window};
use crate::schedule;

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why<Cause> {
    /// The device, or that of the code.
    pub device: DeviceId,
    /// Its name, as its owner or the configuration says it.
    pub device_name: String,
    /// The cause.
    pub cause: Cause,
}

/// Why an access code is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeCause {
    /// Its device left this gateway.
    Removed,
    /// Something is to be done on the lock.
    Waits(Wait),
    /// The lock holds it as recorded, by its own word.
    Proven {
        /// On what word.
        how: How,
        /// When.
        at: Timestamp,
        /// The lock itself lets it open then, and not before.
        opens_at: Option<Timestamp>,
        /// Its times cannot be kept for certain.
        doubt: Option<Doubt>,
    },
    /// Its time has not come.
    NotDue {
        /// When it goes onto the lock.
        due_at: Timestamp,
        /// From when on it opens.
        starts_at: Timestamp,
        /// Its times cannot be kept for certain.
        doubt: Option<Doubt>,
    },
    /// It could go onto the lock early, but the lock has no place to spare.
    Yields {
        /// When it goes onto the lock at the latest.
        starts_at: Timestamp,
    },
    /// By the machine's clock its time has come, but that clock does not count.
    Held {
        /// When it was due.
        due_at: Timestamp,
        /// Why the clock does not count.
        doubt: Doubt,
    },
    /// It ended or was deleted, and the lock does not hold it.
    Over {
        /// Since when.
        since: Timestamp,
    },
}

/// Why a device is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceCause {
    /// It left this gateway.
    Removed,
    /// Its radio is away.
    RadioAway {
        /// Since when, and why.
        away: Away,
        /// Codes that wait for it.
        waiting: usize,
    },
    /// It does not answer.
    Silent {
        /// Since when.
        since: Option<Timestamp>,
        /// How often it was asked in vain.
        tries: u32,
        /// When it is asked next.
        next: Next,
        /// What else is known of its silence.
        silence: Silence,
        /// Codes that wait for it.
        waiting: usize,
    },
    /// It answers, and something is to be done on it.
    Waits {
        /// Codes that wait for it.
        waiting: usize,
        /// The one that tells most.
        first: Wait,
    },
    /// It answers, and nothing is to be done now.
    AtRest {
        /// When it last answered; `None` if it was not asked since the start.
        last_seen: Option<Timestamp>,
        /// When the next code goes onto it.
        due_at: Option<Timestamp>,
        /// The times of its codes cannot be kept for certain.
        doubt: Option<Doubt>,
    },
}

/// Something that is to be done on a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What is to be reached.
    pub aim: Aim,
    /// The code stands on the lock already, with other content.
    pub update: bool,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub next: Next,
    /// Why it is not done.
    pub obstacle: Obstacle,
}

/// When something is tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Next {
    /// The lock is being asked.
    UnderWay,
    /// Then, or as soon as its radio is free.
    At(Timestamp),
    /// Not by the passing of time.
    Unplanned,
}

/// Why something is not done on a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its turn has not come yet.
    InLine,
    /// The store came out of an export: the lock must be read before it is written.
    Unread,
    /// The radio of the lock is away.
    RadioAway(Away),
    /// The lock does not answer.
    Silent(Silence),
    /// Every place of the lock is in use.
    NoSlot {
        /// So many.
        capacity: u16,
    },
    /// The lock said no.
    Refused(Objection),
    /// The lock said yes, and its table says no.
    Denied,
    /// It stood on the lock, and somebody else changed it, or the lock lost it.
    External(External),
    /// Denied or lost three times.
    NotKept,
    /// It stood on the lock when the export was made from which this gateway was restored, and no more.
    GoneSinceExport,
}

/// What is known of a lock that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When it last answered; `None` if not since the start.
    pub last_seen: Option<Timestamp>,
    /// Other locks on its radio.
    pub neighbours: usize,
    /// Those of them that do not answer either.
    pub silent_neighbours: usize,
}

/// Why times cannot be kept for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Nothing vouches for the clock, or it moved as no clock moves by itself.
    pub kind: DoubtKind,
    /// Since when, in the time that counts.
    pub since: Timestamp,
}

/// What is wrong with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubtKind {
    /// Nothing vouches for it.
    Unvouched,
    /// It moved as no clock moves by itself.
    Wild,
}

impl Obstacle {
    /// The stable word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Obstacle::InLine => Waiting::InLine.word(),
            Obstacle::Unread => "not_read_since_restore",
            Obstacle::RadioAway(away) => Waiting::RadioAway(away).word(),
            Obstacle::Silent(_) => Waiting::Silent.word(),
            Obstacle::NoSlot { .. } => Waiting::NoSlot.word(),
            Obstacle::Refused(objection) => Waiting::Refused(objection).word(),
            Obstacle::Denied => Waiting::Denied.word(),
            Obstacle::External(_) => "changed_by_somebody_else",
            Obstacle::NotKept => Waiting::NotKept.word(),
            Obstacle::GoneSinceExport => Waiting::GoneSinceExport.word(),
        }
    }
}

impl Gateway {
    /// Why an access code is as it is; `None` if it is not on record.
    #[must_use]
    pub fn why_code(&self, id: CodeId, now: Now) -> Option<Why<CodeCause>> {
        let device = self.owner(id)?;
        let cause = self.code_cause(device, device.codes.get(&id)?, now);
        Some(why(device, cause))
    }

    /// Why a device is as it is; `None` if there is none.
    #[must_use]
    pub fn why_device(&self, id: DeviceId, now: Now) -> Option<Why<DeviceCause>> {
        let device = self.devices.get(&id)?;
        Some(why(device, self.device_cause(device, now)))
    }

    fn code_cause(&self, device: &Device, code: &Code, now: Now) -> CodeCause {
        let record = &code.record;
        if device.removed {
            return CodeCause::Removed;
        }
        if let Some(wait) = self.wait(device, code, now) {
            return CodeCause::Waits(wait);
        }
        let doubt = self.doubt(code, now);
        match &record.confirmed {
            Confirmed::Present(proof) => {
                let starts_at = proof.content.window.start();
                CodeCause::Proven {
                    how: proof.how,
                    at: proof.at,
                    opens_at: (now.wall < starts_at).then_some(starts_at),
                    doubt,
                }
            }
            Confirmed::Absent | Confirmed::Unknown { .. } if record.over(now.wall) => CodeCause::Over {
                since: record.over_since(),
            },
            Confirmed::Absent | Confirmed::Unknown { .. } => {
                let due_at = schedule::earliest(&record.stay(), &device.spec.capabilities, &self.settings);
                let starts_at = record.window.start();
                match doubt {
                    _ if due_at <= now.wall => CodeCause::Yields { starts_at },
                    Some(doubt) if due_at.0 <= now.wall.0.saturating_add(self.clock().ahead_ms) => {
                        CodeCause::Held { due_at, doubt }
                    }
                    doubt => CodeCause::NotDue {
                        due_at,
                        starts_at,
                        doubt,
                    },
                }
            }
        }
    }

    fn device_cause(&self, device: &Device, now: Now) -> DeviceCause {
        if device.removed {
            return DeviceCause::Removed;
        }
        let codes = || device.codes.values();
        let waits: Vec<Wait> = codes().filter_map(|code| self.wait(device, code, now)).collect();
        if let Some(away) = device.away {
            return DeviceCause::RadioAway {
                away,
                waiting: waits.len(),
            };
        }
        if device.is_silent() {
            let asked_next = device.asked_next(now, &self.settings);
            return DeviceCause::Silent {
                since: device.offline_since,
                tries: device.unanswered(),
                next: match device.flight {
                    Some(_) => Next::UnderWay,
                    None => asked_next.map_or(Next::Unplanned, Next::At),
                },
                silence: self.silence(device),
                waiting: waits.len(),
            };
        }
        // What is merely in line says nothing about the device.
        let telling = |wait: &&Wait| (wait.obstacle == Obstacle::InLine, wait.next);
        if let Some(first) = waits.iter().min_by_key(telling) {
            return DeviceCause::Waits {
                waiting: waits.len(),
                first: *first,
            };
        }
        let due = codes().filter_map(|code| match self.code_cause(device, code, now) {
            CodeCause::NotDue { due_at, .. } => Some(due_at),
            CodeCause::Yields { starts_at } => Some(starts_at),
            _ => None,
        });
        DeviceCause::AtRest {
            last_seen: device.last_seen,
            due_at: due.min(),
            doubt: codes().find_map(|code| self.doubt(code, now)),
        }
    }

    fn wait(&self, device: &Device, code: &Code, now: Now) -> Option<Wait> {
        let row = code.row.as_ref()?;
        let (next_try, reason) = device.waits(code, now, &self.settings)?;
        let obstacle = match reason {
            Waiting::Silent if device.is_silent() => Obstacle::Silent(self.silence(device)),
            Waiting::RadioAway(away) => Obstacle::RadioAway(away),
            // One that has answered since is asked again in its turn.
            Waiting::InLine | Waiting::Silent => match device.must_be_read() {
                true => Obstacle::Unread,
                false => Obstacle::InLine,
            },
            Waiting::NoSlot => Obstacle::NoSlot {
                capacity: device.spec.capabilities.capacity,
            },
            Waiting::Refused(objection) => Obstacle::Refused(objection),
            Waiting::Denied => match code.record.external {
                Some(external) => Obstacle::External(external),
                None => Obstacle::Denied,
            },
            Waiting::NotKept => Obstacle::NotKept,
            Waiting::GoneSinceExport => Obstacle::GoneSinceExport,
        };
        let next_try = match obstacle {
            Obstacle::Unread => device.asked_next(now, &self.settings),
            _ => next_try,
        };
        Some(Wait {
            aim: row.aim,
            update: row.aim == Aim::Set && code.record.confirmed.proof().is_some(),
            since: row.since,
            tries: row.tries,
            next: match self.is_asked_for(code, row) {
                true => Next::UnderWay,
                false => next_try.map_or(Next::Unplanned, Next::At),
            },
            obstacle,
        })
    }

    /// Whether an exchange is under way that carries the row out.
    fn is_asked_for(&self, code: &Code, row: &Row) -> bool {
        let asked = (code.record.code, row.generation);
        let mut steps = self.flights.values().flat_map(|exchange| &exchange.steps);
        steps.any(|step| step.code() == Some(asked))
    }

    fn silence(&self, device: &Device) -> Silence {
        let neighbours = || {
            let others = self.devices.values().filter(|other| !other.removed);
            others.filter(|other| {
                other.spec.radio == device.spec.radio && other.spec.device != device.spec.device
            })
        };
        Silence {
            last_seen: device.last_seen,
            neighbours: neighbours().count(),
            silent_neighbours: neighbours().filter(|other| other.is_silent()).count(),
        }
    }

    /// Why the times of a code cannot be kept for certain, if it has times to come.
    fn doubt(&self, code: &Code, now: Now) -> Option<Doubt> {
        if code.record.window == Window::Ongoing || code.record.over(now.wall) {
            return None;
        }
        let kind = match self.clock().trust {
            Trust::Trusted => return None,
            Trust::Untrusted => DoubtKind::Unvouched,
            Trust::Wild => DoubtKind::Wild,
        };
        let since = self.timekeeper.untrusted_since()?;
        Some(Doubt { kind, since })
    }
}

fn why<Cause>(device: &Device, cause: Cause) -> Why<Cause> {
    let given = device.record.nickname.as_ref();
    Why {
        device: device.spec.device,
        device_name: given.unwrap_or(&device.spec.name).clone(),
        cause,
    }
}
