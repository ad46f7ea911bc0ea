//! Why a code or a device is as it is: each cause brought about, and the sentence that tells of it.

use std::time::Duration;

use lockbridge::api::answer;
use lockbridge::gateway::Event;
use lockbridge::gateway::view::ExternalChange;
use lockbridge::gateway::why::{CodeCause, DeviceCause, DoubtKind, Next, Obstacle, Wait};
use lockbridge::lock::sim::{ByHand, FaultKind, Setup};
use lockbridge::model::{CodeId, Delete, How, Objection, Request, Slot, Timestamp, Window};

use super::{DEVICE, HOUR, START, Site, Verb, until};

impl Site {
    /// Why a code is as it is; the sentence for people must say all of this, and no secret.
    #[track_caller]
    fn why(&self, code: CodeId, word: &str, says: &[&str]) -> CodeCause {
        let now = self.gateway.now(self.reading());
        let why = self.gateway.why_code(code, now).unwrap();
        let told = serde_json::to_value(answer::why_code(code, &why)).unwrap();
        let sentence = told["sentence"].as_str().unwrap();
        assert_eq!(told["cause"], word, "{sentence}");
        for part in says {
            assert!(sentence.contains(part), "`{sentence}` does not say `{part}`");
        }
        let view = self.gateway.code(code, now).unwrap();
        for secret in ["guest", view.pin.expose()] {
            assert!(!sentence.contains(secret), "`{sentence}` tells `{secret}`");
        }
        why.cause
    }

    #[track_caller]
    fn why_waits(&self, code: CodeId, word: &str, says: &[&str]) -> Wait {
        match self.why(code, word, says) {
            CodeCause::Waits(wait) => wait,
            other => panic!("{other:?}"),
        }
    }

    /// The same of the lock.
    #[track_caller]
    fn why_lock(&self, word: &str, says: &[&str]) -> DeviceCause {
        let why = self
            .gateway
            .why_device(DEVICE, self.gateway.now(self.reading()))
            .unwrap();
        let told = serde_json::to_value(answer::why_device(&why)).unwrap();
        let sentence = told["sentence"].as_str().unwrap();
        assert_eq!(told["cause"], word, "{sentence}");
        for part in says {
            assert!(sentence.contains(part), "`{sentence}` does not say `{part}`");
        }
        why.cause
    }
}

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn stay(from: u64, to: u64) -> Window {
    Window::between(at(from), at(to)).unwrap()
}

/// A lock that holds one code.
fn narrow() -> Site {
    let mut setup = Setup::profile("slots").unwrap();
    setup.capabilities.capacity = 1;
    Site::of(setup)
}

#[test]
fn a_code_that_is_set_says_by_whose_word() {
    for (profile, how, says) in [
        (
            "slots",
            How::ReadBack,
            "stands on Front door, which was read back at 2027-01-04T00:00:0",
        ),
        (
            "write-only",
            How::Acknowledged,
            "which acknowledged it at 2027-01-04T00:00:0",
        ),
    ] {
        let mut site = Site::with(profile);
        let code = site.create(Some("345678"), until(20 * HOUR), None).code;
        site.settle();
        let cause = site.why(code, "proven", &[says]);
        assert!(
            matches!(cause, CodeCause::Proven { how: by, opens_at: None, doubt: None, .. } if by == how),
            "{cause:?}"
        );
        let rest = site.why_lock(
            "at_rest",
            &["Front door answered last at 2027-01-04T00:00:0", "nothing waits"],
        );
        assert!(matches!(rest, DeviceCause::AtRest { due_at: None, .. }));
    }
}

#[test]
fn a_code_whose_time_has_not_come_says_when_it_does() {
    let mut site = Site::with("slots");
    let code = site.create(None, stay(5 * HOUR, 9 * HOUR), None).code;
    let goes_on = [
        "goes onto Front door at 2027-01-04T04:50:00Z",
        "opens at 2027-01-04T05:00:00Z",
    ];
    let cause = site.why(code, "not_due", &goes_on);
    let due_at = at(5 * HOUR - 600);
    let starts_at = at(5 * HOUR);
    let doubt = None;
    assert_eq!(
        cause,
        CodeCause::NotDue {
            due_at,
            starts_at,
            doubt
        }
    );
    site.why_lock("at_rest", &["the next code goes onto it at 2027-01-04T04:50:00Z"]);

    let mut site = Site::with("keypad-6");
    let code = site.create(None, stay(5 * HOUR, 9 * HOUR), None).code;
    site.settle();
    site.why(
        code,
        "scheduled_on_device",
        &["lets it open from 2027-01-04T05:00:00Z"],
    );
}

#[test]
fn a_code_that_is_over_says_since_when() {
    let mut site = Site::with("slots");
    let code = site.create(None, until(HOUR), None).code;
    site.wait(2 * HOUR);
    let over = site.why(
        code,
        "ended",
        &["over since 2027-01-04T01:00:00Z", "Front door does not hold it"],
    );
    assert_eq!(over, CodeCause::Over { since: at(HOUR) });
    assert!(
        site.gateway
            .why_code(CodeId(uuid::Uuid::nil()), site.now)
            .is_none()
    );
}

#[test]
fn a_code_on_a_silent_lock_says_when_it_was_heard_and_is_tried() {
    let mut site = Site::with("slots");
    site.fault(FaultKind::Hang, None);
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    let wait = site.why_waits(
        code,
        "in_line",
        &["to be set on Front door; being tried now, for the first time. Nothing to do."],
    );
    assert_eq!((wait.obstacle, wait.next), (Obstacle::InLine, Next::UnderWay));
    site.wait(50);
    let says = [
        "has waited since 2027-01-04T00:00:00Z to be set on Front door, which was last heard at 2027-01-04T00:00:00Z",
        "tries so far, next at 2027-01-04T00:0",
        "move the gateway nearer, or add one",
    ];
    let wait = site.why_waits(code, "device_silent", &says);
    assert!(
        matches!(wait.obstacle, Obstacle::Silent(_)) && wait.tries > 1,
        "{wait:?}"
    );
    assert!(
        matches!(wait.next, Next::At(next) if site.now.wall < next),
        "{wait:?}"
    );
    let lock = site.why_lock(
        "device_silent",
        &[
            "Front door has been silent since 2027-01-04T00:00:10Z",
            "1 code waits for it",
        ],
    );
    let DeviceCause::Silent {
        tries, next, waiting, ..
    } = lock
    else {
        panic!("{lock:?}");
    };
    assert_eq!((tries, next, waiting), (wait.tries, wait.next, 1));
    site.fault(FaultKind::None, None);
    site.wait(120);
    site.why(code, "proven", &[]);
    site.why_lock("at_rest", &[]);
}

#[test]
fn a_code_that_its_lock_refuses_says_what_the_lock_has_against_it() {
    let mut site = Site::with("slots");
    site.fault(FaultKind::Refuse, None);
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(30);
    let says = ["to be set on Front door, which says no; 1 try so far, next at 2027-01-04T00:01:0"];
    let wait = site.why_waits(code, "refused_by_device", &says);
    assert_eq!(wait.obstacle, Obstacle::Refused(Objection::Other));
    site.why_lock(
        "refused_by_device",
        &["1 code waits for Front door since", "which says no"],
    );

    // Typed in at the lock since it was last read.
    let mut site = Site::with("keypad-6");
    site.by_hand(None, "345678");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(30);
    let says = [
        "which says that it holds the PIN of it already",
        "Remove the code with this PIN at the lock",
    ];
    let wait = site.why_waits(code, "duplicate_code_on_device", &says);
    assert_eq!(wait.obstacle, Obstacle::Refused(Objection::Duplicate));
}

#[test]
fn a_code_that_its_lock_does_not_keep_says_so() {
    let mut site = Site::with("slots");
    site.fault(FaultKind::NoStore, None);
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(30);
    let says = ["which said yes and did not store it", "1 try so far, next at"];
    site.why_waits(code, "not_stored_by_device", &says);
    site.wait(HOUR);
    let says = [
        "has not kept it three times; 3 tries so far, next at 2027-01-04T1",
        "`lockbridge verify DEVICE`",
    ];
    let wait = site.why_waits(code, "not_kept", &says);
    assert_eq!(wait.obstacle, Obstacle::NotKept);
}

#[test]
fn a_code_that_somebody_else_took_off_says_when_that_was_found() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(600);
    let change = ByHand::Remove {
        slot: Some(Slot(1)),
        code: None,
    };
    site.lock.by_hand(site.now, &change).unwrap();
    site.tell(Event::Verify(DEVICE));
    site.settle();
    let says = [
        "on which it was found missing at 2027-01-04T00:10:0",
        "it is set again",
    ];
    let wait = site.why_waits(code, "changed_by_somebody_else", &says);
    assert!(matches!(wait.obstacle, Obstacle::External(e) if e.change == ExternalChange::Removed));
}

#[test]
fn a_code_without_a_place_says_so() {
    // Early, while another's time has come.
    let mut site = narrow();
    site.create(Some("345678"), until(HOUR), None);
    let code = site.create(Some("456789"), stay(HOUR, 2 * HOUR), None).code;
    site.wait(HOUR - 300);
    let cause = site.why(
        code,
        "not_due",
        &["Front door has no place to spare before the code opens at"],
    );
    assert_eq!(cause, CodeCause::Yields { starts_at: at(HOUR) });
    // Due, while the one before cannot be taken off.
    site.fault(FaultKind::Refuse, None);
    site.wait(400);
    let says = ["whose only place is in use; not tried yet, and no try planned"];
    let wait = site.why_waits(code, "waiting_for_slot", &says);
    assert_eq!(
        (wait.obstacle, wait.next),
        (Obstacle::NoSlot { capacity: 1 }, Next::Unplanned)
    );
    site.why_lock("refused_by_device", &["2 codes wait for Front door"]);
}

#[test]
fn after_a_restore_codes_say_what_they_wait_for() {
    let mut site = Site::with("slots");
    let gone = site.create(Some("345678"), until(40 * HOUR), None).code;
    site.wait(600);
    site.lock.disconnect();
    let new = site.create(Some("456789"), Window::Ongoing, None).code;
    site.settle();
    let export = site.export();
    site.lock.connect();
    site.ask(
        Verb::Delete,
        None,
        Request::Delete(Delete {
            code: gone,
            device: None,
        }),
    );
    site.wait(600);
    site.restore(&export);
    site.refuses_reads = true;
    site.wait(60);
    let wait = site.why_waits(new, "not_read_since_restore", &["must be read first", "next at"]);
    assert!(
        matches!(wait.next, Next::At(next) if site.now.wall < next),
        "{wait:?}"
    );
    site.refuses_reads = false;
    site.wait(2 * HOUR);
    site.why(new, "proven", &[]);
    let says = [
        "held it when the gateway's export was made",
        "not tried yet, and no try planned",
        "`lockbridge verify DEVICE`",
    ];
    site.why_waits(gone, "gone_since_export", &says);
}

#[test]
fn a_device_that_left_says_so_for_its_codes_too() {
    let mut site = Site::with("slots");
    let code = site.create(None, Window::Ongoing, None).code;
    site.settle();
    site.tell(Event::Removed(DEVICE));
    let says = [
        "Front door is no longer part of this gateway",
        "Put the device back",
    ];
    assert_eq!(site.why(code, "device_removed", &says), CodeCause::Removed);
    assert_eq!(site.why_lock("device_removed", &says), DeviceCause::Removed);
}

#[test]
fn a_clock_that_does_not_count_is_named_where_it_is_the_cause() {
    let mut site = Site::with("slots");
    let ongoing = site.create(None, Window::Ongoing, None).code;
    let code = site.create(None, stay(5 * HOUR, 9 * HOUR), None).code;
    site.settle();
    // Nothing vouches for it any more.
    site.clock_trusted = false;
    site.tell(Event::Timer);
    let says = [
        "goes onto Front door at 2027-01-04T04:50:00Z",
        "Nothing has vouched for the clock since 2027-01-04T00:00:0",
    ];
    site.why(code, "not_due", &says);
    site.why(ongoing, "proven", &[]);
    // By the clock alone its time has come.
    site.now.wall = at(6 * HOUR);
    site.tell(Event::Timer);
    let cause = site.why(
        code,
        "clock_untrusted",
        &["was due on Front door at 2027-01-04T04:50:00Z"],
    );
    assert!(matches!(cause, CodeCause::Held { doubt, .. } if doubt.kind == DoubtKind::Unvouched));
    // Trusted, and far away from where it was.
    site.clock_trusted = true;
    site.now.wall = at(3 * 24 * HOUR);
    site.tell(Event::Timer);
    let cause = site.why(
        code,
        "clock_untrusted",
        &["The clock jumped at", "`lockbridge clock accept`"],
    );
    assert!(matches!(cause, CodeCause::Held { doubt, .. } if doubt.kind == DoubtKind::Wild));
    site.tell(Event::AcceptClock);
    site.why(code, "ended", &[]);
}
