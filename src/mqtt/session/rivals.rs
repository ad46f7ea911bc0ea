//! Another gateway of our name. A broker has room for one client of a name, and throws out the one
//! for the other, which comes back: for ever, unless one of them leaves.
//!
//! Not every broker says why it ends a connection. But whoever has the place tells what it is, and
//! the broker keeps that: so a gateway that finds another's word where its own stood knows. Unless a
//! broker came back with an old copy of what it kept. So each word says of which connection it is, and
//! one that is no newer than what was found before is no rival's.

use std::time::Duration;

use serde_json::Value;

use crate::model::Mono;

/// Of two gateways the one leaves that was first connected less than this ago.
const NEWCOMER: Duration = Duration::from_secs(60);
/// It leaves when it was written over so often. Once may be a broker that came back with what it kept
/// before that which we found.
const OFTEN: u32 = 2;

/// What is known of them.
pub struct Rivals {
    instance: String,
    first_up: Option<Mono>,
    /// The broker had our word, and nobody has looked since.
    told: bool,
    /// The newest word of another that was found last.
    found: Option<Word>,
    written_over: u32,
}

/// What a gateway says of itself.
struct Word {
    instance: Value,
    connection: u64,
}

/// What another's word means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// There is none.
    Nobody,
    /// It is for the other to leave.
    Second,
    /// It is for us to leave.
    First,
}

impl Rivals {
    /// Nobody has been met yet. `instance` is what only this run of this gateway says of itself.
    pub fn new(instance: &str) -> Rivals {
        Rivals {
            instance: instance.to_owned(),
            first_up: None,
            told: false,
            found: None,
            written_over: 0,
        }
    }

    /// A connection stands.
    pub fn up(&mut self, now: Mono) {
        self.first_up.get_or_insert(now);
    }

    /// The broker has our word.
    pub fn told(&mut self) {
        self.told = true;
    }

    /// What the broker kept when we came.
    pub fn met(&mut self, info: &[u8], now: Mono) -> Rival {
        let told = std::mem::take(&mut self.told);
        let mut word = serde_json::from_slice::<Value>(info).unwrap_or_default();
        let word = Word {
            instance: word["instance"].take(),
            connection: word["connection"].as_u64().unwrap_or_default(),
        };
        let is_old = |found: &Word| found.instance == word.instance && found.connection >= word.connection;
        if word.instance == self.instance || self.found.as_ref().is_some_and(is_old) {
            return Rival::Nobody;
        }
        self.found = Some(word);
        if !told {
            return Rival::Nobody;
        }
        self.written_over += 1;
        let is_newcomer = self.first_up.is_none_or(|first| now < first + NEWCOMER);
        match is_newcomer && self.written_over >= OFTEN {
            true => Rival::First,
            false => Rival::Second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[u8] = br#"{"instance": "a"}"#;

    /// What another says on its nth connection.
    fn another(connection: usize) -> Vec<u8> {
        format!(r#"{{"instance": "b", "connection": {connection}}}"#).into_bytes()
    }

    /// Connects at once for each word, and finds it written over ours.
    fn find(rivals: &mut Rivals, words: &[Vec<u8>], now: Mono) -> Vec<Rival> {
        let round = |word: &Vec<u8>| {
            rivals.up(now);
            rivals.told();
            rivals.met(word, now)
        };
        words.iter().map(round).collect()
    }

    /// Connects `n` times at once, and each time finds what the other has written over our word.
    fn fight(rivals: &mut Rivals, n: usize, now: Mono) -> Vec<Rival> {
        let words: Vec<_> = (2..).take(n).map(another).collect();
        find(rivals, &words, now)
    }

    #[test]
    fn our_own_word_and_what_stood_before_we_came_say_nothing() {
        let mut rivals = Rivals::new("a");
        rivals.up(Mono(0));
        assert_eq!(rivals.met(&another(1), Mono(0)), Rival::Nobody);
        for _ in 0..5 {
            rivals.told();
            assert_eq!(rivals.met(OURS, Mono(0)), Rival::Nobody);
        }
    }

    #[test]
    fn a_broker_that_comes_back_with_an_old_copy_again_and_again_is_no_rival() {
        let mut rivals = Rivals::new("a");
        rivals.up(Mono(0));
        // Of the run before.
        rivals.met(&another(7), Mono(0));
        let words = [another(7), another(7), another(5), another(7)];
        assert_eq!(find(&mut rivals, &words, Mono(1)), [Rival::Nobody; 4]);
        // It lives after all.
        let words = [another(8), another(9)];
        assert_eq!(find(&mut rivals, &words, Mono(2)), [Rival::Second, Rival::First]);
    }

    #[test]
    fn the_newcomer_leaves_when_it_is_sure() {
        let mut rivals = Rivals::new("a");
        assert_eq!(fight(&mut rivals, 2, Mono(1)), [Rival::Second, Rival::First]);
        // A word that names nobody is of a gateway that did not say so yet.
        rivals.told();
        assert_eq!(rivals.met(b"{}", Mono(1)), Rival::First);
    }

    #[test]
    fn who_had_been_there_stays() {
        let mut rivals = Rivals::new("a");
        rivals.up(Mono(0));
        assert_eq!(fight(&mut rivals, 5, Mono(60_000)), [Rival::Second; 5]);
    }
}
