//! What time it is, as far as that can be proven (I9).
//!
//! A machine without a battery clock starts with some time or other, and one wrong answer from a time
//! server must not empty a building. So the wall clock counts only while it is trusted and goes on as
//! it did before. Else time is *carried*: the last known good one, the *mark*, and what has passed
//! since, by a clock that nobody sets. That is never later than the true time, but where a good clock
//! lied when the mark was set.
//!
//! ```text
//! trusted, and near what was carried ────> the wall clock; the mark follows it
//! trusted for the first time ever ───────> the same
//! trusted, and far from it (wild) ───────> carried, until it has stood for 15 minutes or is accepted
//! not trusted ───────────────────────────> carried; or the wall clock, if the operator says so
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::view::{ClockView, Trust};
use crate::model::{Boot, Mono, Now, Reading, Timestamp, Untrusted};
use crate::sabotage::{self, Sabotage};

/// Key in the tree of the store's own of what is [`Kept`].
pub(crate) const MARK_KEY: &[u8] = b"clock-mark";
/// It is written with every batch, and while the clock is trusted without one this often.
pub(crate) const MARK_EVERY: Duration = Duration::from_secs(3600);
/// When this program was released: no clock that shows less is right. Raised with each release, so
/// that a machine that has never known the time is not held back further than it must be.
const RELEASED: Timestamp = Timestamp(1_795_651_200_000);
/// A clock that moved further than this while the machine ran did not move by itself.
const STEP: Duration = Duration::from_secs(24 * 3600);
/// The same over a time in which the machine may have been off.
const ABSENCE: Duration = Duration::from_secs(30 * 86_400);
/// So long a clock must stand where it went before it is believed.
const PROBATION: Duration = Duration::from_secs(15 * 60);
/// More than a clock is slewed in the time between two looks.
const SLEW: Duration = Duration::from_secs(10);

/// The last time that was known to be right, by all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    wall: Timestamp,
    /// Milliseconds since the machine was started.
    up: u64,
    boot: Uuid,
    /// It came out of an export: true time is later, nobody knows by how much, and this machine's time
    /// since its start says nothing about it.
    #[serde(default)]
    imported: bool,
}

/// What of the time outlives the power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// `None`: nothing ever vouched for a clock here. Its fields stand beside the next one, as they
    /// did when there was nothing to keep without a mark.
    #[serde(flatten)]
    mark: Option<Mark>,
    /// How far time was carried on when the last batch was made: what was due by then must not be
    /// undone because the power failed before the network came back.
    #[serde(default)]
    carried: Option<Point>,
}

/// A time that has certainly come, by all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    wall: Timestamp,
    up: u64,
    boot: Uuid,
}

impl Mark {
    fn point(self) -> Point {
        let Mark { wall, up, boot, .. } = self;
        Point { wall, up, boot }
    }
}

/// A clock that moved as no clock does by itself.
#[derive(Clone, Copy, Debug)]
struct Wild {
    /// Where it went, as the wall time of the gateway's start.
    to: Timestamp,
    /// Believed from then on, if it stays there.
    believed: Mono,
}

pub(crate) struct Timekeeper {
    policy: Untrusted,
    boot: Boot,
    kept: Kept,
    trust: Trust,
    since: Timestamp,
    /// How far the wall clock is ahead of what counts, in milliseconds.
    ahead: i64,
    wild: Option<Wild>,
    /// When what is kept was last written.
    written: Option<Mono>,
}

impl Timekeeper {
    pub fn new(policy: Untrusted, boot: Boot, kept: Kept) -> Timekeeper {
        Timekeeper {
            policy,
            boot,
            kept,
            // Nobody is told that a clock is as it should be.
            trust: Trust::Trusted,
            since: Timestamp::MIN,
            ahead: 0,
            wild: None,
            written: None,
        }
    }

    /// What time it is, and how sure that is, without taking note of it.
    pub fn tell(&self, reading: Reading) -> (Now, Trust) {
        let carried = self.carried(reading.mono);
        let wild = self.wild_at(reading);
        let (wall, trust) = match (reading.trusted, wild, self.policy) {
            _ if sabotage::on(Sabotage::TrustsAnyClock) => (reading.wall, Trust::Trusted),
            (true, None, _) => (reading.wall, Trust::Trusted),
            (true, Some(_), _) => (carried, Trust::Wild),
            (false, _, Untrusted::Hold) => (carried, Trust::Untrusted),
            (false, _, Untrusted::Proceed) => (reading.wall, Trust::Untrusted),
        };
        let mono = reading.mono;
        (Now { wall, mono }, trust)
    }

    /// What time it is from here on; whether the trust in it has changed.
    pub fn judge(&mut self, reading: Reading) -> (Now, bool) {
        let (now, trust) = self.tell(reading);
        self.wild = self.wild_at(reading);
        self.ahead = reading.wall.0.saturating_sub(now.wall.0);
        if trust == Trust::Trusted {
            self.kept = Kept {
                mark: Some(Mark {
                    wall: reading.wall,
                    up: self.up(reading.mono),
                    boot: self.boot.id,
                    imported: false,
                }),
                carried: None,
            };
        }
        let changed = std::mem::replace(&mut self.trust, trust) != trust;
        if changed {
            self.since = now.wall;
        }
        (now, changed)
    }

    /// The last time that was known when the store was last written; `None` if no time was ever known.
    pub fn known_until(&self) -> Option<Timestamp> {
        let Kept { mark, carried } = self.kept;
        mark.map(|mark| mark.wall).max(carried.map(|point| point.wall))
    }

    /// From here on what was kept is the least that can be, and nothing more: it came out of an export.
    /// Returns it, to be stored.
    pub fn take_for_the_least(&mut self) -> Option<Kept> {
        let wall = self.known_until()?;
        // Of how long that machine ran this one knows nothing, and of itself only what comes now.
        self.kept.carried = Some(Point {
            wall,
            up: self.boot.up,
            boot: self.boot.id,
        });
        if let Some(mark) = &mut self.kept.mark {
            mark.imported = true;
        }
        Some(self.kept)
    }

    /// The operator says that the clock is right where it is.
    pub fn accept(&mut self, now: Mono) {
        if let Some(wild) = &mut self.wild {
            wild.believed = now;
        }
    }

    /// When the clock last counted, as far as is known.
    pub fn last_vouched(&self) -> Timestamp {
        self.kept.mark.map_or(Timestamp::MIN, |mark| mark.wall)
    }

    /// Since when the clock does not count.
    pub fn untrusted_since(&self) -> Option<Timestamp> {
        (self.trust != Trust::Trusted).then_some(self.since)
    }

    pub fn view(&self) -> ClockView {
        ClockView {
            trust: self.trust,
            ahead_ms: self.ahead,
        }
    }

    /// What is to be kept, if it is to be written: with a batch that is made anyway, or for its own sake.
    pub fn due_to_write(&mut self, with_batch: bool, now: Mono) -> Option<Kept> {
        let due = with_batch || self.mark_due().is_some_and(|due| due <= now);
        due.then(|| {
            self.written = Some(now);
            let carried = (self.trust != Trust::Trusted).then(|| Point {
                wall: self.carried(now),
                up: self.up(now),
                boot: self.boot.id,
            });
            Kept { carried, ..self.kept }
        })
    }

    /// When the time alone gives something to do.
    pub fn wake_at(&self) -> Option<Mono> {
        let believed = self.wild.map(|wild| wild.believed);
        believed.into_iter().chain(self.mark_due()).min()
    }

    fn mark_due(&self) -> Option<Mono> {
        (self.trust == Trust::Trusted).then(|| self.written.map_or(Mono(0), |at| at + MARK_EVERY))
    }

    /// Time since the machine was started, in milliseconds.
    fn up(&self, mono: Mono) -> u64 {
        self.boot.up.saturating_add(mono.0.saturating_sub(self.boot.at.0))
    }

    /// The latest time that has certainly come. Whether a machine that was off was off for long, nobody
    /// can tell: then only what passed since its start is added.
    fn carried(&self, mono: Mono) -> Timestamp {
        let up = self.up(mono);
        let here = Duration::from_millis(mono.0.saturating_sub(self.boot.at.0));
        let on_from = |point: Point| {
            let before = if point.boot == self.boot.id { point.up } else { 0 };
            point.wall + Duration::from_millis(up.saturating_sub(before))
        };
        let Kept { mark, carried } = self.kept;
        let since = match mark {
            Some(mark) if !mark.imported => on_from(mark.point()),
            Some(mark) => mark.wall.max(RELEASED) + here,
            None => RELEASED + here,
        };
        carried.map_or(since, |point| since.max(on_from(point)))
    }

    /// Whether a trusted clock stands where it cannot have gone by itself, and for how much longer
    /// that is held against it.
    fn wild_at(&self, reading: Reading) -> Option<Wild> {
        if !reading.trusted {
            return None;
        }
        let mark = self.kept.mark?;
        let carried = self.carried(reading.mono);
        let ahead = reading.wall.since(carried);
        let behind = carried.since(reading.wall);
        let same_run = mark.boot == self.boot.id && !mark.imported;
        let longest = if same_run { STEP } else { ABSENCE };
        // However long the machine was off: no right clock shows less than what has certainly come.
        if ahead <= longest && behind <= STEP {
            return None;
        }
        let to = reading.wall - Duration::from_millis(reading.mono.0);
        let fresh = Wild {
            to,
            believed: reading.mono + PROBATION,
        };
        let wild = match self.wild {
            Some(wild) if to.since(wild.to) <= SLEW && wild.to.since(to) <= SLEW => wild,
            _ => fresh,
        };
        (reading.mono < wild.believed).then_some(wild)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::records::{decode, encode};

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    /// A while after the release.
    const T: Timestamp = Timestamp(1_799_020_800_000);

    fn boot(n: u128) -> Boot {
        Boot {
            id: Uuid::from_u128(n),
            up: 60_000,
            at: Mono(0),
        }
    }

    fn keeper(policy: Untrusted, n: u128, kept: Kept) -> Timekeeper {
        Timekeeper::new(policy, boot(n), kept)
    }

    /// Of a machine that has never known the time, or that knows nothing of it any more.
    fn nothing() -> Kept {
        Kept::default()
    }

    fn reading(wall: Timestamp, mono: u64, trusted: bool) -> Reading {
        Reading {
            wall,
            mono: Mono(mono),
            trusted,
        }
    }

    fn after(ms: u64) -> Timestamp {
        T + Duration::from_millis(ms)
    }

    /// A mark that an earlier run of the same boot, or of another, left at `T`.
    fn marked(n: u128) -> Kept {
        let mut keeper = keeper(Untrusted::Hold, n, nothing());
        keeper.judge(reading(T, 0, true));
        keeper.kept
    }

    /// What is written of an untrusted time leaves the mark where it was.
    fn stays(written: Option<Kept>) -> bool {
        written.is_some_and(|kept| kept.mark.is_some_and(|mark| mark.wall == T) && kept.carried.is_some())
    }

    #[test]
    fn a_trusted_clock_is_the_time_and_leaves_its_mark() {
        let mut keeper = keeper(Untrusted::Hold, 1, nothing());
        let (now, changed) = keeper.judge(reading(T, 5, true));
        assert_eq!((now.wall, changed, keeper.trust), (T, false, Trust::Trusted));
        assert!(keeper.due_to_write(false, Mono(5)).is_some());
        assert!(keeper.due_to_write(false, Mono(5)).is_none());
        assert!(keeper.due_to_write(true, Mono(6)).is_some());
        assert_eq!(keeper.wake_at(), Some(Mono(6 + HOUR)));
        // It may go back, and a little forward: by hand, or when the network comes.
        for wall in [after(HOUR), after(2 * HOUR), T] {
            assert_eq!(keeper.judge(reading(wall, 10, true)).0.wall, wall);
        }
    }

    #[test]
    fn what_was_carried_is_not_lost_with_the_power() {
        let mut first = keeper(Untrusted::Hold, 1, nothing());
        first.judge(reading(T, 0, true));
        first.judge(reading(Timestamp(0), HOUR, false));
        let two_hours = first.judge(reading(Timestamp(0), 2 * HOUR, false)).0.wall;
        assert!(first.due_to_write(false, Mono(2 * HOUR)).is_none());
        let kept = first.due_to_write(true, Mono(2 * HOUR)).unwrap();
        // Of the same boot nothing counts twice, of another what passed since its start.
        for (n, more) in [(1, 0), (2, 60_000)] {
            let up = if n == 1 { 2 * HOUR + 60_000 } else { 60_000 };
            let boot = Boot { up, ..boot(n) };
            let mut next = Timekeeper::new(Untrusted::Hold, boot, kept);
            let now = next.judge(reading(Timestamp(0), 0, false)).0.wall;
            assert_eq!(now, two_hours + Duration::from_millis(more), "boot {n}");
            // Off for days, and then a good clock: nothing is wild about that after a start.
            let days = after(3 * DAY);
            assert!(next.judge(reading(days, 1, true)).1);
            assert_eq!(next.trust == Trust::Trusted, n == 2);
        }
        first.judge(reading(T, 3 * HOUR, true));
        assert_eq!(first.due_to_write(true, Mono(3 * HOUR)).unwrap().carried, None);
    }

    #[test]
    fn without_trust_time_is_carried_on_from_the_mark() {
        let three_years_back = Timestamp(T.0 - 3 * 365 * DAY as i64);
        // The same boot: what passed since the mark is known.
        let mut same = keeper(Untrusted::Hold, 1, marked(1));
        assert_eq!(
            same.judge(reading(three_years_back, HOUR, false)).0.wall,
            after(HOUR)
        );
        // Another boot: nobody knows how long the machine was off.
        let mut other = keeper(Untrusted::Hold, 2, marked(1));
        assert_eq!(
            other.judge(reading(three_years_back, 0, false)).0.wall,
            after(60_000)
        );
        assert_eq!(other.trust, Trust::Untrusted);
        assert!(stays(other.due_to_write(true, Mono(1))));
        // Set right it counts at once, however far that is from three years back.
        assert_eq!(
            other.judge(reading(after(9 * DAY), HOUR, true)).0.wall,
            after(9 * DAY)
        );
    }

    #[test]
    fn without_a_mark_the_release_is_the_least() {
        let mut keeper = keeper(Untrusted::Hold, 1, nothing());
        assert_eq!(
            keeper.judge(reading(Timestamp(0), 7, false)).0.wall,
            Timestamp(RELEASED.0 + 7)
        );
        assert_eq!(
            keeper.judge(reading(after(900 * DAY), 8, true)).0.wall,
            after(900 * DAY)
        );
    }

    #[test]
    fn an_operator_may_prefer_the_systems_clock() {
        let mut keeper = keeper(Untrusted::Proceed, 1, marked(1));
        let (now, _) = keeper.judge(reading(after(DAY), HOUR, false));
        assert_eq!((now.wall, keeper.trust), (after(DAY), Trust::Untrusted));
        assert!(stays(keeper.due_to_write(true, Mono(HOUR))));
    }

    #[test]
    fn a_wild_step_is_not_followed_until_it_has_stood() {
        for wall in [
            after(25 * HOUR),
            after(4000 * DAY),
            Timestamp(T.0 - 25 * HOUR as i64),
        ] {
            let mut keeper = keeper(Untrusted::Hold, 1, nothing());
            keeper.judge(reading(T, 0, true));
            let at = |ms: u64| reading(wall + Duration::from_millis(ms), ms, true);
            assert_eq!(keeper.judge(at(1000)).0.wall, after(1000), "{wall:?}");
            assert_eq!(keeper.trust, Trust::Wild);
            assert!(stays(keeper.due_to_write(true, Mono(1000))));
            assert_eq!(keeper.wake_at(), Some(Mono(1000) + PROBATION));
            assert_eq!(keeper.judge(at(800_000)).0.wall, after(800_000));
            assert_eq!(keeper.judge(at(901_000)).0.wall, at(901_000).wall);
            assert_eq!(keeper.trust, Trust::Trusted);
        }
    }

    #[test]
    fn a_clock_that_goes_on_jumping_is_not_believed_and_one_that_comes_back_is() {
        let mut keeper = keeper(Untrusted::Hold, 1, nothing());
        keeper.judge(reading(T, 0, true));
        keeper.judge(reading(after(100 * DAY), 1000, true));
        keeper.judge(reading(after(200 * DAY), 800_000, true));
        assert_eq!(
            keeper
                .judge(reading(after(200 * DAY + 200_000), 1_000_000, true))
                .0
                .wall,
            after(1_000_000)
        );
        assert_eq!(
            keeper.judge(reading(after(1_000_500), 1_001_000, true)).0.wall,
            after(1_000_500)
        );
        assert_eq!((keeper.trust, keeper.wild.is_none()), (Trust::Trusted, true));
    }

    #[test]
    fn the_operator_can_vouch_for_a_step() {
        let mut keeper = keeper(Untrusted::Hold, 1, nothing());
        keeper.judge(reading(T, 0, true));
        keeper.judge(reading(after(100 * DAY), 1000, true));
        keeper.accept(Mono(2000));
        assert_eq!(
            keeper.judge(reading(after(100 * DAY), 2000, true)).0.wall,
            after(100 * DAY)
        );
    }

    #[test]
    fn a_start_far_past_the_mark_is_wild_and_one_after_a_holiday_is_not() {
        let start = |days: u64| {
            let mut keeper = keeper(Untrusted::Hold, 2, marked(1));
            keeper.judge(reading(after(days * DAY), 0, true));
            keeper.trust
        };
        assert_eq!((start(29), start(31)), (Trust::Trusted, Trust::Wild));
    }

    #[test]
    fn a_machine_that_never_knew_the_time_carries_it_too() {
        let mut first = keeper(Untrusted::Hold, 1, nothing());
        first.judge(reading(Timestamp(0), 5 * HOUR, false));
        assert!(first.due_to_write(false, Mono(5 * HOUR)).is_none());
        let kept = first.due_to_write(true, Mono(5 * HOUR)).unwrap();
        let five_hours = RELEASED + Duration::from_millis(5 * HOUR);
        // A start in the same boot, an hour later, and one in another, a minute after its own start.
        for (n, up, more) in [(1, 6 * HOUR + 60_000, HOUR), (2, 60_000, 60_000)] {
            let boot = Boot { up, ..boot(n) };
            let mut next = Timekeeper::new(Untrusted::Hold, boot, kept);
            let least = five_hours + Duration::from_millis(more);
            assert_eq!(
                next.judge(reading(Timestamp(0), 0, false)).0.wall,
                least,
                "boot {n}"
            );
            let again = next.due_to_write(true, Mono(HOUR)).unwrap();
            assert_eq!((again.mark, again.carried.is_some()), (None, true));
            // Whatever it shows: there is nothing that it could be held against.
            let (now, changed) = next.judge(reading(T, HOUR, true));
            assert_eq!((now.wall, changed, next.trust), (T, true, Trust::Trusted));
            let trusted = next.due_to_write(true, Mono(HOUR)).unwrap();
            assert!(trusted.mark.is_some() && trusted.carried.is_none());
        }
    }

    #[test]
    fn what_older_versions_kept_is_read() {
        #[derive(Serialize)]
        struct Before {
            wall: Timestamp,
            up: u64,
            boot: Uuid,
            imported: bool,
            carried: Option<Point>,
        }
        let read = |before: &Before| decode::<Kept>("meta", &encode(before)).unwrap();
        let (wall, up, boot) = (T, 7, Uuid::from_u128(1));
        for imported in [false, true] {
            let mark = Mark {
                wall,
                up,
                boot,
                imported,
            };
            for carried in [None, Some(mark.point())] {
                let before = Before {
                    wall,
                    up,
                    boot,
                    imported,
                    carried,
                };
                let kept = Kept {
                    mark: Some(mark),
                    carried,
                };
                assert_eq!(read(&before), kept);
                // And in the same form it is written.
                assert_eq!(encode(&kept), encode(&before));
            }
        }
        let unmarked = Kept {
            mark: None,
            carried: marked(1).mark.map(Mark::point),
        };
        for kept in [unmarked, nothing()] {
            assert_eq!(decode::<Kept>("meta", &encode(&kept)).unwrap(), kept);
        }
    }

    #[test]
    fn what_comes_out_of_an_export_is_the_least_that_can_be() {
        let carried = {
            let mut keeper = keeper(Untrusted::Hold, 1, marked(1));
            keeper.judge(reading(Timestamp(0), DAY, false));
            keeper.due_to_write(true, Mono(DAY)).unwrap()
        };
        let unmarked = Kept {
            mark: None,
            ..carried
        };
        // On the same run of the machine, and on another, which has been up for a year since.
        for n in [1, 2] {
            for (kept, least) in [(marked(1), 0), (carried, DAY), (unmarked, DAY)] {
                let mut imported = keeper(Untrusted::Hold, n, kept);
                imported.boot.up = 365 * DAY;
                let stored = imported.take_for_the_least().unwrap();
                let now = imported.judge(reading(Timestamp(0), HOUR, false)).0.wall;
                assert_eq!(now, after(least + HOUR));
                // A start in the same boot has the time since the import, one in another its own.
                for (boot, up, more) in [(n, 365 * DAY + 2 * HOUR, 2 * HOUR), (3, 60_000, 60_000)] {
                    let mut next = keeper(Untrusted::Hold, boot, stored);
                    next.boot.up = up;
                    let now = next.judge(reading(Timestamp(0), 0, false)).0.wall;
                    assert_eq!(now, after(least + more));
                }
            }
            assert_eq!(keeper(Untrusted::Hold, n, nothing()).take_for_the_least(), None);
            assert_eq!(keeper(Untrusted::Hold, n, nothing()).take_for_the_least(), None);
        }
    }

    #[test]
    fn after_an_import_a_clock_is_wild_as_after_any_start() {
        for n in [1, 2] {
            let import = |days: i64| {
                let mut keeper = keeper(Untrusted::Hold, n, marked(1));
                keeper.take_for_the_least();
                let wall = Timestamp(T.0 + days * DAY as i64);
                keeper.judge(reading(wall, 0, true));
                (keeper, wall)
            };
            for days in [-2, 31, 4000] {
                let (mut keeper, wall) = import(days);
                assert_eq!(keeper.trust, Trust::Wild, "{days} days");
                let stood = reading(wall + PROBATION, PROBATION.as_millis() as u64, true);
                assert_eq!(keeper.judge(stood).0.wall, stood.wall);
                assert!(keeper.kept.mark.is_some_and(|mark| !mark.imported));
                let (mut keeper, wall) = import(days);
                keeper.accept(Mono(1));
                assert_eq!(keeper.judge(reading(wall, 1, true)).0.wall, wall);
            }
            for days in [0, 29] {
                assert_eq!(import(days).0.trust, Trust::Trusted, "{days} days");
            }
        }
    }

    #[test]
    fn looking_takes_no_note() {
        let mut keeper = keeper(Untrusted::Hold, 1, nothing());
        keeper.judge(reading(T, 0, true));
        let wild = reading(after(100 * DAY), 1000, true);
        assert_eq!(keeper.tell(wild).1, Trust::Wild);
        assert_eq!((keeper.trust, keeper.wild.is_none()), (Trust::Trusted, true));
        keeper.judge(wild);
        let view = keeper.view();
        assert_eq!(
            (view.trust, view.ahead_ms),
            (Trust::Wild, (100 * DAY) as i64 - 1000)
        );
    }
}
