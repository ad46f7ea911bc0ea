//! What callers asked for: from what is told of each access code to bookings and their changes.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use uuid::Uuid;

use super::{APART, Reader, before, span};
use crate::api::answer::{self, Code, More};
use crate::model::{EventKind, Mono, Pin, Timestamp, Unshared, Window};
use crate::sim::plan::{Change, Item, stream};

/// What was overdue when the night begins has been for so long.
const OVERDUE: Duration = Duration::from_secs(60);
/// Callers change what they booked once they have heard of it.
const HEARD: Duration = Duration::from_secs(2);
/// So often digits are drawn that suit a lock.
const DRAWS: usize = 64;

/// What the events tell of one access code.
#[derive(Default)]
struct Told {
    /// When it was recorded, if it was not before.
    created: Option<Mono>,
    /// Its times before the first move.
    first: Option<Window>,
    moves: Vec<(Mono, Window)>,
    /// When it got digits of which number.
    recodes: Vec<(Mono, u8)>,
    deleted: Option<Mono>,
    /// It was taken off its lock.
    removed: bool,
    /// It was deleted, and left the record.
    dropped: bool,
}

/// What a code was booked as, and what became of it.
struct Stay {
    booked: Booked,
    lock: usize,
    recodes: Vec<(Mono, u8)>,
    deleted: Option<Mono>,
}

/// What codes of one booking have in common: they were made by one job, and moved by the same ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Booked {
    /// When; `None` if it was before the night.
    at: Option<Mono>,
    /// Its group, or itself if it has none.
    group: Result<u32, Uuid>,
    /// The how-many-eth code of this booking on its lock: no job has two on one.
    nth: usize,
    window: Window,
    moves: Vec<(Mono, Window)>,
}

impl Reader<'_> {
    /// Books what stood on the locks before, one after the other, and what was booked in the night.
    pub(super) fn read_bookings(&mut self) {
        let mut told = self.told_of_codes();
        let mut bookings: BTreeMap<Booked, Vec<Stay>> = BTreeMap::new();
        for code in &self.bundle.access_codes {
            let told = told.remove(&code.access_code_id).unwrap_or_default();
            let Some(mut stay) = self.stay(code, told) else {
                continue;
            };
            let has = |booking: &Vec<Stay>| booking.iter().any(|other| other.lock == stay.lock);
            while bookings.get(&stay.booked).is_some_and(has) {
                stay.booked.nth += 1;
            }
            bookings.entry(stay.booked.clone()).or_default().push(stay);
        }
        let mut earlier = 0;
        for stays in bookings.into_values() {
            // Whoever deletes several of them at once does not wait for the answer to each.
            let apart = stays.iter().filter(|stay| stay.deleted.is_some()).count() > 1;
            for part in stays.chunks(if apart { 1 } else { stays.len() }) {
                self.book(part, &mut earlier);
            }
        }
    }

    fn told_of_codes(&self) -> BTreeMap<Uuid, Told> {
        let mut all: BTreeMap<Uuid, Told> = BTreeMap::new();
        for (at, event) in &self.events {
            let Some(code) = event.access_code_id else {
                continue;
            };
            let told = all.entry(code).or_default();
            match event.event_type {
                EventKind::CodeCreated => told.created = Some(*at),
                EventKind::CodeChanged | EventKind::CodeChangeRequested => {
                    let Some(More::Changes(changes)) = &event.detail else {
                        continue;
                    };
                    // A change is told twice: as recorded, and as requested. A deletion once.
                    let recorded = event.event_type == EventKind::CodeChanged;
                    for change in changes {
                        match change {
                            answer::Change::Times { from, to } if recorded => {
                                told.first.get_or_insert(from.window());
                                told.moves.push((*at, to.window()));
                            }
                            answer::Change::Code { length } if recorded => told.recodes.push((*at, *length)),
                            answer::Change::Delete => told.deleted = Some(*at),
                            _ => {}
                        }
                    }
                }
                EventKind::CodeRemoved => told.removed = true,
                EventKind::CodeDeleted => told.dropped = true,
                _ => {}
            }
        }
        all
    }

    /// How a code is booked; `None` if it was over, and nothing more was to be done about it.
    fn stay(&self, code: &Code, told: Told) -> Option<Stay> {
        let lock = self.lock(code.device_id)?;
        let mut moves = told.moves;
        let mut window = told.first.unwrap_or(code.times.window());
        let mut at = told.created;
        let mut deleted = told.deleted;
        if at.is_none() {
            let overdue = before(self.begins, OVERDUE);
            let was_deleted = deleted.is_none() && (code.deleted_at.is_some() || told.dropped);
            deleted = deleted.or(was_deleted.then_some(overdue));
            if window.end() <= self.zero + span(self.begins) {
                if told.removed || code.status == answer::Stage::Removing {
                    window = Window::between(self.zero, self.zero + span(overdue))?;
                } else if moves.is_empty() {
                    return None;
                } else {
                    let (revived, to) = moves.remove(0);
                    (at, window) = (Some(revived), to);
                }
            }
        }
        Some(Stay {
            booked: Booked {
                at,
                group: code.group.ok_or(code.access_code_id),
                nth: 0,
                window,
                moves,
            },
            lock,
            recodes: told.recodes,
            deleted,
        })
    }

    /// Books the codes of one booking, and changes them as they were changed.
    fn book(&mut self, stays: &[Stay], earlier: &mut u32) {
        let Some(Stay { booked, .. }) = stays.first() else {
            return;
        };
        let at = booked.at.unwrap_or_else(|| {
            *earlier += 1;
            Mono(0) + APART.saturating_mul(*earlier)
        });
        let window = match booked.window {
            Window::Ongoing => None,
            Window::Bound { starts_at, ends_at } => {
                Some((self.after(at, starts_at), self.after(at, ends_at)))
            }
        };
        let of = self.job();
        self.items.push(Item::Create {
            job: of,
            at,
            locks: stays.iter().map(|stay| stay.lock).collect(),
            window,
            unshared: Unshared::CreateRandomCode,
        });
        let mut window = booked.window;
        for (moved, to) in &booked.moves {
            self.shift(of, (*moved).max(at + HEARD), stays.len(), window, *to);
            window = *to;
        }
        for (member, stay) in stays.iter().enumerate() {
            for (nth, (recoded, length)) in stay.recodes.iter().enumerate() {
                let Some(pin) = self.draw(stay.lock, *length, u64::from(of) << 32 | nth as u64) else {
                    continue;
                };
                self.change(of, (*recoded).max(at + HEARD), member, Change::Pin(pin));
            }
            if let Some(deleted) = stay.deleted {
                let job = self.job();
                let at = deleted.max(at + HEARD);
                self.items.push(Item::Delete { job, at, of, member });
            }
        }
    }

    /// Gives a stay other times.
    fn shift(&mut self, of: u32, at: Mono, members: usize, from: Window, to: Window) {
        match to {
            Window::Ongoing => {
                for member in 0..members {
                    self.change(of, at, member, Change::Ongoing);
                }
            }
            Window::Bound { starts_at, ends_at } => {
                let (job, ends) = (self.job(), self.after(at, ends_at));
                self.items.push(match from.start() == starts_at {
                    true => Item::Update { job, at, of, ends },
                    false => Item::Shift {
                        job,
                        at,
                        of,
                        starts: self.after(at, starts_at),
                        ends,
                    },
                });
            }
        }
    }

    fn change(&mut self, of: u32, at: Mono, member: usize, to: Change) {
        let job = self.job();
        self.items.push(Item::Change {
            job,
            at,
            of,
            member,
            to,
        });
    }

    /// The time from a moment of the plan to one of the night; none if that is earlier.
    fn after(&self, at: Mono, when: Timestamp) -> Duration {
        when.since(self.zero).saturating_sub(span(at))
    }

    /// Digits that a lock takes.
    fn draw(&self, lock: usize, length: u8, nth: u64) -> Option<Pin> {
        let capabilities = self.plans.get(lock)?.setup().capabilities;
        let rng = &mut stream(0, "recode", nth);
        let digits = capabilities.alphabet.digits();
        (0..DRAWS).find_map(|_| {
            let ascii = (0..length).map(|_| digits.get(rng.random_range(0..digits.len())).copied());
            let pin = Pin::from_digits(&ascii.collect::<Option<Vec<u8>>>()?)?;
            capabilities.takes(&pin).is_ok().then_some(pin)
        })
    }
}
