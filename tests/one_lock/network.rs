//! A lock of which a network tells, a radio that goes away, and what locks say by themselves.

use std::collections::BTreeSet;

use lockbridge::gateway::view::Advertised;
use lockbridge::model::{Bookmark, By, Closed, Credential, Detail, Logbook, Outage, Typed, Word};

use super::*;

/// The lock of a network, as it is told of.
fn spec(setup: &Setup) -> DeviceSpec {
    DeviceSpec {
        device: DEVICE,
        name: "Cellar".into(),
        driver: "zwave".into(),
        radio: radio(),
        capabilities: setup.capabilities.clone(),
        simulated: false,
    }
}

fn radio() -> RadioId {
    RadioId("radio".into())
}

/// A gateway whose configuration names no device.
fn start(site: &mut Site) {
    let (vault, content) = Vault::open(&mut site.disk, &SealKey::new([7; SealKey::BYTES]), [1; 16]).unwrap();
    let radios = [(radio(), 1)].into();
    let none = Vec::new();
    let (gateway, _) = Gateway::boot(
        vault,
        content,
        none,
        radios,
        Settings::default(),
        BOOT,
        site.now.known(),
    )
    .unwrap();
    site.gateway = gateway;
    site.under_way.clear();
    site.told = site.newest_event();
    site.tell(Event::Timer);
}

/// A network with one lock, which was met.
fn network() -> Site {
    let mut site = Site::with("slots");
    site.disk = MemoryStore::new();
    start(&mut site);
    meet(&mut site);
    site
}

fn meet(site: &mut Site) {
    let spec = spec(site.lock.setup());
    site.tell(Event::Met(Box::new(spec)));
    site.tell(Event::Census(radio(), [DEVICE].into()));
    site.tell(Event::Radio(radio(), None));
    site.settle();
}

/// The same with a lock that lets in whoever has a key.
fn paired() -> Site {
    let mut site = network();
    pair(&mut site, b"a key");
    site
}

/// What lets us in is kept, and the lock is told of.
fn pair(site: &mut Site, key: &[u8]) {
    site.tell(Event::Keep(DEVICE, Some(Credential::new(key.to_vec()))));
    meet(site);
}

/// The lock says no to all that it is being asked.
fn refuse(site: &mut Site, objection: Objection) {
    let exchange = site.under_way.pop_front().unwrap();
    let outcome = Outcome {
        findings: vec![Finding::Refused(objection); exchange.steps.len()],
        took: Duration::from_secs(1),
    };
    site.tell(Event::Done(exchange.call, outcome));
}

fn lose(site: &mut Site) {
    site.tell(Event::Radio(radio(), Some(Outage::Stick)));
}

fn kinds(site: &Site) -> Vec<EventKind> {
    site.gateway.events().map(|event| event.kind).collect()
}

fn status(site: &Site, code: CodeId) -> Status {
    site.gateway.code(code, site.now).unwrap().status
}

#[test]
fn a_radio_that_is_away_is_asked_nothing_and_blames_no_lock() {
    let mut site = network();
    lose(&mut site);
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    site.wait(2 * HOUR);
    assert!(site.under_way.is_empty(), "it was asked all the same");
    let view = site.gateway.device(DEVICE, site.now).unwrap();
    assert!(!view.online && view.radio_away.is_some() && view.offline_since.is_none());
    assert!(
        matches!(site.reason(code), Some(Waiting::RadioAway(away)) if away.outage == Some(Outage::Stick))
    );
    site.tell(Event::Radio(radio(), None));
    assert_eq!(site.under_way.len(), 1, "at once");
    site.settle();
    assert_eq!(status(&site, code), Status::Set);
    let kinds = kinds(&site);
    assert!(!kinds.contains(&EventKind::DeviceDisconnected));
    let radio = [EventKind::RadioAway, EventKind::RadioBack];
    let told: Vec<_> = kinds.into_iter().filter(|kind| radio.contains(kind)).collect();
    assert_eq!(told, radio);
}

#[test]
fn what_a_lost_radio_cut_is_in_doubt_and_nobodys_fault() {
    let mut site = network();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    let exchange = site.under_way.pop_front().unwrap();
    lose(&mut site);
    let outcome = Outcome {
        findings: vec![Finding::Cut],
        took: Duration::from_secs(1),
    };
    site.tell(Event::Done(exchange.call, outcome));
    assert!(site.under_way.is_empty());
    // The lock may hold it: its deletion must ask.
    let delete = Delete { code, device: None };
    site.ask(Verb::Delete, None, Request::Delete(delete));
    assert_eq!(status(&site, code), Status::Removing);
    site.tell(Event::Radio(radio(), None));
    assert!(matches!(site.under_way[0].steps[0], Step::Remove { ref pins, .. } if *pins == [pin("4711")]));
    site.settle();
    assert!(site.gateway.code(code, site.now).is_none());
    assert!(!kinds(&site).contains(&EventKind::DeviceDisconnected));
}

#[test]
fn a_lock_that_was_met_is_there_after_a_start_without_its_network() {
    let mut site = network();
    let set = site.create(Some("4711"), Window::Ongoing, None).code;
    site.settle();
    start(&mut site);
    let view = site.gateway.device(DEVICE, site.now).unwrap();
    assert_eq!(
        (view.name.as_str(), view.removed, view.online),
        ("Cellar", false, false)
    );
    assert!(
        view.radio_away.is_some_and(|away| away.outage.is_none()),
        "nobody has heard of it"
    );
    assert_eq!(status(&site, set), Status::Set);
    let waiting = site.create(Some("4812"), Window::Ongoing, None).code;
    assert!(site.under_way.is_empty());
    meet(&mut site);
    assert_eq!(status(&site, waiting), Status::Set);
    // It was added once, whatever it went through.
    let added = kinds(&site)
        .into_iter()
        .filter(|kind| *kind == EventKind::DeviceAdded);
    assert_eq!(added.count(), 1);
}

#[test]
fn what_a_whole_description_lacks_is_gone_and_may_come_back() {
    let mut site = network();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    site.settle();
    site.tell(Event::Census(radio(), BTreeSet::new()));
    assert!(site.gateway.device(DEVICE, site.now).unwrap().removed);
    let Answer::Refused(refusal) = site.try_create(Some("4812"), Window::Ongoing, None) else {
        panic!("it is gone")
    };
    assert_eq!(refusal.reason, Reason::DeviceRemoved);
    start(&mut site);
    assert!(
        site.gateway.device(DEVICE, site.now).unwrap().removed,
        "over a start too"
    );
    meet(&mut site);
    assert!(!site.gateway.device(DEVICE, site.now).unwrap().removed);
    assert_eq!(status(&site, code), Status::Set);
}

#[test]
fn what_was_found_out_holds_while_it_is_found_out_anew() {
    let mut site = network();
    let mut unknown = spec(site.lock.setup());
    unknown.capabilities.closed = Some(Closed::NotInterviewed);
    unknown.capabilities.capacity = 0;
    site.tell(Event::Met(Box::new(unknown)));
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    site.settle();
    assert_eq!(status(&site, code), Status::Set);
}

#[test]
fn a_lock_that_takes_no_codes_refuses_with_its_reason() {
    let mut site = network();
    for (closed, reason) in [
        (Closed::Unsecured, Reason::InvalidInput),
        (Closed::NoCodes, Reason::InvalidInput),
    ] {
        let mut spec = spec(site.lock.setup());
        spec.capabilities.closed = Some(closed);
        site.tell(Event::Met(Box::new(spec)));
        let Answer::Refused(refusal) = site.try_create(None, Window::Ongoing, None) else {
            panic!("{closed:?}")
        };
        assert_eq!(refusal.reason, reason);
    }
}

#[test]
fn what_a_lock_says_is_told_with_the_code_it_belongs_to() {
    let mut site = network();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    site.settle();
    let say = |site: &mut Site, word| {
        site.tell(Event::Told(DEVICE, word));
        site.gateway.events().next_back().cloned().unwrap()
    };
    let keypad = By::Keypad(Some(Slot(1)));
    let moved = |locked, by| Word::Moved { locked, by };
    let event = say(&mut site, moved(false, keypad));
    assert_eq!((event.kind, event.code), (EventKind::LockUnlocked, Some(code)));
    assert_eq!(event.detail, Detail::Moved(keypad));
    let view = |site: &Site| site.gateway.device(DEVICE, site.now).unwrap();
    assert_eq!(view(&site).locked, Some(false));
    // A slot that is not ours is nobody's code on record.
    let stranger = By::Keypad(Some(Slot(9)));
    assert_eq!(say(&mut site, moved(true, stranger)).code, None);
    let low = say(&mut site, Word::Battery(12));
    assert_eq!(low.kind, EventKind::DeviceLowBattery);
    let newest = low.seq;
    assert_eq!(say(&mut site, Word::Battery(11)).seq, newest, "once is enough");
    assert_eq!(view(&site).battery, Some(11));

    // What the lock says of our own door command is no second event.
    let command = DoorCommand {
        device: DEVICE,
        deed: Deed::Lock,
    };
    site.ask(Verb::LockDoor, None, Request::Door(command));
    site.settle();
    let done = site.newest_event();
    assert_eq!(say(&mut site, moved(true, By::Radio)).seq, done);
    site.wait(60);
    assert!(
        say(&mut site, moved(true, By::Radio)).seq > done,
        "somebody else's is"
    );

    // It tells that its codes were changed, and is read.
    site.settle();
    assert_eq!(site.under_way.len(), 0);
    site.tell(Event::Told(DEVICE, Word::CodesErased));
    assert!(matches!(site.under_way[0].steps[..], [Step::Read]));
}

#[test]
fn how_loud_a_lock_is_heard_is_shown_with_its_time_and_is_no_proof_that_it_answers() {
    let mut site = network();
    site.settle();
    let before = site.gateway.device(DEVICE, site.now).unwrap();
    assert_eq!(before.advertised, None);
    site.wait(60);
    site.tell(Event::Told(DEVICE, Word::Advertised(-77)));
    let at = site.now.wall;
    let after = site.gateway.device(DEVICE, site.now).unwrap();
    assert_eq!(after.advertised, Some(Advertised { at, rssi: -77 }));
    assert_eq!(after.last_seen, before.last_seen);
}

#[test]
fn a_logbook_is_told_once_with_the_codes_and_the_times_it_belongs_to() {
    let mut site = network();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    site.settle();
    let began = site.now.wall;
    let typed = |number, digits: &str, locked| Typed {
        number,
        at: Some(began + Duration::from_secs(number.into())),
        locked,
        slot: Slot(70),
        pin: Pin::parse(digits),
    };
    let tell = |site: &mut Site, entries: Vec<Typed>| {
        let before = site.newest_event();
        let read = entries
            .last()
            .map_or(Bookmark::Empty, |typed| Bookmark::At(typed.number));
        site.tell(Event::Logged(DEVICE, Logbook { read, entries }));
        let events = site.gateway.events().filter(|event| event.seq > before);
        events.cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        tell(&mut site, vec![typed(5, "4711", false)]),
        [],
        "from before our time"
    );
    site.wait(600);
    let both = vec![
        typed(5, "4711", false),
        typed(8, "4711", false),
        typed(9, "9999", true),
    ];
    let events = tell(&mut site, both.clone());
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.kind, event.code, event.occurred()))
        .collect();
    let at = |seconds| began + Duration::from_secs(seconds);
    assert_eq!(
        told,
        [
            (EventKind::LockUnlocked, Some(code), at(8)),
            (EventKind::LockLocked, None, at(9)),
        ]
    );
    assert!(events.iter().all(|event| event.at == site.now.wall));
    assert_eq!(
        site.gateway.device(DEVICE, site.now).unwrap().locked,
        None,
        "that was long ago"
    );
    start(&mut site);
    meet(&mut site);
    assert_eq!(tell(&mut site, both), [], "after no start either");
    // One without a date, and one from a clock that is ahead.
    let odd = Typed {
        at: None,
        ..typed(10, "4711", false)
    };
    let ahead = Typed {
        at: Some(Timestamp::MAX),
        ..typed(11, "4711", false)
    };
    let events = tell(&mut site, vec![odd, ahead]);
    assert!(events.len() == 2 && events.iter().all(|event| event.occurred() == site.now.wall));
    // It was emptied since.
    assert_eq!(tell(&mut site, vec![typed(2, "4711", false)]).len(), 1);
    assert_eq!(tell(&mut site, vec![typed(3, "4711", false)]).len(), 1);
    assert_eq!(tell(&mut site, vec![]), []);
    start(&mut site);
    meet(&mut site);
    assert_eq!(tell(&mut site, vec![typed(0, "4711", false)]).len(), 1);
    // Of a place that no table showed nobody knows whose it is.
    let nobodys = Typed {
        pin: None,
        ..typed(4, "4711", false)
    };
    let events = tell(&mut site, vec![nobodys]);
    assert!(
        matches!(events[..], [ref event] if event.code.is_none() && event.detail == Detail::Logged { by: By::Keypad(None), at: at(4) })
    );
    // It is taken away, and comes back: what it wrote down meanwhile is none of ours.
    site.tell(Event::Removed(DEVICE));
    assert_eq!(
        tell(&mut site, vec![typed(5, "4711", false)]),
        [],
        "not ours any more"
    );
    meet(&mut site);
    assert_eq!(
        tell(&mut site, vec![typed(6, "4711", false), typed(7, "4711", false)]),
        []
    );
    assert_eq!(tell(&mut site, vec![typed(8, "4711", false)]).len(), 1);
}

#[test]
fn credentials_are_kept_sealed_over_a_start_and_forgotten_when_told() {
    let mut site = network();
    let secret = Credential::new(b"let me in".to_vec());
    site.tell(Event::Keep(DEVICE, Some(secret.clone())));
    for (_, row) in site.disk.scan(Tree::Devices, b"", b"", usize::MAX).unwrap() {
        let shown = row
            .windows(secret.expose().len())
            .any(|part| part == secret.expose());
        assert!(!shown, "it lies there for everybody to read");
    }
    let kept = |site: &Site| -> Vec<(DeviceId, Credential)> {
        let credentials = site.gateway.credentials();
        credentials
            .map(|(device, credential, _)| (device, credential.clone()))
            .collect()
    };
    start(&mut site);
    assert_eq!(kept(&site), [(DEVICE, secret)]);
    site.tell(Event::Keep(DEVICE, None));
    start(&mut site);
    assert_eq!(kept(&site), []);
    assert!(
        site.gateway.device(DEVICE, site.now).is_some(),
        "the device is another matter"
    );
}

#[test]
fn a_lock_that_lets_us_in_again_is_asked_at_once() {
    let mut site = paired();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    refuse(&mut site, Objection::Credential);
    assert_eq!(site.reason(code), Some(Waiting::Refused(Objection::Credential)));
    assert!(site.under_way.is_empty());
    pair(&mut site, b"another key");
    assert_eq!(status(&site, code), Status::Set);
}

#[test]
fn a_lock_that_was_reset_and_paired_again_gets_its_codes_back() {
    let mut site = paired();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    site.settle();
    site.wait(600);
    site.lock = SimLock::new(site.lock.setup().clone(), Memory::default());
    // A radio that comes back tells of it as it was: not every lock is read for that.
    let before = site.exchanges;
    meet(&mut site);
    assert_eq!(site.exchanges, before);
    pair(&mut site, b"another key");
    assert!(site.has_told(EventKind::CodeLost));
    assert_eq!(status(&site, code), Status::Setting);
    // Like any code that a lock has lost.
    site.wait(120);
    assert_eq!(site.on_lock(), ["4711"]);
    assert_eq!(status(&site, code), Status::Set);
}

#[test]
fn a_table_that_was_put_off_is_asked_for_once_the_lock_is_paired_again() {
    let mut site = paired();
    site.wait(600);
    // The lock does not accept us, again and again.
    site.tell(Event::Verify(DEVICE));
    for _ in 0..4 {
        refuse(&mut site, Objection::Credential);
        site.pass(Duration::from_secs(HOUR));
        site.tell(Event::Timer);
    }
    refuse(&mut site, Objection::Credential);
    site.by_hand(Some(2), "9090");
    pair(&mut site, b"another key");
    assert_eq!(site.gateway.device(DEVICE, site.now).unwrap().unmanaged, 1);

    // The same of one that was silent for long.
    let mut site = paired();
    site.wait(600);
    site.lock.disconnect();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    site.wait(HOUR);
    assert!(site.under_way.is_empty());
    site.lock.connect();
    pair(&mut site, b"another key");
    assert_eq!(status(&site, code), Status::Set);
}

#[test]
fn a_driver_that_must_not_ask_says_nothing_of_reach() {
    for objection in [Objection::Credential, Objection::Unsecured] {
        let mut site = network();
        site.wait(600);
        let seen = |site: &Site| site.gateway.device(DEVICE, site.now).unwrap().last_seen;
        let before = seen(&site);
        site.create(Some("4711"), Window::Ongoing, None);
        refuse(&mut site, objection);
        assert_eq!(seen(&site), before, "{objection:?}");
        // One that is out of reach stays so.
        site.tell(Event::Lost(DEVICE));
        for _ in 0..3 {
            site.pass(Duration::from_secs(HOUR));
            site.tell(Event::Timer);
            refuse(&mut site, objection);
        }
        let view = site.gateway.device(DEVICE, site.now).unwrap();
        assert!(!view.online && view.last_seen == before, "{objection:?}");
    }
}

#[test]
fn an_unexplained_no_may_have_left_the_code_there() {
    for profile in ["slots", "masked"] {
        let mut site = Site::with(profile);
        let code = site.create(Some("4711"), Window::Ongoing, None).code;
        // The lock took it, and whoever speaks for it did not see that.
        let exchange = site.under_way.front().unwrap().clone();
        let (call, mut outcome) = site.perform();
        let put = exchange
            .steps
            .iter()
            .position(|step| step.slot().is_some())
            .unwrap();
        outcome.findings.truncate(put);
        outcome.findings.push(Finding::Refused(Objection::Other));
        outcome.findings.resize(exchange.steps.len(), Finding::Untried);
        site.tell(Event::Done(call, outcome));
        assert_eq!(site.on_lock(), ["4711"]);
        let delete = Delete { code, device: None };
        site.ask(Verb::Delete, None, Request::Delete(delete));
        site.wait(4000);
        assert_eq!(site.on_lock(), [""; 0], "{profile}: it opens for ever");
    }
}

#[test]
fn a_lock_that_cannot_be_asked_lets_the_others_go_first() {
    let mut site = network();
    site.create(Some("4711"), Window::Ongoing, None);
    let exchange = site.under_way.pop_front().unwrap();
    let outcome = Outcome::untried(exchange.steps.len());
    site.tell(Event::Done(exchange.call, outcome));
    assert!(site.under_way.is_empty(), "it was asked again at once");
    site.wait(2);
    assert_eq!(site.on_lock(), ["4711"]);
    assert!(!kinds(&site).contains(&EventKind::DeviceDisconnected));
}

#[test]
fn a_code_in_a_slot_that_is_reserved_by_now_is_there_until_its_end() {
    let mut site = network();
    let code = site.create(Some("4711"), until(24 * HOUR), None).code;
    site.settle();
    let mut reserved = spec(site.lock.setup());
    reserved.capabilities.reserved = [Slot(1)].into();
    start(&mut site);
    site.tell(Event::Met(Box::new(reserved)));
    site.tell(Event::Census(radio(), [DEVICE].into()));
    site.tell(Event::Radio(radio(), None));
    // A table without that slot.
    while let Some(exchange) = site.under_way.pop_front() {
        assert!(matches!(exchange.steps[..], [Step::Read]));
        let outcome = Outcome {
            findings: vec![Finding::Table(Vec::new())],
            took: Duration::from_secs(1),
        };
        site.tell(Event::Done(exchange.call, outcome));
    }
    assert_eq!(status(&site, code), Status::Set);
    let other = site.create(Some("4812"), until(24 * HOUR), None).code;
    site.settle();
    assert_eq!(status(&site, other), Status::Set);
    site.pass(Duration::from_secs(24 * HOUR + 60));
    site.tell(Event::Timer);
    site.settle();
    assert_eq!(site.on_lock(), [""; 0]);
}

#[test]
fn a_change_at_the_keypad_is_looked_at_whatever_is_under_way() {
    let mut site = network();
    let code = site.create(Some("4711"), Window::Ongoing, None).code;
    // The lock's word for our own write is no news.
    site.tell(Event::Told(DEVICE, Word::CodeChanged(Some(Slot(1)))));
    site.settle();
    site.tell(Event::Told(DEVICE, Word::CodeChanged(Some(Slot(1)))));
    assert!(site.under_way.is_empty());
    // While its table is read, which is past that slot already.
    site.tell(Event::Verify(DEVICE));
    let (call, read) = site.perform();
    site.by_hand(Some(2), "9090");
    site.tell(Event::Told(DEVICE, Word::CodeChanged(Some(Slot(2)))));
    site.tell(Event::Done(call, read));
    site.wait(60);
    assert_eq!(site.gateway.device(DEVICE, site.now).unwrap().unmanaged, 1);
    assert_eq!(status(&site, code), Status::Set);
}

#[test]
fn a_lock_that_left_keeps_its_name_over_a_start() {
    let mut site = network();
    site.create(Some("4711"), Window::Ongoing, None);
    site.settle();
    site.tell(Event::Census(radio(), BTreeSet::new()));
    start(&mut site);
    let view = site.gateway.device(DEVICE, site.now).unwrap();
    assert_eq!((view.name.as_str(), view.removed), ("Cellar", true));
}

#[test]
fn a_start_with_the_network_there_tells_nothing_of_its_radio() {
    let mut site = network();
    start(&mut site);
    meet(&mut site);
    let radio = [EventKind::RadioAway, EventKind::RadioBack];
    assert!(!kinds(&site).iter().any(|kind| radio.contains(kind)));
    // And one without it tells that.
    start(&mut site);
    site.tell(Event::Radio(RadioId("radio".into()), Some(Outage::Server)));
    meet(&mut site);
    let told: Vec<_> = kinds(&site)
        .into_iter()
        .filter(|kind| radio.contains(kind))
        .collect();
    assert_eq!(told, radio);
}
