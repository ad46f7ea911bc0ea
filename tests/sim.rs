//! The whole core in virtual time: random weeks, every crash point of a small day, and the proof
//! that a seed replays. `docs/testing.md` says how to run more of them, and one alone.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lockbridge::sim::{Plan, Report, Shrunk, World, crash_points, shrink};

const LOCKS: usize = 12;
const JOBS: u32 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn week(seed: u64, tracing: bool) -> Report {
    World::new(Plan::week(seed, LOCKS, JOBS), tracing).run()
}

/// What a plan comes to once everything is left out that need not be in it: the story, and the plan as a
/// regression takes it.
fn story(name: &str, plan: Plan) -> String {
    let Some(Shrunk {
        plan,
        violation,
        runs,
    }) = shrink(plan)
    else {
        return format!("{name}: it came right the second time");
    };
    let trace = World::new(plan.clone(), true).run().trace;
    let from = trace.len().saturating_sub(60);
    let before = plan.items.len() + plan.crashes.len();
    format!(
        "{name}: {} {}\n{before} items left after {runs} runs:\n{}\n{}",
        violation.invariant,
        violation.seen,
        plan.literal(),
        trace[from..].join("\n")
    )
}

#[test]
fn random_weeks_come_right() {
    if let Some(seed) = number("LOCKBRIDGE_SEED") {
        let report = week(seed, true);
        println!("{}", report.trace.join("\n"));
        if report.violation.is_some() {
            panic!(
                "{}",
                story(&format!("seed {seed}"), Plan::week(seed, LOCKS, JOBS))
            );
        }
        return;
    }
    let usual = if std::env::var_os("LOCKBRIDGE_FULL").is_some() {
        50_000
    } else {
        300
    };
    let first = number("LOCKBRIDGE_FIRST_SEED").unwrap_or(0);
    let seeds = first + number("LOCKBRIDGE_SEEDS").unwrap_or(usual);
    let next = AtomicU64::new(first);
    let calls = AtomicU64::new(0);
    let quiet = AtomicU64::new(0);
    let struck = Mutex::new(BTreeMap::<String, u64>::new());
    #[expect(clippy::disallowed_methods, reason = "seeds run side by side")]
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds || failed.len() > 2 {
                            return failed;
                        }
                        let report = week(seed, false);
                        calls.fetch_add(report.calls, Ordering::Relaxed);
                        quiet.fetch_add(u64::from(report.struck.is_empty()), Ordering::Relaxed);
                        let mut all = struck.lock().expect("nobody panics with it");
                        for (kind, times) in &report.struck {
                            *all.entry(kind.clone()).or_default() += times;
                        }
                        for (word, times) in &report.refused {
                            *all.entry(format!("refused: {word}")).or_default() += times;
                        }
                        drop(all);
                        if report.violation.is_some() {
                            failed.push(story(&format!("seed {seed}"), Plan::week(seed, LOCKS, JOBS)));
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no seed panics"))
            .collect()
    });
    let (calls, quiet) = (calls.into_inner(), quiet.into_inner());
    println!(
        "{} weeks, {quiet} of them quiet, {calls} calls of locks",
        seeds - first
    );
    for (kind, times) in struck.into_inner().expect("nobody panics with it") {
        println!("{times:>8} {kind}");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn a_seed_replays() {
    for seed in 0..20 {
        let (first, second) = (week(seed, false), week(seed, false));
        assert_eq!(first.hash, second.hash, "seed {seed}: two runs, two stories");
        assert_ne!(first.hash, week(seed + 1, false).hash, "the hash sees nothing");
    }
}

#[test]
fn every_crash_point_of_a_small_day_comes_right() {
    let points = crash_points(&Plan::small());
    println!("{} crash points", points.len());
    assert!(points.len() > 50, "the small day has become too small");
    for point in points {
        let plan = Plan {
            crashes: vec![point.clone()],
            ..Plan::small()
        };
        let report = World::new(plan.clone(), false).run();
        assert_eq!(report.crashes, 1, "{point:?} did not come about");
        if let Some(violation) = report.violation {
            let trace = World::new(plan, true).run().trace;
            panic!("{point:?}: {violation:?}\n{}", trace.join("\n"));
        }
    }
}

#[test]
fn a_week_has_enough_in_it() {
    let report = week(1, false);
    assert!(report.calls > 1_000, "{} calls", report.calls);
    assert_eq!(Plan::week(1, LOCKS, JOBS).length, Duration::from_secs(7 * 86_400));
}
