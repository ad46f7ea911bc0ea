//! The only room that reads clocks. All waits of the shell and of simulated locks go through it.
//!
//! Time runs at real speed, always. On top of that a gateway whose every lock is simulated can be
//! steered: [`Clock::set_wall`] moves the wall clock alone, as an operator or a wrong NTP answer
//! would; [`Clock::jump_to`] skips time that nobody wants to sit through. So that a jump skips
//! nothing that would have happened on the way, the clock knows who waits until when
//! ([`Clock::next_sleeper`]) and who is at work ([`Clock::awake`]):
//!
//! ```text
//! loop { quiet().await; match next_sleeper() { Some(due) if due <= goal => jump_to(due), _ => break } }
//! jump_to(goal)
//! ```
//!
//! It refuses to judge: it says what vouches for the wall clock, and the core decides what counts. It does not
//! fail; a time beyond what a number holds is the last that it holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::{Boot, Mono, Now, Reading, Timestamp, Voucher};

/// Between two looks at whether the wall clock was set.
const LOOK: Duration = Duration::from_secs(1);
/// More than it is slewed meanwhile.
const STEP: Duration = Duration::from_millis(500);
/// systemd-timesyncd touches it at each answer of a time server: systemd-timesyncd(8).
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
/// So long after the last answer the kernel no longer calls its clock synchronised: it counts an error of 500 ppm up to
/// 16 s.
const GOOD_FOR: Duration = Duration::from_secs(32_000);

/// Wall time and time since the start. A clone is the same clock.
#[derive(Clone)]
pub struct Clock {
    shared: Arc<Shared>,
}

struct Shared {
    source: Voucher,
    started: Instant,
    /// Wall time at the start, which locks' own clocks go on from.
    started_wall: Timestamp,
    state: Mutex<State>,
    /// Told each time the last work in progress falls asleep or ends.
    hush: Notify,
}

#[derive(Default)]
struct State {
    /// Time skipped by jumps.
    jumped: Duration,
    /// What `set_wall` added to the wall clock, in milliseconds.
    moved_ms: i64,
    /// What `set_trusted` said.
    trusted: Option<bool>,
    /// What `set_counts` said.
    counts: bool,
    awake: usize,
    /// By deadline, then by order of arrival.
    sleepers: BTreeMap<(Mono, u64), Sleeper>,
    arrivals: u64,
}

struct Sleeper {
    wake: Arc<Notify>,
    /// Whether it is work that rests, and is awake again from the moment it falls due.
    work: bool,
}

impl Clock {
    /// The machine's clock, starting now.
    #[must_use]
    pub fn real(source: Voucher) -> Clock {
        Clock {
            shared: Arc::new(Shared {
                source,
                started: monotonic(),
                started_wall: wall(),
                state: Mutex::default(),
                hush: Notify::new(),
            }),
        }
    }

    /// What the clocks show, whether or not that can be.
    #[must_use]
    pub fn now(&self) -> Now {
        let Reading { wall, mono, .. } = self.reading();
        Now { wall, mono }
    }

    /// What the clocks show, and whether anything vouches for it.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let state = self.state();
        let Timestamp(ms) = wall() + state.jumped;
        Reading {
            wall: Timestamp(ms.saturating_add(state.moved_ms)),
            mono: self.mono(&state),
            trusted: state.trusted.unwrap_or_else(|| match self.shared.source {
                Voucher::Kernel => is_synchronised(),
                Voucher::System => true,
                Voucher::None => false,
            }),
        }
    }

    /// Which run of the machine this is, by `/proc`. Where that cannot be read, all count as one that has
    /// just begun: then less time is known to have passed.
    #[must_use]
    pub fn boot(&self) -> Boot {
        let read = |path| std::fs::read_to_string(path).ok();
        let id = read("/proc/sys/kernel/random/boot_id");
        let up = read("/proc/uptime");
        let seconds = up.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        Boot {
            id: id.and_then(|text| text.trim().parse().ok()).unwrap_or_default(),
            up: seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .map_or(0, |up| u64::try_from(up.as_millis()).unwrap_or(u64::MAX)),
            at: self.now().mono,
        }
    }

    /// What vouches for it.
    #[must_use]
    pub fn source(&self) -> Voucher {
        self.shared.source
    }

    /// Waits until the wall clock is set, or the trust in it comes or goes. Looks a second after
    /// `since`, however often the wait is begun anew, and then once a second.
    pub async fn changed(&self, since: Reading) {
        let waited = Duration::from_millis(self.now().mono.0.saturating_sub(since.mono.0));
        let mut look = monotonic() + LOOK.saturating_sub(waited);
        loop {
            real_time(look).await;
            look = monotonic() + LOOK;
            let now = self.reading();
            let passed = Duration::from_millis(now.mono.0.saturating_sub(since.mono.0));
            let expected = since.wall + passed;
            let moved = expected.since(now.wall).max(now.wall.since(expected));
            if now.trusted != since.trusted || moved > STEP {
                return;
            }
        }
    }

    /// What the clock inside a simulated lock shows: it goes on from the wall time of the start
    /// whatever is done to the gateway's own wall clock.
    #[must_use]
    pub fn in_lock(&self) -> Now {
        let mono = self.mono(&self.state());
        Now {
            wall: self.shared.started_wall + Duration::from_millis(mono.0),
            mono,
        }
    }

    /// Waits until a moment. Does not count as work.
    pub async fn until(&self, due: Mono) {
        self.rest(due, false).await;
    }

    /// Waits for a time. Does not count as work.
    pub async fn sleep(&self, span: Duration) {
        let due = self.now().mono + span;
        self.until(due).await;
    }

    /// Says that something is at work until the guard is dropped.
    #[must_use]
    pub fn busy(&self) -> Busy {
        self.state().awake += 1;
        Busy { clock: self.clone() }
    }

    /// How many are at work and not resting in [`Busy::until`].
    #[must_use]
    pub fn awake(&self) -> usize {
        self.state().awake
    }

    /// Waits until nothing is at work.
    pub async fn quiet(&self) {
        loop {
            let mut hush = pin!(self.shared.hush.notified());
            // Listen before looking, or the last one to stop could slip in between.
            hush.as_mut().enable();
            if self.awake() == 0 {
                return;
            }
            hush.await;
        }
    }

    /// The moment that the next sleeper waits for.
    #[must_use]
    pub fn next_sleeper(&self) -> Option<Mono> {
        self.state().sleepers.keys().next().map(|(due, _)| *due)
    }

    /// Moves the wall clock alone: a step.
    pub fn set_wall(&self, to: Timestamp) {
        let now = self.now().wall;
        let mut state = self.state();
        state.moved_ms = state.moved_ms.saturating_add(to.0.saturating_sub(now.0));
    }

    /// Says whether the wall clock is to be trusted, whatever vouches for it.
    pub fn set_trusted(&self, trusted: bool) {
        self.state().trusted = Some(trusted);
    }

    /// Says whether the core goes by the wall clock as it is.
    pub fn set_counts(&self, counts: bool) {
        self.state().counts = counts;
    }

    /// The wall time while the core goes by it, else `None`: what a lock's own clock may be set to.
    #[must_use]
    pub fn certain(&self) -> Option<Timestamp> {
        let counts = self.state().counts;
        counts.then(|| self.now().wall)
    }

    /// Moves all clocks forward, and wakes the sleepers that fell due, earliest first. Work among
    /// them counts as awake before this returns. A moment that has passed moves nothing.
    pub fn jump_to(&self, to: Mono) {
        let mut state = self.state();
        let ahead = to.0.saturating_sub(self.mono(&state).0);
        state.jumped = state.jumped.saturating_add(Duration::from_millis(ahead));
        let now = self.mono(&state);
        let later = state.sleepers.split_off(&(Mono(now.0.saturating_add(1)), 0));
        let due = std::mem::replace(&mut state.sleepers, later);
        state.awake += due.values().filter(|sleeper| sleeper.work).count();
        // The others have less to wait for than they thought.
        for sleeper in due.values().chain(state.sleepers.values()) {
            sleeper.wake.notify_one();
        }
    }

    async fn rest(&self, due: Mono, work: bool) {
        let Some(nap) = Nap::begin(self, due, work) else {
            return;
        };
        while let Some(instant) = nap.ends() {
            tokio::select! {
                biased;
                () = nap.wake.notified() => {}
                () = real_time(instant) => {}
            }
        }
    }

    fn mono(&self, state: &State) -> Mono {
        let passed = monotonic().saturating_duration_since(self.shared.started);
        Mono::default() + passed.saturating_add(state.jumped)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, so that a panic elsewhere harms nothing.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fall_asleep(&self, state: &mut State) {
        state.awake = state.awake.saturating_sub(1);
        if state.awake == 0 {
            self.shared.hush.notify_waiters();
        }
    }
}

/// Something is at work: held over a call to a lock, until what came of it has been dealt with.
pub struct Busy {
    clock: Clock,
}

impl Busy {
    /// Waits until a moment, and does not count as awake until then. One wait at a time.
    pub async fn until(&self, due: Mono) {
        self.clock.rest(due, true).await;
    }

    /// Waits for a time, likewise.
    pub async fn sleep(&self, span: Duration) {
        let due = self.clock.now().mono + span;
        self.until(due).await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let clock = self.clock.clone();
        clock.fall_asleep(&mut clock.state());
    }
}

/// An entry among the sleepers; gone, and work counted as awake, when dropped by whatever way:
/// woken by a jump, by real time, or given up.
struct Nap<'a> {
    clock: &'a Clock,
    key: (Mono, u64),
    wake: Arc<Notify>,
}

impl<'a> Nap<'a> {
    /// `None` if there is nothing to wait for.
    fn begin(clock: &'a Clock, due: Mono, work: bool) -> Option<Nap<'a>> {
        let mut state = clock.state();
        if due <= clock.mono(&state) {
            return None;
        }
        state.arrivals += 1;
        let key = (due, state.arrivals);
        let wake = Arc::new(Notify::new());
        state.sleepers.insert(
            key,
            Sleeper {
                wake: wake.clone(),
                work,
            },
        );
        if work {
            clock.fall_asleep(&mut state);
        }
        Some(Nap { clock, key, wake })
    }

    /// When it ends at real speed; `None` if it is over.
    fn ends(&self) -> Option<Instant> {
        let state = self.clock.state();
        let (due, _) = self.key;
        if due <= self.clock.mono(&state) {
            return None;
        }
        let rest = Duration::from_millis(due.0).saturating_sub(state.jumped);
        let started = self.clock.shared.started;
        // A moment beyond what the machine can tell is as good as never: look again in a day.
        Some(
            started
                .checked_add(rest)
                .unwrap_or(monotonic() + Duration::from_secs(86_400)),
        )
    }
}

impl Drop for Nap<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.state();
        if let Some(sleeper) = state.sleepers.remove(&self.key) {
            state.awake += usize::from(sleeper.work);
        }
    }
}

/// Whether something has synchronised the machine's clock, and not too long ago. A sandbox may forbid asking the
/// kernel, since the same call sets its clock.
fn is_synchronised() -> bool {
    kernel_is_synchronised().unwrap_or_else(|| touched_lately(Path::new(TIMESYNCD)))
}

/// The kernel's own word; `None` if it may not be asked.
#[cfg(target_pointer_width = "64")]
fn kernel_is_synchronised() -> Option<bool> {
    use rtime_clock::adjtime::{Timex, adjtimex};

    /// What adjtimex(2) returns while nothing has synchronised the clock.
    const TIME_ERROR: i32 = 5;
    adjtimex(&mut Timex::new()).ok().map(|state| state != TIME_ERROR)
}

/// No crate asks the kernel of a 32-bit machine without `unsafe`.
#[cfg(not(target_pointer_width = "64"))]
fn kernel_is_synchronised() -> Option<bool> {
    None
}

#[allow(clippy::disallowed_methods, reason = "the only room that reads clocks")]
fn touched_lately(path: &Path) -> bool {
    let touched = path.metadata().and_then(|file| file.modified());
    let age = touched
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_some_and(|age| age < GOOD_FOR)
}

#[allow(clippy::disallowed_methods, reason = "the only room that reads clocks")]
fn monotonic() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "the only room that reads clocks")]
fn wall() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp(0) + since,
        Err(before) => Timestamp(0) - before.duration(),
    }
}

#[allow(clippy::disallowed_methods, reason = "all other timers stand on this one")]
async fn real_time(until: Instant) {
    tokio::time::sleep_until(until).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Lets other tasks of the test run; they need no time to get where they wait.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "a file's age is told by the system's clock"
    )]
    fn an_answer_of_a_time_server_is_good_for_nine_hours() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let touched = |at: SystemTime| {
            file.as_file().set_modified(at).unwrap();
            touched_lately(file.path())
        };
        let now = SystemTime::now();
        assert!(touched(now - HOUR * 8));
        assert!(!touched(now - HOUR * 9));
        // The clock was set back since.
        assert!(!touched(now + HOUR));
        assert!(!touched_lately(Path::new("/nonexistent/synchronized")));
    }

    #[tokio::test]
    async fn a_jump_wakes_those_that_fell_due_and_leaves_the_rest() {
        let clock = Clock::real(Voucher::System);
        let start = clock.now().mono;
        let woken = Mutex::new(Vec::new());
        let sleeper = async |hours| {
            clock.until(start + HOUR * hours).await;
            woken.lock().unwrap().push(hours);
        };
        let driver = async {
            settle().await;
            assert_eq!(clock.next_sleeper(), Some(start + HOUR));
            clock.jump_to(start + HOUR);
            settle().await;
            assert_eq!(*woken.lock().unwrap(), [1]);
            clock.jump_to(start + HOUR * 3);
            settle().await;
            assert_eq!(clock.next_sleeper(), Some(start + HOUR * 5));
        };
        tokio::select! {
            biased;
            _ = async { tokio::join!(sleeper(3), sleeper(1), sleeper(2), sleeper(5)) } => {}
            () = driver => {}
        }
        let mut woken = woken.into_inner().unwrap();
        woken.sort_unstable();
        assert_eq!((woken, clock.next_sleeper()), (vec![1, 2, 3], None));
    }

    #[tokio::test]
    async fn work_that_a_jump_wakes_is_awake_before_the_jump_returns() {
        let clock = Clock::real(Voucher::System);
        let start = clock.now().mono;
        let busy = clock.busy();
        let work = async {
            let busy = busy;
            busy.until(start + HOUR).await;
            busy.until(start + HOUR * 2).await;
        };
        let driver = async {
            clock.quiet().await;
            for hours in 1..=2 {
                assert_eq!(clock.next_sleeper(), Some(start + HOUR * hours));
                clock.jump_to(start + HOUR * hours);
                assert_eq!(clock.awake(), 1);
                clock.quiet().await;
            }
        };
        tokio::join!(work, driver);
        assert_eq!((clock.awake(), clock.next_sleeper()), (0, None));
    }

    #[tokio::test]
    async fn a_wait_given_up_leaves_no_trace() {
        let clock = Clock::real(Voucher::System);
        let busy = clock.busy();
        tokio::select! {
            biased;
            () = busy.sleep(HOUR) => {}
            () = settle() => {}
        }
        assert_eq!((clock.awake(), clock.next_sleeper()), (1, None));
        drop(busy);
        assert_eq!(clock.awake(), 0);
    }

    #[tokio::test]
    async fn real_time_wakes_too_also_what_a_jump_brought_near() {
        let clock = Clock::real(Voucher::System);
        let due = clock.now().mono + HOUR;
        let driver = async {
            settle().await;
            clock.jump_to(Mono(due.0 - 2));
        };
        tokio::join!(clock.until(due), driver);
        assert!(clock.now().mono >= due);
    }

    #[tokio::test]
    async fn a_change_is_noticed_however_often_the_wait_is_begun_anew() {
        let clock = Clock::real(Voucher::System);
        let since = clock.reading();
        clock.set_trusted(false);
        let mut turns = 0;
        loop {
            tokio::select! {
                () = clock.changed(since) => break,
                () = real_time(monotonic() + LOOK / 10) => turns += 1,
            }
            assert!(turns < 100, "nobody looked");
        }
    }

    #[tokio::test]
    async fn setting_the_wall_clock_moves_nothing_else() {
        let clock = Clock::real(Voucher::System);
        let before = clock.in_lock();
        let step = before.wall + HOUR * 1000;
        clock.set_wall(step);
        let (now, lock) = (clock.now(), clock.in_lock());
        assert!(now.wall >= step && lock.wall < step && now.mono < before.mono + HOUR);
        clock.set_wall(before.wall);
        clock.jump_to(clock.now().mono + HOUR);
        let (now, lock) = (clock.now(), clock.in_lock());
        assert!(now.mono >= before.mono + HOUR && lock.wall >= before.wall + HOUR);
        assert!(now.wall >= before.wall + HOUR && now.wall < step);
    }
}
