//! What is told of a code is what its lock says of it, and nothing better.

use super::*;

/// Times in seconds from the start.
fn between(from: u64, until: u64) -> NewTimes {
    NewTimes::Bound {
        starts_at: Some(START + Duration::from_secs(from)),
        ends_at: Some(START + Duration::from_secs(until)),
    }
}

impl Site {
    #[track_caller]
    fn leave_times_to_us(&mut self, code: CodeId, times: NewTimes) {
        let job = Update {
            code,
            device: None,
            pin: None,
            name: None,
            times,
            attempt_offline: true,
            prefer_native: Some(false),
        };
        assert_eq!(self.ask(Verb::Update, None, Request::Update(job)), Answer::Ok);
    }

    /// The lock is read, and shows every code as one that never opens: switched off, as Z-Wave locks can have them.
    fn read_switched_off(&mut self) {
        self.tell(Event::Verify(DEVICE));
        let (call, mut outcome) = self.perform();
        let tables = outcome.findings.iter_mut().filter_map(|finding| match finding {
            Finding::Table(table) => Some(table),
            _ => None,
        });
        for entry in tables.flatten() {
            entry.window = Window::between(Timestamp(i64::MIN), Timestamp(i64::MIN + 1)).unwrap();
        }
        self.tell(Event::Done(call, outcome));
    }
}

#[test]
fn a_code_that_was_switched_off_on_its_lock_is_not_set() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), Window::Ongoing, None).code;
    site.wait(600);
    assert_eq!(site.status(code), Some(Status::Set));
    site.read_switched_off();
    assert_eq!(site.status(code), Some(Status::Setting));
    site.wait(600);
    assert_eq!(site.status(code), Some(Status::Set), "set anew");
}

#[test]
fn a_code_that_is_found_switched_off_is_not_told_to_be_set() {
    let mut site = Site::with("slots");
    site.create(Some("345678"), Window::Ongoing, None);
    let (call, mut outcome) = site.perform();
    outcome.findings.fill(Finding::Refused(Objection::Other));
    site.tell(Event::Done(call, outcome));
    site.read_switched_off();
    assert!(!site.has_told(EventKind::CodeSet) && !site.has_told(EventKind::CodeScheduled));
    site.wait(600);
    assert!(site.has_told(EventKind::CodeSet), "set anew");
}

#[test]
fn a_window_that_ends_on_the_lock_is_its_end_there() {
    let mut site = Site::with("keypad-6");
    let code = site.create(Some("345678"), until(HOUR), None).code;
    site.wait(600);
    site.fault(FaultKind::Hang, None);
    site.leave_times_to_us(code, between(0, 5 * HOUR));
    site.wait(600);
    assert_eq!(site.status(code), Some(Status::Set), "it still opens");
    site.wait(HOUR);
    assert_eq!(site.status(code), Some(Status::Setting));
    site.fault(FaultKind::None, None);
    site.wait(600);
    assert_eq!(site.status(code), Some(Status::Set));
}

#[test]
fn a_window_that_begins_on_the_lock_has_not_begun_before() {
    let mut site = Site::with("keypad-6");
    let window = Window::between(START + Duration::from_secs(2 * HOUR), Timestamp::MAX);
    let code = site.create(Some("345678"), window.unwrap(), None).code;
    site.wait(600);
    site.fault(FaultKind::Hang, None);
    site.leave_times_to_us(code, between(900, 5 * HOUR));
    site.wait(HOUR);
    assert_eq!(site.status(code), Some(Status::Setting));
    site.wait(HOUR);
    assert_eq!(site.status(code), Some(Status::Set), "by the lock's own clock");
}
