//! Jobs on record: what was asked, what was answered, how far it is. One job, one effect (I3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::ledger::Ledger;
use super::records::{Answer, JobRecord, Phase, Verb};
use crate::model::{Caller, CodeId, JobId, Timestamp};
use crate::store::Tree;

/// Ids of accepted jobs are kept this long after they are done.
pub(super) const KEEP: Duration = Duration::from_secs(30 * 86_400);
/// A request that comes again so soon after one whose answer was lost is that one's repeat.
const REPEAT: Duration = Duration::from_secs(2 * 60);

#[derive(Default)]
pub(crate) struct Jobs {
    all: BTreeMap<JobId, JobRecord>,
    by_handle: BTreeMap<(Caller, String), JobId>,
    /// By what was asked, the latest job whose answer is not known to have arrived. Judged by time
    /// when it is looked up, so that a clock that was moved is judged rightly too.
    unanswered: BTreeMap<(Caller, [u8; 32]), JobId>,
    /// Answered, or not after all, since the last batch. Not worth a sync of its own: a mark that is lost lets a
    /// request that is soon made again be taken for a repeat.
    unsaved: BTreeSet<JobId>,
    /// Jobs that are not done, in order, by the codes that they wait for: nearly always one.
    watching: BTreeMap<CodeId, Vec<JobId>>,
    /// Done, and without a name of their caller's: the first that go when there is no room.
    spare: VecDeque<JobId>,
    /// Those without members, oldest first: refused ones, and what was asked of doors and devices under a
    /// handle. Only the newest are kept.
    brief: VecDeque<JobId>,
}

impl JobRecord {
    pub fn phase(&self) -> Phase {
        match (&self.answer, self.done_at) {
            (Answer::Refused(_), _) => Phase::Rejected,
            (_, None) => Phase::Accepted,
            (_, Some(_)) => Phase::Done,
        }
    }

    /// Whether it must not be done twice when its answer is lost, and has no handle by which its
    /// caller says so. An update is simply done again: another one may have come between.
    fn is_done_once(&self) -> bool {
        let once = matches!(self.verb, Verb::Create | Verb::CreateMultiple | Verb::Delete);
        once && self.handle.is_none() && self.phase() != Phase::Rejected
    }

    fn asked(&self) -> (Caller, [u8; 32]) {
        (self.caller.clone(), self.hash)
    }

    pub fn store(&self, ledger: &mut Ledger) {
        ledger.put(Tree::Jobs, self.id.as_str().as_bytes(), self);
    }
}

impl Jobs {
    pub fn get(&self, id: &JobId) -> Option<&JobRecord> {
        self.all.get(id)
    }

    pub fn by_handle(&self, caller: &Caller, handle: &str) -> Option<&JobRecord> {
        self.by_handle
            .get(&(caller.clone(), handle.to_owned()))
            .and_then(|id| self.all.get(id))
    }

    /// The job that this very request made just now, if its answer may be lost.
    pub fn unanswered(
        &self,
        caller: &Caller,
        verb: Verb,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Option<&JobRecord> {
        let id = self.unanswered.get(&(caller.clone(), hash))?;
        let apart = |job: &JobRecord| now.since(job.at).max(job.at.since(now));
        self.all
            .get(id)
            .filter(|job| job.verb == verb && apart(job) <= REPEAT)
    }

    /// An answer is with its caller.
    pub fn answered(&mut self, id: &JobId) {
        let Some(job) = self.all.get_mut(id) else {
            return;
        };
        let asked = job.asked();
        if self.unanswered.get(&asked) == Some(id) {
            self.unanswered.remove(&asked);
            job.answered = true;
            self.unsaved.insert(id.clone());
        }
    }

    /// An answer that seemed to be with its caller is not. A later job of the same request stays the one
    /// that is repeated.
    pub fn answer_lost(&mut self, id: &JobId) {
        let Some(job) = self.all.get_mut(id).filter(|job| job.answered) else {
            return;
        };
        job.answered = false;
        self.unsaved.insert(id.clone());
        self.unanswered.entry(job.asked()).or_insert_with(|| id.clone());
    }

    /// Stores which answers arrived, with a batch that is made anyway.
    pub fn save_answered(&mut self, ledger: &mut Ledger) {
        for id in std::mem::take(&mut self.unsaved) {
            if let Some(job) = self.all.get(&id) {
                job.store(ledger);
            }
        }
    }

    /// Jobs on record that set or changed codes.
    pub fn with_members(&self) -> usize {
        self.all.len() - self.brief.len()
    }

    pub fn open(&self) -> usize {
        self.all
            .values()
            .filter(|job| job.phase() == Phase::Accepted)
            .count()
    }

    pub fn iter(&self) -> impl Iterator<Item = &JobRecord> {
        self.all.values()
    }

    /// Takes a job up, new or from the store.
    pub fn insert(&mut self, job: JobRecord) {
        if let Some(handle) = &job.handle {
            self.by_handle
                .insert((job.caller.clone(), handle.clone()), job.id.clone());
        }
        if job.is_done_once() && !job.answered {
            self.unanswered.insert(job.asked(), job.id.clone());
        }
        if job.members.is_empty() {
            self.brief.push_back(job.id.clone());
        }
        if job.phase() == Phase::Done && job.nameless {
            self.spare.push_back(job.id.clone());
        }
        if job.phase() == Phase::Accepted {
            for member in job.members.iter().filter(|m| !m.settled) {
                let one = || Vec::with_capacity(1);
                let watchers = self.watching.entry(member.code).or_insert_with(one);
                if let Err(place) = watchers.binary_search(&job.id) {
                    watchers.insert(place, job.id.clone());
                }
            }
        }
        self.all.insert(job.id.clone(), job);
    }

    /// Forgets jobs that are done and that nobody can name, the first done first, until one more job has room.
    pub fn make_room(&mut self, most: usize, ledger: &mut Ledger) {
        while self.with_members() >= most {
            let Some(first) = self.spare.pop_front() else {
                break;
            };
            // It may have been old enough to go by itself.
            if self.all.contains_key(&first) {
                self.forget(&first, ledger);
            }
        }
    }

    /// Forgets the oldest jobs without members beyond `most`.
    pub fn trim_brief(&mut self, most: usize, ledger: &mut Ledger) {
        while self.brief.len() > most {
            let Some(oldest) = self.brief.pop_front() else {
                break;
            };
            self.forget(&oldest, ledger);
        }
    }

    /// Looks whether a change of `code` settles members of open jobs. `settled` says, for a
    /// generation, whether nothing more is to be watched. Returns the jobs that are done by it.
    pub fn settle(
        &mut self,
        code: CodeId,
        settled: impl Fn(u64) -> bool,
        now: Timestamp,
        ledger: &mut Ledger,
    ) -> Vec<JobId> {
        let Some(watchers) = self.watching.get(&code) else {
            return Vec::new();
        };
        let mut done = Vec::new();
        for id in watchers.clone() {
            let Some(job) = self.all.get_mut(&id) else {
                continue;
            };
            let mut changed = false;
            for member in job.members.iter_mut().filter(|m| m.code == code && !m.settled) {
                member.settled = settled(member.generation);
                changed |= member.settled;
            }
            if !changed {
                continue;
            }
            if job.members.iter().all(|m| m.settled) {
                job.done_at = Some(now);
                done.push(id.clone());
                if job.nameless {
                    self.spare.push_back(id.clone());
                }
            }
            job.store(ledger);
            if let Some(watchers) = self.watching.get_mut(&code) {
                watchers.retain(|watcher| *watcher != id);
                if watchers.is_empty() {
                    self.watching.remove(&code);
                    break;
                }
            }
        }
        done
    }

    /// The jobs that wait for a code.
    pub fn watchers(&self, code: CodeId) -> impl Iterator<Item = &JobId> {
        self.watching.get(&code).into_iter().flatten()
    }

    /// Jobs that were done after `vouched`, as their stamps say, count as done now.
    pub fn stamp_anew(&mut self, vouched: Timestamp, now: Timestamp, ledger: &mut Ledger) {
        for job in self.all.values_mut() {
            if job.done_at.is_some_and(|done| vouched < done && done < now) {
                job.done_at = Some(now);
                job.store(ledger);
            }
        }
    }

    /// Forgets jobs that were done long ago; returns when the next one will be.
    pub fn prune(&mut self, now: Timestamp, ledger: &mut Ledger) -> Timestamp {
        let old: Vec<JobId> = self
            .all
            .values()
            .filter(|job| !job.members.is_empty() && job.done_at.is_some_and(|done| done + KEEP <= now))
            .map(|job| job.id.clone())
            .collect();
        for id in &old {
            self.forget(id, ledger);
        }
        self.all
            .values()
            .filter(|job| !job.members.is_empty())
            .filter_map(|job| job.done_at)
            .min()
            .map_or(Timestamp::MAX, |done| done + KEEP)
    }

    fn forget(&mut self, id: &JobId, ledger: &mut Ledger) {
        if let Some(job) = self.all.remove(id) {
            let asked = job.asked();
            if self.unanswered.get(&asked) == Some(id) {
                self.unanswered.remove(&asked);
            }
            if let Some(handle) = job.handle {
                self.by_handle.remove(&(job.caller, handle));
            }
        }
        ledger.remove(Tree::Jobs, id.as_str().as_bytes());
    }
}
