//! Many plans side by side, and what came of them together.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::plan::Plan;
use super::shrink::{Shrunk, shrink};
use super::world::{QUIET, World};

/// So many stories of what went wrong are enough for one worker.
const ENOUGH: usize = 3;

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub runs: u64,
    /// Those among them in which nothing was wrong with anything.
    pub quiet: u64,
    /// Calls of locks.
    pub calls: u64,
    /// Time that passed in them.
    pub lived: Duration,
    /// How often each kind of trouble struck.
    pub struck: BTreeMap<String, u64>,
    /// What was broken, each story as short as it can be.
    pub broken: Vec<String>,
}

/// Runs the plans of these seeds on so many workers. Each worker ends early once it has seen enough go wrong.
pub fn many(seeds: Range<u64>, workers: usize, plan: impl Fn(u64) -> Plan + Sync) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut tally = Tally::default();
        while tally.broken.len() < ENOUGH {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            tally.run(seed, plan(seed));
        }
        tally
    };
    #[expect(clippy::disallowed_methods, reason = "seeds know nothing of each other")]
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(work)).collect();
        let tallies = workers.into_iter().map(|worker| match worker.join() {
            Ok(tally) => tally,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        tallies.fold(Tally::default(), Tally::and)
    })
}

impl Tally {
    fn run(&mut self, seed: u64, plan: Plan) {
        let report = World::new(plan.clone(), false).run();
        self.runs += 1;
        self.quiet += u64::from(report.struck.is_empty());
        self.calls += report.calls;
        self.lived += plan.length + QUIET;
        for (kind, times) in report.struck {
            *self.struck.entry(kind).or_default() += times;
        }
        for (word, times) in report.refused {
            *self.struck.entry(format!("refused: {word}")).or_default() += times;
        }
        if report.violation.is_some() {
            self.broken.push(story(&format!("seed {seed}"), plan));
        }
    }

    fn and(mut self, other: Tally) -> Tally {
        self.runs += other.runs;
        self.quiet += other.quiet;
        self.calls += other.calls;
        self.lived += other.lived;
        for (kind, times) in other.struck {
            *self.struck.entry(kind).or_default() += times;
        }
        self.broken.extend(other.broken);
        self
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { quiet, calls, .. } = self;
        write!(f, "{quiet} of them quiet, {calls} calls of locks")?;
        self.struck
            .iter()
            .try_for_each(|(kind, times)| write!(f, "\n{times:>8} {kind}"))
    }
}

/// What a plan comes to once everything is left out that need not be in it: what is broken, the plan as a
/// regression takes it, and the story.
#[must_use]
pub fn story(name: &str, plan: Plan) -> String {
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
    let left = plan.items.len() + plan.crashes.len();
    format!(
        "{name}: {} {}\n{left} items left after {runs} runs:\n{}\n{}",
        violation.invariant,
        violation.seen,
        plan.literal(),
        trace[from..].join("\n")
    )
}
