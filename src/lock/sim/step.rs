//! One question to the lock, from first look to proof: what any driver has to do with raw reads,
//! writes and erasures, here with the lock's faults in the way of each of them.

use std::time::Duration;

use crate::model::{
    Addressing, Content, Deed, Entry, Finding, How, Mono, Now, Objection, Pin, ReadBack, Slot, Step,
};

use super::body::SimLock;
use super::fault::{FaultKind, Op};

/// A talk with the lock. Each operation takes time, and may end the talk with a finding.
pub(super) struct Talk<'a> {
    lock: &'a mut SimLock,
    began: Now,
    took: Duration,
}

/// What an operation brought, or the finding that ends the step.
type Told<T> = Result<T, Finding>;

impl<'a> Talk<'a> {
    pub(super) fn new(lock: &'a mut SimLock, now: Now) -> Talk<'a> {
        Talk {
            lock,
            began: now,
            took: Duration::ZERO,
        }
    }

    /// The finding, and how long it took.
    pub(super) fn carry_out(mut self, step: &Step) -> (Finding, Duration) {
        let told = match step {
            Step::Put {
                slot, content, stale, ..
            } => self.put(*slot, content, stale).map(Finding::Proven),
            Step::Remove { slot, pins, .. } => self.remove(*slot, pins).map(Finding::Proven),
            Step::Door { deed, .. } => self.move_bolt(*deed).map(Finding::Proven),
            Step::Read => self.read(Op::Read).map(Finding::Table),
        };
        let mut finding = told.unwrap_or_else(|finding| finding);
        if finding != Finding::Unanswered && self.lock.strike(Op::End, self.mono()).is_some() {
            finding = self.silence();
        }
        (finding, self.took)
    }

    fn put(&mut self, slot: Slot, content: &Content, stale: &[Pin]) -> Told<How> {
        let lock = self.lock.capabilities();
        match (lock.read_back, lock.addressing) {
            (ReadBack::Full, Addressing::Chosen) => self.put_at(slot, content, stale),
            (ReadBack::Full, Addressing::GivenByLock) => self.put_by_digits(content, stale),
            (ReadBack::Masked, _) => self.put_masked(slot, content, stale),
            (ReadBack::None, _) => {
                self.write(Some(slot), content)?;
                Ok(How::Acknowledged)
            }
        }
    }

    fn put_at(&mut self, slot: Slot, content: &Content, stale: &[Pin]) -> Told<How> {
        let table = self.read(Op::Look)?;
        let here = at(&table, slot);
        if let Some(entry) = here.filter(|entry| !is_any(entry, stale)) {
            let same = has(entry, &content.pin);
            let objection = if same {
                Objection::Duplicate
            } else {
                Objection::SlotTaken
            };
            return Err(Finding::Refused(objection));
        }
        // A code of ours keeps its slot for life: in another one the digits are somebody else's.
        if table
            .iter()
            .any(|entry| entry.slot != slot && has(entry, &content.pin))
        {
            return Err(Finding::Refused(Objection::Duplicate));
        }
        if here.is_some_and(|entry| is(entry, content)) {
            return Ok(How::ReadBack);
        }
        self.write(Some(slot), content)?;
        let table = self.read_again()?;
        proven(
            at(&table, slot).is_some_and(|entry| is(entry, content)),
            How::ReadBack,
        )
    }

    fn put_by_digits(&mut self, content: &Content, stale: &[Pin]) -> Told<How> {
        let table = self.read(Op::Look)?;
        let same = table.iter().find(|entry| has(entry, &content.pin));
        let done = same.is_some_and(|entry| is(entry, content));
        // Digits that we never wrote are a stranger's.
        if same.is_some() && !stale.contains(&content.pin) {
            return Err(Finding::Refused(Objection::Duplicate));
        }
        let keep = same.or_else(|| table.iter().find(|entry| is_any(entry, stale)));
        let keep = keep.map(|entry| entry.slot);
        if !done {
            self.write(keep, content)?;
        }
        let old = |entry: &&Entry| Some(entry.slot) != keep && is_any(entry, stale);
        for entry in table.iter().filter(old) {
            self.erase(entry.slot)?;
        }
        if done && !table.iter().any(|entry| old(&entry)) {
            return Ok(How::ReadBack);
        }
        let table = self.read_again()?;
        let mut ours = table
            .iter()
            .filter(|entry| has(entry, &content.pin) || is_any(entry, stale));
        let only = ours.next().is_some_and(|entry| is(entry, content)) && ours.next().is_none();
        proven(only, How::ReadBack)
    }

    fn put_masked(&mut self, slot: Slot, content: &Content, stale: &[Pin]) -> Told<How> {
        if at(&self.read(Op::Look)?, slot).is_some() {
            if stale.is_empty() {
                return Err(Finding::Refused(Objection::SlotTaken));
            }
            self.erase(slot)?;
            self.see_empty(slot)?;
        }
        self.write(Some(slot), content)?;
        let table = self.read_again()?;
        proven(at(&table, slot).is_some(), How::Acknowledged)
    }

    fn remove(&mut self, slot: Slot, pins: &[Pin]) -> Told<How> {
        let lock = self.lock.capabilities();
        let (read_back, addressing) = (lock.read_back, lock.addressing);
        if read_back == ReadBack::None {
            self.erase(slot)?;
            return Ok(How::Acknowledged);
        }
        let ours = |entry: &&Entry| match (read_back, addressing) {
            (ReadBack::Full, Addressing::Chosen) => entry.slot == slot && is_any(entry, pins),
            (ReadBack::Full, Addressing::GivenByLock) => is_any(entry, pins),
            // Never asked to hold the code, it holds somebody else's there.
            _ => entry.slot == slot && !pins.is_empty(),
        };
        let table = self.read(Op::Look)?;
        if !table.iter().any(|entry| ours(&entry)) {
            return Ok(How::ReadBack);
        }
        for entry in table.iter().filter(ours) {
            self.erase(entry.slot)?;
        }
        let table = self.read_again()?;
        proven(!table.iter().any(|entry| ours(&entry)), How::ReadBack)
    }

    fn see_empty(&mut self, slot: Slot) -> Told<()> {
        match at(&self.read_again()?, slot) {
            None => Ok(()),
            Some(_) => Err(Finding::Denied),
        }
    }

    fn read(&mut self, op: Op) -> Told<Vec<Entry>> {
        let fault = self.ask(op)?;
        self.hear(fault)?;
        match self.lock.capabilities().read_back {
            // It has no such command.
            ReadBack::None => Err(Finding::Refused(Objection::Other)),
            _ if fault == Some(FaultKind::NoRead) => Err(Finding::Refused(Objection::Other)),
            read_back => Ok(self.lock.memory.entries(read_back)),
        }
    }

    /// The table after a change. A lock that does not show it now has said neither yes nor no.
    fn read_again(&mut self) -> Told<Vec<Entry>> {
        self.read(Op::Read).map_err(|_| Finding::Unanswered)
    }

    fn write(&mut self, place: Option<Slot>, content: &Content) -> Told<()> {
        let fault = self.ask(Op::Write)?;
        let rules = self.lock.capabilities().clone();
        let said = match fault {
            Some(FaultKind::Refuse) => Err(Objection::Other),
            Some(FaultKind::NoStore) => self.lock.memory.clone().store(&rules, place, content),
            _ => self.lock.memory.store(&rules, place, content),
        };
        if let (Ok(slot), Some(FaultKind::DropAfter)) = (said, fault) {
            let at = self.began.wall + self.took + self.lock.drops_after();
            self.lock.memory.doom(slot, at);
        }
        self.hear(fault)?;
        said.map(drop).map_err(Finding::Refused)
    }

    fn erase(&mut self, slot: Slot) -> Told<()> {
        let fault = self.ask(Op::Erase)?;
        match fault {
            Some(FaultKind::Refuse) => return Err(Finding::Refused(Objection::Other)),
            Some(FaultKind::NoStore) => {}
            _ => self.lock.memory.erase(slot),
        }
        self.hear(fault)
    }

    fn move_bolt(&mut self, deed: Deed) -> Told<How> {
        let fault = self.ask(Op::Move)?;
        match fault {
            Some(FaultKind::Refuse) => return Err(Finding::Refused(Objection::Other)),
            Some(FaultKind::NoStore) => {}
            _ => self.lock.move_bolt(deed == Deed::Lock),
        }
        self.hear(fault)?;
        Ok(How::Acknowledged)
    }

    /// A question goes out, and the time of an answer passes.
    fn ask(&mut self, op: Op) -> Told<Option<FaultKind>> {
        if !self.lock.reachable(self.mono()) {
            let patience = self.lock.capabilities().patience;
            self.took = patience.min(self.took + self.lock.setup().silence_after);
            return Err(Finding::Unanswered);
        }
        let fault = self.lock.strike(op, self.mono());
        let latency = self.lock.setup().latency;
        match fault {
            Some(FaultKind::Hang) => return Err(self.silence()),
            Some(FaultKind::Slow) => self.took += latency * 10,
            _ => self.took += latency,
        }
        Ok(fault)
    }

    /// The answer comes back, unless it comes too late or not at all.
    fn hear(&mut self, fault: Option<FaultKind>) -> Told<()> {
        if fault == Some(FaultKind::Silent) || self.took > self.lock.capabilities().patience {
            return Err(self.silence());
        }
        Ok(())
    }

    fn silence(&mut self) -> Finding {
        self.took = self.lock.capabilities().patience;
        Finding::Unanswered
    }

    fn mono(&self) -> Mono {
        self.began.mono + self.took
    }
}

fn at(table: &[Entry], slot: Slot) -> Option<&Entry> {
    table.iter().find(|entry| entry.slot == slot)
}

fn has(entry: &Entry, pin: &Pin) -> bool {
    entry.pin.as_ref() == Some(pin)
}

fn is_any(entry: &Entry, pins: &[Pin]) -> bool {
    pins.iter().any(|pin| has(entry, pin))
}

fn is(entry: &Entry, content: &Content) -> bool {
    has(entry, &content.pin) && entry.name == content.name && entry.window == content.window
}

fn proven(so: bool, how: How) -> Told<How> {
    if so { Ok(how) } else { Err(Finding::Denied) }
}
