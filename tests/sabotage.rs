//! The simulation bites: each fault of the core is seen within a hundred weeks, by the judge of the
//! invariant that it breaks. `docs/testing.md` keeps the table that this prints.

use std::sync::Mutex;

use lockbridge::sabotage::{self, Sabotage};
use lockbridge::sim::{Plan, World, shrink};

const LOCKS: usize = 12;
const JOBS: u32 = 300;
const SEEDS: u64 = 100;

/// Each fault, and the invariants of which one must be seen broken.
const FAULTS: &[(Sabotage, &[&str])] = &[
    (Sabotage::AnswersEarly, &["I1"]),
    (Sabotage::RecordsFirstMemberOnly, &["I2"]),
    (Sabotage::ForgetsJobs, &["I3"]),
    (Sabotage::GivesUp, &["I4"]),
    (Sabotage::DropsUnasked, &["I5"]),
    (Sabotage::RemovesLate, &["I5"]),
    (Sabotage::SetsEarly, &["I5"]),
    (Sabotage::SetsFirst, &["I5"]),
    (Sabotage::ClearsStrangers, &["I6"]),
    (Sabotage::TrustsTheSend, &["I7"]),
    (Sabotage::LooksOnce, &["I7"]),
    (Sabotage::StoresInTheClear, &["I8"]),
    (Sabotage::TrustsAnyClock, &["I9"]),
    (Sabotage::KeepsAllEvents, &["I10"]),
    (Sabotage::KeepsLinks, &["I11"]),
    (Sabotage::NeverWaits, &["I12"]),
];

/// The first seed that sees a fault, and what it sees.
fn first_seen(fault: Sabotage, by: &[&str]) -> Result<(u64, &'static str), Vec<String>> {
    let mut otherwise = Vec::new();
    sabotage::commit(Some(fault));
    let seen = (0..SEEDS).find_map(|seed| {
        let violation = World::new(Plan::week(seed, LOCKS, JOBS), false).run().violation?;
        if by.contains(&violation.invariant) {
            return Some((seed, violation.invariant));
        }
        otherwise.push(format!("seed {seed}: {} {}", violation.invariant, violation.seen));
        None
    });
    sabotage::commit(None);
    seen.ok_or(otherwise)
}

#[test]
fn every_fault_is_seen_by_the_judge_of_its_invariant() {
    let todo = Mutex::new(FAULTS.iter());
    let lines = Mutex::new(Vec::new());
    let unseen = Mutex::new(Vec::new());
    #[expect(clippy::disallowed_methods, reason = "faults are looked for side by side")]
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().expect("nobody panics with it").next();
                    let Some((fault, by)) = next else { return };
                    match first_seen(*fault, by) {
                        Ok((seed, invariant)) => lines
                            .lock()
                            .expect("nobody panics with it")
                            .push(format!("{invariant:<4} {fault:?}: seed {seed}")),
                        Err(otherwise) => unseen.lock().expect("nobody panics with it").push(format!(
                            "{fault:?} was not seen by {by:?} within {SEEDS} seeds; else: {:?}",
                            otherwise.iter().take(3).collect::<Vec<_>>()
                        )),
                    }
                }
            });
        }
    });
    let mut lines = lines.into_inner().expect("nobody panics with it");
    lines.sort();
    println!("{}", lines.join("\n"));
    let unseen = unseen.into_inner().expect("nobody panics with it");
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

#[test]
fn a_week_that_goes_wrong_is_made_short_and_goes_wrong_the_same_way() {
    sabotage::commit(Some(Sabotage::RemovesLate));
    let week = Plan::week(0, LOCKS, JOBS);
    let shrunk = shrink(week.clone()).expect("it is seen in this week");
    let again = World::new(shrunk.plan.clone(), false).run().violation;
    sabotage::commit(None);
    assert_eq!(again, Some(shrunk.violation));
    let (before, after) = (week.items.len(), shrunk.plan.items.len());
    assert!(after < 5, "{after} items of {before} are left");
    assert_eq!(World::new(shrunk.plan, false).run().violation, None);
}
