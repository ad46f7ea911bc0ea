//! Windows go by the lock's own clock: it is looked at before they are written.

use std::sync::atomic::Ordering::Relaxed;

use lockbridge::model::{Finding, Objection, Step, Window};

use super::house::{House, KINDS, PROVEN, content, put, stay};
use super::lock::Kind;

const SET_TIME: u16 = 0x21;
const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn a_wrong_clock_is_set_before_a_window_is_written() {
    for kind in KINDS {
        for off in [-HOUR, HOUR, 40_000, -400 * 24 * HOUR] {
            let mut house = House::new(kind, 1);
            house.lock.clock_off_ms = off;
            let steps = [
                put(&content(739_185, stay(1, 24)), &[]),
                put(&content(555_666, stay(1, 24)), &[]),
            ];
            assert_eq!(house.ask(&steps).await, [PROVEN, PROVEN]);
            assert!(
                house.lock.clock_off_ms.abs() < 5_000,
                "{}",
                house.lock.clock_off_ms
            );
            assert_eq!(house.count(SET_TIME), 1);
            assert_eq!(house.lock.done.iter().position(|done| *done == SET_TIME), Some(1));
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_nearly_right_is_left_alone() {
    let mut house = House::new(Kind::Classic, 1);
    house.lock.clock_off_ms = 20_000;
    assert_eq!(
        house.ask(&[put(&content(739_185, stay(1, 24)), &[])]).await,
        [PROVEN]
    );
    assert_eq!(house.count(SET_TIME), 0);
}

/// It is set to the time of the setting, however long the lock took before.
#[tokio::test]
async fn a_slow_lock_is_not_set_late() {
    let mut house = House::new(Kind::Ultra, 1);
    house.lock.slowness_ms = 20_000;
    house.lock.clock_off_ms = 24 * HOUR;
    for id in 1..=50 {
        house.lock.add(id, 333_000 + u32::from(id));
    }
    let began = house.lock.world.load(Relaxed);
    assert_eq!(
        house.ask(&[put(&content(739_185, stay(1, 24)), &[])]).await,
        [PROVEN]
    );
    assert!(house.lock.world.load(Relaxed) - began > 20 * 60_000);
    // One challenge lies between the reading of the clock and its setting.
    assert!(
        house.lock.clock_off_ms.abs() <= 21_000,
        "{}",
        house.lock.clock_off_ms
    );
}

#[tokio::test]
async fn a_clock_that_nobody_vouches_for_sets_none() {
    let mut house = House::new(Kind::Classic, 1);
    house.trusted = false;
    house.lock.clock_off_ms = HOUR;
    assert_eq!(
        house.ask(&[put(&content(739_185, stay(1, 24)), &[])]).await,
        [PROVEN]
    );
    assert_eq!((house.count(SET_TIME), house.lock.clock_off_ms), (0, HOUR));
}

#[tokio::test]
async fn a_code_without_a_window_needs_no_clock() {
    for refuses_time in [true, false] {
        let mut house = House::new(Kind::Classic, 1);
        (house.lock.clock_off_ms, house.lock.refuses_time) = (HOUR, refuses_time);
        let steps = [put(&content(739_185, Window::Ongoing), &[]), Step::Read];
        assert_eq!(house.ask(&steps).await[0], PROVEN);
        // What it writes down has its time all the same.
        assert_eq!(house.lock.clock_off_ms < HOUR, !refuses_time);
        assert_eq!(house.count(SET_TIME), 1);
    }
}

/// What stands on the lock already goes by that clock, too.
#[tokio::test]
async fn a_read_that_shows_windows_sets_a_wrong_clock() {
    let mut house = House::new(Kind::Classic, 1);
    assert_eq!(
        house.ask(&[put(&content(739_185, stay(-1, 24)), &[])]).await,
        [PROVEN]
    );
    house.lock.clock_off_ms = 25 * HOUR;
    assert!(!house.lock.keypad(739_185));
    assert!(matches!(house.ask(&[Step::Read]).await[..], [Finding::Table(_)]));
    assert!(house.lock.keypad(739_185));
    assert_eq!(house.count(SET_TIME), 1);
}

#[tokio::test]
async fn no_window_is_written_to_a_clock_that_cannot_be_set() {
    let mut house = House::new(Kind::Classic, 1);
    house.lock.clock_off_ms = HOUR;
    house.lock.refuses_time = true;
    let found = house
        .ask(&[put(&content(739_185, stay(1, 24)), &[]), Step::Read])
        .await;
    assert_eq!(found[0], Finding::Refused(Objection::Other));
    assert!(matches!(found[1], Finding::Table(_)));
    assert_eq!(house.held(), []);
}

#[tokio::test]
async fn the_lock_opens_in_the_window_to_the_second() {
    let mut house = House::new(Kind::Ultra, 1);
    let window = stay(1, 2);
    assert_eq!(house.ask(&[put(&content(739_185, window), &[])]).await, [PROVEN]);
    for (at, opens) in [
        (window.start().0 - 1_000, false),
        (window.start().0, true),
        (window.end().0 - 1_000, true),
        (window.end().0, false),
    ] {
        house.lock.world.store(at, Relaxed);
        house.lock.clock_off_ms = 0;
        assert_eq!(house.lock.keypad(739_185), opens, "{at}");
    }
}
