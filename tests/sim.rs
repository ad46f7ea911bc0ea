//! The whole core in virtual time: random weeks, every crash point of a small day, and the proof
//! that a seed replays. `docs/testing.md` says how to run more of them, and one alone.

use std::time::Duration;

use lockbridge::sim::{Plan, Report, World, crash_points, many, story};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn week(seed: u64, tracing: bool) -> Report {
    World::new(Plan::usual_week(seed), tracing).run()
}

#[test]
fn random_weeks_come_right() {
    if let Some(seed) = number("LOCKBRIDGE_SEED") {
        let report = week(seed, true);
        println!("{}", report.trace.join("\n"));
        if report.violation.is_some() {
            panic!("{}", story(&format!("seed {seed}"), Plan::usual_week(seed)));
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
    let tally = many(first..seeds, 2, Plan::usual_week);
    println!("{} weeks, {tally}", tally.runs);
    assert!(tally.broken.is_empty(), "{}", tally.broken.join("\n\n"));
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
    assert_eq!(Plan::usual_week(1).length, Duration::from_secs(7 * 86_400));
}
