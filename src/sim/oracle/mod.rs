//! The judge: knows what callers sent and were told, and the locks' own tables. It never asks the
//! planner, the schedule or the store. What callers may be told is in `callers.rs`, what may be on a lock and asked
//! of it in `tables.rs`, what must have come about by when in `edges.rs`.

mod callers;
mod edges;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::gateway::Answer;
use crate::model::{CodeId, DeviceId, Mono, NativeWindow, Pin, Settings, Timestamp, Window};

/// How long a code may go on opening after its end, or be missing after its start, on a lock that
/// nothing was wrong with: the exchanges in progress, a burst of others, and a lock that hangs.
pub(super) const GRACE: Duration = Duration::from_secs(180);
/// A silent lock without urgent work is asked so seldom (I12).
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// A gateway knows that a code is over so long after it is; its clock may be off by a second.
pub(super) const SEEN: Duration = Duration::from_secs(2);
/// What was over no longer ago is asked for.
const LATELY: Duration = Duration::from_secs(6 * 3600);
/// A lock is checked as a whole so often; a busy one or one that was full takes an hour more.
pub(super) const CHECKED: Duration = Duration::from_secs(13 * 3600);
/// A code that a lock loses right after it confirmed it is noticed so soon (I7).
pub(super) const NOTICED: Duration = Duration::from_secs(120);

/// An invariant that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in the design: `"I5"`.
    pub invariant: &'static str,
    /// When.
    pub at: Mono,
    /// What was seen. Names no PIN.
    pub seen: String,
}

/// What the judge knows of one access code.
struct Stay {
    lock: DeviceId,
    pin: Pin,
    window: Window,
    /// A change was asked for and not yet answered: either window may hold.
    asked: Option<Window>,
    /// The same for a PIN.
    asked_pin: Option<Pin>,
    /// PINs that it had before.
    former: BTreeSet<Pin>,
    deleted: bool,
    /// Deletion was asked for and not yet answered.
    leaving: bool,
    /// Until then it may be missing, and nobody knows: somebody took it, or the lock lost it.
    excused: Mono,
    /// When callers last changed it.
    changed: Mono,
}

impl Stay {
    /// Whether the lock may hold this PIN for it: the former ones until it was reached again.
    fn may_have(&self, pin: &Pin) -> bool {
        self.pin == *pin || self.asked_pin.as_ref() == Some(pin) || self.former.contains(pin)
    }
}

/// What the judge knows of one lock.
struct Door {
    radio: usize,
    native: NativeWindow,
    capacity: usize,
    foreign: BTreeSet<Pin>,
    /// Jobs that name it and are not answered: their PINs cannot be known.
    open_jobs: BTreeSet<u32>,
    /// Nothing was wrong since then.
    clean_since: Mono,
    /// Nothing may be noticed for so long after it can be heard: what a fault left behind waits for a check.
    unnoticed: Duration,
    /// Out of reach or faulty right now.
    troubled: u32,
    /// Of that, what keeps it from telling the truth when it is asked, and since when it can.
    deaf: u32,
    heard_since: Mono,
    /// An exchange with it is under way.
    busy: bool,
    /// When the last one was over.
    idle_since: Mono,
    /// It went unanswered: such a lock waits while others of its radio have work (I12).
    silent: bool,
    calls: std::collections::VecDeque<Mono>,
    /// When somebody last changed its codes by hand.
    handled: Option<Mono>,
    /// PINs that it was asked to take without an answer.
    claimed: BTreeSet<Pin>,
}

/// A code that its lock refused or did not keep, so often in a row, and when last.
struct Denials {
    generation: u64,
    sets: bool,
    times: u32,
    last: Mono,
}

/// The judge.
#[derive(Default)]
pub struct Oracle {
    stays: BTreeMap<CodeId, Stay>,
    doors: BTreeMap<DeviceId, Door>,
    answers: BTreeMap<u32, Answer>,
    /// Moments at which something must be true by then, with the code.
    edges: BTreeSet<(Mono, CodeId)>,
    denials: BTreeMap<CodeId, Denials>,
    down: bool,
    /// How early a code may be on a lock that knows no windows.
    lead: Duration,
}

impl Oracle {
    /// Learns what the operator has set.
    pub fn goes_by(&mut self, settings: &Settings) {
        self.lead = settings.lead;
    }

    /// Learns of a lock.
    pub fn meet(&mut self, lock: DeviceId, radio: usize, native: NativeWindow, capacity: u16) {
        let door = Door {
            radio,
            native,
            capacity: usize::from(capacity),
            foreign: BTreeSet::new(),
            open_jobs: BTreeSet::new(),
            clean_since: Mono(0),
            unnoticed: Duration::ZERO,
            troubled: 0,
            deaf: 0,
            heard_since: Mono(0),
            busy: false,
            idle_since: Mono(0),
            silent: false,
            calls: std::collections::VecDeque::new(),
            handled: None,
            claimed: BTreeSet::new(),
        };
        self.doors.insert(lock, door);
    }

    /// A code that is not ours stands on a lock.
    pub fn foreign(&mut self, lock: DeviceId, pin: Pin) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.foreign.insert(pin);
        }
    }

    /// Whether a code on a lock is not ours.
    pub fn is_foreign(&self, lock: DeviceId, pin: &Pin) -> bool {
        self.doors
            .get(&lock)
            .is_some_and(|door| door.foreign.contains(pin))
    }

    /// Somebody changed the codes of a lock by hand.
    pub fn handled(&mut self, lock: DeviceId, now: Mono) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.handled = Some(now);
        }
        self.freed(lock);
    }

    /// Whether somebody was at a lock since.
    pub fn was_handled(&self, lock: DeviceId, since: Mono) -> bool {
        let handled = self.doors.get(&lock).and_then(|door| door.handled);
        handled.is_some_and(|at| since <= at)
    }

    /// A code that is not ours was taken off a lock by somebody.
    pub fn foreign_gone(&mut self, lock: DeviceId, pin: &Pin) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.foreign.remove(pin);
        }
    }

    /// Something begins to be wrong with a lock; `deaf` if it cannot be asked either.
    pub fn trouble(&mut self, lock: DeviceId, deaf: bool, now: Mono) {
        if let Some(door) = self.doors.get_mut(&lock) {
            if door.troubled == 0 && door.clean_since <= now {
                door.unnoticed = Duration::ZERO;
            }
            door.troubled += 1;
            door.deaf += u32::from(deaf);
        }
    }

    /// It is over; the gateway may notice only after `unnoticed`.
    pub fn relief(&mut self, lock: DeviceId, deaf: bool, now: Mono, unnoticed: Duration) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.troubled -= 1;
            door.unnoticed = door.unnoticed.max(unnoticed);
            door.clean_since = door.clean_since.max(now + door.unnoticed);
            if deaf {
                door.deaf -= 1;
                door.heard_since = door.heard_since.max(now + unnoticed);
            }
        }
    }

    /// The codes that stand on a lock with these digits, as far as callers know.
    pub fn codes_with(&self, lock: DeviceId, pin: &Pin) -> Vec<CodeId> {
        let with = self
            .stays
            .iter()
            .filter(|(_, stay)| stay.lock == lock && stay.may_have(pin));
        with.map(|(code, _)| *code).collect()
    }

    /// A code may be missing until then, and is back by then.
    pub fn excuse(&mut self, code: CodeId, until: Mono) {
        if let Some(stay) = self.stays.get_mut(&code) {
            stay.excused = stay.excused.max(until);
            self.edges.insert((until + GRACE, code));
        }
    }

    /// Whether nobody can know what became of a code.
    pub fn is_excused(&self, code: CodeId, now: Mono) -> bool {
        self.stays.get(&code).is_some_and(|stay| stay.excused > now)
    }

    /// When it can be asked whether the gateway knows what became of a code: now, later, or never.
    pub fn may_know(&self, code: CodeId, now: Mono) -> Option<Mono> {
        let door = self.doors.get(&self.stays.get(&code)?.lock)?;
        Some(match self.down || door.deaf > 0 {
            true => next_round(now) + GRACE,
            false => now.max(door.heard_since + LONGEST_SILENCE + GRACE),
        })
    }

    /// Where a code stands or should stand, and the digits that count for it.
    pub fn whereabouts(&self, code: CodeId) -> Option<(DeviceId, Vec<Pin>)> {
        let stay = self.stays.get(&code)?;
        let pins = stay.former.iter().chain([&stay.pin]).chain(&stay.asked_pin);
        Some((stay.lock, pins.cloned().collect()))
    }

    /// The gateway went down, or is up again.
    pub fn power(&mut self, up: bool, now: Mono) {
        self.down = !up;
        self.denials.clear();
        for door in self.doors.values_mut() {
            door.clean_since = door.clean_since.max(now);
            door.heard_since = door.heard_since.max(now);
            door.busy = false;
            door.calls.clear();
        }
    }

    /// Whether a code is open now, whatever the clocks: `None` if nobody can say for certain.
    pub fn is_open(&self, code: CodeId, now: Clock) -> Option<bool> {
        let stay = self.stays.get(&code)?;
        let open_question = stay.asked.is_some() || stay.asked_pin.is_some() || stay.leaving && !stay.deleted;
        let lately = now.mono < stay.changed + GRACE;
        if open_question || lately {
            return None;
        }
        let holds = |at: Timestamp| !stay.deleted && stay.window.holds(at);
        let (before, after) = (holds(now.wall - SEEN), holds(now.wall + SEEN));
        (before == after).then_some(after)
    }

    /// The digits of a code that is over that stand on its lock, if they are nobody else's.
    pub fn is_left(&self, code: CodeId, holds: impl Fn(DeviceId, &Pin) -> bool) -> bool {
        let Some(stay) = self.stays.get(&code) else {
            return false;
        };
        let foreign = self.is_foreign(stay.lock, &stay.pin);
        !foreign && holds(stay.lock, &stay.pin) && !self.has_heir(code, stay)
    }

    /// Codes that were over lately.
    pub fn lately_over(&self, now: Clock) -> impl Iterator<Item = CodeId> {
        let lately = self.stays.iter().filter(move |(_, stay)| {
            let over = match stay.deleted {
                true => stay.changed,
                false if stay.window.end() <= now.wall => Mono(
                    now.mono
                        .0
                        .saturating_sub(now.wall.since(stay.window.end()).as_millis() as u64),
                ),
                false => return false,
            };
            now.mono < over + LATELY && stay.excused <= now.mono
        });
        lately.map(|(code, _)| *code)
    }

    /// Whether the digits of a code are another one's by now, on the same lock.
    fn has_heir(&self, code: CodeId, stay: &Stay) -> bool {
        let heir = |(other, heir): (&CodeId, &Stay)| {
            *other != code && heir.lock == stay.lock && !heir.deleted && heir.may_have(&stay.pin)
        };
        self.stays.iter().any(heir)
    }

    /// Every access code whose time it is, as far as callers know, but those that may be missing.
    pub fn open_codes(&self, now: Clock) -> impl Iterator<Item = CodeId> {
        let open = self.stays.iter().filter(move |(_, stay)| {
            !stay.deleted && stay.window.holds(now.wall) && stay.excused <= now.mono
        });
        open.map(|(code, _)| *code)
    }
}

/// When what cannot be judged yet is looked at again: all of it at once, since trouble lasts for days.
fn next_round(now: Mono) -> Mono {
    let round = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    Mono((now.0 / round + 1) * round)
}

/// True time, as the judge sees it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Since the start of the run.
    pub mono: Mono,
    /// On the wall.
    pub wall: Timestamp,
}

impl Clock {
    fn mono_at(self, wall: Timestamp) -> Mono {
        self.mono + wall.since(self.wall)
    }

    pub(super) fn violation(self, invariant: &'static str, seen: String) -> Violation {
        Violation {
            invariant,
            at: self.mono,
            seen,
        }
    }
}
