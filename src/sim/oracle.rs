//! The judge: knows what callers sent and were told, and the locks' own tables. It never asks the
//! planner, the schedule or the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::gateway::Answer;
use crate::gateway::view::CodeView;
use crate::model::{CodeId, DeviceId, Entry, Mono, NativeWindow, Pin, Timestamp, Window};

/// How long a code may go on opening after its end, or be missing after its start, on a lock that
/// nothing was wrong with: the exchanges in progress, a burst of others, and a lock that hangs.
const GRACE: Duration = Duration::from_secs(180);
/// How early a code may be on a lock that knows no windows, as this property sets it.
const LEAD: Duration = Duration::from_secs(600);
/// Most calls of one lock within an hour: every minute while silent, a burst of work, second looks.
const CALLS_AN_HOUR: usize = 240;

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
}

impl Stay {
    /// Whether the lock may hold this PIN for it: the former ones until it was reached again.
    fn may_have(&self, pin: &Pin) -> bool {
        self.pin == *pin || self.asked_pin.as_ref() == Some(pin) || self.former.contains(pin)
    }
}

/// The codes that an answer tells of.
fn views(answer: &Answer) -> &[CodeView] {
    match answer {
        Answer::Created(views) => views,
        Answer::CreatedOne(view) => std::slice::from_ref(view),
        Answer::Ok | Answer::Attempt(_) | Answer::Refused(_) => &[],
    }
}

/// What the judge knows of one lock.
struct Door {
    native: NativeWindow,
    foreign: BTreeSet<Pin>,
    /// Jobs that name it and are not answered: their PINs cannot be known.
    open_jobs: BTreeSet<u32>,
    /// Nothing was wrong since then.
    clean_since: Mono,
    /// Out of reach or faulty right now.
    troubled: u32,
    calls: std::collections::VecDeque<Mono>,
}

/// The judge.
#[derive(Default)]
pub struct Oracle {
    stays: BTreeMap<CodeId, Stay>,
    doors: BTreeMap<DeviceId, Door>,
    answers: BTreeMap<u32, Answer>,
    /// Moments at which something must be true by then, with the code.
    edges: BTreeSet<(Mono, CodeId)>,
    down: bool,
}

impl Oracle {
    /// Learns of a lock.
    pub fn meet(&mut self, lock: DeviceId, native: NativeWindow) {
        let door = Door {
            native,
            foreign: BTreeSet::new(),
            open_jobs: BTreeSet::new(),
            clean_since: Mono(0),
            troubled: 0,
            calls: std::collections::VecDeque::new(),
        };
        self.doors.insert(lock, door);
    }

    /// A code that is not ours stands on a lock.
    pub fn foreign(&mut self, lock: DeviceId, pin: Pin) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.foreign.insert(pin);
        }
    }

    /// Something begins to be wrong with a lock.
    pub fn trouble(&mut self, lock: DeviceId) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.troubled += 1;
        }
    }

    /// It is over; the gateway may notice only after `unnoticed`.
    pub fn relief(&mut self, lock: DeviceId, now: Mono, unnoticed: Duration) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.troubled -= 1;
            door.clean_since = door.clean_since.max(now + unnoticed);
        }
    }

    /// The gateway went down, or is up again.
    pub fn power(&mut self, up: bool, now: Mono) {
        self.down = !up;
        for door in self.doors.values_mut() {
            door.clean_since = door.clean_since.max(now);
            door.calls.clear();
        }
    }

    /// A job was sent that names these locks, or changes these codes.
    pub fn sent(&mut self, job: u32, locks: &[DeviceId]) {
        for lock in locks {
            if let Some(door) = self.doors.get_mut(lock) {
                door.open_jobs.insert(job);
            }
        }
    }

    /// A move of codes was sent: until it is answered, either window may hold.
    pub fn asked_to_move(&mut self, codes: &[CodeId], to: impl Fn(Window) -> Option<Window>) {
        for code in codes {
            if let Some(stay) = self.stays.get_mut(code) {
                stay.asked = to(stay.window);
            }
        }
    }

    /// A new PIN for a code was sent.
    pub fn asked_to_recode(&mut self, code: CodeId, pin: &Pin) {
        if let Some(stay) = self.stays.get_mut(&code) {
            stay.asked_pin = Some(pin.clone());
        }
    }

    /// A deletion was sent.
    pub fn asked_to_delete(&mut self, code: CodeId) {
        if let Some(stay) = self.stays.get_mut(&code) {
            stay.leaving = true;
        }
    }

    /// A caller heard the answer to a job.
    pub fn heard(
        &mut self,
        job: u32,
        codes: &[CodeId],
        answer: &Answer,
        now: Clock,
    ) -> Result<(), Violation> {
        if let Some(before) = self.answers.get(&job) {
            let same = before == answer;
            return if same {
                Ok(())
            } else {
                Err(now.violation("I3", format!("job {job} got another answer")))
            };
        }
        self.answers.insert(job, answer.clone());
        match answer {
            Answer::Created(_) | Answer::CreatedOne(_) => {
                for view in views(answer) {
                    let stay = Stay {
                        lock: view.device,
                        pin: view.pin.clone(),
                        window: view.window,
                        asked: None,
                        asked_pin: None,
                        former: BTreeSet::new(),
                        deleted: false,
                        leaving: false,
                    };
                    let twin = self.stays.values().any(|s| {
                        s.lock == stay.lock && s.pin == stay.pin && !s.deleted && now.wall < s.window.end()
                    });
                    if twin {
                        return Err(now.violation("I6", format!("job {job}: a PIN is given twice on a lock")));
                    }
                    self.stays.insert(view.code, stay);
                    self.expect(view.code, now);
                }
            }
            Answer::Ok => {
                for code in codes {
                    if let Some(stay) = self.stays.get_mut(code) {
                        stay.window = stay.asked.take().unwrap_or(stay.window);
                        if let Some(pin) = stay.asked_pin.take()
                            && pin != stay.pin
                        {
                            stay.former.remove(&pin);
                            stay.former.insert(std::mem::replace(&mut stay.pin, pin));
                        }
                        stay.deleted |= stay.leaving;
                    }
                    self.expect(*code, now);
                }
            }
            // A bolt moves at once or never: the locks are judged by that, not the codes.
            Answer::Attempt(_) => {}
            Answer::Refused(_) => {
                for code in codes {
                    if let Some(stay) = self.stays.get_mut(code) {
                        stay.asked = None;
                        stay.asked_pin = None;
                        stay.leaving = stay.deleted;
                    }
                }
            }
        }
        for door in self.doors.values_mut() {
            door.open_jobs.remove(&job);
        }
        Ok(())
    }

    /// Notes the moments by which the lock must hold the code, or hold it no more.
    fn expect(&mut self, code: CodeId, now: Clock) {
        let Some(stay) = self.stays.get(&code) else { return };
        let moments = match stay.window {
            _ if stay.deleted => [now.wall, now.wall],
            Window::Ongoing => [now.wall, now.wall],
            Window::Bound { starts_at, ends_at } => [starts_at.max(now.wall), ends_at.max(now.wall)],
        };
        for at in moments {
            self.edges.insert((now.mono_at(at) + GRACE, code));
        }
    }

    /// The next moment at which something must be true.
    #[must_use]
    pub fn next_edge(&self) -> Option<Mono> {
        self.edges.first().map(|(at, _)| *at)
    }

    /// Judges the moments that have come.
    pub fn judge_edges(
        &mut self,
        now: Clock,
        holds: impl Fn(DeviceId, &Pin) -> bool,
    ) -> Result<(), Violation> {
        while let Some((at, code)) = self.edges.first().copied() {
            if at > now.mono {
                break;
            }
            self.edges.pop_first();
            let Some(stay) = self.stays.get(&code) else {
                continue;
            };
            let Some(door) = self.doors.get(&stay.lock) else {
                continue;
            };
            if self.down || door.troubled > 0 {
                self.edges.insert((now.mono + GRACE, code));
                continue;
            }
            let fair = door.clean_since + GRACE;
            if now.mono < fair {
                self.edges.insert((fair, code));
                continue;
            }
            if stay.asked.is_some() || stay.asked_pin.is_some() || (stay.leaving && !stay.deleted) {
                continue;
            }
            if stay.former.iter().any(|pin| holds(stay.lock, pin)) {
                let seen = format!("a former PIN of code {code} is still on lock {}", stay.lock);
                return Err(now.violation("I5", seen));
            }
            let there = holds(stay.lock, &stay.pin);
            let over = stay.deleted || stay.window.end() <= now.wall;
            let open = !stay.deleted && stay.window.holds(now.wall);
            if over && there {
                return Err(now.violation("I5", format!("code {code} is still on lock {}", stay.lock)));
            }
            if open && !there {
                return Err(now.violation("I4", format!("code {code} is not on lock {}", stay.lock)));
            }
        }
        Ok(())
    }

    /// Judges a lock's table after it changed.
    pub fn judge_table(&self, lock: DeviceId, table: &[Entry], now: Clock) -> Result<(), Violation> {
        let Some(door) = self.doors.get(&lock) else {
            return Ok(());
        };
        for pin in &door.foreign {
            if !table.iter().any(|entry| entry.pin.as_ref() == Some(pin)) {
                return Err(now.violation("I6", format!("a code that is not ours is gone from lock {lock}")));
            }
        }
        for entry in table {
            let Some(pin) = entry.pin.as_ref().filter(|pin| !door.foreign.contains(*pin)) else {
                continue;
            };
            let mut known = self
                .stays
                .values()
                .filter(|s| s.lock == lock && s.may_have(pin))
                .peekable();
            if known.peek().is_none() {
                if door.open_jobs.is_empty() {
                    return Err(
                        now.violation("I2", format!("lock {lock} holds a code that nobody was promised"))
                    );
                }
                continue;
            }
            let early = |window: Window| {
                let itself =
                    door.native != NativeWindow::None && entry.window.start() + LEAD >= window.start();
                now.wall + LEAD < window.start() && !itself
            };
            if known.all(|stay| early(stay.window) && stay.asked.is_none_or(early)) {
                return Err(now.violation("I5", format!("a code is on lock {lock} long before its start")));
            }
        }
        Ok(())
    }

    /// Counts a call of a lock.
    pub fn called(&mut self, lock: DeviceId, now: Clock) -> Result<(), Violation> {
        let Some(door) = self.doors.get_mut(&lock) else {
            return Ok(());
        };
        door.calls.push_back(now.mono);
        while door
            .calls
            .front()
            .is_some_and(|at| *at + Duration::from_secs(3600) < now.mono)
        {
            door.calls.pop_front();
        }
        if door.calls.len() > CALLS_AN_HOUR {
            return Err(now.violation(
                "I12",
                format!("lock {lock} was called {CALLS_AN_HOUR} times in an hour"),
            ));
        }
        Ok(())
    }

    /// Judges the end, after quiet days: every table is what callers were promised.
    pub fn judge_end(&self, now: Clock, table: impl Fn(DeviceId) -> Vec<Entry>) -> Result<(), Violation> {
        for (lock, door) in &self.doors {
            let held: BTreeSet<Pin> = table(*lock).into_iter().filter_map(|entry| entry.pin).collect();
            let mut promised = door.foreign.clone();
            for stay in self.stays.values().filter(|s| s.lock == *lock && !s.deleted) {
                if stay.window.holds(now.wall) {
                    promised.insert(stay.pin.clone());
                }
            }
            let ahead: BTreeSet<Pin> = self
                .stays
                .values()
                .filter(|s| s.lock == *lock && !s.deleted && now.wall < s.window.start())
                .map(|s| s.pin.clone())
                .collect();
            let missing = promised.difference(&held).count();
            let extra = held
                .difference(&promised)
                .filter(|pin| !ahead.contains(*pin))
                .count();
            if missing + extra > 0 {
                return Err(now.violation(
                    "I4",
                    format!("lock {lock}: {missing} codes missing, {extra} too many"),
                ));
            }
        }
        Ok(())
    }

    /// Every access code whose time it is, as far as callers know, with its lock and its PIN.
    pub fn open_codes(&self, now: Clock) -> impl Iterator<Item = (CodeId, DeviceId, &Pin)> {
        let open = self
            .stays
            .iter()
            .filter(move |(_, stay)| !stay.deleted && stay.window.holds(now.wall));
        open.map(|(code, stay)| (*code, stay.lock, &stay.pin))
    }

    /// Jobs that were answered.
    #[must_use]
    pub fn answered(&self) -> &BTreeMap<u32, Answer> {
        &self.answers
    }
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
