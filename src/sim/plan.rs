//! What happens in a run, as data.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::lock::sim::FaultKind;
use crate::model::{Deed, Mono, Pin, Unshared};

/// A run: the property, what happens on it, and where the power is cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Keys the streams of the run itself: latencies, PINs.
    pub seed: u64,
    /// The locks.
    pub locks: Vec<LockPlan>,
    /// Links of each radio.
    pub links: Vec<usize>,
    /// What happens, in no particular order.
    pub items: Vec<Item>,
    /// Power cuts, each right before the named step.
    pub crashes: Vec<StepName>,
    /// When the last item is over; two quiet days follow.
    pub length: Duration,
}

/// One lock of the property.
#[derive(Clone, Debug, PartialEq)]
pub struct LockPlan {
    /// Its profile.
    pub profile: &'static str,
    /// How many codes it holds, if not as many as its profile.
    pub capacity: Option<u16>,
    /// Index of its radio.
    pub radio: usize,
    /// Whether it takes several steps in one exchange.
    pub batch: bool,
}

/// Something that happens. Times are since the start; windows are relative to the item's time.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A caller books.
    Create {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// On which locks.
        locks: Vec<usize>,
        /// From and until, after `at`; `None` for an ongoing code.
        window: Option<(Duration, Duration)>,
        /// What if they cannot share.
        unshared: Unshared,
    },
    /// The same caller moves the stay that job `of` booked.
    Update {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// The job that booked.
        of: u32,
        /// New end, after `at`.
        ends: Duration,
    },
    /// The same caller changes one code of the stay that job `of` booked.
    Change {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// The job that booked.
        of: u32,
        /// Which member, counted round.
        member: usize,
        /// What becomes of it.
        to: Change,
    },
    /// The same caller deletes one code of the stay that job `of` booked.
    Delete {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// The job that booked.
        of: u32,
        /// Which member, counted round.
        member: usize,
    },
    /// Somebody wants a bolt moved.
    Door {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// Which lock.
        lock: usize,
        /// How.
        deed: Deed,
    },
    /// A lock is out of reach.
    Away {
        /// Which.
        lock: usize,
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
    },
    /// A lock misbehaves.
    Fault {
        /// Which.
        lock: usize,
        /// From.
        at: Mono,
        /// How.
        kind: FaultKind,
        /// For how long.
        lasts: Duration,
    },
    /// The network is away: nothing vouches for the clock, and a start finds it years back.
    NoTime {
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
    },
    /// A time server lies.
    Poison {
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
        /// By how many seconds the clock is set off.
        by: i64,
    },
    /// Somebody adds a code at the door.
    Hand {
        /// Which lock.
        lock: usize,
        /// When.
        at: Mono,
    },
}

/// What becomes of one code.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It gets another PIN.
    Pin(Pin),
    /// It loses its times.
    Ongoing,
    /// It ends at another time after the item's own.
    Ends(Duration),
}

/// A step of the run, by a name that leaving other items out does not change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepName {
    /// What kind of step.
    pub stage: Stage,
    /// Of whom: a lock's index, or a job's number.
    pub whom: u32,
    /// The how-many-eth of this kind for this one, from 1.
    pub nth: u32,
}

/// Kinds of steps between which the power can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A batch is committed.
    Commit,
    /// Batches become durable.
    Sync,
    /// A caller is answered.
    Reply,
    /// A lock is called.
    Drive,
    /// A lock does one step.
    Apply,
    /// A lock's answer is handed in.
    Done,
}

impl Item {
    /// When it begins.
    #[must_use]
    pub fn at(&self) -> Mono {
        match self {
            Item::Create { at, .. }
            | Item::Update { at, .. }
            | Item::Change { at, .. }
            | Item::Door { at, .. }
            | Item::Delete { at, .. }
            | Item::Fault { at, .. }
            | Item::Hand { at, .. } => *at,
            Item::Away { from, .. } | Item::NoTime { from, .. } | Item::Poison { from, .. } => *from,
        }
    }
}

/// A small stream of its own for everyone who draws, each time that they draw.
#[must_use]
pub fn stream(seed: u64, who: &str, nth: u64) -> ChaCha8Rng {
    let mut key = seed ^ 0x9e37_79b9_7f4a_7c15;
    for byte in who.bytes().chain(nth.to_le_bytes()) {
        key = (key ^ u64::from(byte))
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23);
    }
    ChaCha8Rng::seed_from_u64(key)
}

const PROFILES: [&str; 5] = ["slots", "keypad-6", "masked", "slots", "write-only"];
const HOUR: u64 = 3600;

impl Plan {
    /// A week of a property: locks of mixed kinds on two radios, bookings back to back, lost reach,
    /// locks that refuse or fall silent.
    #[must_use]
    pub fn week(seed: u64, locks: usize, jobs: u32) -> Plan {
        let rng = &mut stream(seed, "plan", 0);
        let locks: Vec<LockPlan> = (0..locks)
            .map(|i| LockPlan {
                profile: PROFILES[i % PROFILES.len()],
                capacity: (i % 7 == 6).then_some(5),
                radio: i % 2,
                batch: i % 3 != 1,
            })
            .collect();
        let week = 7 * 24 * HOUR;
        let at = |rng: &mut ChaCha8Rng| Mono(rng.random_range(0..week * 1000));
        let span = |rng: &mut ChaCha8Rng, from: u64, to: u64| Duration::from_secs(rng.random_range(from..to));
        let mut items = Vec::new();
        for job in 0..jobs {
            let sent = at(rng);
            let of = rng.random_range(0..job.max(1));
            match rng.random_range(0..10) {
                0..=5 => {
                    let first = rng.random_range(0..locks.len());
                    let count = rng.random_range(1..=4.min(locks.len()));
                    let starts = span(rng, 0, 48 * HOUR);
                    let ends = starts + span(rng, HOUR / 4, 72 * HOUR);
                    items.push(Item::Create {
                        job,
                        at: sent,
                        locks: (0..count).map(|i| (first + i) % locks.len()).collect(),
                        window: (rng.random_range(0..20) != 0).then_some((starts, ends)),
                        unshared: if rng.random() {
                            Unshared::Throw
                        } else {
                            Unshared::CreateRandomCode
                        },
                    });
                }
                6 => {
                    // Digits that every lock takes, and so few PINs for one stay that former ones come back.
                    let digits =
                        format!("9{:03}3{}", 333 + of, rng.random_range(3..6)).replace(['0', '1', '2'], "8");
                    let pin = Pin::parse(&digits).map(Change::Pin);
                    let to = match rng.random_range(0..4) {
                        0 => Change::Ongoing,
                        1 => Change::Ends(span(rng, 60, 48 * HOUR)),
                        _ => pin.unwrap_or(Change::Ongoing),
                    };
                    items.push(Item::Change {
                        job,
                        at: sent,
                        of,
                        member: rng.random_range(0..4),
                        to,
                    });
                }
                7..=8 => items.push(Item::Update {
                    job,
                    at: sent,
                    of,
                    ends: span(rng, 60, 48 * HOUR),
                }),
                _ => items.push(Item::Delete {
                    job,
                    at: sent,
                    of,
                    member: rng.random_range(0..4),
                }),
            }
        }
        for lock in 0..locks.len() {
            for _ in 0..rng.random_range(0..6) {
                let from = at(rng);
                items.push(Item::Away {
                    lock,
                    from,
                    until: from + span(rng, 10, 10 * HOUR),
                });
            }
            for _ in 0..rng.random_range(0..3) {
                let kinds = [
                    FaultKind::Refuse,
                    FaultKind::Silent,
                    FaultKind::Hang,
                    FaultKind::NoStore,
                    FaultKind::Slow,
                ];
                let kind = kinds[rng.random_range(0..kinds.len())];
                items.push(Item::Fault {
                    lock,
                    at: at(rng),
                    kind,
                    lasts: span(rng, 10, 3 * HOUR),
                });
            }
            let mut asked = at(rng);
            for nth in 0..4 {
                // Now and then two at once.
                if nth != 1 {
                    asked = at(rng);
                }
                items.push(Item::Door {
                    job: 1_000_000 + u32::try_from(lock).unwrap_or(0) * 10 + nth,
                    at: asked,
                    lock,
                    deed: if rng.random() { Deed::Lock } else { Deed::Unlock },
                });
            }
            if rng.random_range(0..4) == 0 {
                items.push(Item::Hand { lock, at: at(rng) });
            }
        }
        // Long enough for every rule about clocks, and at times of its own: two at once would be a third.
        let mut from = at(rng);
        for _ in 0..rng.random_range(0..4) {
            let last = if rng.random() { 14 * 60 } else { 30 * HOUR };
            let until = from + span(rng, 5, last);
            let days = [-3_000, -40, 40, 4_000][rng.random_range(0..4)];
            items.push(match last > HOUR {
                true => Item::NoTime { from, until },
                false => Item::Poison {
                    from,
                    until,
                    by: days * 86_400,
                },
            });
            from = until + span(rng, HOUR, 48 * HOUR);
        }
        Plan {
            seed,
            locks,
            links: vec![1, 3],
            items,
            crashes: Vec::new(),
            length: Duration::from_secs(week),
        }
    }

    /// A day of three locks and six jobs: small enough to cut the power at every step.
    #[must_use]
    pub fn small() -> Plan {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        let at = |m: u64| Mono(m * 60_000);
        let stay = |job, at, locks: &[usize], from, until| Item::Create {
            job,
            at,
            locks: locks.to_vec(),
            window: Some((minutes(from), minutes(until))),
            unshared: Unshared::Throw,
        };
        let lock = |profile, radio| LockPlan {
            profile,
            capacity: None,
            radio,
            batch: true,
        };
        Plan {
            seed: 7,
            locks: vec![lock("slots", 0), lock("keypad-6", 0), lock("masked", 1)],
            links: vec![1, 1],
            items: vec![
                stay(0, at(5), &[0, 2], 30, 300),
                stay(1, at(6), &[1], 0, 240),
                stay(2, at(10), &[0, 1], 400, 500),
                Item::Update {
                    job: 3,
                    at: at(60),
                    of: 0,
                    ends: minutes(120),
                },
                Item::Delete {
                    job: 4,
                    at: at(90),
                    of: 1,
                    member: 0,
                },
                stay(5, at(100), &[2], 0, 60),
                Item::Change {
                    job: 6,
                    at: at(70),
                    of: 0,
                    member: 0,
                    to: Pin::parse("483957").map_or(Change::Ongoing, Change::Pin),
                },
                Item::Door {
                    job: 7,
                    at: at(70),
                    lock: 1,
                    deed: Deed::Unlock,
                },
                Item::Away {
                    lock: 0,
                    from: at(30),
                    until: at(50),
                },
            ],
            crashes: Vec::new(),
            length: minutes(12 * 60),
        }
    }
}
