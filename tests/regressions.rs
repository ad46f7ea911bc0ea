//! What the simulation found once, each under its name, as short as it can be.

use std::time::Duration;

use lockbridge::model::{Mono, Unshared};
use lockbridge::sim::{Item, LockKind, LockPlan, Plan, Stage, StepName, World};

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn at(n: u64) -> Mono {
    Mono(0) + minutes(n)
}

/// One lock without windows of its own, one guest who books in some minute for some minutes after it, and what
/// befalls them.
fn one_guest(booked: u64, stay: (u64, u64), trouble: Item, cut: StepName) -> Plan {
    Plan {
        seed: 1,
        locks: vec![LockPlan {
            kind: LockKind::Profile("slots"),
            capacity: None,
            radio: 0,
            batch: true,
        }],
        links: vec![1],
        items: vec![
            Item::Create {
                job: 1,
                at: at(booked),
                locks: vec![0],
                window: Some((minutes(stay.0), minutes(stay.1))),
                unshared: Unshared::Throw,
            },
            trouble,
        ],
        crashes: vec![cut],
        length: minutes(24 * 60),
        settings: None,
    }
}

/// The power fails right before this lock is asked for the n-th time.
fn before_call(nth: u32) -> StepName {
    StepName {
        stage: Stage::Drive,
        whom: 0,
        nth,
    }
}

fn comes_right(plan: &Plan) {
    let report = World::new(plan.clone(), true).run();
    assert_eq!(report.crashes, 1, "the power did not fail");
    assert_eq!(report.violation, None, "{}", report.trace.join("\n"));
}

/// Time that was carried on without a network was lost with the power. The next start did not know that
/// the guest's time had come, and took the code off.
#[test]
fn a_guest_stays_in_when_the_power_fails_while_there_is_no_network() {
    let no_time = Item::NoTime {
        from: at(60),
        until: at(500),
    };
    // The read at the start, the guest's code, and now its second look.
    comes_right(&one_guest(100, (0, 480), no_time, before_call(3)));
}

/// A start believed a clock that was forty days behind, so that no guest's time had come.
#[test]
fn a_guest_stays_in_when_a_start_meets_a_clock_far_behind() {
    let lie = Item::Poison {
        from: at(141),
        until: at(150),
        by: -40 * 86_400,
    };
    comes_right(&one_guest(30, (120, 570), lie, before_call(3)));
}
