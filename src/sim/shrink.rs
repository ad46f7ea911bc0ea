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
    let (invariant, violation_at) = (violation.invariant, violation.at);
    let mut still_fails = |fewer: &Plan| {
        runs += 1;
        let seen = run(fewer).filter(|seen| seen.invariant == invariant);
        let fails = seen.is_some();
        violation = seen.unwrap_or_else(|| violation.clone());
        fails
    };
    // What came after cannot have been the reason.
    let mut before = plan.clone();
    before.items.retain(|item| item.at() <= violation_at);
    if still_fails(&before) {
        plan = before;
    }
    plan.crashes = without_needless(plan.crashes.clone(), |some| {
        let crashes = some.to_vec();
        still_fails(&Plan {
            crashes,
            ..plan.clone()
        })
    });
    plan.items = without_needless(plan.items.clone(), |some| {
        let items = some.to_vec();
        still_fails(&Plan {
            items,
            ..plan.clone()
        })
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
