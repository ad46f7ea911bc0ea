//! The lock's own logbook: who was at the keypad, as it is read in an exchange that was wanted for something else.

use std::sync::atomic::Ordering::Relaxed;

use lockbridge::model::{Deed, Logbook, Mono, Slot, Step, Timestamp, Typed};
use uuid::Uuid;

use super::air::Cut;
use super::house::{House, KINDS, PROVEN, content, pin, put, remove, right_pin, stay, wrong_pin};
use super::lock::Kind;

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

#[tokio::test]
async fn it_tells_each_entry_of_a_code_once() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        assert_eq!(
            house.ask(&[put(&content(GUEST, stay(-1, 24)), &[])]).await,
            [PROVEN]
        );
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
        assert_eq!(told.newest, 2);
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
async fn it_knows_whose_code_it_was_that_is_taken_off_meanwhile() {
    let mut house = House::new(Kind::Classic, 1);
    assert_eq!(
        house.ask(&[put(&content(GUEST, stay(-1, 24)), &[])]).await,
        [PROVEN]
    );
    assert!(house.lock.keypad(GUEST));
    let visited = house.visit(&[remove(&[GUEST])]).await.unwrap();
    assert_eq!((visited.findings, house.held()), (vec![PROVEN], vec![]));
    assert_eq!(visited.logbook.unwrap().entries[0].pin, Some(pin(GUEST)));
}

#[tokio::test]
async fn of_many_entries_the_newest_are_told() {
    let mut house = House::new(Kind::Classic, 1);
    assert_eq!(
        house.ask(&[put(&content(GUEST, stay(-1, 24)), &[])]).await,
        [PROVEN]
    );
    for _ in 0..120 {
        assert!(house.lock.keypad(GUEST));
    }
    let told = typed(&mut house).await;
    assert_eq!((told.len(), told[0].0, told[49].0), (50, 70, 119));
}

#[tokio::test]
async fn one_that_began_anew_is_read_from_its_beginning() {
    let mut house = House::new(Kind::Classic, 1);
    assert_eq!(
        house.ask(&[put(&content(GUEST, stay(-1, 24)), &[])]).await,
        [PROVEN]
    );
    for _ in 0..5 {
        assert!(house.lock.keypad(GUEST));
    }
    assert_eq!(typed(&mut house).await.len(), 5);
    house.lock.log.clear();
    assert_eq!(read(&mut house).await, None);
    assert!(house.lock.keypad(GUEST));
    assert_eq!(typed(&mut house).await, [(0, Slot(1), Some(GUEST))]);
}

#[tokio::test]
async fn a_cut_before_its_end_loses_nothing_of_it() {
    let mut house = House::new(Kind::Classic, 1);
    assert_eq!(
        house.ask(&[put(&content(GUEST, stay(-1, 24)), &[])]).await,
        [PROVEN]
    );
    assert!(house.lock.keypad(GUEST));
    assert_eq!(typed(&mut house).await.len(), 1);
    assert!(house.lock.keypad(GUEST));
    let before = house.air.writes;
    let mut clean = 0;
    loop {
        house.air.cut = Some(Cut::AfterWrite(house.air.writes + clean));
        if let Some(logbook) = read(&mut house).await {
            assert_eq!(logbook.entries.len(), 1);
            break;
        }
        clean += 1;
        assert!(house.air.writes < before + 100);
    }
    // The table, the clock, the state, the newest entry.
    assert_eq!(clean, 2 + 1 + 1 + 2);
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
