//! What is told of a code is what its lock says of it, and nothing better.

use lockbridge::model::Outage;

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

    /// The lock does what it is asked, and its radio goes away before it can say so.
    fn be_cut_off(&mut self) {
        let (call, mut outcome) = self.perform();
        outcome.findings.fill(Finding::Cut);
        self.tell(Event::Done(call, outcome));
        self.lose_radio();
    }

    fn lose_radio(&mut self) {
        let radio = RadioId("radio".into());
        self.tell(Event::Radio(radio, Some(Outage::Server)));
        while let Some(exchange) = self.under_way.pop_front() {
            let outcome = Outcome::untried(exchange.steps.len());
            self.tell(Event::Done(exchange.call, outcome));
        }
    }

    fn count(&self, kind: EventKind) -> usize {
        self.gateway.events().filter(|event| event.kind == kind).count()
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

#[test]
fn what_a_lock_says_is_not_ours_still_is_not_after_a_start() {
    let mut site = Site::with("keypad-6");
    site.by_hand(None, "345678");
    let code = site.create(Some("345678"), until(HOUR), None).code;
    let (call, outcome) = site.perform();
    site.tell(Event::Done(call, outcome));
    assert_eq!(site.reason(code), Some(Waiting::Refused(Objection::Duplicate)));
    site.start();
    site.wait(120);
    assert_eq!(site.status(code), Some(Status::Setting));
    assert_eq!(site.gateway.unmanaged(DEVICE).len(), 1);
    site.wait(2 * HOUR);
    assert_eq!(site.on_lock(), ["345678"]);
}

#[test]
fn what_a_lock_was_never_asked_to_take_is_somebody_elses_after_a_start_too() {
    let mut site = Site::with("keypad-6");
    site.lose_radio();
    site.create(Some("345678"), until(HOUR), None);
    site.by_hand(None, "345678");
    site.start();
    site.wait(2 * HOUR);
    assert_eq!(site.on_lock(), ["345678"]);
}

#[test]
fn what_was_sent_after_an_export_is_taken_off_after_its_import() {
    for profile in ["slots", "keypad-6", "masked", "write-only"] {
        let mut site = Site::with(profile);
        site.lose_radio();
        site.create(Some("345678"), until(HOUR), None);
        let export = site.export();
        site.tell(Event::Radio(RadioId("radio".into()), None));
        site.settle();
        assert_eq!(site.lock.table().len(), 1, "{profile}");
        site.pass(Duration::from_secs(2 * HOUR));
        site.restore(&export);
        site.wait(600);
        assert!(site.lock.table().is_empty(), "{profile}");
    }
}

#[test]
fn what_a_lock_may_have_taken_before_a_start_is_taken_off_at_its_end() {
    for profile in ["slots", "keypad-6", "masked", "write-only"] {
        let mut site = Site::with(profile);
        // Refused first, so that it is sent a second time.
        site.fault(FaultKind::Refuse, Some(1));
        site.create(Some("345678"), until(HOUR), None);
        site.settle();
        while site.lock.table().is_empty() {
            match site.under_way.is_empty() {
                true => {
                    site.pass(Duration::from_secs(1));
                    site.tell(Event::Timer);
                }
                false => {
                    let (call, outcome) = site.perform();
                    if site.lock.table().is_empty() {
                        site.tell(Event::Done(call, outcome));
                    }
                }
            }
        }
        // The power fails before it can say so, and comes back when the stay is over.
        site.pass(Duration::from_secs(2 * HOUR));
        site.start();
        site.wait(600);
        assert!(site.lock.table().is_empty(), "{profile}");
    }
}

#[test]
fn past_its_end_a_code_on_a_removed_device_is_to_be_removed() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), until(HOUR), None).code;
    site.wait(600);
    site.gateway = booted_without_it(&mut site.disk, site.now);
    site.told = site.newest_event();
    site.tell(Event::Timer);
    assert_eq!(site.status(code), Some(Status::Set));
    site.wait(2 * HOUR);
    assert_eq!(site.status(code), Some(Status::Removing));
    site.start();
    site.wait(60);
    assert_eq!(
        site.status(code),
        Some(Status::Unset),
        "it is back, and the code is off it"
    );
}

#[test]
fn a_code_that_is_to_go_is_not_told_to_be_set_when_it_is_seen() {
    let mut site = Site::with("slots");
    let code = site.create(Some("345678"), until(HOUR), None).code;
    site.wait(600);
    let proven = |site: &Site| site.gateway.receipt(code, site.now).unwrap().last_proven;
    let before = (site.count(EventKind::CodeSet), proven(&site));
    site.fault(FaultKind::Refuse, None);
    site.wait(HOUR);
    for _ in 0..3 {
        site.tell(Event::Verify(DEVICE));
        site.wait(60);
    }
    assert_eq!(site.status(code), Some(Status::Removing));
    assert_eq!((site.count(EventKind::CodeSet), proven(&site)), before);
    site.fault(FaultKind::None, None);
    site.wait(HOUR);
    assert_eq!(site.status(code), Some(Status::Unset));
    assert!(site.on_lock().is_empty());
}

#[test]
fn what_was_cut_off_may_stand_on_the_lock() {
    let mut site = Site::with("keypad-6");
    let code = site.create(Some("345678"), until(5 * HOUR), None).code;
    site.wait(600);
    site.update(code, None, between(3 * HOUR, 5 * HOUR));
    site.be_cut_off();
    site.update(code, None, between(0, 6 * HOUR));
    assert_eq!(site.status(code), Some(Status::Setting));
}

#[test]
fn what_was_asked_before_a_start_may_stand_on_the_lock() {
    let mut site = Site::with("keypad-6");
    let code = site.create(Some("345678"), until(5 * HOUR), None).code;
    site.wait(600);
    site.update(code, None, between(3 * HOUR, 5 * HOUR));
    site.perform();
    site.start();
    site.lose_radio();
    site.update(code, None, between(0, 6 * HOUR));
    assert_eq!(site.status(code), Some(Status::Setting));
}

#[test]
fn what_never_went_out_leaves_a_code_as_it_was_proven() {
    let mut site = Site::with("keypad-6");
    let code = site.create(Some("345678"), until(5 * HOUR), None).code;
    site.wait(600);
    site.update(code, None, between(3 * HOUR, 5 * HOUR));
    let exchange = site.under_way.pop_front().unwrap();
    let outcome = Outcome::silence(exchange.steps.len(), Duration::from_secs(1));
    site.tell(Event::Done(exchange.call, outcome));
    site.update(code, None, between(0, 6 * HOUR));
    assert_eq!(site.status(code), Some(Status::Set));
}

/// Retained topics are looked up anew only when something is said to have changed.
#[test]
fn that_a_lock_lets_a_guest_in_from_now_on_is_news() {
    let mut site = Site::with("keypad-6");
    let start = START + Duration::from_secs(2 * HOUR);
    let stay = Window::between(start, start + Duration::from_secs(HOUR)).unwrap();
    let code = site.create(None, stay, Some("stay 1")).code;
    site.wait(HOUR);
    assert_ne!(site.status(code), Some(Status::Set));
    site.news.clear();
    site.wait(HOUR + 1);
    assert_eq!(site.status(code), Some(Status::Set));
    let group = Subject::Group(GroupKey("stay 1".into()));
    assert!(site.news.contains(&group) && site.news.contains(&Subject::Device(DEVICE)));
}

#[test]
fn that_a_lock_lets_a_guest_in_no_more_is_news_while_it_is_away() {
    let mut site = Site::with("keypad-6");
    let code = site.create(None, until(2 * HOUR), Some("stay 1")).code;
    site.wait(HOUR);
    site.lose_radio();
    site.update(code, None, between(0, 5 * HOUR));
    assert_eq!(site.status(code), Some(Status::Set));
    site.news.clear();
    site.wait(HOUR);
    assert_ne!(site.status(code), Some(Status::Set));
    assert!(site.news.contains(&Subject::Group(GroupKey("stay 1".into()))));
}
