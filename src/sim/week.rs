//! Plans drawn from a seed, and one that is written by hand.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::plan::{Change, Hand, Item, LockKind, LockPlan, Plan, Stage, StepName, doorstep_pin, stream};
use crate::lock::sim::FaultKind;
use crate::model::{Deed, Mono, Pin, Unshared};

/// Kinds of locks, in turn.
const PROFILES: [&str; 5] = ["slots", "keypad-6", "masked", "slots", "write-only"];
/// In some weeks one of them takes PINs of a length that none of the others does.
const ODD_PROFILES: [&str; 5] = ["slots", "keypad-6", "masked", "fixed-8", "write-only"];

/// The first noon after a time of a plan, as a span from an earlier one.
fn to_noon(from: Mono, after: Duration) -> Duration {
    let at = (from + after).0;
    let day = 24 * HOUR * 1000;
    Duration::from_millis((at + day / 2).div_ceil(day) * day - day / 2 - from.0)
}

const HOUR: u64 = 3600;
const WEEK: u64 = 7 * 24 * HOUR;

impl Plan {
    /// A week as it is looked at by default: of twelve locks and three hundred jobs.
    #[must_use]
    pub fn usual_week(seed: u64) -> Plan {
        Plan::week(seed, 12, 300)
    }

    /// A week of a property: locks of mixed kinds on two radios, bookings back to back, lost reach,
    /// locks that refuse or fall silent.
    #[must_use]
    pub fn week(seed: u64, locks: usize, jobs: u32) -> Plan {
        let rng = &mut stream(seed, "plan", 0);
        let profiles = if seed.is_multiple_of(3) {
            ODD_PROFILES
        } else {
            PROFILES
        };
        let locks: Vec<LockPlan> = (0..locks)
            .map(|i| LockPlan {
                kind: LockKind::Profile(profiles[i % profiles.len()]),
                capacity: (i % 7 == 6).then_some(5),
                radio: i % 2,
                batch: i % 3 != 1,
            })
            .collect();
        let at = |rng: &mut ChaCha8Rng| Mono(rng.random_range(0..WEEK * 1000));
        let span = |rng: &mut ChaCha8Rng, from: u64, to: u64| Duration::from_secs(rng.random_range(from..to));
        let mut items = Vec::new();
        for job in 0..jobs {
            let sent = at(rng);
            let of = rng.random_range(0..job.max(1));
            match rng.random_range(0..10) {
                0..=5 => {
                    let first = rng.random_range(0..locks.len());
                    let count = rng.random_range(1..=4.min(locks.len()));
                    let mut starts = span(rng, 0, 48 * HOUR);
                    let mut ends = starts + span(rng, HOUR / 4, 72 * HOUR);
                    if job % 2 == 0 {
                        // The day on which guests change: one leaves as the next one's code falls due.
                        ends = to_noon(sent, ends);
                        starts = to_noon(sent, starts) + Duration::from_secs(600);
                        ends += Duration::from_secs(if ends <= starts { 24 * HOUR } else { 0 });
                    }
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
                    let pin = match rng.random_range(0..3) {
                        0 => doorstep_pin(rng),
                        _ => Pin::parse(&digits),
                    };
                    let pin = pin.map(Change::Pin);
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
                items.push(Item::Hand {
                    lock,
                    at: at(rng),
                    deed: Hand::Add,
                });
            }
        }
        // Long enough for every rule about clocks, and at times of its own: two at once would be a third.
        // Some machines are set up before their network is.
        let mut from = if seed % 20 == 7 { Mono(0) } else { at(rng) };
        for _ in 0..rng.random_range(0..4).max(u32::from(from == Mono(0))) {
            let last = if rng.random() && from != Mono(0) {
                14 * 60
            } else {
                30 * HOUR
            };
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
        let mut plan = Plan {
            seed,
            locks,
            links: vec![1, 3],
            items,
            crashes: Vec::new(),
            length: Duration::from_secs(WEEK),
            settings: None,
        };
        plan.add_trouble(jobs);
        match seed % 10 {
            0 => plan.calm(),
            1..=6 => plan.cut_power(jobs),
            _ => {}
        }
        plan
    }

    /// Adds what is wrong beside the locks themselves: couriers, callers, hands, the broker, the card.
    fn add_trouble(&mut self, jobs: u32) {
        let rng = &mut stream(self.seed, "trouble", 0);
        let items = &mut self.items;
        let at = |rng: &mut ChaCha8Rng| Mono(rng.random_range(0..WEEK * 1000));
        let span = |rng: &mut ChaCha8Rng, from: u64, to: u64| Duration::from_secs(rng.random_range(from..to));
        let sent: Vec<(u32, Mono)> = items
            .iter()
            .filter_map(|item| Some((item.job()?, item.at())))
            .collect();
        for (job, from) in sent {
            match rng.random_range(0..40) {
                0 => items.push(Item::Vanish { job, at: from }),
                1..=3 if job < jobs => items.push(Item::Again {
                    job,
                    at: from + span(rng, 1, 72 * HOUR),
                }),
                _ => {}
            }
        }
        for lock in 0..self.locks.len() {
            if rng.random_range(0..4) == 0 {
                let (from, lasts) = (at(rng), span(rng, 60, 2 * HOUR));
                items.push(Item::Fault {
                    lock,
                    at: from,
                    kind: FaultKind::DropAfter,
                    lasts,
                });
            }
            for _ in 0..rng.random_range(0..2) {
                let which = rng.random_range(0..30);
                let deed = [Hand::Take(which), Hand::Alter(which), Hand::TakeTheirs][rng.random_range(0..3)];
                items.push(Item::Hand {
                    lock,
                    at: at(rng),
                    deed,
                });
            }
        }
        for _ in 0..rng.random_range(0..3) {
            let from = at(rng);
            items.push(Item::Broker {
                from,
                until: from + span(rng, 5, 20 * HOUR),
                forgets: rng.random(),
            });
        }
        if rng.random_range(0..3) == 0 {
            let from = at(rng);
            items.push(Item::Full {
                from,
                until: from + span(rng, 60, 8 * HOUR),
            });
        }
        if rng.random_range(0..3) == 0 {
            items.push(Item::BadSync { at: at(rng) });
        }
        for _ in 0..rng.random_range(0..3) {
            items.push(Item::Step {
                at: at(rng),
                off_ms: rng.random_range(-900..900),
            });
        }
        if rng.random_range(0..3) == 0 {
            let (lock, from) = (rng.random_range(0..self.locks.len()), at(rng));
            items.push(Item::Gone {
                lock,
                from,
                until: from + span(rng, 60, 30 * HOUR),
            });
        }
        for lock in 0..self.locks.len() {
            if rng.random_range(0..6) == 0 {
                items.push(Item::Fault {
                    lock,
                    at: at(rng),
                    kind: FaultKind::NoRead,
                    lasts: span(rng, 10, 3 * HOUR),
                });
            }
        }
    }

    /// Takes away all that is wrong: a week in which a gateway just does its work.
    fn calm(&mut self) {
        self.items.retain(|item| item.kind().is_none());
    }

    /// Draws power cuts, a third of them between a commit and its sync: there I1 and I3 break.
    fn cut_power(&mut self, jobs: u32) {
        let rng = &mut stream(self.seed, "cuts", 0);
        let locks = u32::try_from(self.locks.len()).unwrap_or(1);
        for _ in 0..rng.random_range(2..12) {
            let of_lock = rng.random_range(0..locks);
            // Whom, and how many of them there are in a week, more or less.
            let (stage, whom, most) = match rng.random_range(0..9) {
                0..=2 => (Stage::Sync, 0, 2_500),
                3 => (Stage::Commit, 0, 2_500),
                4 => (Stage::Reply, rng.random_range(0..jobs), 1),
                5 => (Stage::Drive, of_lock, 300),
                6..=7 => (Stage::Apply, of_lock, 300),
                _ => (Stage::Done, of_lock, 300),
            };
            self.crashes.push(StepName {
                stage,
                whom,
                nth: rng.random_range(1..=most),
            });
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
            kind: LockKind::Profile(profile),
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
            settings: None,
        }
    }
}
