//! The lock as seen from outside: its faults, its reach, the hands upon it.

use std::time::Duration;

use super::*;
use crate::model::{CodeId, Content, Finding, How, Mono, Now, Objection, Pin, Slot, Step, Timestamp, Window};

const SECOND: Duration = Duration::from_secs(1);

fn lock(profile: &str) -> SimLock {
    SimLock::new(Setup::profile(profile).unwrap(), Memory::default())
}

fn at(seconds: u64) -> Now {
    Now {
        wall: Timestamp(1_000_000) + SECOND * u32::try_from(seconds).unwrap(),
        mono: Mono(seconds * 1_000),
    }
}

fn pin(digits: &str) -> Pin {
    Pin::parse(digits).unwrap()
}

fn put(digits: &str, window: Window) -> Step {
    Step::Put {
        code: CodeId(uuid::Uuid::nil()),
        generation: 1,
        slot: Slot(1),
        content: Content {
            pin: pin(digits),
            name: None,
            window,
        },
        stale: Vec::new(),
    }
}

fn fault(kind: FaultKind) -> Fault {
    Fault {
        kind,
        count: None,
        for_s: None,
        after_s: None,
    }
}

const PROVEN: Finding = Finding::Proven(How::ReadBack);
const NO: Finding = Finding::Refused(Objection::Other);

#[test]
fn each_operation_takes_its_time() {
    let mut lock = lock("slots");
    let mut put = put("4711", Window::Ongoing);
    let latency = lock.setup().latency;
    assert_eq!(lock.rehearse(at(0), &put), latency * 3);
    let first = lock.perform(at(0), &put);
    assert_eq!(
        (first.finding, first.took, first.changed),
        (PROVEN, latency * 3, true)
    );
    let Step::Put { stale, content, .. } = &mut put else {
        panic!("a put")
    };
    stale.push(content.pin.clone());
    let again = lock.perform(at(1), &put);
    assert_eq!(
        (again.finding, again.took, again.changed),
        (PROVEN, latency, false)
    );
    lock.fault(at(1).mono, fault(FaultKind::Slow));
    assert_eq!(lock.perform(at(2), &Step::Read).took, latency * 10);
    let mut hasty = lock.setup().clone();
    hasty.capabilities.patience = latency * 9;
    let mut lock = SimLock::new(hasty, lock.memory().clone());
    lock.fault(at(3).mono, fault(FaultKind::Slow));
    let late = lock.perform(at(3), &Step::Read);
    assert_eq!((late.finding, late.took), (Finding::Unanswered, latency * 9));
}

#[test]
fn a_fault_ends_by_count_by_time_and_by_word() {
    let mut lock = lock("slots");
    let refuse = fault(FaultKind::Refuse);
    lock.fault(
        at(0).mono,
        Fault {
            count: Some(1),
            ..refuse.clone()
        },
    );
    let put = put("4711", Window::Ongoing);
    // Reads are not refused, and use nothing up.
    assert_eq!(
        lock.perform(at(0), &Step::Read).finding,
        Finding::Table(Vec::new())
    );
    assert_eq!(lock.perform(at(0), &put).finding, NO);
    assert_eq!(lock.perform(at(0), &put).finding, PROVEN);
    let change = ByHand::Change {
        slot: Slot(1),
        code: pin("0815"),
    };
    let other = |lock: &mut SimLock, now| {
        let hand = lock.by_hand(now, &change);
        assert_eq!(hand, Ok(Slot(1)));
        let remove = Step::Remove {
            code: CodeId(uuid::Uuid::nil()),
            generation: 1,
            slot: Slot(1),
            pins: vec![pin("0815")],
        };
        lock.perform(now, &remove).finding
    };
    lock.fault(
        at(10).mono,
        Fault {
            for_s: Some(5),
            ..refuse.clone()
        },
    );
    assert_eq!(other(&mut lock, at(14)), NO);
    assert_eq!(other(&mut lock, at(15)), PROVEN);
    lock.fault(at(20).mono, refuse);
    lock.fault(at(20).mono, fault(FaultKind::None));
    assert_eq!(lock.perform(at(20), &put).finding, PROVEN);
}

#[test]
fn silence_may_have_done_it() {
    let mut lock = lock("slots");
    lock.fault(at(0).mono, fault(FaultKind::Silent));
    let mute = lock.perform(at(0), &put("4711", Window::Ongoing));
    let patience = lock.capabilities().patience;
    assert_eq!(
        (mute.finding, mute.took, mute.changed),
        (Finding::Unanswered, patience, true)
    );
    lock.fault(at(20).mono, fault(FaultKind::Hang));
    let deaf = lock.perform(at(20), &put("0815", Window::Ongoing));
    assert_eq!(
        (deaf.finding, deaf.took, deaf.changed),
        (Finding::Unanswered, patience, false)
    );
    assert_eq!(lock.table()[0].pin, Some(pin("4711")));
}

#[test]
fn a_code_is_lost_when_its_time_comes_and_a_restart_does_not_save_it() {
    let mut lock = lock("slots");
    let drop_after = fault(FaultKind::DropAfter);
    lock.fault(
        at(0).mono,
        Fault {
            after_s: Some(30),
            ..drop_after
        },
    );
    let done = lock.perform(at(0), &put("4711", Window::Ongoing));
    assert_eq!(done.finding, PROVEN);
    let due = lock.next_change(at(1)).unwrap();
    assert!(due >= at(30).mono && due <= at(31).mono, "{due:?}");
    let stored = serde_json::to_string(lock.memory()).unwrap();
    let mut lock = SimLock::new(lock.setup().clone(), serde_json::from_str(&stored).unwrap());
    lock.pass(at(30));
    assert_eq!(lock.table().len(), 1);
    let read = lock.perform(at(31), &Step::Read);
    assert_eq!((read.finding, read.changed), (Finding::Table(Vec::new()), true));
    assert_eq!(lock.next_change(at(31)), None);
}

#[test]
fn out_of_reach_by_hand_and_by_timetable() {
    let mut lock = lock("slots");
    lock.set_away(vec![Spell {
        from: at(10).mono,
        until: at(20).mono,
    }]);
    let asked = |lock: &mut SimLock, s| lock.perform(at(s), &Step::Read).finding == Finding::Unanswered;
    assert_eq!(
        [9, 10, 19, 20].map(|s| asked(&mut lock, s)),
        [false, true, true, false]
    );
    assert_eq!((lock.disconnect(), lock.disconnect()), (true, false));
    assert_eq!(lock.perform(at(30), &Step::Read).took, lock.setup().silence_after);
    assert_eq!((lock.connect(), lock.connect()), (true, false));
    assert!(!asked(&mut lock, 31));
    assert_eq!(
        (lock.remove(), lock.remove(), lock.connect()),
        (true, false, false)
    );
    assert!(asked(&mut lock, 32));
}

#[test]
fn the_keypad_honours_a_window_only_where_the_lock_enforces_it() {
    let mut lock = lock("keypad-6");
    let window = Window::between(at(10).wall, at(20).wall).unwrap();
    assert_eq!(lock.perform(at(0), &put("739185", window)).finding, PROVEN);
    assert!(!lock.keypad(at(9), &pin("739185")));
    assert!(lock.keypad(at(10), &pin("739185")) && lock.keypad(at(19), &pin("739185")));
    assert!(!lock.keypad(at(20), &pin("739185")) && !lock.keypad(at(15), &pin("739186")));
    let add = ByHand::Add {
        slot: None,
        code: pin("333444"),
    };
    assert_eq!(lock.by_hand(at(20), &add), Ok(Slot(2)));
    assert!(lock.keypad(at(99), &pin("333444")));
    let mut slots = self::lock("slots");
    // It keeps no window, so that what was asked for is not what it holds.
    assert_eq!(
        slots.perform(at(0), &put("4711", window)).finding,
        Finding::Denied
    );
    assert!(slots.keypad(at(99), &pin("4711")));
}

#[test]
fn hands_keep_to_the_rules_of_the_lock() {
    let mut lock = lock("slots");
    let mut hand = |text: &str| {
        let change: ByHand = serde_json::from_str(text).unwrap();
        lock.by_hand(at(0), &change)
    };
    assert_eq!(hand(r#"{"op":"add","code":"4711"}"#), Ok(Slot(1)));
    let refused = |objection| Err(HandError::Refused(objection));
    assert_eq!(
        hand(r#"{"op":"add","slot":1,"code":"0815"}"#),
        refused(Objection::SlotTaken)
    );
    assert_eq!(
        hand(r#"{"op":"add","slot":2,"code":"4711"}"#),
        refused(Objection::Duplicate)
    );
    assert_eq!(hand(r#"{"op":"add","code":"123"}"#), refused(Objection::Other));
    assert_eq!(
        hand(r#"{"op":"change","slot":2,"code":"0815"}"#),
        Err(HandError::Absent)
    );
    assert_eq!(hand(r#"{"op":"change","slot":1,"code":"0815"}"#), Ok(Slot(1)));
    assert_eq!(hand(r#"{"op":"remove","code":"4711"}"#), Err(HandError::Absent));
    assert_eq!(hand(r#"{"op":"remove","code":"0815"}"#), Ok(Slot(1)));
    assert_eq!(hand(r#"{"op":"remove"}"#), Err(HandError::Absent));
}
