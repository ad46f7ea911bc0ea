//! The lock's own logbook: who was at the keypad, as it is read in an exchange that was wanted for something else.

use std::sync::atomic::Ordering::Relaxed;

use lockbridge::model::{Bookmark, Deed, Logbook, Mono, Slot, Step, Timestamp, Typed, Window};
use uuid::Uuid;

use super::air::Cut;
use super::house::{House, KINDS, PROVEN, content, driver_of, pin, put, remove, right_pin, stay, wrong_pin};
use super::lock::{Kind, Logged};

const LOG: u16 = 0x31;
const GUEST: u32 = 739_185;

async fn read(house: &mut House) -> Option<Logbook> {
    house.visit(&[Step::Read]).await.unwrap().logbook
}

/// The same, if it was read: number, place and digits of each entry.
async fn typed(house: &mut House) -> Vec<(u32, Slot, Option<u32>)> {
    let entries = read(house).await.expect("it was read").entries.into_iter();
    let digits = |typed: &Typed| typed.pin.as_ref().map(|pin| pin.expose().parse().unwrap());
    entries
        .map(|typed| (typed.number, typed.slot, digits(&typed)))
        .collect()
}

/// A lock with one code of ours, whose logbook was read.
async fn with_guest(kind: Kind) -> House {
    let mut house = House::new(kind, 1);
    let told = house
        .visit(&[put(&content(GUEST, stay(-1, 24)), &[])])
        .await
        .unwrap();
    assert_eq!(told.findings, [PROVEN]);
    assert_eq!(
        told.logbook,
        Some(Logbook {
            read: Bookmark::Empty,
            entries: vec![]
        })
    );
    house
}

#[tokio::test]
async fn it_tells_each_entry_of_a_code_once() {
    for kind in KINDS {
        let mut house = with_guest(kind).await;
        house.lock.add(7, 333_444);
        assert!(house.lock.keypad(GUEST) && !house.lock.keypad(111_111) && house.lock.keypad(333_444));
        let opened = Timestamp(house.lock.world.load(Relaxed)).floor_second();
        let told = read(&mut house).await.unwrap();
        let entry = |number, slot, digits| Typed {
            number,
            at: Some(opened),
            locked: false,
            slot: Slot(slot),
            pin: Some(pin(digits)),
        };
        assert_eq!(told.read, Bookmark::At(2));
        // A wrong code moved nothing.
        assert_eq!(told.entries, [entry(0, 1, GUEST), entry(2, 7, 333_444)]);
        let asked = house.count(LOG);
        assert_eq!(typed(&mut house).await, []);
        assert_eq!(house.count(LOG), asked + 1, "the newest entry alone");
        for _ in 0..2 {
            assert!(house.lock.keypad(GUEST));
        }
        assert_eq!(
            typed(&mut house).await,
            [(3, Slot(1), Some(GUEST)), (4, Slot(1), Some(GUEST))]
        );
    }
}

#[tokio::test]
async fn what_is_from_before_our_time_is_told_to_nobody_and_what_a_start_knows_is_read_on_from() {
    let mut house = with_guest(Kind::Classic).await;
    for _ in 0..20 {
        assert!(house.lock.keypad(GUEST));
    }
    house.driver = driver_of(Kind::Classic, right_pin(Kind::Classic));
    let told = read(&mut house).await.unwrap();
    assert_eq!((told.read, told.entries), (Bookmark::At(19), vec![]));
    assert_eq!(house.count(LOG), 2);
    house.driver = driver_of(Kind::Classic, right_pin(Kind::Classic)).reading_on(Bookmark::At(17));
    let numbers: Vec<u32> = typed(&mut house).await.iter().map(|typed| typed.0).collect();
    assert_eq!(numbers, [18, 19]);
}

#[tokio::test]
async fn somebody_who_types_while_it_is_read_is_told_of_once() {
    let mut house = with_guest(Kind::Classic).await;
    for _ in 0..3 {
        assert!(house.lock.keypad(GUEST));
    }
    house.lock.typed_meanwhile = vec![GUEST; 3];
    let mut numbers = Vec::new();
    for _ in 0..4 {
        numbers.extend(typed(&mut house).await.iter().map(|typed| typed.0));
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn it_knows_whose_code_it_was_that_is_taken_off_meanwhile() {
    let mut house = with_guest(Kind::Classic).await;
    assert!(house.lock.keypad(GUEST));
    let visited = house.visit(&[remove(&[GUEST])]).await.unwrap();
    assert_eq!((visited.findings, house.held()), (vec![PROVEN], vec![]));
    assert_eq!(visited.logbook.unwrap().entries[0].pin, Some(pin(GUEST)));
}

/// The link is lost once the code is off, and the next guest gets its place.
#[tokio::test]
async fn it_knows_whose_code_it_was_although_another_stands_there_by_now() {
    let next = content(333_444, stay(0, 24));
    for between in [true, false] {
        let mut house = with_guest(Kind::Classic).await;
        house.lock.reuses_ids = true;
        assert!(house.lock.keypad(GUEST));
        let logbook = if between {
            // A table, a removal, a table: a challenge and the request each.
            house.air.cut = Some(Cut::BeforeWrite(house.air.writes + 6));
            let visited = house.visit(&[remove(&[GUEST])]).await.unwrap();
            assert_eq!((visited.findings, visited.logbook), (vec![PROVEN], None));
            house.visit(&[put(&next, &[])]).await.unwrap().logbook
        } else {
            house
                .visit(&[remove(&[GUEST]), put(&next, &[])])
                .await
                .unwrap()
                .logbook
        };
        assert_eq!(house.held(), [(1, 333_444)]);
        assert_eq!(logbook.unwrap().entries[0].pin, Some(pin(GUEST)), "{between}");
        assert!(house.lock.keypad(333_444));
        assert_eq!(typed(&mut house).await, [(1, Slot(1), Some(333_444))]);
    }
}

#[tokio::test]
async fn many_entries_are_told_in_several_visits() {
    let mut house = with_guest(Kind::Classic).await;
    for _ in 0..320 {
        assert!(house.lock.keypad(GUEST));
    }
    let mut numbers = Vec::new();
    let mut visits = 0;
    while numbers.last() != Some(&319) {
        numbers.extend(typed(&mut house).await.iter().map(|typed| typed.0));
        visits += 1;
    }
    assert_eq!(numbers, (0..320).collect::<Vec<_>>());
    assert_eq!(visits, 2);
    // It ends its answers early, and threw away what was not read for long.
    house.lock.log_page = 4;
    for _ in 0..30 {
        assert!(house.lock.keypad(GUEST));
    }
    house.lock.log.drain(..330);
    house.lock.log_begins = 330;
    let numbers: Vec<u32> = typed(&mut house).await.iter().map(|typed| typed.0).collect();
    assert_eq!(numbers, (330..350).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_that_began_anew_is_read_from_its_beginning() {
    let mut house = with_guest(Kind::Classic).await;
    for _ in 0..5 {
        assert!(house.lock.keypad(GUEST));
    }
    assert_eq!(typed(&mut house).await.len(), 5);
    for seen_empty in [true, false] {
        house.lock.log.clear();
        if seen_empty {
            assert_eq!(read(&mut house).await.unwrap().read, Bookmark::Empty);
        }
        for _ in 0..2 {
            assert!(house.lock.keypad(GUEST));
        }
        let told = typed(&mut house).await;
        assert_eq!(told, [(0, Slot(1), Some(GUEST)), (1, Slot(1), Some(GUEST))]);
        for _ in 0..3 {
            assert!(house.lock.keypad(GUEST));
        }
        assert_eq!(typed(&mut house).await.len(), 3);
    }
}

#[tokio::test]
async fn a_cut_before_its_end_loses_nothing_of_it() {
    let mut house = with_guest(Kind::Classic).await;
    let mut numbers = Vec::new();
    let mut in_the_middle = 0;
    for clean in 0..24 {
        for _ in 0..12 {
            assert!(house.lock.keypad(GUEST));
        }
        house.air.cut = Some(Cut::AfterWrite(house.air.writes + clean));
        if let Some(logbook) = read(&mut house).await {
            numbers.extend(logbook.entries.iter().map(|typed| typed.number));
            in_the_middle += usize::from(!logbook.entries.is_empty() && numbers.len() < house.lock.log.len());
        }
    }
    assert!(in_the_middle > 0, "what came of a visit that was cut is kept");
    house.air.cut = None;
    while house.lock.log.len() != numbers.len() {
        let told = typed(&mut house).await;
        assert!(!told.is_empty());
        numbers.extend(told.iter().map(|typed| typed.0));
    }
    let all: Vec<u32> = (0..).take(numbers.len()).collect();
    assert_eq!(numbers, all, "each once");
}

/// A link on which the lock falls silent in the middle is given up, and what came until then is kept.
#[tokio::test]
async fn what_came_of_a_slow_one_is_kept() {
    let mut house = with_guest(Kind::Classic).await;
    for _ in 0..20 {
        assert!(house.lock.keypad(GUEST));
    }
    let clean = {
        let mut house = with_guest(Kind::Classic).await;
        for _ in 0..20 {
            assert!(house.lock.keypad(GUEST));
        }
        read(&mut house).await;
        house.air.indications
    };
    house.air.cut = Some(Cut::Indication(clean - 20));
    let first = typed(&mut house).await;
    assert!((1..20).contains(&first.len()), "{}", first.len());
    house.air.cut = None;
    assert_eq!(typed(&mut house).await.len(), 20 - first.len());
}

#[tokio::test]
async fn a_time_is_told_only_where_the_clock_was_right() {
    let ongoing = content(GUEST, Window::Ongoing);
    for wanted in [content(GUEST, stay(-1, 24)), ongoing] {
        for off in [20_000, 40_000, -800_000_000_000] {
            let mut house = House::new(Kind::Classic, 1);
            assert_eq!(house.ask(&[put(&wanted, &[])]).await, [PROVEN]);
            house.lock.log.push(Logged {
                action: 2,
                source: 2,
                completion: 0,
                code: 1,
                clock_ms: house.lock.clock_ms() + off,
            });
            house.lock.clock_off_ms = off;
            let told = read(&mut house).await.unwrap().entries;
            assert_eq!((told.len(), told[0].locked), (1, true));
            assert_eq!(told[0].at.is_some(), off == 20_000, "{off}");
            // It is right again by then.
            house.lock.log.push(Logged {
                clock_ms: house.lock.clock_ms(),
                ..house.lock.log[0]
            });
            assert!(read(&mut house).await.unwrap().entries[0].at.is_some());
        }
    }
    // Set right in a visit that did not come to the logbook.
    let mut house = with_guest(Kind::Classic).await;
    house.lock.clock_off_ms = 40_000;
    assert!(house.lock.keypad(GUEST));
    // The table, the state, the clock, and setting it.
    house.air.cut = Some(Cut::BeforeWrite(house.air.writes + 6));
    assert_eq!(read(&mut house).await, None);
    assert!(house.lock.clock_off_ms.abs() < 5_000);
    house.air.cut = None;
    assert_eq!(read(&mut house).await.unwrap().entries[0].at, None);
    // Nobody knows what time it is.
    house.trusted = false;
    assert!(house.lock.keypad(GUEST));
    assert_eq!(read(&mut house).await.unwrap().entries[0].at, None);
}

/// Nobody could say whose codes they are, and whoever waits at the door waits for nothing else.
#[tokio::test]
async fn a_door_command_does_not_read_it() {
    let mut house = House::new(Kind::Classic, 1);
    let door = Step::Door {
        attempt: lockbridge::model::AttemptId(Uuid::from_u128(1)),
        deed: Deed::Unlock,
        not_after: Mono(u64::MAX),
    };
    assert_eq!(house.visit(&[door]).await.unwrap().logbook, None);
    assert_eq!(house.count(LOG), 0);
}

#[tokio::test]
async fn a_security_pin_that_it_refuses_is_told_once() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        house.driver = super::house::driver_of(kind, wrong_pin(kind));
        assert_eq!(read(&mut house).await, None);
        assert_eq!((house.lock.wrong_pins, house.count(LOG)), (1, 0));
        // Changed in the app right after the table was read.
        let mut house = House::new(kind, 1);
        house.driver = super::house::driver_of(kind, right_pin(kind));
        house.lock.forgets_pin_after = Some(1);
        assert_eq!(read(&mut house).await, None);
        assert!(!house.driver.has_pin());
        assert_eq!((house.lock.wrong_pins, house.count(LOG)), (1, 1));
        read(&mut house).await;
        assert_eq!(house.lock.wrong_pins, 1);
    }
}
