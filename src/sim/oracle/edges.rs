//! What must be true after every start and every end of a stay, after a power cut, and at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use super::{Clock, Door, GRACE, Oracle, SEEN, Violation, next_round};
use crate::gateway::Answer;
use crate::model::{CodeId, DeviceId, Entry, Mono, Pin, Timestamp, Window};

impl Oracle {
    /// Notes the moments by which the lock must hold the code, or hold it no more.
    pub(super) fn expect(&mut self, code: CodeId, now: Clock) {
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
}
