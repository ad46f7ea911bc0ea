//! The judge: knows what callers sent and were told, and the locks' own tables. It never asks the
//! planner, the schedule or the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::gateway::Answer;
use crate::gateway::view::CodeView;
use crate::model::{CodeId, DeviceId, Entry, Mono, NativeWindow, Pin, Reason, Settings, Timestamp, Window};

/// How long a code may go on opening after its end, or be missing after its start, on a lock that
/// nothing was wrong with: the exchanges in progress, a burst of others, and a lock that hangs.
pub(super) const GRACE: Duration = Duration::from_secs(180);
/// A silent lock without urgent work is asked so seldom (I12).
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// A gateway knows that a code is over so long after it is; its clock may be off by a second.
pub(super) const SEEN: Duration = Duration::from_secs(2);
/// Most calls of one lock within an hour: every minute while silent, a burst of work, second looks.
const CALLS_AN_HOUR: usize = 240;
/// What was over no longer ago is asked for.
const LATELY: Duration = Duration::from_secs(6 * 3600);
/// A code that its lock refused is left alone for so long at first, twice as long each time,
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// and no longer than this.
const LEFT_ALONE_LONGEST: Duration = Duration::from_secs(3600);
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
                        excused: Mono(0),
                        changed: now.mono,
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
                        stay.changed = now.mono;
                        stay.window = stay.asked.take().unwrap_or(stay.window);
                        if let Some(pin) = stay.asked_pin.take()
                            && pin != stay.pin
                        {
                            stay.former.remove(&pin);
                            stay.former.insert(std::mem::replace(&mut stay.pin, pin));
                        }
                        stay.deleted |= stay.leaving;
                    }
                    self.judge_twins(job, *code, now)?;
                    self.expect(*code, now);
                }
            }
            // A bolt moves at once or never: the locks are judged by that, not the codes.
            Answer::Attempt(_) => {}
            Answer::Refused(refusal) => {
                if refusal.reason == Reason::DuplicateAccessCode {
                    self.judge_duplicate(job, codes, now)?;
                }
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

    /// No two codes whose time is not over have the same digits on one lock.
    fn judge_twins(&self, job: u32, code: CodeId, now: Clock) -> Result<(), Violation> {
        let lives = |stay: &&Stay| !stay.deleted && now.wall < stay.window.end();
        let Some(stay) = self.stays.get(&code).filter(lives) else {
            return Ok(());
        };
        let twin = self.stays.iter().any(|(id, other)| {
            *id != code && other.lock == stay.lock && other.pin == stay.pin && lives(&other)
        });
        match twin {
            true => Err(now.violation("I6", format!("job {job}: a PIN is given twice on a lock"))),
            false => Ok(()),
        }
    }

    /// Digits are only refused as taken on a lock that has, or had, them.
    fn judge_duplicate(&self, job: u32, codes: &[CodeId], now: Clock) -> Result<(), Violation> {
        let asked = codes.iter().filter_map(|code| {
            let stay = self.stays.get(code)?;
            Some((
                *code,
                self.doors.get(&stay.lock)?,
                stay.lock,
                stay.asked_pin.as_ref()?,
            ))
        });
        for (code, door, lock, pin) in asked {
            let had = |(id, stay): (&CodeId, &Stay)| *id != code && stay.lock == lock && stay.may_have(pin);
            let lately = door.handled.is_some_and(|at| now.mono < at + CHECKED);
            if !door.foreign.contains(pin)
                && !lately
                && door.open_jobs.iter().all(|open| *open == job)
                && !self.stays.iter().any(had)
            {
                return Err(now.violation("I10", format!("job {job}: a PIN is called taken that nobody has")));
            }
        }
        Ok(())
    }

    /// A job to book was refused for want of room: then one of its locks was full at some time of the window,
    /// or may have been as far as anybody could know.
    pub fn judge_no_space(
        &self,
        job: u32,
        locks: &[DeviceId],
        window: Window,
        now: Clock,
        holds: impl Fn(DeviceId, &Pin) -> bool,
    ) -> Result<(), Violation> {
        for lock in locks {
            let Some(door) = self.doors.get(lock) else {
                continue;
            };
            let lately = door.handled.is_some_and(|at| now.mono < at + CHECKED);
            let known = door.troubled == 0 && door.clean_since + GRACE < now.mono && !lately;
            if self.down || !known || door.open_jobs.iter().any(|open| *open != job) {
                return Ok(());
            }
            let counts = |stay: &&Stay| {
                let apart = stay.window.end() <= window.start() || window.end() <= stay.window.start();
                let gone = stay.deleted && stay.changed + GRACE < now.mono;
                stay.lock == *lock && (!apart && !gone || holds(*lock, &stay.pin))
            };
            if door.foreign.len() + self.stays.values().filter(counts).count() >= door.capacity {
                return Ok(());
            }
        }
        Err(now.violation(
            "I10",
            format!("job {job}: no lock is full, and it is refused for want of room"),
        ))
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
                self.edges.insert((next_round(now.mono), code));
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
            // Another moment of its own comes for what has only just become so.
            let lately = |at: Timestamp| at <= now.wall && now.wall < at + GRACE;
            if now.mono < stay.changed + GRACE || lately(stay.window.start()) || lately(stay.window.end()) {
                continue;
            }
            // A lock that nothing is wrong with, behind one that something is wrong with.
            let neighbour = |other: &Door| other.radio == door.radio && other.deaf > 0;
            let behind = self.doors.values().any(neighbour);
            let blame = |invariant| if behind { "I11" } else { invariant };
            // Digits that somebody else put there are theirs.
            let ours = |pin: &Pin| !door.foreign.contains(pin) && holds(stay.lock, pin);
            // A lock that refuses the new digits as somebody else's keeps the old ones, and that is told.
            let taken = door.foreign.contains(&stay.pin);
            if !taken && stay.former.iter().any(ours) {
                let seen = format!("a former PIN of code {code} is still on lock {}", stay.lock);
                return Err(now.violation(blame("I5"), seen));
            }
            let there = holds(stay.lock, &stay.pin);
            let over = stay.deleted || stay.window.end() <= now.wall;
            // By a clock that is slightly ahead its end has come.
            let open = !stay.deleted && stay.window.holds(now.wall) && stay.window.holds(now.wall + SEEN);
            if over && ours(&stay.pin) && !self.has_heir(code, stay) {
                let seen = format!("code {code} is still on lock {}", stay.lock);
                return Err(now.violation(blame("I5"), seen));
            }
            if open && !there && stay.excused <= now.mono {
                let seen = format!("code {code} is not on lock {}", stay.lock);
                return Err(now.violation(blame("I4"), seen));
            }
        }
        Ok(())
    }

    /// A lock was asked to take a PIN and did not answer: what stands there with it may be ours from now on.
    pub fn asked_in_vain(&mut self, lock: DeviceId, pin: Pin) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.claimed.insert(pin);
        }
    }

    /// Judges a lock's table after it changed.
    pub fn judge_table(&mut self, lock: DeviceId, table: &[Entry], now: Clock) -> Result<(), Violation> {
        let Some(door) = self.doors.get_mut(&lock) else {
            return Ok(());
        };
        let is_there = |pin: &Pin| table.iter().any(|entry| entry.pin.as_ref() == Some(pin));
        // Nobody could tell whose it was.
        door.foreign
            .retain(|pin| is_there(pin) || !door.claimed.contains(pin));
        if !door.foreign.iter().all(is_there) {
            return Err(now.violation("I6", format!("a code that is not ours is gone from lock {lock}")));
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
                    door.native != NativeWindow::None && entry.window.start() + self.lead >= window.start();
                now.wall + self.lead + SEEN < window.start() && !itself
            };
            if known.all(|stay| early(stay.window) && stay.asked.is_none_or(early)) {
                return Err(now.violation("I5", format!("a code is on lock {lock} long before its start")));
            }
        }
        Ok(())
    }

    /// Judges what the gateway took off a lock by itself in an exchange since `began`: nothing whose time it
    /// is, whatever its clock shows.
    pub fn judge_removal(
        &self,
        lock: DeviceId,
        gone: &[Pin],
        began: Mono,
        now: Clock,
    ) -> Result<(), Violation> {
        for stay in self.stays.values().filter(|stay| stay.lock == lock) {
            let meant = !stay.deleted && !stay.leaving && stay.asked.is_none() && stay.asked_pin.is_none();
            let open = stay.window.holds(now.wall) && stay.window.holds(now.wall + SEEN);
            // A change that came during the exchange is carried out after it.
            let known = stay.changed < began;
            if meant && known && open && gone.contains(&stay.pin) {
                let seen = format!("a code was taken off lock {lock} before its end");
                return Err(now.violation("I9", seen));
            }
        }
        Ok(())
    }

    /// Judges what the gateway put onto a lock in an exchange since `began`: nothing that was over before.
    pub fn judge_put(&self, lock: DeviceId, pin: &Pin, began: Mono, now: Clock) -> Result<(), Violation> {
        let Some(door) = self.doors.get(&lock) else {
            return Ok(());
        };
        if door.foreign.contains(pin) || !door.open_jobs.is_empty() {
            return Ok(());
        }
        let wanted = |stay: &Stay| {
            let open_question =
                stay.asked.is_some() || stay.asked_pin.is_some() || stay.leaving && !stay.deleted;
            let lives = !stay.deleted && stay.pin == *pin && now.wall < stay.window.end() + GRACE;
            open_question || began <= stay.changed || lives
        };
        let mut may = self
            .stays
            .values()
            .filter(|stay| stay.lock == lock && stay.may_have(pin));
        match may.any(wanted) {
            true => Ok(()),
            false => Err(now.violation("I5", format!("a code that is over is put onto lock {lock}"))),
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

    /// A lock was asked for a code. One that it refused, or did not keep, is left alone for a while.
    pub fn tries(&mut self, code: CodeId, generation: u64, sets: bool, now: Clock) -> Result<(), Violation> {
        let same = |denied: &&Denials| denied.generation == generation && denied.sets == sets;
        let Some(denied) = self.denials.get(&code).filter(same) else {
            return Ok(());
        };
        let wait = LEFT_ALONE
            .saturating_mul(1 << (denied.times - 1).min(10))
            .min(LEFT_ALONE_LONGEST);
        if now.mono + SEEN < denied.last + wait {
            let seen = format!(
                "code {code} is tried again right after it was denied {} times",
                denied.times
            );
            return Err(now.violation("I12", seen));
        }
        Ok(())
    }

    /// What came of it.
    pub fn tried(&mut self, code: CodeId, generation: u64, sets: bool, denied: bool, now: Mono) {
        let before = self.denials.remove(&code);
        if denied {
            let times = match before {
                Some(before) if before.generation == generation && before.sets == sets => before.times + 1,
                _ => 1,
            };
            self.denials.insert(
                code,
                Denials {
                    generation,
                    sets,
                    times,
                    last: now,
                },
            );
        }
    }

    /// A slot of a lock is free again: what it refused may be tried at once.
    pub fn freed(&mut self, lock: DeviceId) {
        let stays = &self.stays;
        self.denials
            .retain(|code, _| stays.get(code).is_none_or(|stay| stay.lock != lock));
    }

    /// Judges the order on a radio: no code is set while another lock of it, which nothing is wrong with,
    /// waits to be rid of one that is over.
    pub fn judge_order(
        &self,
        lock: DeviceId,
        now: Clock,
        holds: impl Fn(DeviceId, &Pin) -> bool,
    ) -> Result<(), Violation> {
        // A silent lock may spend the try that it got for a removal on what it was asked less often.
        let Some(radio) = self
            .doors
            .get(&lock)
            .filter(|door| door.troubled == 0 && !door.silent)
            .map(|door| door.radio)
        else {
            return Ok(());
        };
        for (code, stay) in &self.stays {
            let Some(door) = self.doors.get(&stay.lock) else {
                continue;
            };
            let idle = !door.busy && door.idle_since + SEEN < now.mono;
            let fair = door.radio == radio && idle && !door.silent && door.troubled == 0;
            let settled = stay.asked.is_none() && stay.asked_pin.is_none() && !stay.leaving;
            let over = stay.window.end() + SEEN < now.wall && !stay.deleted;
            let waits = fair && settled && over && door.clean_since + GRACE <= now.mono;
            let ours = !door.foreign.contains(&stay.pin) && holds(stay.lock, &stay.pin);
            if waits && ours && !self.has_heir(*code, stay) {
                let other = stay.lock;
                let seen =
                    format!("lock {lock} is asked to set, while code {code} waits to leave lock {other}");
                return Err(now.violation("I5", seen));
            }
        }
        Ok(())
    }

    /// Whether the digits of a code are another one's by now, on the same lock.
    fn has_heir(&self, code: CodeId, stay: &Stay) -> bool {
        let heir = |(other, heir): (&CodeId, &Stay)| {
            *other != code && heir.lock == stay.lock && !heir.deleted && heir.may_have(&stay.pin)
        };
        self.stays.iter().any(heir)
    }

    /// Judges what a power cut left on the disk: the ids of the codes there, and which codes each job that
    /// booked was seen to record, with how many it asked for.
    pub fn judge_disk(
        &self,
        disk: &BTreeSet<CodeId>,
        recorded: &BTreeMap<u32, (usize, Vec<CodeId>)>,
        now: Clock,
    ) -> Result<(), Violation> {
        for (code, stay) in &self.stays {
            if !stay.deleted && !stay.leaving && !disk.contains(code) {
                return Err(now.violation("I1", format!("code {code} was promised, and is lost")));
            }
        }
        for (job, (asked, codes)) in recorded {
            let left = codes.iter().filter(|code| disk.contains(code)).count();
            let gone = |code: &CodeId| {
                self.stays
                    .get(code)
                    .is_some_and(|stay| stay.leaving || stay.deleted)
            };
            let refused = matches!(self.answers.get(job), Some(Answer::Refused(_)));
            let whole = left == *asked && !refused;
            if left > 0 && !whole && !codes.iter().any(gone) {
                let seen = format!("job {job} asked for {asked} codes, and {left} are on record");
                return Err(now.violation("I2", seen));
            }
        }
        Ok(())
    }

    /// Every PIN that the gateway was trusted with.
    pub fn secrets(&self) -> BTreeSet<&str> {
        self.stays
            .values()
            .flat_map(|stay| stay.former.iter().chain([&stay.pin]))
            .map(Pin::expose)
            .collect()
    }

    /// An exchange with a lock is over.
    pub fn hung_up(&mut self, lock: DeviceId, silent: bool, now: Mono) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.busy = false;
            door.silent = silent;
            door.idle_since = now;
        }
    }

    /// Counts a call of a lock.
    pub fn called(&mut self, lock: DeviceId, now: Clock) -> Result<(), Violation> {
        let Some(door) = self.doors.get_mut(&lock) else {
            return Ok(());
        };
        door.busy = true;
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
            // What may be there early, what begins or ends just now, and what a caller changed that went away
            // before it was answered.
            let mut open = BTreeSet::new();
            for stay in self.stays.values().filter(|s| s.lock == *lock && !s.deleted) {
                if stay.asked.is_some() || stay.asked_pin.is_some() || stay.leaving {
                    open.insert(stay.pin.clone());
                    open.extend(stay.asked_pin.clone());
                } else if stay.window.holds(now.wall)
                    && stay.window.start() + GRACE <= now.wall
                    && stay.window.holds(now.wall + GRACE)
                {
                    promised.insert(stay.pin.clone());
                } else if now.wall < stay.window.end() + GRACE {
                    open.insert(stay.pin.clone());
                }
            }
            let missing = promised.difference(&held).count();
            // What a caller booked that went away before it was answered, nobody was promised.
            let extra = held
                .difference(&promised)
                .filter(|pin| !open.contains(*pin) && door.open_jobs.is_empty())
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

    /// Every access code whose time it is, as far as callers know, but those that may be missing.
    pub fn open_codes(&self, now: Clock) -> impl Iterator<Item = CodeId> {
        let open = self.stays.iter().filter(move |(_, stay)| {
            !stay.deleted && stay.window.holds(now.wall) && stay.excused <= now.mono
        });
        open.map(|(code, _)| *code)
    }

    /// Jobs that were answered.
    #[must_use]
    pub fn answered(&self) -> &BTreeMap<u32, Answer> {
        &self.answers
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
