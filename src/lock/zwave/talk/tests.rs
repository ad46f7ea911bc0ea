//! A lock of which every answer is written down beforehand, and what was asked of it.

use std::collections::VecDeque;
use std::sync::Mutex;

use uuid::Uuid;

use super::*;
use crate::lock::sim::Setup;
use crate::model::{AttemptId, CodeId};

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

impl Node for Script {
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
    let small = Capabilities {
        reserved: [Slot(1), Slot(2)].into(),
        capacity: 2,
        ..lock()
    };
    for (there, objection) in [("1234", Objection::Other), ("4711", Objection::Duplicate)] {
        let refused = vec![EMPTY, NOWHERE, NO, EMPTY, holds(there)];
        let (finding, _) = talk(&small, &put(&[]), refused).await;
        assert_eq!(finding, Finding::Refused(objection), "the reason is looked for");
    }
    let there = vec![EMPTY, NOWHERE, NO, holds("4711")];
    assert_eq!(found(&put(&[]), there).await, Finding::Proven(How::ReadBack));
}

#[tokio::test]
async fn a_code_that_is_switched_off_is_no_proof() {
    let off = Line::Held(Ok(Held::Digits {
        pin: pin("4711"),
        enabled: false,
    }));
    let lines = vec![off.clone(), NOWHERE, YES, holds("4711")];
    assert_eq!(
        found(&put(&["4711"]), lines).await,
        Finding::Proven(How::ReadBack)
    );
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
    let refused = vec![HIDDEN, YES, EMPTY, NOWHERE, NO, HIDDEN, HIDDEN];
    let no = Finding::Refused(Objection::Other);
    assert_eq!(found(&put(&["1234"]), refused).await, no);
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
    for (closed, expected) in [
        (Closed::Unsecured, Finding::Refused(Objection::Unsecured)),
        (Closed::NoCodes, Finding::Refused(Objection::Other)),
        (Closed::NotInterviewed, Finding::Unanswered),
    ] {
        let lock = Capabilities {
            closed: Some(closed),
            ..lock()
        };
        assert_eq!(talk(&lock, &put(&[]), Vec::new()).await, (expected, Vec::new()));
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
