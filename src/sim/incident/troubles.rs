//! What went wrong: reach lost and found, refusals, hands at the door, power cuts, clocks, the card. And doors, which
//! moved.

use std::time::Duration;

use super::{DOORS, Reader, before, span};
use crate::api::answer::{Happening, Lock, More};
use crate::gateway::view::Trust;
use crate::lock::sim::FaultKind;
use crate::model::{Deed, EventKind, Mono, NativeWindow};
use crate::sim::plan::{Hand, Item};

/// What is found to be wrong has been so for so long, unless there is a sign that it has not.
const UNSEEN: Duration = Duration::from_secs(120);
/// Whoever is at a door is gone when it is found out.
const GONE: Duration = Duration::from_secs(30);
/// What is on the card is on it so soon.
const SYNCED: Duration = Duration::from_secs(1);
/// A clock that stands elsewhere for longer is believed, and the judge knows one true time.
const DISBELIEVED: Duration = Duration::from_secs(14 * 60);
/// How far a wild clock was off, where the bundle does not say it.
const WILD_S: i64 = 40 * 86_400;

/// What an event says of a lock.
enum Word {
    /// It did as it was asked.
    Did,
    /// It did not.
    DidNot(FaultKind),
    /// It answered.
    Spoke,
}

fn word(lock: &Lock, event: &Happening) -> Option<Word> {
    Some(match event.event_type {
        // The time of a code that stood there has come: nobody asked the lock.
        EventKind::CodeSet if lock.capabilities.native_window != NativeWindow::None => return None,
        EventKind::CodeSet
        | EventKind::CodeScheduled
        | EventKind::CodeRenamed
        | EventKind::CodeRecoded
        | EventKind::CodeMoved
        | EventKind::CodeRemoved
        | EventKind::LockLocked
        | EventKind::LockUnlocked => Word::Did,
        EventKind::CodeNotSet | EventKind::CodeNotRemoved => Word::DidNot(match event.detail {
            Some(More::Refused(_)) => FaultKind::Refuse,
            _ => FaultKind::NoStore,
        }),
        EventKind::DeviceConnected
        | EventKind::CodeLost
        | EventKind::CodeAltered
        | EventKind::UnmanagedAppeared
        | EventKind::UnmanagedWent => Word::Spoke,
        _ => return None,
    })
}

impl Reader<'_> {
    pub(super) fn read_troubles(&mut self) {
        let mut found = Vec::new();
        for (index, lock) in self.locks.iter().enumerate() {
            let events: Vec<_> = self
                .events
                .iter()
                .filter(|(_, event)| event.device_id == Some(lock.device_id))
                .copied()
                .collect();
            self.read_reach(index, lock, &events, &mut found);
            self.read_refusals(index, lock, &events, &mut found);
            self.read_hands(index, lock, &events, &mut found);
        }
        self.read_doors(&mut found);
        self.read_cuts(&mut found);
        self.read_clock(&mut found);
        self.read_card(&mut found);
        self.items.append(&mut found);
    }

    /// A lock went out of reach after it was last heard, and shortly before that was found out.
    fn read_reach(&self, index: usize, lock: &Lock, events: &[(Mono, &Happening)], found: &mut Vec<Item>) {
        let is_reach = |event: &&Happening| {
            matches!(
                event.event_type,
                EventKind::DeviceConnected | EventKind::DeviceDisconnected
            )
        };
        let first = events.iter().map(|(_, event)| *event).find(is_reach);
        let was_away = first.map_or(!lock.online, |first| {
            first.event_type == EventKind::DeviceConnected
        });
        let mut away = was_away.then(|| before(self.begins, UNSEEN));
        let mut heard = Mono(0);
        let mut close = |from: Mono, until: Mono| {
            if from < until {
                found.push(Item::Away {
                    lock: index,
                    from,
                    until,
                });
            }
        };
        for (at, event) in events {
            match event.event_type {
                EventKind::DeviceDisconnected | EventKind::DeviceRemoved => {
                    away.get_or_insert(heard.max(before(*at, UNSEEN)));
                }
                _ if word(lock, event).is_some() => {
                    if let Some(from) = away.take() {
                        close(from, *at);
                    }
                    heard = *at;
                }
                _ => {}
            }
        }
        if let Some(from) = away {
            // A start takes every lock for one that answers.
            let started = self
                .events
                .iter()
                .filter(|(at, event)| from < *at && lock.online && event.event_type == EventKind::Restarted);
            let until = started.map(|(at, _)| *at).next_back();
            close(from, until.unwrap_or(self.ends));
        }
    }

    /// A lock refuses from between the last thing that it did and its first no, to between the last no and the
    /// next thing that it does.
    fn read_refusals(&self, index: usize, lock: &Lock, events: &[(Mono, &Happening)], found: &mut Vec<Item>) {
        let mut did = Mono(0);
        let mut refuses: Option<(FaultKind, Mono, Mono)> = None;
        let mut close = |(kind, at, _): (FaultKind, Mono, Mono), until: Mono| {
            // Faults last whole seconds.
            let lasts = Duration::from_secs(span(until).saturating_sub(span(at)).as_secs() + 1);
            found.push(Item::Fault {
                lock: index,
                at,
                kind,
                lasts,
            });
        };
        for (at, event) in events {
            match word(lock, event) {
                Some(Word::Did) => {
                    if let Some(run) = refuses.take() {
                        close(run, between(run.2, *at));
                    }
                    did = *at;
                }
                Some(Word::DidNot(kind)) => {
                    let run = refuses.take_if(|(other, ..)| *other != kind);
                    if let Some(run) = run {
                        close(run, between(run.2, *at));
                    }
                    let from = between(did, *at).max(before(*at, UNSEEN / 2));
                    refuses.get_or_insert((kind, from, *at)).2 = *at;
                }
                Some(Word::Spoke) | None => {}
            }
        }
        if let Some(run) = refuses {
            close(run, self.ends);
        }
    }

    /// Somebody was at the door shortly before it was found out.
    fn read_hands(&self, index: usize, lock: &Lock, events: &[(Mono, &Happening)], found: &mut Vec<Item>) {
        let mut hand = |at: Mono, deed: Hand| {
            found.push(Item::Hand {
                lock: index,
                at,
                deed,
            });
        };
        let ours = self.bundle.access_codes.iter();
        let ours: Vec<_> = ours.filter(|code| code.device_id == lock.device_id).collect();
        let nth = |event: &Happening| {
            let id = event.access_code_id;
            ours.iter()
                .position(|code| Some(code.access_code_id) == id)
                .unwrap_or(0)
        };
        let mut strangers = lock.unmanaged_codes;
        for (at, event) in events.iter().rev() {
            let at = before(*at, GONE).max(self.begins);
            match event.event_type {
                EventKind::CodeLost => hand(at, Hand::Take(nth(event))),
                EventKind::CodeAltered => hand(at, Hand::Alter(nth(event))),
                EventKind::UnmanagedAppeared => {
                    strangers = strangers.saturating_sub(1);
                    hand(at, Hand::Add);
                }
                EventKind::UnmanagedWent => {
                    strangers += 1;
                    hand(at, Hand::TakeTheirs);
                }
                _ => {}
            }
        }
        // Those that were there before.
        (0..strangers).for_each(|_| hand(Mono(0), Hand::Add));
    }

    fn read_doors(&self, found: &mut Vec<Item>) {
        let mut job = DOORS;
        for (at, event) in &self.events {
            let deed = match event.event_type {
                EventKind::LockLocked => Deed::Lock,
                EventKind::LockUnlocked => Deed::Unlock,
                _ => continue,
            };
            if let Some(lock) = event.device_id.and_then(|device| self.lock(device)) {
                found.push(Item::Door {
                    job,
                    at: *at,
                    lock,
                    deed,
                });
                job += 1;
            }
        }
    }

    /// The power failed at the last sign of life: from then on nothing more was written down.
    fn read_cuts(&self, found: &mut Vec<Item>) {
        let mut last = before(self.begins, UNSEEN);
        for (at, event) in &self.events {
            if let (EventKind::Restarted, Some(More::RanUntil(ran_until))) = (event.event_type, &event.detail)
            {
                let alive = last.max(Mono(0) + ran_until.0.since(self.zero)).min(*at);
                let from = between(alive, *at).min(alive + SYNCED);
                let until = (*at).max(from + SYNCED);
                found.push(Item::Cut { from, until });
            }
            last = *at;
        }
    }

    fn read_clock(&self, found: &mut Vec<Item>) {
        let mut clock = Trust::Trusted;
        let mut since = before(self.begins, UNSEEN);
        let of_clock = |event: &Happening| {
            Some(match event.event_type {
                // A start finds it right, or says at once that it does not.
                EventKind::ClockTrusted | EventKind::Restarted => Trust::Trusted,
                EventKind::ClockUntrusted => Trust::Untrusted,
                EventKind::ClockWild => Trust::Wild,
                _ => return None,
            })
        };
        let mut told = self
            .events
            .iter()
            .filter_map(|(at, event)| Some((*at, of_clock(event)?)));
        let first = self
            .events
            .iter()
            .map(|(_, event)| event.event_type)
            .find(|kind| {
                matches!(
                    kind,
                    EventKind::ClockTrusted | EventKind::ClockUntrusted | EventKind::ClockWild
                )
            });
        if first == Some(EventKind::ClockTrusted)
            || (first.is_none() && self.bundle.clock.trust != Trust::Trusted)
        {
            clock = Trust::Untrusted;
        }
        let mut close = |clock: Trust, from: Mono, until: Mono, by: i64| match clock {
            Trust::Untrusted if from < until => found.push(Item::NoTime { from, until }),
            Trust::Wild if from < until => found.push(Item::Poison {
                from,
                until: until.min(from + DISBELIEVED),
                by,
            }),
            _ => {}
        };
        for (at, now) in told.by_ref() {
            close(clock, since, at, WILD_S);
            (clock, since) = (now, at);
        }
        let by = self.bundle.clock.ahead_ms / 1000;
        close(clock, since, self.ends, if by == 0 { WILD_S } else { by });
    }

    /// A card that is nearly full has been so since it last took a job.
    fn read_card(&self, found: &mut Vec<Item>) {
        if self.bundle.storage_low {
            let taken = self
                .events
                .iter()
                .filter(|(_, event)| event.event_type == EventKind::JobAccepted);
            let from = taken
                .map(|(at, _)| *at + SYNCED)
                .next_back()
                .unwrap_or(self.begins);
            found.push(Item::Full {
                from,
                until: self.ends.max(from + SYNCED),
            });
        }
    }
}

/// The middle.
fn between(from: Mono, until: Mono) -> Mono {
    Mono(from.0 + until.0.saturating_sub(from.0) / 2)
}
