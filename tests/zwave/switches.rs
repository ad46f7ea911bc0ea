//! Every switch of the rig, and what it must not break; foreign codes are the same at the end of all of them.
//! Each test names the invariant that it protects.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::broker::{Broker, Listener};
use crate::common::Rig;
use crate::net::{
    Net, all_are, book, broker, code, codes, device, events, log_hides, nobody_was_blamed, nobody_was_silent,
    topics_hide, until,
};

/// Fixed length of four, masked, no Supervision, User Credential, Supervision.
const SHORT: u16 = 2;
const MASKED: u16 = 3;
const PLAIN: u16 = 4;
const OFFICE: u16 = 5;
const SUITE: u16 = 6;
const GATE: u16 = 7;
const UNSECURED: u16 = 8;

const PIN: &str = "28460173";
const THEIRS: &str = "90905566";

/// Slots of each lock that the gateway uses. It looks at all of them in every test, and at many in `first.rs`.
const SLOTS: u16 = 6;

/// How long the driver waits for a report, in milliseconds: longer than a busy machine takes.
const PATIENT: &str = "5000";
/// The same where reports are missed on purpose, and what a busy machine takes is one more of these.
const HASTY: &str = "1000";

/// Networks that no test has just now, by the patience of their driver: each takes its time to start.
static FREE: Mutex<BTreeMap<&str, Vec<Net>>> = Mutex::new(BTreeMap::new());

/// A network with a stranger's code on each lock, and a gateway that has read them all.
struct Site {
    net: Lent,
    rig: Rig,
    broker: Broker,
    listener: Listener,
    nodes: Vec<u16>,
}

/// A network, while a test has it.
struct Lent {
    patience: &'static str,
    net: Option<Net>,
}

impl Lent {
    fn new(patience: &'static str) -> Lent {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let net = free.get_mut(patience).and_then(Vec::pop);
        drop(free);
        let net = net.unwrap_or_else(|| Net::start(&["--report-timeout", patience]));
        Lent {
            patience,
            net: Some(net),
        }
    }
}

impl std::ops::Deref for Lent {
    type Target = Net;

    fn deref(&self) -> &Net {
        self.net.as_ref().expect("it is lent until the end")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // How it is after a test that failed nobody knows.
        if let Some(net) = self.net.take().filter(|_| !std::thread::panicking()) {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(self.patience).or_default().push(net);
        }
    }
}

impl Site {
    fn new(nodes: &[u16]) -> Site {
        Site::with(PATIENT, nodes, &[])
    }

    /// `known` are further keys of what the operator knows of a node.
    fn with(patience: &'static str, nodes: &[u16], known: &[(u16, &str)]) -> Site {
        let net = Lent::new(patience);
        net.tidy(&[SHORT, MASKED, PLAIN, OFFICE, SUITE, UNSECURED]);
        for node in nodes {
            net.by_hand(*node, "add", 1, Some(theirs(*node)));
        }
        let (broker, listener, mqtt) = broker();
        let rules = nodes.iter().map(|node| {
            let of_it = known.iter().filter(|(of, _)| of == node);
            let keys: String = of_it.map(|(_, keys)| *keys).collect();
            format!("[[zwave.lock]]\nnode = {node}\nslots = {SLOTS}\n{keys}")
        });
        let config: Vec<String> = rules.chain([mqtt]).collect();
        let rig = net.gateway(nodes, &config);
        let site = Site {
            net,
            rig,
            broker,
            listener,
            nodes: nodes.to_vec(),
        };
        until(&site.rig, "the strangers' codes are known", || {
            let known = |node: &u16| site.ours(*node)["unmanaged_codes"] == 1;
            nodes.iter().all(known)
        });
        site
    }

    fn device(&self, node: u16) -> Value {
        device(&self.rig, &self.net.id(node))
    }

    /// What Seam has no word for.
    fn ours(&self, node: u16) -> Value {
        self.device(node)["properties"]["lockbridge"].clone()
    }

    fn book(&self, node: u16, pin: &str) -> Value {
        let booked = book(&self.rig, &[self.net.id(node)], &json!({"code": pin}));
        codes(&booked)[0].clone()
    }

    /// The same PIN for each of its locks, in codes that know nothing of each other.
    fn book_each(&self, pin: &str) -> Vec<(u16, Value)> {
        let nodes = self.nodes.iter();
        nodes.map(|node| (*node, self.book(*node, pin))).collect()
    }

    #[track_caller]
    fn is(&self, code: &Value, status: &str) {
        until(&self.rig, status, || {
            all_are(&self.rig, std::slice::from_ref(code), status)
        });
    }

    /// Somebody wants a lock checked.
    fn verify(&self, node: u16) {
        let device = json!({"device_id": self.net.id(node)}).to_string();
        self.broker
            .publish("lockbridge/villa-7/gw1/cmd/verify", &device, &[]);
    }

    /// Waits until a device waits for this reason.
    #[track_caller]
    fn waits(&self, node: u16, reason: &str) {
        until(&self.rig, reason, || self.ours(node)["waiting"] == reason);
    }

    #[track_caller]
    fn take_off(&self, code_made: &Value) {
        let id = &code_made["access_code_id"];
        self.rig
            .post("/access_codes/delete", json!({"access_code_id": id}))
            .ok();
        until(&self.rig, "it is gone", || code(&self.rig, id).is_null());
    }

    /// What holds at the end of every test.
    #[track_caller]
    fn end(mut self) {
        for node in &self.nodes {
            assert_eq!(
                self.net.table(*node),
                [(1, theirs(*node).to_owned())],
                "node {node}"
            );
            assert_eq!(self.net.frames(*node, "clear_alls"), 0, "node {node}");
        }
        log_hides(&self.rig, &[PIN, THEIRS]);
        topics_hide(&self.rig, &mut self.listener, &[PIN, THEIRS]);
    }
}

fn theirs(node: u16) -> &'static str {
    if node == SHORT { "9090" } else { THEIRS }
}

/// I7: what is not heard is not proven; I4: what was not heard is made good; nothing is there twice.
#[test]
fn silence_proves_nothing_and_does_no_harm() {
    let site = Site::with(HASTY, &[SUITE, OFFICE, PLAIN, MASKED], &[]);
    let dead = |node: u16| site.net.dead_for(node, 50);
    let mute = |node: u16| site.net.fault(node, "mute");
    for (fault, strike) in [("dead", &dead as &dyn Fn(u16)), ("mute", &mute as &dyn Fn(u16))] {
        // All at once, so that their waits are one.
        site.nodes.iter().for_each(|node| strike(*node));
        let made = site.book_each(PIN);
        for (node, _) in &made {
            site.waits(*node, "device_silent");
        }
        let codes: Vec<Value> = made.iter().map(|(_, code)| code.clone()).collect();
        assert!(all_are(&site.rig, &codes, "setting"), "{fault}");
        site.nodes.iter().for_each(|node| site.net.fault(*node, "none"));
        for (node, code) in &made {
            site.is(code, "set");
            let pins = site.net.pins(*node);
            let ours = pins.iter().filter(|pin| *pin == PIN).count();
            assert_eq!(ours, 1, "{fault}: {pins:?}");
            site.take_off(code);
        }
    }
    site.end();
}

/// I7: an answer after the driver's patience may count as one or not, but never for what is not so.
#[test]
fn late_answers_do_no_harm() {
    let site = Site::with(HASTY, &[SUITE, OFFICE, PLAIN, MASKED], &[]);
    site.nodes.iter().for_each(|node| site.net.fault(*node, "late"));
    let made = site.book_each(PIN);
    for (node, code) in &made {
        let is_set = || all_are(&site.rig, std::slice::from_ref(code), "set");
        until(&site.rig, "it is set, or known why not", || {
            let waiting = site.ours(*node)["waiting"].clone();
            is_set() || (waiting != "in_line" && !waiting.is_null())
        });
        assert!(!is_set() || site.net.pins(*node) == [THEIRS, PIN]);
        site.net.fault(*node, "none");
    }
    for (node, code) in &made {
        site.is(code, "set");
        assert_eq!(site.net.pins(*node), [THEIRS, PIN]);
        site.take_off(code);
    }
    site.end();
}

/// I7: the same where the answer to the write alone is late.
#[test]
fn a_write_that_is_answered_late_does_no_harm() {
    let site = Site::new(&[SUITE, OFFICE, PLAIN, MASKED]);
    for node in site.nodes.clone() {
        // Of the Office a look takes two answers: what is there, and whose it is.
        let looks = if node == OFFICE { 2 } else { 1 };
        site.net
            .fault_with(node, &json!({"kind": "late", "skip": looks, "count": 1}));
        let made = site.book(node, PIN);
        site.is(&made, "set");
        assert!(site.net.frames(node, "sets") > 0);
        assert_eq!(
            site.net.state(node)["fault"],
            "none",
            "the write's answer was late"
        );
        assert_eq!(site.net.pins(node), [THEIRS, PIN]);
        site.take_off(&made);
    }
    nobody_was_blamed(&site.rig);
    site.end();
}

/// I11, I12: a lock for which the stick refuses to send is one silent lock, and the radio is there.
#[test]
fn a_lock_that_holds_up_the_stick_is_one_silent_lock() {
    let site = Site::new(&[SUITE, PLAIN]);
    let aways = || events(&site.rig, "lockbridge.radio.away").len();
    let before = aways();
    site.net.fault(SUITE, "stalled");
    let held_up = site.book(SUITE, PIN);
    site.waits(SUITE, "device_silent");
    let other = site.book(PLAIN, PIN);
    site.is(&other, "set");
    assert_eq!(aways(), before);
    site.net.fault(SUITE, "none");
    site.is(&held_up, "set");
    site.take_off(&held_up);
    site.take_off(&other);
    site.end();
}

/// I7, I4: a code that somebody switched off at the lock opens nothing, and is made to.
#[test]
fn what_was_switched_off_is_switched_on_again() {
    let site = Site::new(&[SUITE, PLAIN, OFFICE]);
    let all = site.book_each(PIN);
    all.iter().for_each(|(_, made)| site.is(made, "set"));
    let opens = |node: u16| site.net.keypad(node, &json!({"code": PIN}))["opened"] == true;
    for (node, _) in &all {
        let path = format!("/nodes/{node}/code");
        site.net.post(
            &path,
            &json!({"op": "change", "slot": 2, "code": PIN, "status": 2}),
        );
        assert!(!opens(*node));
        site.verify(*node);
    }
    // Each of them a minute later: together.
    for (node, made) in &all {
        until(&site.rig, "it opens again", || opens(*node));
        site.is(made, "set");
        site.take_off(made);
    }
    site.end();
}

/// I6: users of a lock who have no PIN keep their places, and a PIN of ours that somebody gave to one of them goes
/// without its new owner.
#[test]
fn users_without_a_pin_keep_their_places() {
    let site = Site::new(&[OFFICE]);
    let ask = |command: &str, more: Value| {
        let mut all = json!({"command": format!("endpoint.access_control.{command}"), "nodeId": OFFICE,
                             "endpoint": 0});
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        site.net.another_client(&all)
    };
    let bob = || ask("get_user", json!({"userId": 2}))["user"]["userName"].clone();
    let added = ask(
        "add_user",
        json!({"userId": 2, "options": {"active": true, "userName": "Bob"}}),
    );
    assert_eq!(added, json!({"result": {"user": 0}}), "nobody had his place");
    let made = site.book(OFFICE, PIN);
    site.is(&made, "set");
    assert_eq!(
        site.net.table(OFFICE),
        [(1, THEIRS.to_owned()), (3, PIN.to_owned())]
    );
    assert_eq!(bob(), "Bob");
    // Somebody gives our PIN to him.
    ask(
        "delete_credential",
        json!({"userId": 3, "credentialType": 1, "credentialSlot": 3}),
    );
    ask(
        "set_credential",
        json!({"userId": 2, "credentialType": 1, "credentialSlot": 3, "data": PIN}),
    );
    site.take_off(&made);
    assert_eq!(site.net.pins(OFFICE), [THEIRS]);
    assert_eq!(bob(), "Bob");
    ask("delete_user", json!({"userId": 2}));
    site.end();
}

/// I7: what a lock shows once and then loses is found missing by the second look, or when somebody asks.
#[test]
fn what_is_lost_after_it_was_shown_is_set_again() {
    let site = Site::new(&[SUITE]);
    site.net
        .fault_with(SUITE, &json!({"kind": "drop_after", "count": 1, "reads": 1}));
    let made = site.book(SUITE, PIN);
    site.is(&made, "set");
    site.verify(SUITE);
    until(&site.rig, "it is written once more", || {
        site.net.frames(SUITE, "sets") >= 2 && site.net.pins(SUITE) == [THEIRS, PIN]
    });
    site.is(&made, "set");
    site.take_off(&made);
    site.end();
}

/// I11: a server that is stopped and keeps its sockets open is missed all the same.
#[test]
fn a_server_that_says_nothing_is_missed() {
    let site = Site::new(&[SUITE]);
    site.net.post("/server/freeze", &json!({}));
    until(&site.rig, "it is missed", || {
        site.device(SUITE)["errors"][0]["error_code"] == "hub_disconnected"
    });
    let made = site.book(SUITE, PIN);
    site.waits(SUITE, "radio_away");
    site.net.post("/server/thaw", &json!({}));
    site.is(&made, "set");
    site.take_off(&made);
    nobody_was_blamed(&site.rig);
    site.end();
}

/// I7, I4: slow and repeated reports are reports.
#[test]
fn slow_and_repeated_answers_are_answers() {
    let site = Site::new(&[SUITE, OFFICE, PLAIN, MASKED]);
    for node in site.nodes.clone() {
        for fault in ["slow", "duplicate"] {
            site.net.fault(node, fault);
            let made = site.book(node, PIN);
            site.is(&made, "set");
            assert_eq!(site.net.pins(node), [THEIRS, PIN]);
            site.net.fault(node, "none");
            site.take_off(&made);
        }
    }
    site.end();
}

/// I12: a no is told, and backs off this code alone.
#[test]
fn a_refusal_is_told_and_the_next_code_goes_through() {
    let site = Site::new(&[SUITE, OFFICE, PLAIN]);
    for node in site.nodes.clone() {
        site.net.strikes(node, "refuse", 1);
        let refused = site.book(node, PIN);
        site.waits(node, "refused_by_device");
        let other = site.book(node, "71203984");
        site.is(&other, "set");
        assert!(all_are(&site.rig, std::slice::from_ref(&refused), "setting"));
        assert_eq!(site.net.pins(node), [THEIRS, "71203984"]);
        site.take_off(&refused);
        site.take_off(&other);
    }
    nobody_was_silent(&site.rig);
    site.end();
}

/// I7: a claim that the table denies is none, Supervision or not.
#[test]
fn a_claim_without_deed_is_no_proof() {
    let site = Site::new(&[SUITE, OFFICE, PLAIN, MASKED]);
    for node in site.nodes.clone() {
        site.net.strikes(node, "ignore", 1);
        let made = site.book(node, PIN);
        until(&site.rig, "the claim is denied", || {
            let waiting = site.ours(node)["waiting"].clone();
            waiting == "not_stored_by_device" || waiting == "refused_by_device"
        });
        assert_eq!(site.net.pins(node), [THEIRS]);
        site.take_off(&made);
    }
    site.end();
}

/// I7, I6: other digits than ours are no proof, and are nobody's to erase.
#[test]
fn other_digits_are_no_proof() {
    let site = Site::new(&[SUITE, OFFICE, PLAIN]);
    for node in site.nodes.clone() {
        site.net.strikes(node, "corrupt", 1);
        let made = site.book(node, PIN);
        until(&site.rig, "the other digits are seen", || {
            let waiting = site.ours(node)["waiting"].clone();
            waiting == "not_stored_by_device" || waiting == "refused_by_device"
        });
        assert!(!all_are(&site.rig, std::slice::from_ref(&made), "set"));
        site.take_off(&made);
        let there = site.net.table(node);
        assert_eq!(there.len(), 2, "what is not ours was erased: {there:?}");
        site.net.by_hand(node, "remove", 2, None);
    }
    site.end();
}

/// I7: what a lock loses is found missing, told, and set again. A change at the lock is heard at once where the
/// lock tells of it.
#[test]
fn what_is_lost_or_changed_at_the_lock_is_set_again() {
    let site = Site::new(&[SUITE, PLAIN]);
    let all = site.book_each(PIN);
    all.iter().for_each(|(_, made)| site.is(made, "set"));
    for (node, _) in &all {
        site.net.by_hand(*node, "remove", 2, None);
    }
    for (_, made) in &all {
        until(&site.rig, "the loss is told", || {
            let lost = events(&site.rig, "access_code.deleted_external_to_seam");
            lost.iter()
                .any(|event| event["access_code_id"] == made["access_code_id"])
        });
    }
    for (node, made) in &all {
        until(&site.rig, "it is set again", || {
            site.net.pins(*node) == [THEIRS, PIN]
        });
        site.is(made, "set");
        site.take_off(made);
    }
    site.end();
}

/// I6, I2: a lock that takes only some PINs gets none of the others, and a lock that takes none refuses.
#[test]
fn locks_that_take_less() {
    let site = Site::with(PATIENT, &[SHORT, MASKED, SUITE], &[(SHORT, "lengths = [4]")]);
    let refused = |node: u16, says: &str| {
        let body = json!({"device_ids": [site.net.id(node)], "code": PIN});
        let answer = site.rig.post("/access_codes/create_multiple", body);
        answer.refused(400, "invalid_input", says);
    };
    refused(SHORT, "takes codes of 4 digits");
    refused(UNSECURED, "without encryption");
    refused(GATE, "takes no codes");
    // One PIN for a group is one that all of them take.
    let doors = [SHORT, MASKED, SUITE].map(|node| site.net.id(node));
    let members = codes(&book(&site.rig, &doors, &json!({"preferred_code_length": 8})));
    until(&site.rig, "all are set", || all_are(&site.rig, &members, "set"));
    let pin = members[0]["code"].as_str().unwrap();
    assert_eq!(pin.len(), 4);
    assert_eq!(site.net.pins(SHORT), ["9090", pin]);
    assert_eq!(site.net.pins(MASKED), [THEIRS, pin]);
    members.iter().for_each(|member| site.take_off(member));
    assert_eq!(site.net.frames(UNSECURED, "sets"), 0);
    site.end();
}

/// I8: PINs go in the clear to a lock that is allowed by name, and to no other.
#[test]
fn an_unsecured_lock_is_allowed_one_by_one() {
    let allowed = "name = \"Shed\"\nallow_unsecured = true";
    let site = Site::with(PATIENT, &[UNSECURED], &[(UNSECURED, allowed)]);
    assert_eq!(site.device(UNSECURED)["display_name"], "Shed");
    let made = site.book(UNSECURED, PIN);
    site.is(&made, "set");
    site.take_off(&made);
    site.end();
}

/// What locks tell, with the code it belongs to and never its PIN; and doors that are moved.
#[test]
fn what_happens_at_the_door_is_told() {
    let site = Site::new(&[SUITE]);
    let made = site.book(SUITE, PIN);
    site.is(&made, "set");
    let told = |kind: &str, says: &dyn Fn(&Value) -> bool| {
        until(&site.rig, kind, || events(&site.rig, kind).iter().any(says));
    };
    let method = |word: &'static str| move |event: &Value| event["method"] == word;
    assert_eq!(site.net.keypad(SUITE, &json!({"code": PIN}))["opened"], true);
    told("lock.unlocked", &|event| {
        event["method"] == "keycode" && event["access_code_id"] == made["access_code_id"]
    });
    until(&site.rig, "the bolt is in", || {
        site.device(SUITE)["properties"]["locked"] == false
    });
    site.net.keypad(SUITE, &json!({"event": "lock", "code": PIN}));
    told("lock.locked", &method("keycode"));
    site.net.keypad(SUITE, &json!({"event": "manual_unlock"}));
    told("lock.unlocked", &method("manual"));
    site.net.keypad(SUITE, &json!({"event": "auto_lock"}));
    told("lock.locked", &method("automatic"));
    assert_eq!(
        site.net.keypad(SUITE, &json!({"code": "11223344"}))["opened"],
        false
    );
    site.net.keypad(SUITE, &json!({"event": "keypad_off"}));
    told("lock.access_denied", &|_| true);
    site.net.keypad(SUITE, &json!({"event": "tamper"}));
    told("device.tampered", &|_| true);
    site.net.keypad(SUITE, &json!({"event": "jam"}));
    told("lockbridge.lock.jammed", &|_| true);
    site.net
        .post(&format!("/nodes/{SUITE}/battery"), &json!({"level": 12}));
    told("device.low_battery", &|event| {
        event["battery_level"].as_f64().unwrap() < 0.13
    });
    assert_eq!(site.device(SUITE)["properties"]["battery"]["status"], "low");
    // The report that says no more than that.
    let low = || events(&site.rig, "device.low_battery").len();
    let before = low();
    site.net
        .post(&format!("/nodes/{SUITE}/battery"), &json!({"low": true}));
    until(&site.rig, "its battery is nearly empty", || low() > before);

    for (path, kind, locked) in [
        ("/locks/lock_door", "lock.locked", true),
        ("/locks/unlock_door", "lock.unlocked", false),
    ] {
        let asked = site.rig.post(path, json!({"device_id": site.net.id(SUITE)})).ok();
        let attempt = asked["action_attempt"]["action_attempt_id"].clone();
        told(kind, &|event| event["action_attempt_id"] == attempt);
        assert_eq!(site.net.state(SUITE)["locked"], locked);
        // The lock's own word for it is no second event.
        let by_radio = |event: &&Value| event["method"] == "remote";
        assert_eq!(events(&site.rig, kind).iter().filter(by_radio).count(), 1);
    }
    site.take_off(&made);
    site.end();
}
