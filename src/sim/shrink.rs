//! A run that went wrong, made as short as it can be and still go wrong in the same way.

use super::oracle::Violation;
use super::plan::Plan;
use super::world::World;

/// What is left of a plan, and how it goes wrong.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What is broken.
    pub violation: Violation,
    /// Runs that it took.
    pub runs: u32,
}

/// Leaves out of a plan whatever is not needed to break the same invariant; `None` if it breaks none.
#[must_use]
pub fn shrink(mut plan: Plan) -> Option<Shrunk> {
    let run = |plan: &Plan| World::new(plan.clone(), false).run().violation;
    let mut violation = run(&plan)?;
    let mut runs = 1;
    let invariant = violation.invariant;
    let fails = |plan: &Plan, runs: &mut u32| {
        *runs += 1;
        run(plan).filter(|violation| violation.invariant == invariant)
    };
    // What came after cannot have been the reason.
    let mut before = plan.clone();
    before.items.retain(|item| item.at() <= violation.at);
    if let Some(seen) = fails(&before, &mut runs) {
        (plan, violation) = (before, seen);
    }
    let crashes = plan.crashes.clone();
    plan.crashes = without_needless(crashes, |some| {
        let fewer = Plan {
            crashes: some.to_vec(),
            ..plan.clone()
        };
        fails(&fewer, &mut runs)
            .inspect(|seen| violation = seen.clone())
            .is_some()
    });
    let items = plan.items.clone();
    plan.items = without_needless(items, |some| {
        let fewer = Plan {
            items: some.to_vec(),
            ..plan.clone()
        };
        fails(&fewer, &mut runs)
            .inspect(|seen| violation = seen.clone())
            .is_some()
    });
    Some(Shrunk {
        plan,
        violation,
        runs,
    })
}

/// Delta debugging: takes ever smaller pieces away, as long as `fails` says that it still does.
fn without_needless<T: Clone>(mut all: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut piece = all.len();
    while piece > 0 {
        let mut from = 0;
        while from < all.len() {
            let mut fewer = all.clone();
            fewer.drain(from..(from + piece).min(all.len()));
            if fails(&fewer) {
                all = fewer;
            } else {
                from += piece;
            }
        }
        piece /= 2;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_left() {
        let needed = [3, 4, 17, 96];
        let left = without_needless((0..100).collect(), |some| needed.iter().all(|n| some.contains(n)));
        assert_eq!(left, needed);
        assert_eq!(without_needless(vec![1, 2], |_| true), Vec::<i32>::new());
    }
}
