//! What may be on a lock, what it may be asked, in which order and how often.

use std::time::Duration;

use super::{Clock, Denials, GRACE, Oracle, SEEN, Stay, Violation};
use crate::model::{CodeId, DeviceId, Entry, Mono, NativeWindow, Pin, Window};

/// Most calls of one lock within an hour: every minute while silent, a burst of work, second looks.
const CALLS_AN_HOUR: usize = 240;
/// A code that its lock refused is left alone for so long at first, twice as long each time,
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// and no longer than this.
const LEFT_ALONE_LONGEST: Duration = Duration::from_secs(3600);

impl Oracle {
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

    /// A lock was asked to take a PIN and did not answer: what stands there with it may be ours from now on.
    pub fn asked_in_vain(&mut self, lock: DeviceId, pin: Pin) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.claimed.insert(pin);
        }
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

    /// An exchange with a lock is over.
    pub fn hung_up(&mut self, lock: DeviceId, silent: bool, now: Mono) {
        if let Some(door) = self.doors.get_mut(&lock) {
            door.busy = false;
            door.silent = silent;
            door.idle_since = now;
        }
    }
}
