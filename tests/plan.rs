//! Properties of the planner and the schedule, rule by rule. A failing case prints its seed, and
//! proptest keeps it for the next run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lockbridge::lock::sim::Setup;
use lockbridge::model::{
    Alphabet, Capabilities, CodeId, CreateMultiple, DeviceId, GroupKey, NativeWindow, Pattern, Pin, Reason,
    Settings, Timestamp, Unshared, UpdateMultiple, Window,
};
use lockbridge::plan::{self, Assigned, Member, Moved, Occupied, Reach, fits, full};
use lockbridge::schedule::{self, Stay};
use lockbridge::sim::stream;
use proptest::prelude::*;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const HOUR: i64 = 3_600_000;

fn hours(n: i64) -> Timestamp {
    Timestamp(NOW.0 + n * HOUR)
}

fn window(from: i64, until: i64) -> Window {
    Window::between(hours(from), hours(until)).expect("the end is later")
}

fn capabilities(profile: &str) -> Capabilities {
    Setup::profile(profile).expect("a known profile").capabilities
}

fn device(n: usize) -> DeviceId {
    DeviceId(Uuid::from_u128(n as u128 + 1))
}

/// A lock's rules over a space so small that every PIN can be looked at.
fn small_rules() -> impl Strategy<Value = Capabilities> {
    let lengths = prop::collection::btree_set(2u8..=4, 1..=3);
    let alphabet = prop::sample::subsequence(vec!['1', '2', '3', '4'], 1..=4);
    let prefixes = prop::collection::vec("[1-4]{1,2}", 0..=2);
    let patterns = prop::collection::btree_set(
        prop::sample::select(vec![Pattern::AllSame, Pattern::Triple, Pattern::FewUnique]),
        0..=1,
    );
    (lengths, alphabet, prefixes, patterns).prop_map(|(lengths, alphabet, prefixes, patterns)| Capabilities {
        lengths,
        alphabet: Alphabet::parse(&alphabet.into_iter().collect::<String>()).expect("digits"),
        forbidden_prefixes: prefixes,
        forbidden_patterns: patterns,
        ..capabilities("slots")
    })
}

fn small_pins() -> impl Strategy<Value = BTreeSet<Pin>> {
    prop::collection::btree_set(
        "[1-4]{2,4}".prop_map(|digits| Pin::parse(&digits).expect("digits")),
        0..20,
    )
}

#[derive(Debug)]
struct Door {
    capabilities: Capabilities,
    taken: BTreeSet<Pin>,
}

fn doors() -> impl Strategy<Value = Vec<Door>> {
    let door = (small_rules(), small_pins()).prop_map(|(capabilities, taken)| Door { capabilities, taken });
    prop::collection::vec(door, 1..5)
}

fn members(doors: &[Door]) -> Vec<Member<'_>> {
    doors
        .iter()
        .enumerate()
        .map(|(n, door)| member(n, door))
        .collect()
}

fn member(n: usize, door: &Door) -> Member<'_> {
    Member {
        device: device(n),
        name: "door",
        capabilities: &door.capabilities,
        reach: Reach::Online,
        taken: door.taken.iter().collect(),
        recent: BTreeSet::new(),
        occupied: Vec::new(),
    }
}

fn booking(devices: usize, preferred: Option<u8>, unshared: Unshared) -> CreateMultiple {
    CreateMultiple {
        devices: (0..devices).map(device).collect(),
        code: None,
        preferred_length: preferred,
        unshared,
        name: None,
        window: window(1, 2),
        attempt_offline: true,
        prefer_native: true,
    }
}

/// Every PIN that this door takes, could be drawn, and has free.
fn free(door: &Door) -> BTreeSet<Pin> {
    let mut all = BTreeSet::new();
    let mut level: Vec<String> = vec![String::new()];
    for _ in 0..4 {
        level = level
            .iter()
            .flat_map(|p| ('1'..='4').map(move |d| format!("{p}{d}")))
            .collect();
        all.extend(level.iter().filter_map(|digits| {
            let simple = Pattern::AllSame.fits(digits.as_bytes()) || Pattern::Run.fits(digits.as_bytes());
            let pin = Pin::parse(digits).filter(|_| !simple)?;
            (door.capabilities.takes(&pin).is_ok() && !door.taken.contains(&pin)).then_some(pin)
        }));
    }
    all
}

/// The size of the largest set of doors with a PIN in common.
fn most_that_share(free: &[BTreeSet<Pin>]) -> usize {
    let mut counts: BTreeMap<&Pin, usize> = BTreeMap::new();
    free.iter()
        .flatten()
        .for_each(|pin| *counts.entry(pin).or_default() += 1);
    counts.into_values().max().unwrap_or(0)
}

fn plan_it(job: &CreateMultiple, members: &[Member<'_>], seed: u64) -> Result<Vec<Assigned>, Reason> {
    plan::create(job, members, 64, NOW, &mut stream(seed, "test", 0)).map_err(|refusal| refusal.reason)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Shared or refused, and never anything else: `throw`.
    #[test]
    fn throw_shares_exactly_when_a_pin_suits_all(doors in doors(), preferred in prop::option::of(2u8..=5), seed: u64) {
        let free: Vec<BTreeSet<Pin>> = doors.iter().map(free).collect();
        let common: BTreeSet<Pin> =
            free[1..].iter().fold(free[0].clone(), |all, more| all.intersection(more).cloned().collect());
        match plan_it(&booking(doors.len(), preferred, Unshared::Throw), &members(&doors), seed) {
            Err(reason) => {
                prop_assert_eq!(reason, Reason::CannotShare);
                prop_assert!(common.is_empty());
            }
            Ok(assigned) => {
                let pin = &assigned[0].pin;
                prop_assert!(assigned.iter().all(|a| a.pin == *pin && !a.own_pin));
                prop_assert!(common.contains(pin));
                let lengths: BTreeSet<u8> = common.iter().map(Pin::length).collect();
                let wanted = preferred.filter(|p| lengths.contains(p)).or(lengths.first().copied());
                prop_assert_eq!(Some(pin.length()), wanted, "the preferred length, else the shortest");
            }
        }
    }

    /// The largest set shares; every other door has a PIN of its own; or a door can take none.
    #[test]
    fn create_random_code_shares_as_widely_as_can_be(doors in doors(), preferred in prop::option::of(2u8..=5), seed: u64) {
        let free: Vec<BTreeSet<Pin>> = doors.iter().map(free).collect();
        match plan_it(&booking(doors.len(), preferred, Unshared::CreateRandomCode), &members(&doors), seed) {
            Err(reason) => {
                prop_assert_eq!(reason, Reason::CannotShare);
                prop_assert!(free.iter().any(BTreeSet::is_empty), "refused although every door takes some PIN");
            }
            Ok(assigned) => {
                for (a, free) in assigned.iter().zip(&free) {
                    prop_assert!(free.contains(&a.pin));
                }
                let sharing: Vec<&Assigned> = assigned.iter().filter(|a| !a.own_pin).collect();
                prop_assert!(sharing.iter().all(|a| a.pin == sharing[0].pin));
                prop_assert_eq!(sharing.len(), most_that_share(&free));
            }
        }
    }

    /// A caller's own PIN goes to every member, or nothing is done and each objection is named.
    #[test]
    fn a_given_pin_goes_to_all_or_none(doors in doors(), digits in "[1-4]{4}", seed: u64) {
        let pin = Pin::parse(&digits).expect("digits");
        let job = CreateMultiple { code: Some(pin.clone()), ..booking(doors.len(), None, Unshared::Throw) };
        let refused = plan::create(&job, &members(&doors), 64, NOW, &mut stream(seed, "test", 0)).err();
        let misfits = doors.iter().filter(|d| d.capabilities.takes(&pin).is_err()).count();
        let taken = doors.iter().filter(|d| d.taken.contains(&pin)).count();
        match refused {
            None => prop_assert_eq!(misfits + taken, 0),
            Some(refusal) if misfits > 0 => {
                prop_assert_eq!(refusal.reason, Reason::InvalidInput);
                prop_assert_eq!(refusal.devices.len(), misfits);
                prop_assert!(!refusal.message.contains(&digits), "a refusal shows no PIN");
            }
            Some(refusal) => {
                prop_assert_eq!(refusal.reason, Reason::DuplicateAccessCode);
                prop_assert_eq!(refusal.devices.len(), taken);
            }
        }
    }

    /// Real locks: what is drawn suits every member, and is never a simple pattern.
    #[test]
    fn drawn_pins_suit_real_locks(profiles in prop::collection::vec(prop::sample::select(vec!["slots", "keypad-6", "masked", "write-only"]), 1..5), preferred in prop::option::of(3u8..=9), seed: u64) {
        let doors: Vec<Door> =
            profiles.iter().map(|p| Door { capabilities: capabilities(p), taken: BTreeSet::new() }).collect();
        let assigned = plan_it(&booking(doors.len(), preferred, Unshared::Throw), &members(&doors), seed);
        let assigned = assigned.expect("these share");
        for (a, door) in assigned.iter().zip(&doors) {
            prop_assert!(door.capabilities.takes(&a.pin).is_ok());
        }
        let digits = assigned[0].pin.expose().as_bytes();
        prop_assert!(!Pattern::AllSame.fits(digits) && !Pattern::Run.fits(digits));
    }

    /// Accepting whatever fits never makes the lock hold more than it can, at any instant.
    #[test]
    fn capacity_is_kept_over_time(capacity in 1u16..4, wishes in prop::collection::vec((0i64..40, 1i64..20), 1..40)) {
        let mut accepted: Vec<Occupied> = Vec::new();
        for (from, length) in wishes {
            let window = window(from, from + length);
            let fit = fits(capacity, &accepted, window, NOW);
            let most = (from..from + length)
                .map(|h| accepted.iter().filter(|o| o.from <= hours(h) && hours(h) < o.until).count())
                .max()
                .unwrap_or(0);
            prop_assert_eq!(fit, most < usize::from(capacity));
            let spans = full(capacity, &accepted, window, NOW);
            for h in from..from + length {
                let used = accepted.iter().filter(|o| o.from <= hours(h) && hours(h) < o.until).count();
                let is_told = spans.iter().any(|o| o.from <= hours(h) && hours(h) < o.until);
                prop_assert_eq!(is_told, used >= usize::from(capacity));
            }
            prop_assert!(spans.windows(2).all(|two| two[0].until < two[1].from));
            if fit {
                accepted.push(Occupied::by(window));
            }
        }
    }

    /// Back-to-back bookings never fill a lock: one slot serves a whole season.
    #[test]
    fn back_to_back_bookings_fit_one_slot(lengths in prop::collection::vec(1i64..100, 1..60)) {
        let mut accepted = Vec::new();
        let mut at = 0;
        for length in lengths {
            let stay = window(at, at + length);
            prop_assert!(fits(1, &accepted, stay, NOW));
            accepted.push(Occupied::by(stay));
            at += length;
        }
    }

    /// At every moment: a code whose time has come is wanted, one that is over is not, none is wanted
    /// before it may be, and the wanted ones fit the lock.
    #[test]
    fn wanted_codes_fit_and_are_in_time(
        stays in prop::collection::vec((-30i64..60, 1i64..40, any::<bool>(), any::<bool>()), 0..12),
        unmanaged in 0usize..3,
        native: bool,
        at in 0i64..60,
    ) {
        let settings = Settings::default();
        let rules = capabilities(if native { "keypad-6" } else { "slots" });
        let now = hours(at);
        let mut stays: Vec<Stay> = stays
            .into_iter()
            .map(|(from, length, deleted, on_lock)| Stay {
                window: window(from, from + length), prefer_native: true, deleted, on_lock,
            })
            .collect();
        // As accepted: never more at once than the lock holds.
        let come = stays.iter().filter(|s| !s.deleted && s.window.holds(now)).count();
        let lingering = stays.iter().filter(|s| s.on_lock && (s.deleted || s.window.end() <= now)).count();
        let capacity = u16::try_from(come + lingering + unmanaged + 1).expect("few");
        let rules = Capabilities { capacity, ..rules };
        let wanted = schedule::wanted(&stays, unmanaged, &rules, &settings, now);
        let mut early = 0;
        for (stay, wanted) in stays.iter().zip(&wanted) {
            let over = stay.deleted || stay.window.end() <= now;
            prop_assert!(!(over && *wanted), "wanted after its end");
            if !over && stay.window.start() <= now {
                prop_assert!(*wanted, "not wanted in its time");
            } else if *wanted {
                early += 1;
                let ahead = if native { settings.preload } else { settings.lead };
                prop_assert!(stay.window.start() - ahead <= now, "wanted before it may be");
            }
        }
        prop_assert!(early <= 1, "early codes take only what is left");
        // Time alone changes nothing before the next edge.
        let edge = stays.iter().filter_map(|s| schedule::next_edge(s, &rules, &settings, now)).min();
        if let Some(edge) = edge {
            prop_assert!(now < edge);
            let just_before = Timestamp(edge.0 - 1);
            stays.iter_mut().for_each(|s| s.on_lock &= !(s.deleted || s.window.end() <= now));
            let before = schedule::wanted(&stays, unmanaged, &rules, &settings, now);
            prop_assert_eq!(before, schedule::wanted(&stays, unmanaged, &rules, &settings, just_before));
        }
    }

    /// What a lock is told never lets a guest in after the end.
    #[test]
    fn native_windows_end_in_time(from in 0i64..10_000_000, length in 60_000i64..10_000_000, minutes: bool) {
        let stay = Window::between(Timestamp(NOW.0 + from), Timestamp(NOW.0 + from + length)).expect("later");
        let native = if minutes { NativeWindow::Minutes } else { NativeWindow::Seconds };
        let rules = Capabilities { window: native, ..capabilities("keypad-6") };
        let pin = Pin::parse("483716").expect("digits");
        let content = schedule::content(&pin, Some("Jane"), stay, true, &rules);
        let unit = if minutes { 60_000 } else { 1_000 };
        prop_assert!(content.window.start() <= stay.start());
        prop_assert!(content.window.end() <= stay.end() || length < 2 * unit);
        prop_assert!(stay.end().since(content.window.end()) < Duration::from_millis(unit as u64));
    }
}

#[test]
fn an_update_is_all_or_nothing() {
    let rules = capabilities("slots");
    let tight = Capabilities {
        capacity: 1,
        ..rules.clone()
    };
    let pin = Pin::parse("4711").expect("digits");
    let member = |n, capabilities, occupied| Member {
        device: device(n),
        name: "door",
        capabilities,
        reach: Reach::Online,
        taken: BTreeSet::new(),
        recent: BTreeSet::new(),
        occupied,
    };
    let code = |n: u128| CodeId(Uuid::from_u128(n));
    let group = |occupied| {
        vec![
            Moved {
                code: code(1),
                window: window(1, 2),
                pin: &pin,
                member: member(0, &rules, Vec::new()),
            },
            Moved {
                code: code(2),
                window: window(1, 2),
                pin: &pin,
                member: member(1, &tight, occupied),
            },
        ]
    };
    let job = |starts_at, ends_at| UpdateMultiple {
        key: GroupKey("k".into()),
        starts_at,
        ends_at,
        name: None,
    };
    let next_guest = || vec![Occupied::by(window(3, 9))];

    let moved = plan::update(&job(None, Some(hours(3))), &group(next_guest()), NOW);
    assert_eq!(moved, Ok(vec![(code(1), window(1, 3)), (code(2), window(1, 3))]));
    let refused = plan::update(&job(None, Some(hours(4))), &group(next_guest()), NOW).expect_err("no room");
    assert_eq!((refused.reason, refused.devices.len()), (Reason::NoSpace, 1));
    for (starts_at, ends_at) in [
        (Some(hours(2)), None),
        (None, Some(hours(-1))),
        (Some(hours(5)), Some(hours(5))),
    ] {
        let refused = plan::update(&job(starts_at, ends_at), &group(Vec::new()), NOW).expect_err("bad times");
        assert_eq!(refused.reason, Reason::InvalidInput);
    }
}

#[test]
fn pins_are_drawn_evenly() {
    let doors = [Door {
        capabilities: Capabilities {
            lengths: BTreeSet::from([4]),
            ..capabilities("slots")
        },
        taken: BTreeSet::new(),
    }];
    let mut first = [0u32; 10];
    for seed in 0..2_000 {
        let assigned = plan_it(&booking(1, None, Unshared::Throw), &members(&doors), seed).expect("free");
        first[usize::from(assigned[0].pin.expose().as_bytes()[0] - b'0')] += 1;
    }
    // 200 each are expected; the chance of one so far off is below one in a million.
    assert!(first.iter().all(|n| (130..270).contains(n)), "{first:?}");
}
