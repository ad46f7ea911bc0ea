//! A night that happened, played through once more: what a bundle tells becomes a plan.
//!
//! ```text
//! mod.rs       the night, alone or with other faults upon it
//! bookings.rs  what callers asked for             troubles.rs  what went wrong
//! ```
//!
//! A bundle tells what the gateway saw, not what was. What it does not tell is taken to be as it mostly is: a lock
//! that is found to be silent went out of reach shortly before, a refusal lasts until something succeeds, and the
//! power failed at the last sign of life. PINs are drawn anew. The plan begins with a quiet time, in which what
//! stood on the locks by then is put there; from then on its times are those of the night.

mod bookings;
mod troubles;

use std::time::Duration;

use uuid::Uuid;

use super::plan::{Hand, Item, LockKind, LockPlan, LockRules, Plan, StepName};
use super::world::{QUIET, crash_points};
use crate::api::answer::{Bundle, Happening, Lock, Set};
use crate::model::{DeviceId, Mono, Settings, Timestamp, Untrusted};

/// Between two bookings of what stood on the locks before: no radio is asked for all of it at once.
const APART: Duration = Duration::from_secs(10);
/// After the last of them everything comes to rest.
const REST: Duration = Duration::from_secs(600);
/// A night begins no earlier than so long before its first event.
const IDLE: Duration = Duration::from_secs(86_400);
/// So soon after its beginning or its end a code is on its lock, or off it.
const SETTLED: Duration = Duration::from_secs(300);
/// Two troubles with the clock at once would be a third.
const CLOCKS_APART: Duration = Duration::from_secs(3600);
/// The judge counts on locks being looked at so often.
const CHECKED: Duration = Duration::from_secs(12 * 3600);
/// Door commands are numbered from here on.
const DOORS: u32 = 1_000_000;
/// Where so many places are left on a lock, somebody at the door may take one.
const ROOM: usize = 3;

/// Why a bundle makes no night.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNight {
    /// There is nothing that could be played.
    #[error("the bundle has no device that can be simulated")]
    NoLocks,
}

/// A night that happened.
pub struct Night {
    plan: Plan,
    /// True time at the plan's beginning.
    zero: Timestamp,
    /// When the night begins.
    begins: Mono,
    locks: Vec<DeviceId>,
    /// Every step at which the power could be cut.
    points: Vec<StepName>,
}

impl Night {
    /// The night that a bundle tells of.
    ///
    /// # Errors
    /// It has no locks.
    pub fn of(bundle: &Bundle) -> Result<Night, NoNight> {
        let reader = Reader::new(bundle)?;
        let (zero, begins) = (reader.zero, reader.begins);
        let locks = reader.locks.iter().map(|lock| DeviceId(lock.device_id)).collect();
        let plan = reader.read();
        let points = crash_points(&plan).into_iter().collect();
        Ok(Night {
            plan,
            zero,
            begins,
            locks,
            points,
        })
    }

    /// Exactly that night.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The true time at which the plan begins, `d0 00:00:00` in its story.
    #[must_use]
    pub fn zero(&self) -> Timestamp {
        self.zero
    }

    /// The true time at which the night begins.
    #[must_use]
    pub fn begins(&self) -> Timestamp {
        self.zero + span(self.begins)
    }

    /// The devices, in the order in which the plan numbers their locks.
    #[must_use]
    pub fn locks(&self) -> &[DeviceId] {
        &self.locks
    }

    /// The night with other faults upon it, as a week of this seed has them.
    #[must_use]
    pub fn with_faults(&self, seed: u64) -> Plan {
        let night = &self.plan;
        let jobs = night
            .items
            .iter()
            .filter_map(Item::job)
            .filter(|job| *job < DOORS);
        let jobs = u32::try_from(jobs.count()).unwrap_or(DOORS);
        let week = Plan::week(seed, night.locks.len(), jobs.max(1));
        let end = Mono(0) + night.length;
        let drawn = week.items.into_iter().filter(|item| {
            let in_time = self.begins <= item.at() && item.at() < end;
            item.kind().is_some() && in_time && !self.clashes(item)
        });
        let plan = Plan {
            seed,
            items: night.items.iter().cloned().chain(drawn).collect(),
            crashes: week
                .crashes
                .iter()
                .filter_map(|crash| self.point(crash))
                .collect(),
            ..night.clone()
        };
        long_enough(plan)
    }

    /// Whether something drawn cannot be beside what happened.
    fn clashes(&self, drawn: &Item) -> bool {
        let of_clock = |item: &Item| matches!(item, Item::NoTime { .. } | Item::Poison { .. });
        let until = |item: &Item| item.until().unwrap_or(item.at()) + CLOCKS_APART;
        let near = |item: &Item| item.at() < until(drawn) && drawn.at() < until(item);
        let two_clocks = of_clock(drawn) && self.plan.items.iter().any(|item| of_clock(item) && near(item));
        two_clocks || crowds(&self.plan, drawn)
    }

    /// A step of this night in the place of one of a week.
    fn point(&self, of_week: &StepName) -> Option<StepName> {
        let alike = self.points.iter().filter(|point| point.stage == of_week.stage);
        let alike: Vec<&StepName> = alike.collect();
        let nth = usize::try_from(of_week.nth).ok()?.checked_rem(alike.len())?;
        alike.get(nth).map(|point| (*point).clone())
    }
}

/// A bundle on its way to a plan.
struct Reader<'a> {
    bundle: &'a Bundle,
    zero: Timestamp,
    begins: Mono,
    ends: Mono,
    locks: Vec<&'a Lock>,
    /// The same as the plan has them.
    plans: Vec<LockPlan>,
    /// What happened, and when. A clock that went back does not take time back.
    events: Vec<(Mono, &'a Happening)>,
    items: Vec<Item>,
    /// How many numbers of jobs were given out.
    jobs: u32,
}

impl<'a> Reader<'a> {
    fn new(bundle: &'a Bundle) -> Result<Reader<'a>, NoNight> {
        // Of what is gone from the configuration nobody knows what it could do.
        let is_known = |lock: &&Lock| lock.radio.is_some_and(|radio| radio < bundle.radios.len());
        let locks: Vec<&Lock> = bundle.devices.iter().filter(is_known).collect();
        if locks.is_empty() {
            return Err(NoNight::NoLocks);
        }
        let bookings = u32::try_from(bundle.access_codes.len()).unwrap_or(u32::MAX);
        // Before the first event there is nothing to see but time.
        let first = bundle.events.first().map_or(bundle.made_at.0, |event| event.at.0);
        let began = bundle.told_from().max(first - IDLE);
        // Some locks know whole minutes only.
        let zero = (began - REST - APART.saturating_mul(bookings)).floor_minute();
        let begins = Mono(0) + began.since(zero);
        let mut last = begins;
        let events = bundle.events.iter().map(|event| {
            last = last.max(Mono(0) + event.at.0.since(zero));
            (last, event)
        });
        let events = events.collect();
        let plans = locks.iter().map(|lock| LockPlan {
            kind: LockKind::Real(rules(lock)),
            capacity: None,
            radio: lock.radio.unwrap_or_default(),
            batch: lock.capabilities.batch,
        });
        Ok(Reader {
            bundle,
            zero,
            begins,
            ends: last.max(Mono(0) + bundle.made_at.0.since(zero)),
            plans: plans.collect(),
            locks,
            events,
            items: Vec::new(),
            jobs: 0,
        })
    }

    fn read(mut self) -> Plan {
        self.read_bookings();
        self.read_troubles();
        let plan = Plan {
            seed: 0,
            locks: self.plans,
            links: self
                .bundle
                .radios
                .iter()
                .map(|radio| radio.links.max(1))
                .collect(),
            crashes: Vec::new(),
            length: span(self.ends),
            settings: Some(settings(&self.bundle.settings)),
            items: self.items,
        };
        let items = plan.items.iter().filter(|item| !crowds(&plan, item));
        long_enough(Plan {
            items: items.cloned().collect(),
            ..plan
        })
    }

    /// The place of a device among the locks.
    fn lock(&self, device: Uuid) -> Option<usize> {
        self.locks.iter().position(|lock| lock.device_id == device)
    }

    /// The number of the next job.
    fn job(&mut self) -> u32 {
        self.jobs += 1;
        self.jobs - 1
    }
}

/// Whether it is somebody's code that takes a place on a lock which may need it for what was promised. Those that
/// stand there from the first are reckoned with.
fn crowds(plan: &Plan, item: &Item) -> bool {
    let Item::Hand { lock, at, deed } = item else {
        return false;
    };
    let takes_room = |item: &&Item| match item {
        Item::Create { locks, .. } => locks.contains(lock),
        Item::Hand { lock: other, .. } => other == lock,
        _ => false,
    };
    let taken = plan.items.iter().filter(takes_room).count();
    let capacity = plan
        .locks
        .get(*lock)
        .map_or(0, |lock| lock.setup().capabilities.capacity);
    matches!(deed, Hand::Add | Hand::Alter(_)) && *at > Mono(0) && usize::from(capacity) < taken + ROOM
}

/// With everything over that begins in it; and no code begins or ends just when the last day is over, and is judged.
fn long_enough(mut plan: Plan) -> Plan {
    let over = plan.items.iter().map(|item| item.until().unwrap_or(item.at()));
    plan.length = plan.length.max(span(over.max().unwrap_or_default()));
    let edges: Vec<Duration> = plan.items.iter().flat_map(edges).collect();
    let last = |plan: &Plan| plan.length + QUIET;
    let unsettled = |edge: &Duration, last: Duration| *edge <= last && last < *edge + SETTLED;
    while edges.iter().any(|edge| unsettled(edge, last(&plan))) {
        plan.length += SETTLED;
    }
    plan
}

/// When codes begin or end by an item.
fn edges(item: &Item) -> Vec<Duration> {
    let at = span(item.at());
    match item {
        Item::Create {
            window: Some((from, until)),
            ..
        } => vec![at + *from, at + *until],
        Item::Update { ends, .. } => vec![at + *ends],
        Item::Shift { starts, ends, .. } => vec![at + *starts, at + *ends],
        _ => Vec::new(),
    }
}

fn rules(lock: &Lock) -> LockRules {
    let lock = &lock.capabilities;
    LockRules {
        lengths: lock.lengths.clone(),
        digits: lock.digits.clone(),
        forbidden_prefixes: lock.forbidden_prefixes.clone(),
        forbidden_patterns: lock.forbidden_patterns.clone(),
        capacity: lock.capacity,
        name_limit: lock.name_limit,
        read_back: lock.read_back,
        window: lock.native_window,
        door: lock.door,
        addressing: lock.addressing,
    }
}

/// What the operator has set, as far as it is judged: whoever follows a clock that nothing vouches for, or seldom
/// looks at locks, was promised less.
fn settings(set: &Set) -> Settings {
    let span = Duration::from_millis;
    Settings {
        lead: span(set.lead_ms),
        preload: span(set.preload_ms),
        second_look: span(set.second_look_ms),
        keep_ended: span(set.keep_ended_ms),
        check_every: span(set.check_every_ms).min(CHECKED),
        remote_unlock: set.remote_unlock,
        untrusted: Untrusted::Hold,
        limits: set.limits.clone(),
    }
}

/// Time since the plan's beginning.
fn span(at: Mono) -> Duration {
    Duration::from_millis(at.0)
}

/// Some time before.
fn before(at: Mono, by: Duration) -> Mono {
    Mono(at.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}
