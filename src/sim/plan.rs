//! What happens in a run, as data.

use std::fmt;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::lock::sim::{FaultKind, Setup};
use crate::model::{
    Addressing, Alphabet, Deed, Mono, NativeWindow, Pattern, Pin, ReadBack, Settings, Unshared,
};

/// A run: the property, what happens on it, and where the power is cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Keys the streams of the run itself: latencies, PINs.
    pub seed: u64,
    /// The locks.
    pub locks: Vec<LockPlan>,
    /// Links of each radio.
    pub links: Vec<usize>,
    /// What happens, in no particular order.
    pub items: Vec<Item>,
    /// Power cuts, each right before the named step.
    pub crashes: Vec<StepName>,
    /// When the last item is over; two quiet days follow.
    pub length: Duration,
    /// What the operator has set; `None` for what every week goes by.
    pub settings: Option<Settings>,
}

/// One lock of the property.
#[derive(Clone, Debug, PartialEq)]
pub struct LockPlan {
    /// What kind of lock it is.
    pub kind: LockKind,
    /// How many codes it holds, if not as many as its kind.
    pub capacity: Option<u16>,
    /// Index of its radio.
    pub radio: usize,
    /// Whether it takes several steps in one exchange.
    pub batch: bool,
}

/// A kind of lock.
#[derive(Clone, Debug, PartialEq)]
pub enum LockKind {
    /// The profile of this name.
    Profile(&'static str),
    /// What a lock said of itself somewhere.
    Real(LockRules),
}

/// What a lock takes, holds and tells. How long it takes for that is always the same: the judge's bounds are made
/// for it.
#[derive(Clone, PartialEq)]
pub struct LockRules {
    /// Numbers of digits that it takes.
    pub lengths: Vec<u8>,
    /// Digits that its keypad has.
    pub digits: Vec<u8>,
    /// Beginnings that it refuses, digit by digit.
    pub forbidden_prefixes: Vec<Vec<u8>>,
    /// Shapes that it refuses.
    pub forbidden_patterns: Vec<Pattern>,
    /// How many codes it holds.
    pub capacity: u16,
    /// The longest name that it stores, in bytes.
    pub name_limit: u16,
    /// What a read of it shows.
    pub read_back: ReadBack,
    /// Whether it enforces times itself.
    pub window: NativeWindow,
    /// Whether its bolt can be moved by radio.
    pub door: bool,
    /// Who chooses the places of codes.
    pub addressing: Addressing,
}

impl LockPlan {
    /// The lock to simulate.
    ///
    /// # Panics
    /// There is no such profile.
    #[must_use]
    pub fn setup(&self) -> Setup {
        let mut setup = match &self.kind {
            LockKind::Profile(name) => Setup::profile(name).expect("plans name profiles that exist"),
            LockKind::Real(rules) => rules.setup(),
        };
        setup.capabilities.capacity = self.capacity.unwrap_or(setup.capabilities.capacity);
        setup.capabilities.batch = self.batch;
        setup
    }
}

/// On one line: a property has many locks.
impl fmt::Debug for LockRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockRules {
            lengths,
            digits,
            forbidden_prefixes,
            forbidden_patterns,
            capacity,
            name_limit,
            read_back,
            window,
            door,
            addressing,
        } = self;
        write!(
            f,
            "LockRules {{ lengths: {lengths:?}, digits: {digits:?}, forbidden_prefixes: {forbidden_prefixes:?}, \
             forbidden_patterns: {forbidden_patterns:?}, capacity: {capacity}, name_limit: {name_limit}, \
             read_back: {read_back:?}, window: {window:?}, door: {door}, addressing: {addressing:?} }}"
        )
    }
}

impl LockRules {
    fn setup(&self) -> Setup {
        let mut setup = Setup::profile("slots").expect("it is the commonest one");
        let text = |digits: &[u8]| digits.iter().map(u8::to_string).collect::<String>();
        let lock = &mut setup.capabilities;
        lock.lengths = self.lengths.iter().copied().collect();
        lock.alphabet = Alphabet::parse(&text(&self.digits)).unwrap_or(Alphabet::DIGITS);
        lock.forbidden_prefixes = self
            .forbidden_prefixes
            .iter()
            .map(|prefix| text(prefix))
            .collect();
        lock.forbidden_patterns = self.forbidden_patterns.iter().copied().collect();
        lock.capacity = self.capacity;
        lock.name_limit = self.name_limit;
        lock.window = self.window;
        lock.door = self.door;
        lock.addressing = self.addressing;
        setup.show(self.read_back);
        setup
    }
}

/// Something that happens. Times are since the start; windows are relative to the item's time.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A caller books.
    Create {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// On which locks.
        locks: Vec<usize>,
        /// From and until, after `at`; `None` for an ongoing code.
        window: Option<(Duration, Duration)>,
        /// What if they cannot share.
        unshared: Unshared,
    },
    /// The same caller moves the stay that job `of` booked.
    Update {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// The job that booked.
        of: u32,
        /// New end, after `at`.
        ends: Duration,
    },
    /// The same caller gives the stay that job `of` booked other times, its start too.
    Shift {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// The job that booked.
        of: u32,
        /// New start, after `at`.
        starts: Duration,
        /// New end, after `at`.
        ends: Duration,
    },
    /// The same caller changes one code of the stay that job `of` booked.
    Change {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// The job that booked.
        of: u32,
        /// Which member, counted round.
        member: usize,
        /// What becomes of it.
        to: Change,
    },
    /// The same caller deletes one code of the stay that job `of` booked.
    Delete {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// The job that booked.
        of: u32,
        /// Which member, counted round.
        member: usize,
    },
    /// Somebody wants a bolt moved.
    Door {
        /// Number of the job.
        job: u32,
        /// When it is sent.
        at: Mono,
        /// Which lock.
        lock: usize,
        /// How.
        deed: Deed,
    },
    /// A lock is out of reach.
    Away {
        /// Which.
        lock: usize,
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
    },
    /// A lock misbehaves.
    Fault {
        /// Which.
        lock: usize,
        /// From.
        at: Mono,
        /// How.
        kind: FaultKind,
        /// For how long.
        lasts: Duration,
    },
    /// The network is away: nothing vouches for the clock, and a start finds it years back.
    NoTime {
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
    },
    /// A time server lies.
    Poison {
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
        /// By how many seconds the clock is set off.
        by: i64,
    },
    /// A trusted clock is set a little, as time servers do: from then on it is off by so much.
    Step {
        /// From.
        at: Mono,
        /// By how many milliseconds, less than a second.
        off_ms: i64,
    },
    /// The gateway is started with a configuration that does not name a lock, and later with it again.
    Gone {
        /// Which.
        lock: usize,
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
    },
    /// Somebody changes the codes at the door.
    Hand {
        /// Which lock.
        lock: usize,
        /// When.
        at: Mono,
        /// How.
        deed: Hand,
    },
    /// The courier brings a job once more.
    Again {
        /// Which.
        job: u32,
        /// When.
        at: Mono,
    },
    /// The caller of a job asks once, and never again.
    Vanish {
        /// Whose.
        job: u32,
        /// When the job is sent.
        at: Mono,
    },
    /// The broker is away.
    Broker {
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
        /// It comes back without what waited in it.
        forgets: bool,
    },
    /// The card has no more room than its reserve.
    Full {
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
    },
    /// The card fails to make something durable.
    BadSync {
        /// From when on, the next time.
        at: Mono,
    },
    /// The power is cut, unless it is off already.
    Cut {
        /// From.
        from: Mono,
        /// Until.
        until: Mono,
    },
}

/// What somebody does to the codes of a lock with their own hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Adds one.
    Add,
    /// Takes one of ours away, counted round.
    Take(usize),
    /// Gives other digits to one of ours, counted round.
    Alter(usize),
    /// Takes away one that is not ours.
    TakeTheirs,
}

/// What becomes of one code.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It gets another PIN.
    Pin(Pin),
    /// It loses its times.
    Ongoing,
    /// It ends at another time after the item's own.
    Ends(Duration),
}

/// A step of the run, by a name that leaving other items out does not change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepName {
    /// What kind of step.
    pub stage: Stage,
    /// Of whom: a lock's index, or a job's number.
    pub whom: u32,
    /// The how-many-eth of this kind for this one, from 1.
    pub nth: u32,
}

/// Kinds of steps between which the power can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A batch is committed.
    Commit,
    /// Batches become durable.
    Sync,
    /// A caller is answered.
    Reply,
    /// A lock is called.
    Drive,
    /// A lock does one step.
    Apply,
    /// A lock's answer is handed in.
    Done,
}

impl Plan {
    /// The plan as Rust, for a regression: what a seed draws changes with the drawing. Names stand without
    /// their paths.
    #[must_use]
    pub fn literal(&self) -> String {
        let mut told = format!("{self:#?}").replace('[', "vec![");
        // A PIN does not show itself; these were drawn, and are nobody's.
        let pins = self.items.iter().filter_map(|item| match item {
            Item::Change {
                to: Change::Pin(pin), ..
            } => Some(pin.expose()),
            _ => None,
        });
        for digits in pins {
            told = told.replacen("Pin(hidden)", &format!("Pin::parse(\"{digits}\").unwrap()"), 1);
        }
        let mut text = String::new();
        // A `Duration` shows as `90s`, `1.5s`, `2ms` or `0ns`.
        let span = |word: &str| {
            let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = match &word[digits.len()..] {
                "s" => 1_000.0,
                "ms" => 1.0,
                "ns" => 0.0,
                _ => return None,
            };
            digits.parse::<f64>().ok().map(|number| number * unit)
        };
        for word in told.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
            let (word, after) = word.split_at(word.len() - 1);
            match span(word) {
                Some(millis) => text.push_str(&format!("Duration::from_millis({millis:.0})")),
                None => text.push_str(word),
            }
            text.push_str(after);
        }
        text
    }
}

impl Item {
    /// When it begins.
    #[must_use]
    pub fn at(&self) -> Mono {
        match self {
            Item::Create { at, .. }
            | Item::Update { at, .. }
            | Item::Shift { at, .. }
            | Item::Change { at, .. }
            | Item::Door { at, .. }
            | Item::Delete { at, .. }
            | Item::Fault { at, .. }
            | Item::Hand { at, .. }
            | Item::Again { at, .. }
            | Item::Vanish { at, .. }
            | Item::Step { at, .. }
            | Item::BadSync { at } => *at,
            Item::Away { from, .. }
            | Item::NoTime { from, .. }
            | Item::Poison { from, .. }
            | Item::Gone { from, .. }
            | Item::Broker { from, .. }
            | Item::Full { from, .. }
            | Item::Cut { from, .. } => *from,
        }
    }

    /// When it is over, if it lasts.
    #[must_use]
    pub fn until(&self) -> Option<Mono> {
        match self {
            Item::Away { until, .. }
            | Item::NoTime { until, .. }
            | Item::Poison { until, .. }
            | Item::Gone { until, .. }
            | Item::Broker { until, .. }
            | Item::Full { until, .. }
            | Item::Cut { until, .. } => Some(*until),
            Item::Fault { at, lasts, .. } => Some(*at + *lasts),
            Item::Create { .. }
            | Item::Update { .. }
            | Item::Shift { .. }
            | Item::Change { .. }
            | Item::Delete { .. }
            | Item::Door { .. }
            | Item::Hand { .. }
            | Item::Again { .. }
            | Item::Vanish { .. }
            | Item::Step { .. }
            | Item::BadSync { .. } => None,
        }
    }

    /// The number of the job that it sends, if it sends one.
    #[must_use]
    pub fn job(&self) -> Option<u32> {
        match self {
            Item::Create { job, .. }
            | Item::Update { job, .. }
            | Item::Shift { job, .. }
            | Item::Change { job, .. }
            | Item::Delete { job, .. }
            | Item::Door { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// The word for what befalls the gateway by it; `None` if it is what a gateway is for.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        Some(match self {
            Item::Create { .. }
            | Item::Update { .. }
            | Item::Shift { .. }
            | Item::Change { .. }
            | Item::Delete { .. }
            | Item::Door { .. } => return None,
            Item::Away { .. } => "lock out of reach",
            Item::Fault { kind, .. } => fault_word(*kind)?,
            Item::NoTime { .. } => "clock not synchronised",
            Item::Poison { by, .. } if *by < 0 => "clock poisoned, behind",
            Item::Poison { .. } => "clock poisoned, ahead",
            Item::Step { .. } => "clock set a little",
            Item::Gone { .. } => "lock gone from the configuration",
            Item::Hand { deed, .. } => match deed {
                Hand::Add => "code added by hand",
                Hand::Take(_) => "our code taken by hand",
                Hand::Alter(_) => "our code altered by hand",
                Hand::TakeTheirs => "their code taken by hand",
            },
            Item::Again { .. } => "job delivered again",
            Item::Vanish { .. } => "caller vanishes",
            Item::Broker { forgets: false, .. } => "broker away",
            Item::Broker { forgets: true, .. } => "broker away, forgets",
            Item::Full { .. } => "card full",
            Item::BadSync { .. } => "card fails a sync",
            Item::Cut { .. } => "power cut for a while",
        })
    }
}

/// Digits that somebody types at a door and callers ask for too; there are few, so that they meet.
pub(super) fn doorstep_pin(rng: &mut ChaCha8Rng) -> Option<Pin> {
    Pin::parse(
        &format!("99{}", rng.random_range(33..73))
            .replace('0', "9")
            .repeat(2)[..6],
    )
}

/// The word for a fault of a lock; `None` for none.
pub(super) fn fault_word(kind: FaultKind) -> Option<&'static str> {
    Some(match kind {
        FaultKind::Refuse => "lock refuses",
        FaultKind::Silent => "lock falls silent",
        FaultKind::Hang => "lock hangs",
        FaultKind::NoStore => "lock says yes and does nothing",
        FaultKind::DropAfter => "lock loses what it confirmed",
        FaultKind::Slow => "lock is slow",
        FaultKind::NoRead => "lock refuses to be read",
        FaultKind::None => return None,
    })
}

/// A small stream of its own for everyone who draws, each time that they draw.
#[must_use]
pub fn stream(seed: u64, who: &str, nth: u64) -> ChaCha8Rng {
    let mut key = seed ^ 0x9e37_79b9_7f4a_7c15;
    for byte in who.bytes().chain(nth.to_le_bytes()) {
        key = (key ^ u64::from(byte))
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23);
    }
    ChaCha8Rng::seed_from_u64(key)
}
