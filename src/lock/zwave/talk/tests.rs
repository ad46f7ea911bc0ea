//! A lock of which every answer is written down beforehand, and what was asked of it.

use std::collections::VecDeque;
use std::sync::Mutex;

use uuid::Uuid;

use super::*;
use crate::lock::sim::Setup;
use crate::model::{AttemptId, CodeId, Mono};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Look(u16),
    Write(u16, bool),
    Erase(u16),
    Remembered,
    Move,
    Bolt,
}

#[derive(Clone, Debug)]
enum Line {
    Held(Result<Held, Failed>),
    Said(Result<Said, Failed>),
    Slots(Vec<Slot>),
    At(Option<bool>),
}

struct Script {
    lines: Mutex<VecDeque<Line>>,
    asked: Mutex<Vec<Asked>>,
}

impl Script {
    fn next(&self, asked: Asked) -> Line {
        let line = self.lines.lock().unwrap().pop_front();
        let line = line.unwrap_or_else(|| panic!("nothing was to be asked any more: {asked:?}"));
        self.asked.lock().unwrap().push(asked);
        line
    }

    fn held(&self, asked: Asked) -> Result<Held, Failed> {
        match self.next(asked) {
            Line::Held(held) => held,
            other => panic!("{other:?}"),
        }
    }

    fn said(&self, asked: Asked) -> Result<Said, Failed> {
        match self.next(asked) {
            Line::Said(said) => said,
            other => panic!("{other:?}"),
        }
    }
}

impl Commands for Script {
    async fn look(&self, slot: Slot) -> Result<Held, Failed> {
        self.held(Asked::Look(slot.0))
    }

    async fn write(&self, slot: Slot, _: &Pin, over: bool) -> Result<Said, Failed> {
        self.said(Asked::Write(slot.0, over))
    }

    async fn erase(&self, slot: Slot) -> Result<Said, Failed> {
        self.said(Asked::Erase(slot.0))
    }

    async fn remembered(&self, _: &Pin) -> Result<Vec<Slot>, Failed> {
        match self.next(Asked::Remembered) {
            Line::Slots(slots) => Ok(slots),
            other => panic!("{other:?}"),
        }
    }

    async fn move_bolt(&self, _: Deed) -> Result<Said, Failed> {
        self.said(Asked::Move)
    }

    async fn bolt(&self) -> Result<Option<bool>, Failed> {
        match self.next(Asked::Bolt) {
            Line::At(locked) => Ok(locked),
            other => panic!("{other:?}"),
        }
    }

    async fn pause(&self, _: Duration) {}
}

fn pin(digits: &str) -> Pin {
    Pin::parse(digits).unwrap()
}

fn lock() -> Capabilities {
    Setup::profile("slots").unwrap().capabilities
}

fn put(stale: &[&str]) -> Step {
    Step::Put {
        code: CodeId(Uuid::nil()),
        generation: 1,
        slot: Slot(3),
        content: Content {
            pin: pin("4711"),
            name: None,
            window: Window::Ongoing,
        },
        stale: stale.iter().map(|digits| pin(digits)).collect(),
    }
}

fn remove(pins: &[&str]) -> Step {
    Step::Remove {
        code: CodeId(Uuid::nil()),
        generation: 1,
        slot: Slot(3),
        pins: pins.iter().map(|digits| pin(digits)).collect(),
    }
}

fn holds(digits: &str) -> Line {
    Line::Held(Ok(Held::Digits {
        pin: pin(digits),
        enabled: true,
    }))
}

const EMPTY: Line = Line::Held(Ok(Held::Empty));
const HIDDEN: Line = Line::Held(Ok(Held::Hidden));
const YES: Line = Line::Said(Ok(Said::Yes));
const NO: Line = Line::Said(Ok(Said::No(Objection::Other)));
const UNKNOWN: Line = Line::Said(Ok(Said::Unknown));
const FOREIGN: Line = Line::Held(Ok(Held::Foreign));
const NOWHERE: Line = Line::Slots(Vec::new());

/// What comes of a step when the lock answers so, and what it was asked. The script is used up.
async fn talk(lock: &Capabilities, step: &Step, lines: Vec<Line>) -> (Finding, Vec<Asked>) {
    let script = Script {
        lines: Mutex::new(lines.into()),
        asked: Mutex::default(),
    };
    let finding = Talk::new(&script, lock).carry_out(step).await;
    let left = script.lines.into_inner().unwrap();
    assert!(left.is_empty(), "it was not asked all: {left:?}");
    (finding, script.asked.into_inner().unwrap())
}

async fn found(step: &Step, lines: Vec<Line>) -> Finding {
    talk(&lock(), step, lines).await.0
}

#[tokio::test]
async fn a_slot_is_looked_at_before_and_after_a_write_whatever_was_said_of_it() {
    use Asked::{Look, Remembered, Write};
    let (finding, asked) = talk(&lock(), &put(&[]), vec![EMPTY, NOWHERE, YES, holds("4711")]).await;
    assert_eq!(finding, Finding::Proven(How::ReadBack));
    assert_eq!(asked, [Look(3), Remembered, Write(3, false), Look(3)]);
    // Supervision said yes, and nothing is there; it said no, and the code is there.
    let lie = vec![EMPTY, NOWHERE, YES, EMPTY];
    assert_eq!(found(&put(&[]), lie).await, Finding::Denied);
    let other = vec![EMPTY, NOWHERE, YES, holds("1174")];
    assert_eq!(found(&put(&[]), other).await, Finding::Denied);
    let refused = vec![EMPTY, NOWHERE, NO, EMPTY];
    let no = Finding::Refused(Objection::Other);
    assert_eq!(found(&put(&[]), refused).await, no);
    let there = vec![EMPTY, NOWHERE, NO, holds("4711")];
    assert_eq!(found(&put(&[]), there).await, Finding::Proven(How::ReadBack));
}

#[tokio::test]
async fn what_nobody_knows_is_looked_at_once_more() {
    use Asked::{Look, Remembered, Write};
    let proven = Finding::Proven(How::ReadBack);
    // It is stored, and shown only some seconds later.
    let late = vec![EMPTY, NOWHERE, UNKNOWN, EMPTY, holds("4711")];
    let (finding, asked) = talk(&lock(), &put(&[]), late).await;
    assert_eq!(finding, proven);
    assert_eq!(asked, [Look(3), Remembered, Write(3, false), Look(3), Look(3)]);
    let at_once = vec![EMPTY, NOWHERE, UNKNOWN, holds("4711")];
    assert_eq!(found(&put(&[]), at_once).await, proven);
    let never = vec![EMPTY, NOWHERE, UNKNOWN, EMPTY, EMPTY];
    let no = Finding::Refused(Objection::Other);
    assert_eq!(found(&put(&[]), never).await, no);
    let gone = vec![holds("4711"), UNKNOWN, holds("4711"), EMPTY];
    assert_eq!(found(&remove(&["4711"]), gone).await, proven);
    let kept = vec![holds("4711"), UNKNOWN, holds("4711"), holds("4711")];
    assert_eq!(found(&remove(&["4711"]), kept).await, no);
}

#[tokio::test]
async fn a_code_that_is_switched_off_is_no_proof_and_is_written_anew() {
    use Asked::{Erase, Look, Remembered, Write};
    let off = Line::Held(Ok(Held::Digits {
        pin: pin("4711"),
        enabled: false,
    }));
    // The driver would keep it switched off: it goes first.
    let lines = vec![off.clone(), YES, EMPTY, NOWHERE, YES, holds("4711")];
    let (finding, asked) = talk(&lock(), &put(&["4711"]), lines).await;
    assert_eq!(finding, Finding::Proven(How::ReadBack));
    let expected = [Look(3), Erase(3), Look(3), Remembered, Write(3, false), Look(3)];
    assert_eq!(asked, expected);
    let lines = vec![EMPTY, NOWHERE, YES, off.clone()];
    assert_eq!(found(&put(&[]), lines).await, Finding::Denied);
    let mut one = lock();
    one.capacity = 1;
    let (finding, _) = talk(&one, &Step::Read, vec![off]).await;
    let Finding::Table(table) = finding else {
        panic!("{finding:?}")
    };
    assert_ne!(table[0].window, Window::Ongoing, "it opens nothing");
}

#[tokio::test]
async fn somebody_elses_code_is_neither_overwritten_nor_shared_nor_erased() {
    let taken = Finding::Refused(Objection::SlotTaken);
    let twice = Finding::Refused(Objection::Duplicate);
    assert_eq!(found(&put(&[]), vec![holds("9999")]).await, taken);
    assert_eq!(found(&put(&["1234"]), vec![holds("9999")]).await, taken);
    assert_eq!(found(&put(&[]), vec![holds("4711")]).await, twice);
    assert_eq!(found(&put(&[]), vec![HIDDEN]).await, taken);
    // What the server remembers is asked of the lock before it counts.
    let elsewhere = Line::Slots(vec![Slot(3), Slot(9)]);
    let lines = vec![EMPTY, elsewhere.clone(), holds("4711")];
    assert_eq!(found(&put(&[]), lines).await, twice);
    let lines = vec![EMPTY, elsewhere, holds("9999"), YES, holds("4711")];
    assert_eq!(found(&put(&[]), lines).await, Finding::Proven(How::ReadBack));
    let gone = Finding::Proven(How::ReadBack);
    assert_eq!(found(&remove(&["4711"]), vec![holds("9999")]).await, gone);
    assert_eq!(found(&remove(&[]), vec![HIDDEN]).await, gone);
    // Letters, or somebody else's user.
    assert_eq!(found(&put(&["4711"]), vec![FOREIGN]).await, taken);
    assert_eq!(found(&remove(&["4711"]), vec![FOREIGN]).await, gone);
    let mut one = lock();
    one.capacity = 1;
    let script = Script {
        lines: Mutex::new(vec![FOREIGN].into()),
        asked: Mutex::default(),
    };
    let mut read = Talk::new(&script, &one);
    let Finding::Table(table) = read.carry_out(&Step::Read).await else {
        panic!("it was read")
    };
    assert_eq!((table.len(), &table[0].pin), (1, &None));
    assert!(!read.masked, "one code of letters hides no digits of the others");
}

#[tokio::test]
async fn a_lock_without_digits_is_emptied_and_seen_empty_before_it_is_written() {
    use Asked::{Erase, Look, Remembered, Write};
    let lines = vec![HIDDEN, YES, EMPTY, NOWHERE, YES, HIDDEN];
    let (finding, asked) = talk(&lock(), &put(&["1234"]), lines).await;
    assert_eq!(finding, Finding::Proven(How::Acknowledged));
    let expected = [Look(3), Erase(3), Look(3), Remembered, Write(3, false), Look(3)];
    assert_eq!(asked, expected);
    // It is not written while the old code may still be there.
    let kept = vec![HIDDEN, YES, HIDDEN];
    assert_eq!(found(&put(&["1234"]), kept).await, Finding::Denied);
    // Seen empty, it can hold nothing but ours, whatever was said.
    for said in [YES, NO, UNKNOWN] {
        let acknowledged = Finding::Proven(How::Acknowledged);
        let over = vec![HIDDEN, YES, EMPTY, NOWHERE, said.clone(), HIDDEN];
        assert_eq!(found(&put(&["1234"]), over).await, acknowledged);
        let first = vec![EMPTY, NOWHERE, said, HIDDEN];
        assert_eq!(found(&put(&[]), first).await, acknowledged);
    }
    // It hides what it showed before: it may be the old one.
    let hides = vec![holds("1234"), NOWHERE, YES, HIDDEN];
    assert_eq!(found(&put(&["1234"]), hides).await, Finding::Denied);
}

#[tokio::test]
async fn silence_and_a_missing_radio_are_told_apart() {
    let silent = || Line::Held(Err(Failed::Silent));
    let away = || Line::Held(Err(Failed::Away));
    assert_eq!(found(&put(&[]), vec![silent()]).await, Finding::Unanswered);
    // Nothing was sent that changes the lock: it counts as not asked.
    assert_eq!(found(&put(&[]), vec![away()]).await, Finding::Untried);
    let cut = vec![EMPTY, NOWHERE, Line::Said(Err(Failed::Away))];
    assert_eq!(found(&put(&[]), cut).await, Finding::Cut);
    let cut = vec![EMPTY, NOWHERE, YES, away()];
    assert_eq!(found(&put(&[]), cut).await, Finding::Cut);
    assert_eq!(found(&remove(&["4711"]), vec![away()]).await, Finding::Untried);
    assert_eq!(found(&Step::Read, vec![EMPTY, away()]).await, Finding::Untried);
    // Half a table is none.
    let half = vec![holds("4711"), silent()];
    assert_eq!(found(&Step::Read, half).await, Finding::Unanswered);
}

#[tokio::test]
async fn a_lock_that_may_not_have_it_is_sent_no_pin() {
    let with = |closed| Capabilities {
        closed: Some(closed),
        read_back: ReadBack::None,
        ..lock()
    };
    for (closed, expected) in [
        (Closed::Unsecured, Finding::Refused(Objection::Unsecured)),
        (Closed::NoCodes, Finding::Refused(Objection::Other)),
        (Closed::NotInterviewed, Finding::Untried),
    ] {
        let asked = talk(&with(closed), &put(&[]), Vec::new()).await;
        assert_eq!(asked, (expected, Vec::new()));
    }
    // What was ours there before is taken off, and nothing else.
    let gone = Finding::Proven(How::ReadBack);
    let unsecured = with(Closed::Unsecured);
    let ours = vec![holds("4711"), YES, EMPTY];
    assert_eq!(talk(&unsecured, &remove(&["4711"]), ours).await.0, gone);
    let theirs = vec![holds("9999")];
    assert_eq!(talk(&unsecured, &remove(&["4711"]), theirs).await.0, gone);
    let unknown = with(Closed::NotInterviewed);
    for step in [remove(&["4711"]), Step::Read] {
        assert_eq!(
            talk(&unknown, &step, Vec::new()).await,
            (Finding::Untried, Vec::new())
        );
    }
    let lock = Capabilities {
        reserved: [Slot(3)].into(),
        ..lock()
    };
    let full = Finding::Refused(Objection::Full);
    assert_eq!(talk(&lock, &put(&[]), Vec::new()).await, (full, Vec::new()));
}

#[tokio::test]
async fn reserved_slots_are_not_even_looked_at() {
    let lock = Capabilities {
        reserved: [Slot(2)].into(),
        capacity: 2,
        ..lock()
    };
    let (_, asked) = talk(&lock, &Step::Read, vec![EMPTY, EMPTY]).await;
    assert_eq!(asked, [Asked::Look(1), Asked::Look(3)]);
}

#[tokio::test]
async fn a_door_is_believed_once_its_bolt_has_moved() {
    let step = Step::Door {
        attempt: AttemptId(Uuid::nil()),
        deed: Deed::Lock,
        not_after: Mono(0),
    };
    let at = |locked| Line::At(Some(locked));
    let (finding, asked) = talk(&lock(), &step, vec![YES, at(false), Line::At(None), at(true)]).await;
    assert_eq!(finding, Finding::Proven(How::ReadBack));
    assert_eq!(asked, [Asked::Move, Asked::Bolt, Asked::Bolt, Asked::Bolt]);
    assert_eq!(found(&step, vec![NO]).await, Finding::Refused(Objection::Other));
    let mut stuck = vec![YES];
    stuck.extend((0..BOLT_LOOKS).map(|_| at(false)));
    assert_eq!(found(&step, stuck).await, Finding::Denied);
    let cut = vec![Line::Said(Err(Failed::Away))];
    assert_eq!(found(&step, cut).await, Finding::Cut);
}
