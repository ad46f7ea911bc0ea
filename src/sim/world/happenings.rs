//! What befalls the property, apart from what callers ask: item by item of the plan.

use std::time::Duration;

use super::{Fall, World};
use crate::gateway::Event;
use crate::lock::sim::{ByHand, Fault, FaultKind};
use crate::model::{DeviceId, Entry, ReadBack, Slot};
use crate::sim::oracle::CHECKED;
use crate::sim::plan::{Hand, Item, doorstep_pin, stream};

impl World {
    pub(super) fn begin(&mut self, index: usize) {
        let item = self.plan.items[index].clone();
        if let Some(kind) = item.kind().filter(|_| !is_counted_when_it_strikes(&item)) {
            self.count(kind);
        }
        match item {
            Item::Away { lock, .. } => {
                self.oracle.trouble(self.ids[lock], true, self.now);
                self.note(30, lock as u64, 0, |_| format!("lock {lock} is out of reach"));
            }
            Item::Fault {
                lock, kind, lasts, ..
            } => self.misbehave(lock, kind, lasts),
            Item::NoTime { .. } => {
                // How far time is proven is coarse after a start: what is late then is no fault.
                self.ids
                    .iter()
                    .for_each(|lock| self.oracle.trouble(*lock, false, self.now));
                self.shown.alone = true;
                self.note(35, 0, 0, |_| "nothing vouches for the clock".to_owned());
                self.tell(Event::Timer, "clock", index as u64);
            }
            Item::Poison { by, .. } => {
                self.shown.off_ms = by * 1000;
                self.note(36, 0, by as u64, |_| format!("the clock is set off by {by} s"));
                self.tell(Event::Timer, "clock", index as u64);
            }
            Item::Step { off_ms, .. } => {
                self.shown.slightly_off_ms = off_ms;
                self.note(45, 0, off_ms as u64, |_| {
                    format!("the clock is set, and is off by {off_ms} ms")
                });
                self.tell(Event::Timer, "clock", index as u64);
            }
            Item::Gone { lock, .. } => {
                self.oracle.trouble(self.ids[lock], true, self.now);
                self.note(46, lock as u64, 0, |_| {
                    format!("the configuration loses lock {lock}")
                });
                self.left_out.insert(lock);
                self.start_again();
            }
            Item::Hand { lock, deed, .. } => self.change_by_hand(index, lock, deed),
            Item::Again { job, .. } => self.send_again(job),
            Item::Broker { until, forgets, .. } => {
                let until = self
                    .broker
                    .away_until
                    .map_or(until, |(other, _)| other.max(until));
                self.broker.away_until = Some((until, forgets));
                self.note(41, 0, u64::from(forgets), |_| "the broker is away".to_owned());
            }
            Item::Full { .. } => {
                self.full = true;
                self.note(43, 0, 0, |_| "the card is nearly full".to_owned());
                self.tell(Event::StorageLow(true), "full", index as u64);
            }
            Item::BadSync { .. } => self.bad_sync = true,
            Item::Cut { until, .. } if self.gateway.is_some() => {
                self.count("power cut for a while");
                self.fall_until(Fall::Power, Some(until));
            }
            Item::Cut { .. }
            | Item::Vanish { .. }
            | Item::Create { .. }
            | Item::Update { .. }
            | Item::Shift { .. }
            | Item::Change { .. }
            | Item::Delete { .. }
            | Item::Door { .. } => {}
        }
    }

    /// With the configuration as it is now; a gateway that is down starts with it anyway.
    fn start_again(&mut self) {
        if self.gateway.is_some() {
            self.fall(Fall::Kill);
        }
    }

    fn misbehave(&mut self, lock: usize, kind: FaultKind, lasts: Duration) {
        self.oracle.trouble(self.ids[lock], deafens(kind), self.now);
        // What a lock that cannot be read does not store, or loses, nobody can know.
        let blind = self.locks[lock].capabilities().read_back == ReadBack::None;
        if blind && matches!(kind, FaultKind::NoStore | FaultKind::DropAfter) {
            return;
        }
        let fault = Fault {
            kind,
            count: None,
            for_s: Some(lasts.as_secs()),
            after_s: None,
        };
        self.locks[lock].fault(self.now, fault);
        self.note(31, lock as u64, 0, |_| {
            format!("lock {lock} begins to misbehave: {kind:?}")
        });
    }

    /// Somebody changes the table of a lock that can be read: of others nobody would ever know.
    fn change_by_hand(&mut self, index: usize, lock: usize, deed: Hand) {
        let read_back = self.locks[lock].capabilities().read_back;
        let device = self.ids[lock];
        if read_back == ReadBack::None {
            return;
        }
        // A lock that shows no digits tells ours from others' by their slots alone.
        let masked = read_back == ReadBack::Masked;
        let table = self.locks[lock].table();
        let foreign = |entry: &&Entry| {
            let pin = entry.pin.as_ref();
            pin.is_some_and(|pin| self.oracle.is_foreign(device, pin))
        };
        let ours: Vec<&Entry> = table.iter().filter(|entry| !foreign(entry)).collect();
        let nth = |which: usize| ours.get(which % ours.len().max(1)).copied().cloned();
        let mut digits = stream(self.plan.seed, "hand", index as u64);
        // Digits that callers know of are theirs.
        let typed = doorstep_pin(&mut digits).filter(|pin| self.oracle.codes_with(device, pin).is_empty());
        let (change, was, is) = match deed {
            Hand::Add => {
                // There must stay room for what was promised.
                if self.plan.locks[lock].capacity.is_some() {
                    return;
                }
                // A far slot where a lock shows no digits and may have left us without an answer, or have lost
                // a code of ours to somebody: in one that we claimed it then cannot tell ours from others'.
                let slot = (masked && self.is_doubtful(lock)).then_some(Slot(28));
                let Some(code) = typed else { return };
                let change = ByHand::Add {
                    slot,
                    code: code.clone(),
                };
                (change, None, Some(code))
            }
            Hand::Take(which) => {
                let Some(entry) = nth(which) else { return };
                let change = ByHand::Remove {
                    slot: Some(entry.slot),
                    code: None,
                };
                (change, entry.pin, None)
            }
            Hand::Alter(which) => {
                let crowded = masked || self.plan.locks[lock].capacity.is_some();
                let (Some(entry), Some(code), false) = (nth(which), typed, crowded) else {
                    return;
                };
                let change = ByHand::Change {
                    slot: entry.slot,
                    code: code.clone(),
                };
                (change, entry.pin, Some(code))
            }
            Hand::TakeTheirs => {
                let Some(entry) = table.iter().find(foreign) else {
                    return;
                };
                let change = ByHand::Remove {
                    slot: Some(entry.slot),
                    code: None,
                };
                (change, entry.pin.clone(), None)
            }
        };
        let now = self.clock_of_locks();
        if self.locks[lock].by_hand(now, &change).is_err() {
            return;
        }
        if let Some(kind) = self.plan.items[index].kind() {
            self.count(kind);
        }
        self.note(32, lock as u64, 0, |_| {
            format!("somebody is at lock {lock}: {deed:?}")
        });
        self.oracle.handled(device, self.now);
        if let Some(pin) = was {
            self.oracle.foreign_gone(device, &pin);
            for code in self.oracle.codes_with(device, &pin) {
                self.oracle.excuse(code, self.now + CHECKED);
            }
        }
        if let Some(pin) = is {
            self.oracle.foreign(device, pin);
        }
    }

    /// Whether a lock may be left with a claim of ours that we never heard about, or without a code that we
    /// believe to be there.
    fn is_doubtful(&self, lock: usize) -> bool {
        let troubled = self.plan.items.iter().any(|item| match item {
            Item::Away { lock: other, .. }
            | Item::Fault { lock: other, .. }
            | Item::Hand {
                lock: other,
                deed: Hand::Take(_),
                ..
            } => *other == lock,
            Item::BadSync { .. } | Item::Cut { .. } => true,
            _ => false,
        });
        troubled || !self.plan.crashes.is_empty()
    }

    pub(super) fn end(&mut self, index: usize) {
        match self.plan.items[index].clone() {
            Item::Away { lock, .. } => {
                self.oracle.relief(self.ids[lock], true, self.now, Duration::ZERO);
                self.note(33, lock as u64, 0, |_| format!("lock {lock} is heard again"));
                if self.locks[lock].reachable(self.now) && !self.left_out.contains(&lock) {
                    self.tell(Event::Heard(self.ids[lock]), "heard", index as u64);
                }
            }
            Item::Fault { lock, kind, .. } => {
                // A code that was refused waits an hour at most, one that was not kept for the next check.
                let unnoticed = match kind {
                    FaultKind::Refuse | FaultKind::NoRead => Duration::from_secs(3600),
                    FaultKind::NoStore | FaultKind::DropAfter => CHECKED,
                    _ => Duration::ZERO,
                };
                self.oracle
                    .relief(self.ids[lock], deafens(kind), self.now, unnoticed);
                self.note(34, lock as u64, 0, |_| format!("lock {lock} is well again"));
            }
            Item::NoTime { .. } | Item::Poison { .. } => {
                self.shown.alone = false;
                if std::mem::take(&mut self.shown.coarse) {
                    let ids: Vec<DeviceId> = self.ids.clone();
                    for lock in ids {
                        self.oracle.relief(lock, false, self.now, Duration::ZERO);
                    }
                }
                self.shown.off_ms = 0;
                self.note(37, 0, 0, |_| "the clock is right again".to_owned());
                self.tell(Event::Timer, "right again", index as u64);
            }
            Item::Gone { lock, .. } => {
                self.oracle.relief(self.ids[lock], true, self.now, Duration::ZERO);
                self.note(47, lock as u64, 0, |_| {
                    format!("the configuration has lock {lock} again")
                });
                self.left_out.remove(&lock);
                self.start_again();
            }
            Item::Broker { .. } => {
                let over = |(until, _): &(_, _)| *until <= self.now;
                if self.broker.away_until.as_ref().is_some_and(over) {
                    self.broker.away_until = None;
                    self.note(42, 0, 0, |_| "the broker is there again".to_owned());
                    self.call_courier();
                }
            }
            Item::Full { .. } => {
                self.full = false;
                self.note(44, 0, 0, |_| "the card has room again".to_owned());
                self.tell(Event::StorageLow(false), "full", index as u64);
            }
            _ => {}
        }
    }
}

/// Whether it is counted not when it begins, but each time that it makes a difference.
fn is_counted_when_it_strikes(item: &Item) -> bool {
    matches!(
        item,
        Item::BadSync { .. }
            | Item::Hand { .. }
            | Item::Fault { .. }
            | Item::Away { .. }
            | Item::Again { .. }
    )
}

/// Whether a lock with this fault cannot be asked for the truth.
fn deafens(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Silent | FaultKind::Hang | FaultKind::Slow | FaultKind::NoRead
    )
}
