//! What is to be shown, and when: each thing once, in the order in which it fell due, and none
//! more often than its pace allows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::model::Mono;

/// Things to be shown. What is asked for ten times before its turn is shown once.
pub struct Agenda<T> {
    /// At most one showing of a thing in this time.
    pace: Duration,
    due: VecDeque<T>,
    /// What stands in `due`.
    waiting: BTreeSet<T>,
    /// What falls due later, by time and by thing.
    later: BTreeSet<(Mono, T)>,
    when: BTreeMap<T, Mono>,
    /// What was shown lately may not be shown again before.
    rests: BTreeMap<T, Mono>,
    /// The same, in the order in which it was shown.
    shown: VecDeque<(Mono, T)>,
}

impl<T: Ord + Clone> Agenda<T> {
    /// An empty one.
    pub fn new(pace: Duration) -> Agenda<T> {
        Agenda {
            pace,
            due: VecDeque::new(),
            waiting: BTreeSet::new(),
            later: BTreeSet::new(),
            when: BTreeMap::new(),
            rests: BTreeMap::new(),
            shown: VecDeque::new(),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Agenda::new(self.pace);
    }

    /// Wants a thing shown as soon as its pace allows.
    pub fn add(&mut self, thing: T, now: Mono) {
        match self.rests.get(&thing) {
            Some(until) if *until > now => {
                let until = *until;
                self.at(thing, until);
            }
            _ => self.enqueue(thing),
        }
    }

    /// Wants a thing shown at a time; an earlier wish stands.
    pub fn at(&mut self, thing: T, time: Mono) {
        if self.waiting.contains(&thing) || self.when.get(&thing).is_some_and(|earlier| *earlier <= time) {
            return;
        }
        self.forget_time(&thing);
        self.later.insert((time, thing.clone()));
        self.when.insert(thing, time);
    }

    /// The next thing that is to be shown now.
    pub fn take(&mut self, now: Mono) -> Option<T> {
        while let Some((until, thing)) = self.shown.front() {
            if *until > now {
                break;
            }
            self.rests.remove(thing);
            self.shown.pop_front();
        }
        while let Some((time, thing)) = self.later.first() {
            if *time > now {
                break;
            }
            let thing = thing.clone();
            self.enqueue(thing);
        }
        let thing = self.due.pop_front()?;
        self.waiting.remove(&thing);
        let until = now + self.pace;
        self.rests.insert(thing.clone(), until);
        self.shown.push_back((until, thing.clone()));
        Some(thing)
    }

    /// When the next thing falls due, once there is nothing more to take.
    pub fn next(&self) -> Option<Mono> {
        self.later.first().map(|(time, _)| *time)
    }

    fn enqueue(&mut self, thing: T) {
        self.forget_time(&thing);
        if self.waiting.insert(thing.clone()) {
            self.due.push_back(thing);
        }
    }

    fn forget_time(&mut self, thing: &T) {
        if let Some(time) = self.when.remove(thing) {
            self.later.remove(&(time, thing.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_secs(1);

    fn all(agenda: &mut Agenda<u8>, at: u64) -> Vec<u8> {
        std::iter::from_fn(|| agenda.take(Mono(at))).collect()
    }

    #[test]
    fn each_once_and_in_order() {
        let mut agenda = Agenda::new(PACE);
        for thing in [3, 1, 3, 2, 1] {
            agenda.add(thing, Mono(0));
        }
        assert_eq!(all(&mut agenda, 0), [3, 1, 2]);
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn what_was_shown_rests_and_its_changes_are_shown_as_one() {
        let mut agenda = Agenda::new(PACE);
        agenda.add(1, Mono(0));
        assert_eq!(all(&mut agenda, 0), [1]);
        agenda.add(1, Mono(10));
        agenda.add(1, Mono(900));
        agenda.add(2, Mono(900));
        assert_eq!(all(&mut agenda, 999), [2]);
        assert_eq!(agenda.next(), Some(Mono(1000)));
        assert_eq!(all(&mut agenda, 1000), [1]);
        agenda.add(1, Mono(2000));
        assert_eq!(all(&mut agenda, 2000), [1]);
    }

    #[test]
    fn an_earlier_wish_stands() {
        let mut agenda = Agenda::new(PACE);
        agenda.at(1, Mono(500));
        agenda.at(1, Mono(700));
        agenda.at(2, Mono(700));
        agenda.at(2, Mono(600));
        assert_eq!(all(&mut agenda, 599), [1]);
        agenda.add(2, Mono(599));
        assert_eq!(all(&mut agenda, 599), [2]);
        assert_eq!(agenda.next(), None);
        agenda.at(3, Mono(700));
        agenda.clear();
        assert_eq!(all(&mut agenda, 9999), [0; 0]);
    }
}
