//! One key for guest after guest: what has ended comes back for the newest one alone (I5, I6).

use std::time::Duration;

use lockbridge::gateway::view::{CodeView, Status};
use lockbridge::gateway::{Answer, DeviceSpec, Event, Verb};
use lockbridge::model::{
    CodeId, Create, Delete, DeviceId, Finding, GroupKey, How, Objection, Outcome, RadioId, Reason, Request,
    Step, UpdateMultiple, Window,
};
use uuid::Uuid;

use super::{DEVICE, HOUR, START, Site, booted_with, until};

const KEY: &str = "room 7";
const OTHER: DeviceId = DeviceId(Uuid::from_u128(2));

impl Site {
    /// The guest of the room leaves at another time, in seconds after the start.
    fn leave_at(&mut self, ends: u64) -> Answer {
        let job = UpdateMultiple {
            key: GroupKey(KEY.into()),
            starts_at: None,
            ends_at: Some(START + Duration::from_secs(ends)),
            name: None,
        };
        self.ask(Verb::UpdateMultiple, None, Request::UpdateMultiple(job))
    }

    /// The gateway starts with these doors, all locks of one kind.
    fn start_with(&mut self, doors: &[DeviceId]) {
        let spec = |device: &DeviceId| DeviceSpec {
            device: *device,
            name: "Door".into(),
            driver: "sim".into(),
            radio: RadioId("radio".into()),
            capabilities: self.lock.setup().capabilities.clone(),
            simulated: true,
        };
        let specs = doors.iter().map(spec).collect();
        self.under_way.clear();
        self.gateway = booted_with(&mut self.disk, specs, self.now);
        self.told = self.newest_event();
        self.tell(Event::Timer);
        self.obey();
    }

    /// The locks say that they do what they are asked, and show no tables.
    fn obey(&mut self) {
        while let Some(exchange) = self.under_way.pop_front() {
            let finding = |step: &Step| match step {
                Step::Read => Finding::Refused(Objection::Other),
                _ => Finding::Proven(How::ReadBack),
            };
            let findings = exchange.steps.iter().map(finding).collect();
            let took = Duration::ZERO;
            self.tell(Event::Done(exchange.call, Outcome { findings, took }));
        }
    }

    /// Time passes over locks that obey.
    fn obeyed_for(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
        self.tell(Event::Timer);
        self.obey();
    }

    #[track_caller]
    fn book(&mut self, device: DeviceId, window: Window) -> CodeView {
        let job = Create {
            device,
            code: None,
            key: Some(GroupKey(KEY.into())),
            preferred_length: Some(6),
            name: None,
            window,
            attempt_offline: true,
            prefer_native: true,
        };
        match self.ask(Verb::Create, None, Request::Create(job)) {
            Answer::CreatedOne(view) => {
                self.obey();
                *view
            }
            other => panic!("{other:?}"),
        }
    }

    fn ended(&self, code: CodeId) -> bool {
        let code = self.gateway.code(code, self.now).unwrap();
        code.over(self.now.wall)
    }
}

#[test]
fn a_key_that_is_used_for_guest_after_guest() {
    let mut site = Site::with("slots");
    let first = site.create(None, until(HOUR), Some(KEY));
    site.wait(2 * HOUR);
    assert!(site.on_lock().is_empty());
    let second = site.create(None, until(5 * HOUR), Some(KEY));
    assert_ne!(first.pin, second.pin);
    site.settle();
    // A late check-out is the second guest's alone.
    assert_eq!(site.leave_at(8 * HOUR), Answer::Ok);
    site.wait(60);
    assert_eq!(site.on_lock(), [second.pin.expose()]);
    // Alone in its group, a code that gets another PIN still is the one that others share.
    site.recode(second.code, "456789");
    assert!(!site.gateway.code(second.code, site.now).unwrap().own_pin);
    let refused = site.try_create(Some("567891"), until(9 * HOUR), Some(KEY));
    assert!(matches!(refused, Answer::Refused(refusal) if refusal.reason == Reason::InvalidInput));
}

#[test]
fn a_check_out_that_is_told_too_late_is_the_last_guests_too() {
    for pin in [None, Some("345678")] {
        let mut site = Site::with("slots");
        let first = site.create(pin, until(HOUR), Some(KEY)).code;
        site.wait(2 * HOUR);
        let second = site.create(pin, until(5 * HOUR), Some(KEY));
        site.wait(3 * HOUR + 300);
        assert!(site.on_lock().is_empty());
        assert_eq!(site.leave_at(8 * HOUR), Answer::Ok);
        site.wait(60);
        assert_eq!(site.on_lock(), [second.pin.expose()]);
        assert_eq!(site.status(second.code), Some(Status::Set));
        assert!(site.ended(first));
    }
}

#[test]
fn of_two_codes_of_a_stay_on_one_lock_the_younger_comes_back() {
    let mut site = Site::with("slots");
    site.start_with(&[DEVICE, OTHER]);
    let early = site.book(DEVICE, until(HOUR));
    let other = site.book(OTHER, until(5 * HOUR));
    site.obeyed_for(2 * HOUR);
    let late = site.book(DEVICE, until(5 * HOUR));
    assert_eq!((&early.pin, &other.pin), (&late.pin, &late.pin), "one stay");
    site.obeyed_for(4 * HOUR);
    assert_eq!(site.leave_at(8 * HOUR), Answer::Ok);
    let ended = [&early, &other, &late].map(|code| site.ended(code.code));
    assert_eq!(ended, [true, false, false]);
}

#[test]
fn a_door_that_only_an_earlier_guest_had_stays_closed() {
    let mut site = Site::with("slots");
    site.start_with(&[DEVICE, OTHER]);
    let first = [site.book(DEVICE, until(HOUR)), site.book(OTHER, until(HOUR))];
    assert_eq!(first[0].pin, first[1].pin);
    site.obeyed_for(2 * HOUR);
    let second = site.book(DEVICE, until(5 * HOUR));
    // While the guest is there, and when the stay was over already.
    for (hours, ends) in [(0, 6), (5, 9)] {
        site.obeyed_for(hours * HOUR);
        assert_eq!(site.leave_at(ends * HOUR), Answer::Ok);
        site.obey();
        assert!(!site.ended(second.code));
        assert!(first.iter().all(|code| site.ended(code.code)));
    }
    // Of a guest with two doors, both move.
    site.obeyed_for(20 * HOUR);
    let ends = until(40 * HOUR);
    let third = [site.book(DEVICE, ends), site.book(OTHER, ends)];
    site.obeyed_for(20 * HOUR);
    assert!(third.iter().all(|code| site.ended(code.code)));
    assert_eq!(site.leave_at(50 * HOUR), Answer::Ok);
    assert!(third.iter().all(|code| !site.ended(code.code)));
    assert!(site.ended(second.code));
}

#[test]
fn a_door_that_has_gone_holds_up_no_check_out() {
    let mut site = Site::with("slots");
    site.start_with(&[DEVICE, OTHER]);
    let both = [site.book(DEVICE, until(HOUR)), site.book(OTHER, until(HOUR))];
    site.start_with(&[DEVICE]);
    let living = site.leave_at(2 * HOUR);
    assert!(matches!(living, Answer::Refused(told) if told.reason == Reason::DeviceRemoved));
    site.obeyed_for(HOUR + 60);
    assert_eq!(site.leave_at(3 * HOUR), Answer::Ok);
    assert!(!site.ended(both[0].code) && site.ended(both[1].code));
    // Nor is it that of a guest who was deleted since.
    let job = Delete {
        code: both[0].code,
        device: None,
    };
    assert_eq!(site.ask(Verb::Delete, None, Request::Delete(job)), Answer::Ok);
    let told = site.leave_at(4 * HOUR);
    assert!(matches!(told, Answer::Refused(told) if told.reason == Reason::AccessCodeNotFound));
}
