//! When a person should look after a stay: not in the normal course of things, and not too late.

use std::time::Duration;

use lockbridge::lock::sim::FaultKind;
use lockbridge::model::{NewTimes, Now, Window};

use super::{HOUR, START, Site, booted_without_it};

fn between(from: u64, until: u64) -> Window {
    let at = |seconds| START + Duration::from_secs(seconds);
    Window::between(at(from), at(until)).unwrap()
}

impl Site {
    /// Stays that somebody should look after. What they will be is foretold: nothing changes before its time.
    #[track_caller]
    fn problems(&self) -> usize {
        let told = |now: Now| self.gateway.summary(now).stays_with_problem;
        let (now, again) = (told(self.now), self.gateway.summary_again(self.now));
        for later in [1, 59, 61, 600, HOUR - 1, HOUR + 1, 5 * HOUR, 30 * HOUR] {
            let wall = self.now.wall + Duration::from_secs(later);
            if again.is_none_or(|again| wall < again) {
                assert_eq!(told(Now { wall, ..self.now }), now, "{later} s on");
            }
        }
        now
    }

    fn go_silent(&mut self) {
        self.fault(FaultKind::Silent, None);
    }
}

#[test]
fn an_ordinary_stay_is_none_at_any_moment() {
    for profile in ["slots", "keypad-6", "masked", "write-only"] {
        let mut site = Site::with(profile);
        site.create(None, between(2 * HOUR, 4 * HOUR), None);
        for _ in 0..6 * 60 {
            site.wait(30);
            assert_eq!(site.problems(), 0, "{profile} at {:?}", site.now.wall);
            // What falls due is under way, and not yet done.
            site.pass(Duration::from_secs(30));
            site.tell(super::Event::Timer);
            assert_eq!(site.problems(), 0, "{profile} at {:?}", site.now.wall);
        }
    }
}

#[test]
fn a_lock_that_is_away_is_one_an_hour_before() {
    for profile in ["slots", "keypad-6"] {
        let mut site = Site::with(profile);
        site.go_silent();
        // It is found out with a code that is due at once.
        let due = site.create(None, between(0, 2 * HOUR), None);
        site.wait(120);
        assert_eq!(site.problems(), 1, "{profile}");
        site.create(None, between(3 * HOUR, 4 * HOUR), None);
        site.wait(2 * HOUR - 240);
        assert_eq!(site.problems(), 1, "{profile}: {due:?}");
        site.wait(180);
        assert_eq!(
            site.problems(),
            2,
            "{profile}: the first may be on the lock, the second should be soon"
        );
    }
}

#[test]
fn a_pin_that_stays_after_its_end_is_one() {
    let mut site = Site::with("slots");
    site.create(None, between(0, 2 * HOUR), None);
    site.wait(HOUR);
    site.go_silent();
    site.wait(HOUR + 30);
    assert_eq!(site.problems(), 0, "its lock may be about to answer");
    site.wait(60);
    assert_eq!(site.problems(), 1);
}

#[test]
fn a_pin_on_a_lock_that_left_is_one_after_its_end() {
    let mut site = Site::with("slots");
    site.create(None, between(0, 2 * HOUR), None);
    site.wait(HOUR);
    site.gateway = booted_without_it(&mut site.disk, site.now);
    assert_eq!(site.problems(), 0);
    site.pass(Duration::from_secs(HOUR + 61));
    site.tell(super::Event::Timer);
    assert_eq!(site.problems(), 1);
}

/// Its old times are over, though its new ones are far away.
#[test]
fn a_stay_that_was_put_off_is_overdue_while_the_lock_has_it_still() {
    let mut site = Site::with("slots");
    let code = site.create(None, between(0, 2 * HOUR), None).code;
    site.wait(HOUR);
    site.go_silent();
    let times = NewTimes::Bound {
        starts_at: Some(START + Duration::from_secs(300 * HOUR)),
        ends_at: Some(START + Duration::from_secs(400 * HOUR)),
    };
    site.update(code, None, times);
    site.wait(61);
    assert_eq!(
        (site.problems(), site.gateway.summary(site.now).overdue()),
        (1, 1)
    );
}
