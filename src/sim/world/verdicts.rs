//! What the gateway says, and what the disk holds, put before the judge.

use uuid::Uuid;

use super::World;
use crate::gateway::Phase;
use crate::gateway::view::{AttemptView, JobMemberView, MemberReceipt, Progress, Status};
use crate::model::{CodeId, DeviceId, NativeWindow, Pin, Timestamp};
use crate::sim::oracle::{SEEN, Violation};
use crate::store::{Store, Tree};

impl World {
    /// Holds what the gateway says against the locks' own tables.
    pub(super) fn judge_words(&self) -> Result<(), Violation> {
        let known = |code: &CodeId| self.oracle.may_know(*code, self.now) == Some(self.now);
        let open = self.oracle.open_codes(self.clock());
        let mut codes = open.chain(self.oracle.lately_over(self.clock())).filter(known);
        codes.try_for_each(|code| self.judge_word(code))
    }

    /// The same for one code: one that is said to be set opens its door, if it is open at all, and one that is
    /// said to be gone does not.
    pub(super) fn judge_word(&self, code: CodeId) -> Result<(), Violation> {
        let Some((gateway, now)) = self.gateway() else {
            return Ok(());
        };
        let Some((lock, pins)) = self.oracle.whereabouts(code) else {
            return Ok(());
        };
        let open = self.oracle.is_open(code, self.clock());
        let wall = self.clock_of_locks().wall;
        // By a clock that is slightly behind a lock opens a moment longer.
        let opens = |pin: &Pin| self.opens(lock, pin, wall) || self.opens(lock, pin, wall - SEEN);
        let lie = match gateway.code(code, now).map(|view| view.status) {
            Some(Status::Set) if open == Some(true) => {
                (!pins.iter().any(opens)).then_some("set, and does not open")
            }
            Some(Status::Set) => {
                (!pins.iter().any(|pin| self.holds(lock, pin))).then_some("set, and is not on")
            }
            None | Some(Status::Unset) if open == Some(false) => self
                .oracle
                .is_left(code, |lock, pin| self.opens(lock, pin, wall))
                .then_some("gone, and still opens"),
            None | Some(Status::Unset | Status::Setting | Status::Removing) => None,
        };
        match lie {
            Some(lie) => {
                let seen = format!("code {code} is said to be {lie} lock {lock}");
                Err(self.clock().violation("I7", seen))
            }
            None => Ok(()),
        }
    }

    /// Whether digits open a lock at some moment, going by what it holds now.
    fn opens(&self, lock: DeviceId, pin: &Pin, wall: Timestamp) -> bool {
        self.index(lock).is_some_and(|i| {
            let lock = &self.locks[i];
            let enforces = lock.capabilities().window != NativeWindow::None;
            let row = lock.memory().with(pin);
            row.is_some_and(|row| !enforces || row.window.holds(wall))
        })
    }

    pub(super) fn holds(&self, lock: DeviceId, pin: &Pin) -> bool {
        self.index(lock)
            .is_some_and(|i| self.locks[i].memory().with(pin).is_some())
    }

    /// What stands on the disk, as far as keys tell.
    pub(super) fn judge_disk(&self) -> Result<(), Violation> {
        let keys = |tree: Tree| -> Vec<Vec<u8>> {
            let rows = self.disk.scan(tree, b"", b"", usize::MAX).unwrap_or_default();
            rows.into_iter().map(|(key, _)| key).collect()
        };
        let codes: Vec<CodeId> = keys(Tree::Codes).iter().filter_map(|key| code_in(key)).collect();
        let most = |tree: Tree, most: usize| {
            let count = keys(tree).iter().filter(|key| key.ends_with(&[0; 4])).count();
            let seen = format!("{count} rows in {tree}, and {most} at most may be there");
            match count > most {
                true => Err(self.clock().violation("I10", seen)),
                false => Ok(()),
            }
        };
        let limits = &self.settings.limits;
        most(Tree::Queue, codes.len())?;
        most(Tree::Events, limits.events)?;
        most(Tree::Jobs, limits.jobs + limits.refusals)?;
        self.oracle
            .judge_disk(&codes.into_iter().collect(), &self.recorded, self.clock())
    }

    /// No PIN stands on the disk as it is (I8).
    pub(super) fn judge_secrets(&self) -> Result<(), Violation> {
        let secrets = self.oracle.secrets();
        for tree in Tree::ALL {
            for (_, value) in self.disk.scan(tree, b"", b"", usize::MAX).unwrap_or_default() {
                for digits in value.split(|byte| !byte.is_ascii_digit()) {
                    let Ok(digits) = std::str::from_utf8(digits) else {
                        continue;
                    };
                    if secrets.contains(digits) {
                        let seen = format!("a PIN stands in {tree} for everybody to read");
                        return Err(self.clock().violation("I8", seen));
                    }
                }
            }
        }
        Ok(())
    }

    /// At the end every job is done whose codes are due or over, but one for which somebody else's code leaves no
    /// room: a lock that shows no digits says so only when it is asked to take the same.
    pub(super) fn judge_jobs(&self) -> Result<(), Violation> {
        let Some((gateway, now)) = self.gateway() else {
            return Ok(());
        };
        for job in self.oracle.answered().keys() {
            let Some(view) = gateway.job(&self.job_id(*job), now) else {
                continue;
            };
            let ahead = |m: &JobMemberView| m.now.as_ref().is_some_and(|r| now.wall < r.code.window.start());
            let taken = |m: &JobMemberView| {
                let theirs = |r: &MemberReceipt| self.oracle.is_foreign(m.device, &r.code.pin);
                m.now.as_ref().is_some_and(theirs)
            };
            let may_wait = |m: &JobMemberView| ahead(m) || taken(m);
            if view.phase == Phase::Accepted && !view.members.iter().any(may_wait) {
                let seen = format!("job {job} is never done");
                return Err(Violation {
                    invariant: "I4",
                    at: self.now,
                    seen,
                });
            }
        }
        Ok(())
    }

    /// At the end nobody waits at a door any more.
    pub(super) fn judge_doors(&self) -> Result<(), Violation> {
        let pending = |attempt: &&AttemptView| attempt.progress == Progress::Pending;
        match self
            .gateway()
            .and_then(|(gateway, _)| gateway.attempts().find(pending))
        {
            Some(attempt) => Err(Violation {
                invariant: "I10",
                at: self.now,
                seen: format!("door command {} is never done with", attempt.attempt),
            }),
            None => Ok(()),
        }
    }
}

/// The access code that a key of [`Tree::Codes`] or [`Tree::Queue`] names: the device stands before it.
pub(super) fn code_in(key: &[u8]) -> Option<CodeId> {
    let bytes = key.get(16..32)?;
    Some(CodeId(Uuid::from_slice(bytes).ok()?))
}
