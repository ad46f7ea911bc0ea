//! A group is programmed on three doors while the link is cut, at each write and each indication in turn. Whatever was
//! lost, each door ends with exactly one code of ours, and the cleaner's is never touched.

use lockbridge::model::{Finding, Step, Window};

use super::air::{Air, Cut};
use super::house::{House, PROVEN, content, put, remove, stay};
use super::lock::Kind;
use super::lock::wire::date;

const CLEANER: u32 = 333_444;
/// More than one cut can make necessary.
const MOST_EXCHANGES: usize = 3;

/// A door, and what the gateway's core remembers of its code.
struct Door {
    house: House,
    /// Digits that the lock was asked to take, or may have been.
    sent: Vec<u32>,
}

/// One wish after the other: set, moved, with other digits, removed.
fn wishes() -> [Option<(u32, Window)>; 4] {
    [
        Some((739_185, stay(1, 24))),
        Some((739_185, stay(1, 30))),
        Some((555_666, stay(2, 30))),
        None,
    ]
}

fn doors() -> Vec<Door> {
    let door = |(seed, kind)| {
        let mut house = House::new(kind, seed);
        house.lock.add(1, CLEANER);
        // So that setting the clock is cut, too.
        house.lock.clock_off_ms = 600_000;
        let sent = Vec::new();
        Door { house, sent }
    };
    (1..)
        .zip([Kind::Classic, Kind::Ultra, Kind::Classic])
        .map(door)
        .collect()
}

impl Door {
    /// One exchange as the core would ask it; whether the wish is proven.
    async fn exchange(&mut self, wish: Option<(u32, Window)>) -> bool {
        let step: Step = match wish {
            Some((digits, window)) => put(&content(digits, window), &self.sent),
            None => remove(&self.sent),
        };
        if let Some((digits, _)) = wish.filter(|(digits, _)| !self.sent.contains(digits)) {
            self.sent.push(digits);
        }
        let found = self.house.ask(&[step]).await;
        match found[..] {
            [Finding::Unanswered] => false,
            [Finding::Proven(_)] => {
                self.sent = wish.iter().map(|(digits, _)| *digits).collect();
                true
            }
            _ => panic!("{found:?}"),
        }
    }

    fn ours(&self) -> Vec<&super::lock::Code> {
        self.house
            .lock
            .codes
            .iter()
            .filter(|code| code.digits != CLEANER)
            .collect()
    }

    /// Programs one wish to its end, over one state of the air.
    async fn program(&mut self, wish: Option<(u32, Window)>, air: &mut Air) {
        for _ in 0..MOST_EXCHANGES {
            std::mem::swap(air, &mut self.house.air);
            let proven = self.exchange(wish).await;
            std::mem::swap(air, &mut self.house.air);
            assert!(self.ours().len() <= 1, "two codes on one door");
            assert!(self.house.held().contains(&(1, CLEANER)));
            if proven {
                return;
            }
        }
        panic!("not proven after {MOST_EXCHANGES} exchanges");
    }

    fn holds(&self, wish: Option<(u32, Window)>) -> bool {
        let ours = self.ours();
        match (wish, &ours[..]) {
            (None, []) => true,
            (Some((digits, window)), [code]) => {
                code.digits == digits
                    && code.limited
                    && code.from == date(window.start().0)
                    && code.until == date(window.end().0)
            }
            _ => false,
        }
    }
}

/// Programs the whole group, with one cut. Returns the numbers of writes and indications.
async fn program(cut: Option<Cut>) -> (usize, usize) {
    let mut air = Air::clear();
    air.cut = cut;
    let mut doors = doors();
    for wish in wishes() {
        for door in &mut doors {
            door.program(wish, &mut air).await;
        }
        for (number, door) in doors.iter().enumerate() {
            assert!(
                door.holds(wish),
                "{cut:?} door {number} {wish:?}: {:?}",
                door.ours()
            );
        }
    }
    (air.writes, air.indications)
}

#[tokio::test]
async fn a_cut_at_each_write_leaves_one_code_per_door() {
    let (writes, _) = program(None).await;
    println!("{writes} writes");
    // Three doors, four wishes: each at least a look, a change and a look.
    assert!(writes >= 3 * 4 * 6, "{writes}");
    for at in 0..writes {
        program(Some(Cut::BeforeWrite(at))).await;
        program(Some(Cut::AfterWrite(at))).await;
    }
}

#[tokio::test]
async fn a_cut_at_each_indication_leaves_one_code_per_door() {
    let (_, indications) = program(None).await;
    println!("{indications} indications");
    for at in 0..indications {
        program(Some(Cut::Indication(at))).await;
    }
}

/// Several codes in one exchange: what was proven before the cut stays proven.
#[tokio::test]
async fn a_cut_in_a_batch_keeps_what_was_proven_before_it() {
    let pins = [739_185, 555_666, 888_999];
    let steps = |stale: bool| {
        pins.map(|digits| {
            put(
                &content(digits, stay(1, 24)),
                if stale { std::slice::from_ref(&digits) } else { &[] },
            )
        })
    };
    let mut clean = House::new(Kind::Classic, 1);
    assert_eq!(clean.ask(&steps(false)).await, [PROVEN, PROVEN, PROVEN]);
    // The last three ask how the lock is, and what it wrote down.
    for at in 0..clean.air.writes - 3 {
        for cut in [Cut::BeforeWrite(at), Cut::AfterWrite(at)] {
            let mut house = House::new(Kind::Classic, 1);
            house.air.cut = Some(cut);
            let found = house.ask(&steps(false)).await;
            let proven = found.iter().take_while(|finding| **finding == PROVEN).count();
            assert_eq!(found[proven], Finding::Unanswered, "{cut:?}");
            assert!(
                found[proven + 1..]
                    .iter()
                    .all(|finding| *finding == Finding::Untried),
                "{cut:?}"
            );
            for digits in &pins[..proven] {
                assert!(house.held().iter().any(|(_, held)| held == digits), "{cut:?}");
            }
            assert_eq!(house.ask(&steps(true)).await, [PROVEN, PROVEN, PROVEN], "{cut:?}");
            assert_eq!(house.held().len(), 3, "{cut:?}");
        }
    }
}
