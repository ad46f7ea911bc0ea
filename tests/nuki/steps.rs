//! Every step of an exchange, and what is found.

use std::time::Duration;

use lockbridge::lock::nuki::{NukiDriver, Trouble, probe};
use lockbridge::model::{AttemptId, Deed, Entry, Finding, How, Mono, Objection, Slot, Step, Window};
use uuid::Uuid;

use super::air::{Cut, Spoil};
use super::house::{House, KINDS, PROVEN, content, driver_of, pin, put, remove, right_pin, stay, wrong_pin};
use super::lock::{Kind, Manner};

const ADD: u16 = 0x41;
const LIST: u16 = 0x43;
const UPDATE: u16 = 0x46;
const REMOVE: u16 = 0x47;

fn door(deed: Deed) -> Step {
    Step::Door {
        attempt: AttemptId(Uuid::from_u128(2)),
        deed,
        not_after: Mono(0),
    }
}

fn no(objection: Objection) -> Finding {
    Finding::Refused(objection)
}

#[tokio::test]
async fn a_code_is_put_moved_recoded_and_removed_and_keeps_its_id() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        house.lock.add(9, 333_444);
        assert_eq!(
            house.ask(&[put(&content(739_185, stay(1, 24)), &[])]).await,
            [PROVEN]
        );
        assert_eq!(house.held(), [(9, 333_444), (10, 739_185)]);
        let row = &house.lock.codes[1];
        assert_eq!(
            (row.name.as_str(), row.enabled, row.limited),
            ("Ada Lovelace", true, true)
        );
        assert_eq!((row.weekdays, row.hours), (0, [0; 4]));

        let before = house.lock.codes[1].until;
        assert_eq!(
            house
                .ask(&[put(&content(739_185, stay(1, 30)), &[739_185])])
                .await,
            [PROVEN]
        );
        assert_ne!(house.lock.codes[1].until, before);
        let ongoing = content(555_666, Window::Ongoing);
        assert_eq!(house.ask(&[put(&ongoing, &[739_185])]).await, [PROVEN]);
        assert_eq!(house.held(), [(9, 333_444), (10, 555_666)]);
        assert!(!house.lock.codes[1].limited);
        assert_eq!(
            (house.count(ADD), house.count(UPDATE), house.count(REMOVE)),
            (1, 2, 0)
        );

        assert_eq!(house.ask(&[remove(&[739_185, 555_666])]).await, [PROVEN]);
        assert_eq!(house.held(), [(9, 333_444)]);
        assert_eq!(house.ask(&[remove(&[739_185, 555_666])]).await, [PROVEN]);
        assert_eq!(house.count(REMOVE), 1);
    }
}

#[tokio::test]
async fn the_table_shows_names_windows_and_strangers() {
    for (kind, wide) in [(Kind::Classic, false), (Kind::Ultra, true)] {
        let mut house = House::new(kind, 1);
        (house.lock.wide_rows, house.lock.chatty) = (wide, true);
        house.lock.add(9, 333_444);
        house.lock.add(4, 445_566);
        house.lock.add(5, 556_677);
        house.lock.codes[1].enabled = false;
        house.lock.codes[2].limited = true;
        house.lock.codes[2].weekdays = 0b0100_0000;
        let steps = [put(&content(739_185, stay(1, 24)), &[]), Step::Read];
        let found = house.ask(&steps).await;
        let Finding::Table(table) = &found[1] else {
            panic!("{found:?}")
        };
        let row = |slot, digits, name: &str, window| Entry {
            slot: Slot(slot),
            pin: Some(pin(digits)),
            name: Some(name.to_owned()),
            window,
        };
        // A code that does not open as ours do shows a window that none of ours has.
        let odd = table[0].window;
        assert!(
            odd != Window::Ongoing && odd.end() < stay(0, 1).start(),
            "{odd:?}"
        );
        let expected = [
            row(4, 445_566, "Cleaner", odd),
            row(5, 556_677, "Cleaner", odd),
            row(9, 333_444, "Cleaner", Window::Ongoing),
            row(10, 739_185, "Ada Lovelace", stay(1, 24)),
        ];
        assert_eq!(*table, expected);
        // What was read back once need not be read again.
        assert_eq!(house.count(LIST), 2);
    }
}

#[tokio::test]
async fn a_long_table_comes_page_by_page() {
    for count in [0, 1, 31, 32, 33, 64, 100] {
        for says_end in [true, false] {
            let mut house = House::new(Kind::Classic, 1);
            house.lock.says_end = says_end;
            for id in 1..=count {
                house.lock.add(id, 333_000 + u32::from(id));
            }
            // The end of the list that comes late is in nobody's way.
            let found = house.ask(&[Step::Read, door(Deed::Unlock)]).await;
            let Finding::Table(table) = &found[0] else {
                panic!("{found:?}")
            };
            let ids: Vec<u16> = table.iter().map(|entry| entry.slot.0).collect();
            assert_eq!(ids, (1..=count).collect::<Vec<u16>>());
            assert_eq!(found[1], Finding::Proven(How::Acknowledged));
            assert!(!house.lock.locked);
        }
    }
}

#[tokio::test]
async fn what_somebody_disabled_or_limited_is_put_right() {
    let mut house = House::new(Kind::Classic, 1);
    let stay = content(739_185, stay(1, 24));
    assert_eq!(house.ask(&[put(&stay, &[])]).await, [PROVEN]);
    let right = house.lock.codes.clone();
    for meddle in [
        |code: &mut super::lock::Code| code.enabled = false,
        |code: &mut super::lock::Code| code.weekdays = 1,
        |code: &mut super::lock::Code| code.hours = [8, 0, 12, 0],
        |code: &mut super::lock::Code| code.name.clear(),
        |code: &mut super::lock::Code| code.limited = false,
    ] {
        meddle(&mut house.lock.codes[0]);
        assert_ne!(house.lock.codes, right);
        assert_eq!(house.ask(&[put(&stay, &[739_185])]).await, [PROVEN]);
        assert_eq!(house.lock.codes, right);
    }
    // Every day, said in another way, is no change.
    house.lock.codes[0].weekdays = 0b0111_1111;
    let updates = house.count(UPDATE);
    assert_eq!(house.ask(&[put(&stay, &[739_185])]).await, [PROVEN]);
    assert_eq!(house.count(UPDATE), updates);
}

#[tokio::test]
async fn a_code_without_a_name_is_one_with_an_empty_name() {
    let mut house = House::new(Kind::Classic, 1);
    let mut nameless = content(739_185, Window::Ongoing);
    nameless.name = None;
    let found = house.ask(&[put(&nameless, &[]), Step::Read]).await;
    assert_eq!(found[0], PROVEN);
    assert!(matches!(&found[1], Finding::Table(table) if table[0].name.is_none()));
}

#[tokio::test]
async fn a_second_entry_of_the_same_code_goes() {
    let mut house = House::new(Kind::Classic, 1);
    for (id, digits) in [(1, 739_185), (2, 555_666), (3, 333_444)] {
        house.lock.add(id, digits);
    }
    let wanted = content(555_666, Window::Ongoing);
    assert_eq!(house.ask(&[put(&wanted, &[739_185, 555_666])]).await, [PROVEN]);
    assert_eq!(house.held(), [(2, 555_666), (3, 333_444)]);
    house.lock.add(4, 739_185);
    assert_eq!(house.ask(&[put(&wanted, &[739_185, 555_666])]).await, [PROVEN]);
    assert_eq!(house.held(), [(2, 555_666), (3, 333_444)]);
}

#[tokio::test]
async fn a_no_is_told_by_its_kind() {
    let wanted = content(739_185, Window::Ongoing);
    // Digits that are there already, without and with the lock's own word.
    let mut house = House::new(Kind::Classic, 1);
    house.lock.add(1, 739_185);
    for stale in [&[][..], &[555_666]] {
        assert_eq!(
            house.ask(&[put(&wanted, stale)]).await,
            [no(Objection::Duplicate)]
        );
    }
    assert_eq!(house.count(ADD), 0);

    let mut house = House::new(Kind::Classic, 1);
    house.lock.capacity = 1;
    house.lock.add(1, 333_444);
    assert_eq!(house.ask(&[put(&wanted, &[])]).await, [no(Objection::Full)]);
    assert_eq!(house.held(), [(1, 333_444)]);

    for (code, finding) in [
        (0x29, no(Objection::Full)),
        (0x2a, no(Objection::Duplicate)),
        (0x20, no(Objection::Credential)),
        (0x25, no(Objection::Credential)),
        (0x23, no(Objection::Other)),
        (0x2b, no(Objection::Other)),
        (0x45, no(Objection::Other)),
        (0xfe, no(Objection::Other)),
        (0x99, no(Objection::Other)),
        (0x22, Finding::Unanswered),
        (0xfd, Finding::Unanswered),
        (0xff, Finding::Unanswered),
    ] {
        let mut house = House::new(Kind::Ultra, 1);
        house.lock.manner = Manner::Objects { code, does_it: false };
        let found = house.ask(&[put(&wanted, &[]), Step::Read]).await;
        assert_eq!(found[0], finding, "{code:#x}");
        let goes_on = matches!(&found[1], Finding::Table(table) if table.is_empty());
        assert_eq!(goes_on, finding != Finding::Unanswered, "{code:#x}");
    }
}

/// An error after which nobody knows whether it was done: the lock's own table decides, not a repeat.
#[tokio::test]
async fn an_unknown_error_may_have_done_it() {
    let mut house = House::new(Kind::Classic, 1);
    let wanted = content(739_185, stay(1, 24));
    house.lock.manner = Manner::Objects {
        code: 0xff,
        does_it: true,
    };
    assert_eq!(house.ask(&[put(&wanted, &[])]).await, [Finding::Unanswered]);
    assert_eq!(house.ask(&[put(&wanted, &[739_185])]).await, [PROVEN]);
    assert_eq!((house.held(), house.count(ADD)), (vec![(1, 739_185)], 1));
}

#[tokio::test]
async fn a_lie_is_denied_by_the_table() {
    let mut house = House::new(Kind::Classic, 1);
    let wanted = content(739_185, Window::Ongoing);
    house.lock.manner = Manner::Liar;
    assert_eq!(house.ask(&[put(&wanted, &[])]).await, [Finding::Denied]);
    house.lock.manner = Manner::Honest;
    assert_eq!(house.ask(&[put(&wanted, &[739_185])]).await, [PROVEN]);
    house.lock.manner = Manner::Liar;
    let moved = content(739_185, stay(1, 2));
    assert_eq!(house.ask(&[put(&moved, &[739_185])]).await, [Finding::Denied]);
    assert_eq!(house.ask(&[remove(&[739_185])]).await, [Finding::Denied]);
}

#[tokio::test]
async fn digits_that_the_keypad_does_not_have_are_not_sent() {
    let mut house = House::new(Kind::Classic, 1);
    for digits in ["012345", "0345678", "120000", "12345", "1234567", "340567"] {
        let mut wrong = content(739_185, Window::Ongoing);
        wrong.pin = lockbridge::model::Pin::parse(digits).unwrap();
        assert_eq!(
            house.ask(&[put(&wrong, &[])]).await,
            [no(Objection::Other)],
            "{digits}"
        );
    }
    assert!(house.lock.done.is_empty());
}

#[tokio::test]
async fn a_wrong_security_pin_is_tried_once() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        house.driver = driver_of(kind, wrong_pin(kind));
        let wanted = put(&content(739_185, Window::Ongoing), &[]);
        let steps = [wanted.clone(), remove(&[555_666]), Step::Read, door(Deed::Unlock)];
        let refused = no(Objection::Credential);
        let door_opens = Finding::Proven(How::Acknowledged);
        for _ in 0..3 {
            // The bolt needs no security PIN.
            let found = house.ask(&steps).await;
            assert_eq!(
                found,
                [
                    refused.clone(),
                    refused.clone(),
                    refused.clone(),
                    door_opens.clone()
                ]
            );
        }
        let (driver, mut link, rng) = house.parts();
        assert_eq!(driver.survey(&mut link, rng).await, Err(Trouble::NoPin));
        assert_eq!(house.lock.wrong_pins, 1);
        house.driver = driver_of(kind, right_pin(kind));
        assert_eq!(house.ask(&[wanted]).await, [PROVEN]);
    }
}

#[tokio::test]
async fn a_lock_that_takes_no_more_pins_says_so() {
    let mut house = House::new(Kind::Classic, 1);
    house.lock.wrong_pins = 3;
    assert_eq!(house.ask(&[Step::Read]).await, [no(Objection::Credential)]);
    house.lock.wrong_pins = 0;
    let done = house.lock.done.len();
    assert_eq!(house.ask(&[Step::Read]).await, [no(Objection::Credential)]);
    assert_eq!(house.lock.done.len(), done, "it is not asked again at once");
    // It was not this PIN that was wrong.
    assert!(house.driver.has_pin() && house.driver.is_locked_out());
    house.driver.let_in();
    assert_eq!(house.ask(&[Step::Read]).await, [Finding::Table(Vec::new())]);
}

#[tokio::test]
async fn what_a_test_left_behind_is_taken_off_and_what_only_looks_like_it_stays() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        let left = probe(pin(739_185), stay(1, 24).start());
        let mut longer = probe(pin(555_666), stay(1, 24).start());
        longer.window = stay(1, 24);
        let mut ongoing = longer.clone();
        (ongoing.pin, ongoing.window) = (pin(777_888), Window::Ongoing);
        for code in [&left, &longer, &ongoing] {
            assert_eq!(house.ask(&[put(code, &[])]).await, [PROVEN]);
        }
        let found = house.ask(&[Step::Read]).await;
        assert!(
            matches!(&found[0], Finding::Table(table) if table.len() == 2),
            "{found:?}"
        );
        assert_eq!(house.held(), [(2, 555_666), (3, 777_888)]);
    }
}

#[tokio::test]
async fn a_bolt_moves_and_a_busy_lock_says_so() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        house.lock.chatty = true;
        let moved = [Finding::Proven(How::Acknowledged)];
        assert_eq!(house.ask(&[door(Deed::Unlock)]).await, moved);
        assert!(!house.lock.locked);
        assert_eq!(house.ask(&[door(Deed::Lock)]).await, moved);
        assert!(house.lock.locked);
        house.lock.busy_after = Some(0);
        let busy = no(Objection::Other);
        assert_eq!(
            house.ask(&[door(Deed::Unlock), Step::Read]).await,
            [busy.clone(), busy]
        );
        assert!(house.lock.locked);
    }
}

#[tokio::test]
async fn a_phone_on_the_lock_and_a_stranger_to_it_are_silence() {
    let mut house = House::new(Kind::Classic, 1);
    let steps = [Step::Read, door(Deed::Unlock)];
    let silence = [Finding::Unanswered, Finding::Untried];
    house.air.phone = true;
    assert_eq!(house.ask(&steps).await, silence);
    house.air.phone = false;
    // It was reset, and knows nobody.
    house.lock.users.clear();
    assert_eq!(house.ask(&steps).await, silence);
}

#[tokio::test]
async fn a_lock_that_says_nothing_has_its_patience_and_no_more() {
    let mut house = House::new(Kind::Classic, 1);
    house.air.hangs = true;
    house.air.cut = Some(Cut::Indication(0));
    let mut hasty = house.driver.capabilities().clone();
    hasty.patience = Duration::from_millis(5);
    let credentials = credentials(&house);
    house.driver = NukiDriver::new(credentials, right_pin(Kind::Classic), hasty);
    let found = house.ask(&[Step::Read, Step::Read]).await;
    assert_eq!(found, [Finding::Unanswered, Finding::Untried]);
}

fn credentials(house: &House) -> lockbridge::lock::nuki::Credentials {
    let (authorization, user) = house.lock.users.first_key_value().unwrap();
    lockbridge::lock::nuki::Credentials {
        model: super::house::model(house.lock.kind),
        authorization: *authorization,
        key: lockbridge::lock::nuki::SharedKey::new(user.key),
        app_id: user.app_id,
    }
}

/// Whatever is spoilt, nothing is believed that is not so, and the next exchange finds the truth.
#[tokio::test]
async fn spoilt_indications_prove_nothing() {
    let wanted = content(739_185, stay(1, 24));
    // Without the end of a list, which nobody waits for once all of it has come: then each indication counts.
    let open = || {
        let mut house = House::new(Kind::Classic, 1);
        house.lock.says_end = false;
        house.lock.add(1, 333_444);
        house
    };
    // Those at the end tell how the lock is, and what it wrote down: nothing hangs on them.
    let mut needed = 0;
    loop {
        let mut house = open();
        house.air.cut = Some(Cut::Indication(needed));
        if house.ask(&[put(&wanted, &[])]).await == [PROVEN] {
            break;
        }
        needed += 1;
    }
    for at in 0..needed {
        for spoil in [Spoil::Garbage, Spoil::Truncated, Spoil::Flipped, Spoil::Replayed] {
            let mut house = open();
            house.air.spoil = Some((at, spoil));
            let found = house.ask(&[put(&wanted, &[])]).await;
            match found[..] {
                [Finding::Unanswered] => {}
                // A message that comes again between two others is skipped; within one it is noise.
                [Finding::Proven(_)] if spoil == Spoil::Replayed => {}
                _ => panic!("{at} {spoil:?} {found:?}"),
            }
            let again = house.ask(&[put(&wanted, &[739_185])]).await;
            assert_eq!(again, [PROVEN], "{at} {spoil:?}");
            assert_eq!(house.held(), [(1, 333_444), (2, 739_185)], "{at} {spoil:?}");
        }
    }
}

#[tokio::test]
async fn whole_answers_that_come_again_are_skipped() {
    let open = || {
        let mut house = House::new(Kind::Classic, 1);
        house.air.lengths = vec![512];
        // It reads its table to us, and will not move its bolt.
        house.lock.busy_after = Some(1);
        house
    };
    let steps = [Step::Read, door(Deed::Unlock)];
    let expected = [Finding::Table(Vec::new()), no(Objection::Other)];
    let mut clean = open();
    assert_eq!(clean.ask(&steps).await, expected);
    for at in 0..clean.air.indications {
        let mut house = open();
        house.air.spoil = Some((at, Spoil::Replayed));
        // Among what comes again is the word that something is complete.
        assert_eq!(house.ask(&steps).await, expected, "{at}");
    }
}

/// The lock said yes to the change, and shows no table: that is neither yes nor no.
#[tokio::test]
async fn a_change_that_cannot_be_read_back_is_open() {
    let mut house = House::new(Kind::Classic, 1);
    house.lock.busy_after = Some(2);
    let wanted = content(739_185, Window::Ongoing);
    assert_eq!(house.ask(&[put(&wanted, &[])]).await, [Finding::Unanswered]);
    house.lock.busy_after = None;
    assert_eq!(house.ask(&[put(&wanted, &[739_185])]).await, [PROVEN]);
    assert_eq!((house.held(), house.count(ADD)), (vec![(1, 739_185)], 1));
}

#[tokio::test]
async fn a_survey_tells_how_the_lock_is() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        let (driver, mut link, rng) = house.parts();
        let survey = driver.survey(&mut link, rng).await.unwrap();
        assert!(survey.config.name == "Front door" && survey.config.has_keypad);
        assert_eq!((survey.states.bolt, survey.states.battery_percent), (1, 90));
    }
}
