//! What callers sent and were told, and what they may not be told.

use std::collections::{BTreeMap, BTreeSet};

use super::{CHECKED, Clock, GRACE, Oracle, Stay, Violation};
use crate::gateway::Answer;
use crate::gateway::view::CodeView;
use crate::model::{CodeId, DeviceId, Mono, Pin, Reason, Window};

/// The codes that an answer tells of.
fn views(answer: &Answer) -> &[CodeView] {
    match answer {
        Answer::Created(views) => views,
        Answer::CreatedOne(view) => std::slice::from_ref(view),
        Answer::Ok | Answer::Attempt(_) | Answer::Refused(_) => &[],
    }
}

impl Oracle {
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

    /// Jobs that were answered.
    #[must_use]
    pub fn answered(&self) -> &BTreeMap<u32, Answer> {
        &self.answers
    }

    /// Every PIN that the gateway was trusted with.
    pub fn secrets(&self) -> BTreeSet<&str> {
        self.stays
            .values()
            .flat_map(|stay| stay.former.iter().chain([&stay.pin]))
            .map(Pin::expose)
            .collect()
    }
}
