//! Who gets a link next, and when the radio listens instead. Pure: it is told, and says what to do.
//!
//! A radio does one thing at a time: listen, or bring about one link. A link that stands is used beside both.

use std::collections::BTreeMap;
use std::time::Duration;

use super::address::Address;
use super::failure::{Failure, NoLink};
use super::ladder::{Deaf, Rung, Stuck};
use crate::model::Mono;

/// From the wish for a link to the first attempt.
pub const TURN_WITHIN: Duration = Duration::from_secs(60);
/// Attempts that passing trouble may take.
const ATTEMPTS: u32 = 9;
/// Attempts for which a lock may not answer at all: each costs the others much time.
const SILENT_ATTEMPTS: u32 = 2;
/// Attempts to listen before the adapter counts as off.
const SCAN_ATTEMPTS: u32 = 5;
/// After so many failed attempts beside other links the adapter may have run out of links.
const CROWDED_AFTER: u32 = 3;
/// Then a link has to end first.
const CROWDED_PAUSE: Duration = Duration::from_secs(4);
/// For links that stand to come to their ends, before a worn connection to the bus is renewed all the same.
const WORN_WITHIN: Duration = Duration::from_secs(60);
/// After so many links the connection to the bus is renewed when nobody wants anything: btleplug's library loses a match rule now
/// and then, and a connection may have 512.
const RENEWED_AFTER: u32 = 200;
/// A fresh link does not bear a scan, and a burst of links needs none between them.
const CALM: Duration = Duration::from_secs(1);

/// One wish for a link, and later that link.
pub(super) type Ticket = u64;

/// Somebody wants a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub ticket: Ticket,
    pub address: Address,
    tries: u32,
    silent: u32,
    /// Not before this; `None` until the lock is heard.
    from: Option<Mono>,
    /// From the first attempt on.
    within: Duration,
    pub until: Mono,
}

/// What to do now. The desk is told what came of it before it is asked again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Connect(Wish),
    /// Listen, or cease to.
    Scan(bool),
    Climb(Rung),
}

pub(super) struct Desk {
    /// Links that there may be at once.
    most: usize,
    /// In the order of their arrival.
    wishes: Vec<Wish>,
    /// Links that stand or are being taken down.
    open: BTreeMap<Ticket, Address>,
    scanning: bool,
    /// It has listened since it began: nothing else shows that the radio works.
    listened: bool,
    scan_from: Mono,
    scan_failures: u32,
    stuck: BTreeMap<Address, Stuck>,
    rung: Option<Rung>,
    deaf: Deaf,
    /// Links that came about over this connection to the bus.
    links: u32,
    /// Since when that is worn out.
    worn: Option<Mono>,
}

impl Desk {
    pub fn new(most: usize) -> Desk {
        Desk {
            most: most.max(1),
            wishes: Vec::new(),
            open: BTreeMap::new(),
            scanning: false,
            listened: false,
            scan_from: Mono(0),
            scan_failures: 0,
            stuck: BTreeMap::new(),
            rung: None,
            deaf: Deaf::default(),
            links: 0,
            worn: None,
        }
    }

    /// Somebody wants a link, within so long once it is tried.
    pub fn wish(&mut self, ticket: Ticket, address: Address, within: Duration, now: Mono) {
        self.wishes.push(Wish {
            ticket,
            address,
            tries: 0,
            silent: 0,
            from: Some(now),
            within,
            until: now + TURN_WITHIN,
        });
    }

    /// The radio begins anew: nothing stands, and nobody waits.
    pub fn begin_anew(&mut self, now: Mono) {
        self.wishes.clear();
        self.open.clear();
        self.rung = None;
        self.links = 0;
        self.worn = None;
        self.scan_from = now;
        self.scanned(false, now);
        self.listened = false;
    }

    /// What to do now.
    pub fn next(&mut self, now: Mono) -> Option<Order> {
        if let Some(rung) = self.rung.take() {
            return Some(Order::Climb(rung));
        }
        if let Some(since) = self.worn {
            // Links that stand come to their ends first, and no new ones begin.
            let renews = self.open.is_empty() || now >= since + WORN_WITHIN;
            return renews.then_some(Order::Climb(Rung::Renew));
        }
        if let Some(at) = self.ready(now) {
            if self.scanning {
                return Some(Order::Scan(false));
            }
            let mut wish = self.wishes.remove(at);
            if wish.tries == 0 {
                wish.until = now + wish.within;
            }
            return Some(Order::Connect(wish));
        }
        if self.links >= RENEWED_AFTER && self.open.is_empty() && self.wishes.is_empty() {
            return Some(Order::Climb(Rung::Renew));
        }
        if !self.scanning {
            return (now >= self.scan_from).then_some(Order::Scan(true));
        }
        let deaf = self.deaf.due().is_some_and(|due| due <= now);
        deaf.then(|| Order::Climb(self.deaf.climb(now, self.open.is_empty())))
    }

    /// The wish whose turn it is: the one tried least, so that a silent lock is asked again only when all others
    /// were asked.
    fn ready(&self, now: Mono) -> Option<usize> {
        if self.open.len() >= self.most || !self.listened {
            return None;
        }
        let ready = |wish: &Wish| {
            wish.from.is_some_and(|from| from <= now) && !self.open.values().any(|open| *open == wish.address)
        };
        let ready = self.wishes.iter().enumerate().filter(|(_, wish)| ready(wish));
        ready.min_by_key(|(_, wish)| wish.tries).map(|(at, _)| at)
    }

    /// When to ask again, if nothing happens before.
    pub fn due(&self, now: Mono) -> Option<Mono> {
        let wishes = self.wishes.iter().flat_map(|wish| [wish.from, Some(wish.until)]);
        let scan = (!self.scanning).then_some(self.scan_from);
        let worn = self.worn.map(|since| since + WORN_WITHIN);
        let moments = wishes.chain([scan, worn, self.deaf.due()]).flatten();
        moments.filter(|moment| *moment > now).min()
    }

    pub fn scanned(&mut self, scanning: bool, now: Mono) {
        self.scanning = scanning;
        self.listened |= scanning;
        self.scan_failures = 0;
        self.deaf.scanning(scanning, now);
    }

    /// The scan did not start or end as it should: not again at once. Says whether that goes on for too long.
    pub fn not_scanned(&mut self, now: Mono) -> bool {
        let failures = self.scan_failures + 1;
        self.scanned(false, now);
        self.scan_failures = failures;
        self.scan_from = now + CALM;
        failures >= SCAN_ATTEMPTS
    }

    pub fn linked(&mut self, wish: &Wish, now: Mono) {
        self.open.insert(wish.ticket, wish.address);
        self.links += 1;
        self.stuck.remove(&wish.address);
        self.scan_from = now + CALM;
    }

    /// The connection to the bus is worn out.
    pub fn wear(&mut self, now: Mono) {
        self.worn.get_or_insert(now);
    }

    /// A link was taken down.
    pub fn closed(&mut self, ticket: Ticket) {
        self.open.remove(&ticket);
    }

    /// An attempt failed: the word that there is no link, or it is tried again.
    pub fn failed(&mut self, mut wish: Wish, failure: Failure, now: Mono) -> Option<NoLink> {
        self.scan_from = now;
        wish.tries += 1;
        let crowded = wish.tries >= CROWDED_AFTER && !self.open.is_empty();
        match failure {
            Failure::Passing if wish.tries >= ATTEMPTS => return Some(NoLink::Failed),
            Failure::Passing if crowded => wish.from = Some(now + CROWDED_PAUSE),
            Failure::Passing => wish.from = Some(now + pause(wish.tries)),
            Failure::Silent => {
                wish.silent += 1;
                if wish.silent >= SILENT_ATTEMPTS {
                    return Some(NoLink::Silent);
                }
                wish.from = Some(now + pause(wish.tries));
            }
            Failure::Unheard => wish.from = None,
            Failure::Stuck => {
                let alone = self.open.is_empty();
                self.rung = Some(
                    self.stuck
                        .entry(wish.address)
                        .or_default()
                        .climb(wish.address, alone),
                );
                if wish.tries >= ATTEMPTS {
                    return Some(NoLink::Failed);
                }
                wish.from = Some(now + pause(wish.tries));
            }
            Failure::Misfit => return Some(NoLink::Misfit),
            Failure::Worn => self.wear(now),
            Failure::Radio(outage) => return Some(NoLink::Radio(outage)),
        }
        self.wishes.push(wish);
        None
    }

    /// Something was heard. Whoever waited for this lock need not wait longer.
    pub fn heard(&mut self, address: Address, now: Mono) {
        self.deaf.heard(now);
        for wish in &mut self.wishes {
            if wish.address == address && wish.from.is_none() {
                wish.from = Some(now);
            }
        }
    }

    /// Those that waited too long.
    pub fn expired(&mut self, now: Mono) -> Vec<(Ticket, NoLink)> {
        let over = |wish: &mut Wish| wish.until <= now;
        let is_worn = self.worn.is_some();
        let word = |wish: Wish| {
            let word = match wish.from {
                None => NoLink::Unheard,
                Some(_) if wish.tries == 0 || is_worn => NoLink::Untried,
                Some(_) if wish.silent > 0 => NoLink::Silent,
                Some(_) => NoLink::Failed,
            };
            (wish.ticket, word)
        };
        self.wishes.extract_if(.., over).map(word).collect()
    }

    /// Drops the wishes that nobody holds on to.
    pub fn retain(&mut self, wanted: impl Fn(Ticket) -> bool) {
        self.wishes.retain(|wish| wanted(wish.ticket));
    }
}

/// Between two attempts: 100 ms, growing to half a second.
fn pause(tries: u32) -> Duration {
    Duration::from_millis(100) * tries.clamp(1, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(45);

    fn lock(number: u8) -> Address {
        Address([number; 6])
    }

    /// A desk that scans, as radios do most of the time.
    fn desk(most: usize) -> Desk {
        let mut desk = Desk::new(most);
        assert_eq!(desk.next(Mono(0)), Some(Order::Scan(true)));
        desk.scanned(true, Mono(0));
        assert_eq!(desk.next(Mono(0)), None);
        desk
    }

    /// Asks until it says whom to connect to.
    fn connect(desk: &mut Desk, now: Mono) -> Option<Wish> {
        loop {
            match desk.next(now)? {
                Order::Connect(wish) => return Some(wish),
                Order::Scan(on) => desk.scanned(on, now),
                order @ Order::Climb(_) => panic!("{order:?}"),
            }
        }
    }

    #[test]
    fn a_scan_ends_before_a_link_begins_and_goes_on_a_while_after() {
        let mut desk = desk(3);
        desk.wish(1, lock(1), WITHIN, Mono(0));
        assert_eq!(desk.next(Mono(0)), Some(Order::Scan(false)));
        desk.scanned(false, Mono(0));
        let wish = connect(&mut desk, Mono(0)).unwrap();
        desk.linked(&wish, Mono(10));
        assert_eq!(desk.next(Mono(10)), None);
        let due = desk.due(Mono(10)).unwrap();
        assert_eq!((due, desk.next(due)), (Mono(10) + CALM, Some(Order::Scan(true))));
    }

    #[test]
    fn after_many_links_the_bus_is_connected_to_anew_once_nobody_wants_anything() {
        let mut desk = desk(2);
        let now = Mono(0);
        for ticket in 1..=u64::from(RENEWED_AFTER) {
            desk.wish(ticket, lock(1), WITHIN, now);
            let wish = connect(&mut desk, now).expect("a turn");
            desk.linked(&wish, now);
            if ticket < u64::from(RENEWED_AFTER) {
                desk.closed(ticket);
                assert_ne!(desk.next(now), Some(Order::Climb(Rung::Renew)), "{ticket}");
            }
        }
        // A link stands; then somebody waits.
        assert_eq!(desk.next(now), None);
        desk.closed(RENEWED_AFTER.into());
        desk.wish(0, lock(1), WITHIN, now);
        assert!(matches!(desk.next(now), Some(Order::Connect(_))));
        assert_eq!(desk.next(now), Some(Order::Climb(Rung::Renew)));
        desk.begin_anew(now);
        assert_eq!(connect(&mut desk, now), None);
    }

    #[test]
    fn links_are_bounded_and_a_lock_has_one() {
        let mut desk = desk(2);
        for ticket in 1..=3 {
            desk.wish(ticket, lock(1), WITHIN, Mono(0));
        }
        desk.wish(4, lock(2), WITHIN, Mono(0));
        desk.wish(5, lock(3), WITHIN, Mono(0));
        let first = connect(&mut desk, Mono(0)).unwrap();
        desk.linked(&first, Mono(0));
        let second = connect(&mut desk, Mono(0)).unwrap();
        desk.linked(&second, Mono(0));
        assert_eq!((first.ticket, second.ticket), (1, 4));
        assert_eq!(connect(&mut desk, Mono(0)), None);
        desk.closed(1);
        assert_eq!(connect(&mut desk, Mono(0)).unwrap().ticket, 2);
    }

    #[test]
    fn a_silent_lock_lets_all_others_go_first_and_is_given_up_soon() {
        let mut desk = desk(1);
        for number in 1..=3 {
            desk.wish(number.into(), lock(number), WITHIN, Mono(0));
        }
        let silent = connect(&mut desk, Mono(0)).unwrap();
        assert_eq!(desk.failed(silent, Failure::Silent, Mono(0)), None);
        let now = Mono(0) + CALM;
        for number in 2..=3 {
            let wish = connect(&mut desk, now).unwrap();
            assert_eq!(wish.address, lock(number));
            desk.linked(&wish, now);
            desk.closed(wish.ticket);
        }
        let silent = connect(&mut desk, now).unwrap();
        assert_eq!(silent.address, lock(1));
        assert_eq!(desk.failed(silent, Failure::Silent, now), Some(NoLink::Silent));
    }

    #[test]
    fn passing_trouble_is_tried_often_and_more_slowly_beside_other_links() {
        let mut desk = desk(3);
        desk.wish(1, lock(1), WITHIN, Mono(0));
        let wish = connect(&mut desk, Mono(0)).unwrap();
        desk.linked(&wish, Mono(0));
        desk.wish(2, lock(2), WITHIN, Mono(0));
        let mut now = Mono(0);
        for tries in 1..=ATTEMPTS {
            let wish = connect(&mut desk, now).unwrap();
            let over = desk.failed(wish, Failure::Passing, now);
            assert_eq!(over.is_some(), tries == ATTEMPTS);
            assert_eq!(connect(&mut desk, now), None, "not at once");
            now = now
                + if tries < CROWDED_AFTER {
                    pause(tries)
                } else {
                    CROWDED_PAUSE
                };
        }
    }

    #[test]
    fn one_that_is_not_listed_waits_until_it_is_heard_and_no_longer_than_it_may() {
        let mut desk = desk(1);
        desk.wish(1, lock(1), WITHIN, Mono(0));
        desk.wish(2, lock(2), WITHIN, Mono(0));
        for _ in 0..2 {
            let wish = connect(&mut desk, Mono(0)).unwrap();
            assert_eq!(desk.failed(wish, Failure::Unheard, Mono(0)), None);
        }
        assert_eq!(desk.next(Mono(0)), Some(Order::Scan(true)));
        desk.scanned(true, Mono(0));
        assert_eq!(desk.next(Mono(9)), None);
        desk.heard(lock(2), Mono(9));
        assert_eq!(connect(&mut desk, Mono(9)).unwrap().address, lock(2));
        assert_eq!(desk.expired(Mono(0) + WITHIN), [(1, NoLink::Unheard)]);
    }

    #[test]
    fn what_is_stuck_climbs_and_is_tried_again_after() {
        let mut desk = desk(1);
        desk.wish(1, lock(1), WITHIN, Mono(0));
        let mut now = Mono(0);
        for rung in [
            Rung::Disconnect(lock(1)),
            Rung::Remove(lock(1)),
            Rung::PowerCycle,
            Rung::Renew,
        ] {
            let wish = connect(&mut desk, now).unwrap();
            assert_eq!(desk.failed(wish, Failure::Stuck, now), None);
            assert_eq!(desk.next(now), Some(Order::Climb(rung)));
            now = now + CALM;
        }
    }

    #[test]
    fn an_adapter_that_does_not_listen_counts_as_off_in_the_end() {
        let mut desk = Desk::new(1);
        desk.wish(1, lock(1), WITHIN, Mono(0));
        let mut now = Mono(0);
        let mut attempts = 0;
        loop {
            assert_eq!(desk.next(now), Some(Order::Scan(true)));
            attempts += 1;
            if desk.not_scanned(now) {
                break;
            }
            assert_eq!(desk.next(now), None);
            now = desk.due(now).unwrap();
        }
        assert_eq!(attempts, SCAN_ATTEMPTS);
    }

    #[test]
    fn a_wish_that_nobody_holds_on_to_is_dropped() {
        let mut desk = desk(1);
        desk.wish(1, lock(1), WITHIN, Mono(0));
        desk.retain(|ticket| ticket != 1);
        assert_eq!(connect(&mut desk, Mono(0)), None);
    }

    #[test]
    fn a_lock_is_not_blamed_for_waiting_its_turn() {
        let mut desk = desk(1);
        desk.wish(1, lock(1), Duration::from_secs(10), Mono(0));
        let first = connect(&mut desk, Mono(0)).unwrap();
        desk.linked(&first, Mono(0));
        for ticket in 2..=3 {
            desk.wish(ticket, lock(2), Duration::from_secs(10), Mono(0));
        }
        let later = Mono(0) + (TURN_WITHIN - CALM);
        assert_eq!(desk.expired(later), []);
        desk.closed(1);
        let second = connect(&mut desk, later).unwrap();
        assert_eq!(second.until, later + Duration::from_secs(10));
        desk.linked(&second, later);
        assert_eq!(desk.expired(Mono(0) + TURN_WITHIN), [(3, NoLink::Untried)]);
    }

    #[test]
    fn an_attempt_that_took_all_the_time_there_was_is_not_made_again() {
        let mut desk = desk(1);
        desk.wish(1, lock(1), Duration::from_secs(10), Mono(0));
        let wish = connect(&mut desk, Mono(0)).unwrap();
        let until = wish.until;
        assert_eq!(desk.failed(wish, Failure::Silent, until), None);
        assert_eq!(desk.expired(until), [(1, NoLink::Silent)]);
    }

    #[test]
    fn a_worn_bus_is_renewed_when_nobody_uses_a_link_or_does_so_for_too_long() {
        for ends in [true, false] {
            let mut desk = desk(3);
            desk.wish(1, lock(1), WITHIN, Mono(0));
            let used = connect(&mut desk, Mono(0)).unwrap();
            desk.linked(&used, Mono(0));
            desk.wish(2, lock(2), WITHIN, Mono(0));
            let wish = connect(&mut desk, Mono(0)).unwrap();
            assert_eq!(desk.failed(wish, Failure::Worn, Mono(0)), None);
            assert_eq!(desk.next(Mono(0) + CALM), None, "nothing begins");
            assert_eq!(desk.expired(Mono(0) + WITHIN), [(2, NoLink::Untried)]);
            let now = match ends {
                true => {
                    desk.closed(1);
                    Mono(0) + CALM
                }
                false => Mono(0) + WORN_WITHIN,
            };
            assert_eq!(desk.next(now), Some(Order::Climb(Rung::Renew)));
        }
    }

    #[test]
    fn a_radio_that_hears_nothing_is_helped_although_somebody_wants_a_link_all_the_time() {
        let mut desk = desk(1);
        let mut rungs = Vec::new();
        for minute in 0..30 {
            let mut now = Mono(minute * 60_000);
            desk.wish(minute, lock(1), WITHIN, now);
            let next_minute = now + Duration::from_secs(60);
            while now < next_minute && rungs.len() < 2 {
                match desk.next(now) {
                    Some(Order::Scan(on)) => desk.scanned(on, now),
                    Some(Order::Connect(wish)) => {
                        now = now + Duration::from_secs(20);
                        desk.failed(wish, Failure::Silent, now);
                    }
                    Some(Order::Climb(rung)) => rungs.push(rung),
                    None => now = desk.due(now).map_or(next_minute, |due| due.min(next_minute)),
                }
            }
        }
        assert_eq!(rungs, [Rung::Rescan, Rung::PowerCycle]);
    }
}
