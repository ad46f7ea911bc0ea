//! Messages as they were captured from the server, and what is made of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::ask::Cause;
use super::hear::{Heard, meaning};
use super::link::Unanswered;
use super::talk::Failed;
use super::*;
use crate::model::{Alphabet, By, Closed, Objection, Slot, Word};

const HOME: u32 = 0x7e57_0001;

/// A node as a dump has it: a lock with 30 codes.
fn raw() -> Value {
    json!({
        "nodeId": 5, "index": 0, "status": 4, "ready": true, "interviewStage": "Complete", "isListening": false,
        "isFrequentListening": "1000ms", "isSecure": true, "highestSecurityClass": 2, "manufacturerId": 999,
        "productType": 2, "name": "Suite", "location": "First floor", "label": "T-1000", "firmwareVersion": "1.0",
        "deviceConfig": {"filename": "x", "paramInformation": [{"a": [1, 2.5, null]}]},
        "endpoints": [
            {"index": 0, "deviceClass": {"generic": {"key": 64, "label": "Entry Control"}, "specific": {"key": 3}},
             "commandClasses": [{"id": 98, "name": "Door Lock", "version": 4, "isSecure": true},
                                {"id": 99, "name": "User Code", "version": 2, "isSecure": true}]},
        ],
        "values": [
            {"endpoint": 0, "commandClass": 98, "property": "currentMode", "value": 255,
             "metadata": {"type": "number", "states": {"0": "Unsecured"}}},
            {"endpoint": 0, "commandClass": 98, "property": "insideHandlesCanOpenDoor", "value": [true, false]},
            {"endpoint": 0, "commandClass": 99, "property": "userCode", "propertyKey": 1, "ccVersion": 2,
             "metadata": {"type": "string", "secret": true}, "value": "4711"},
            {"endpoint": 0, "commandClass": 128, "property": "level", "value": 85},
            {"endpoint": 0, "commandClass": 113, "property": "Access Control", "propertyKey": "Lock state", "value": 0},
            {"endpoint": 0, "commandClass": 114, "property": "manufacturerId"},
        ],
        "statistics": {"commandsTX": 7, "rtt": 12.5},
    })
}

fn node(raw: &Value) -> wire::Node {
    serde_json::from_str(&raw.to_string()).unwrap()
}

fn with(changes: Value) -> wire::Node {
    let mut raw = raw();
    for (key, value) in changes.as_object().unwrap() {
        raw[key] = value.clone();
    }
    node(&raw)
}

/// What the server answered for a lock of User Code.
fn codes() -> Codes {
    codes_of(30, 30)
}

fn codes_of(users: u16, slots: u16) -> Codes {
    let told = |told: Value| serde_json::from_value(told).unwrap();
    let users: wire::Capabilities<wire::UserCapabilities> = told(json!({"capabilities": {"maxUsers": users,
        "supportedUserTypes": [0], "supportsUsersWithoutCredentials": false}}));
    let told = |told: Value| serde_json::from_value(told).unwrap();
    let kinds: wire::Capabilities<wire::CredentialCapabilities> =
        told(json!({"capabilities": {"supportedCredentialTypes":
        {"1": {"numberOfCredentialSlots": slots, "minCredentialLength": 4, "maxCredentialLength": 10,
               "maxCredentialHashLength": 0, "supportsCredentialLearn": false}},
        "supportsAdminCode": false}}));
    node::codes_of(users.capabilities, &kinds.capabilities, Some("0123456789"))
}

fn rules_of_node_5() -> Rules {
    rules(Which::Node(5))
}

fn rules(which: Which) -> Rules {
    Rules {
        which,
        name: None,
        lengths: None,
        alphabet: None,
        slots: None,
        reserved: BTreeSet::new(),
        read_back: None,
        allow_unsecured: false,
    }
}

#[test]
fn a_node_of_a_dump_becomes_a_lock() {
    let node = node(&raw());
    assert!(node::is_lock(&node) && node::is_interviewed(&node));
    assert_eq!(node::name(&node, None), "Suite, First floor");
    let lock = node::capabilities(&node, &codes(), None);
    assert_eq!(lock.lengths, (4..=10).collect());
    assert_eq!(
        (lock.capacity, lock.read_back, lock.closed),
        (30, ReadBack::Full, None)
    );
    assert!(lock.door && !lock.batch && lock.alphabet == Alphabet::DIGITS);
    let state: Vec<Word> = hear::state(&node.values).collect();
    assert_eq!(state, [Word::Bolt(Some(true)), Word::Battery(85)]);
    assert_eq!(
        node::parts(&node, &codes()),
        Parts {
            codes: Some((0, node::Scheme::UserCode(Some(1)))),
            bolt: Some((0, wire::class::DOOR_LOCK)),
        }
    );
    assert_eq!(
        node::name(&with(json!({"name": "", "location": null})), None),
        "T-1000 (node 5)"
    );
}

#[test]
fn an_id_comes_from_the_network_and_the_number_of_the_node() {
    assert_eq!(device_id(HOME, 5), device_id(HOME, 5));
    let others = [device_id(HOME, 6), device_id(HOME + 1, 5), device_id(5, 1)];
    assert!(!others.contains(&device_id(HOME, 5)));
    // For good: access codes are kept under it.
    assert_eq!(
        device_id(HOME, 5).to_string(),
        "231d64ea-5bdb-5c54-af3a-a88214381229"
    );
}

#[test]
fn what_is_not_found_out_is_not_nothing() {
    let of = |node: &wire::Node, codes: &Codes| node::capabilities(node, codes, None).closed;
    let early = with(json!({"ready": false, "interviewStage": "NodeInfo"}));
    assert_eq!(of(&early, &codes()), Some(Closed::NotInterviewed));
    // Too far away while it was interviewed: its slots seem to be none.
    assert_eq!(of(&node(&raw()), &Codes::default()), Some(Closed::NotInterviewed));
    // Before it has said what it is, its kind tells.
    let unborn = with(
        json!({"ready": false, "interviewStage": "ProtocolInfo", "endpoints":
        [{"index": 0, "deviceClass": {"generic": {"key": 64}}, "commandClasses": []}]}),
    );
    assert!(node::is_lock(&unborn));
    let gate = with(json!({"endpoints": [{"index": 0, "commandClasses": [{"id": 98}]}]}));
    assert_eq!(of(&gate, &Codes::default()), Some(Closed::NoCodes));
    let lamp = with(
        json!({"endpoints": [{"index": 0, "deviceClass": {"generic": {"key": 16}},
        "commandClasses": [{"id": 37}]}]}),
    );
    assert!(!node::is_lock(&lamp));
}

#[test]
fn a_lock_without_encryption_gets_no_pins_unless_it_is_allowed() {
    for class in [json!(-1), Value::Null] {
        let node = with(json!({"highestSecurityClass": class}));
        let lock = node::capabilities(&node, &codes(), None);
        assert_eq!(
            (lock.closed, lock.read_back),
            (Some(Closed::Unsecured), ReadBack::None)
        );
        let allowed = Rules {
            allow_unsecured: true,
            ..rules(Which::Node(5))
        };
        assert_eq!(node::capabilities(&node, &codes(), Some(&allowed)).closed, None);
    }
    let s0 = with(json!({"highestSecurityClass": 7}));
    assert_eq!(node::capabilities(&s0, &codes(), None).closed, None);
}

#[test]
fn real_locks_that_keep_something_to_themselves() {
    let mut schlage = raw();
    schlage["manufacturerId"] = json!(0x003b);
    let values = schlage["values"].as_array_mut().unwrap();
    values.push(json!({"endpoint": 0, "commandClass": 112, "property": 16, "value": 6}));
    values.push(
        json!({"endpoint": 0, "commandClass": 99, "property": "userCode", "propertyKey": 2,
                       "value": "**********"}),
    );
    let lock = node::capabilities(&node(&schlage), &codes(), None);
    assert_eq!(lock.lengths, [6].into());
    assert_eq!(lock.read_back, ReadBack::Masked);
    let yale = with(json!({"manufacturerId": 0x0129}));
    let all = Codes {
        slots: Some((251, 4, 10)),
        ..codes()
    };
    let lock = node::capabilities(&yale, &all, None);
    assert_eq!(lock.capacity, 250);
    assert!(lock.slots().all(|slot| slot != Slot(251)) && lock.slots().count() == 250);
}

#[test]
fn slots_are_those_that_the_lock_has_and_somebody_can_read() {
    let slots = |codes: &Codes, rules: Option<u16>| {
        let rules = rules.map(|slots| Rules {
            slots: Some(slots),
            ..rules_of_node_5()
        });
        node::capabilities(&node(&raw()), codes, rules.as_ref()).capacity
    };
    // Each code takes a user.
    assert_eq!(slots(&codes_of(20, 50), None), 20);
    assert_eq!(slots(&codes_of(0, 50), None), 50);
    assert_eq!(slots(&codes_of(30, 30), Some(10)), 10);
    assert_eq!(slots(&codes_of(30, 30), Some(100)), 30, "it has no more");
    assert_eq!(slots(&Codes::default(), Some(12)), 12);
    assert_eq!(slots(&codes_of(u16::MAX, u16::MAX), None), 250);
    assert_eq!(slots(&codes_of(500, 500), Some(400)), 400, "somebody wants them");
    let patience =
        |raw: &Value, slots| node::capabilities(&node(raw), &codes_of(slots, slots), None).patience;
    let mut users = raw();
    users["endpoints"][0]["commandClasses"][1]["id"] = json!(0x83);
    assert!(patience(&raw(), 250) > Duration::from_secs(4 * 250));
    assert!(
        patience(&users, 30) > Duration::from_secs(8 * 30),
        "two commands each"
    );
}

#[test]
fn a_lock_with_passwords_only_gets_its_codes_as_passwords() {
    let mut users = raw();
    users["endpoints"][0]["commandClasses"][1]["id"] = json!(0x83);
    let kinds: wire::CredentialCapabilities = serde_json::from_value(json!({"supportedCredentialTypes":
        {"2": {"numberOfCredentialSlots": 30, "minCredentialLength": 4, "maxCredentialLength": 10}}}))
    .unwrap();
    let codes = node::codes_of(wire::UserCapabilities::default(), &kinds, None);
    let parts = node::parts(&node(&users), &codes);
    assert_eq!(parts.codes, Some((0, node::Scheme::UserCredential(2))));
}

#[test]
fn a_lock_that_is_interviewed_anew_keeps_its_name() {
    let before = node(&raw());
    let now = with(
        json!({"ready": false, "interviewStage": "ProtocolInfo", "name": "", "location": "",
                          "endpoints": [], "status": 3, "values": []}),
    );
    let anew = node::interviewed_anew(&before, &now);
    assert_eq!(node::name(&anew, None), "Suite, First floor");
    let lock = node::capabilities(&anew, &codes(), None);
    assert_eq!(lock.closed, Some(Closed::NotInterviewed));
    assert_eq!((anew.status, hear::state(&anew.values).count()), (Some(3), 0));
}

#[test]
fn digits_are_told_from_masks_and_from_all_else() {
    let of = |code: Value| serde_json::from_value::<wire::Digits>(code).unwrap();
    assert!(matches!(of(json!("4711")), wire::Digits::Shown(_)));
    for mask in [json!("**********"), json!(""), Value::Null] {
        assert!(matches!(of(mask), wire::Digits::Hidden));
    }
    let card = json!({"type": "Buffer", "data": [1, 2, 200]});
    for other in [json!("A1B2"), json!("12#4"), card] {
        assert!(matches!(of(other), wire::Digits::Other));
    }
    let withheld: wire::UserCode = serde_json::from_value(json!({"response": {"userIdStatus": 1}})).unwrap();
    assert!(matches!(
        withheld.response.unwrap().user_code,
        wire::Digits::Hidden
    ));
}

#[test]
fn an_operator_knows_better() {
    let node = node(&raw());
    let known = [
        rules(Which::Node(6)),
        Rules {
            name: Some("Honeymoon".into()),
            lengths: Some([4].into()),
            slots: Some(10),
            reserved: [Slot(1), Slot(11)].into(),
            read_back: Some(ReadBack::Masked),
            ..rules(Which::Name("Suite".into()))
        },
    ];
    let found = node::rules_for(&known, HOME, &node);
    assert_eq!(
        node::name(&node, found),
        "Honeymoon, First floor".split(',').next().unwrap()
    );
    let lock = node::capabilities(&node, &codes(), found);
    assert_eq!((lock.capacity, lock.read_back), (9, ReadBack::Masked));
    assert_eq!(lock.lengths, [4].into());
    assert_eq!(lock.slots().next(), Some(Slot(2)));
    let by_id = [rules(Which::Device(device_id(HOME, 5)))];
    assert!(node::rules_for(&by_id, HOME, &node).is_some());
    assert!(node::rules_for(&by_id, HOME + 1, &node).is_none());
}

fn heard(event: Value) -> Option<Heard> {
    let message = json!({"type": "event", "event": event}).to_string();
    let head: wire::Head<'_> = serde_json::from_str(&message).unwrap();
    meaning(&head.event.unwrap())
}

fn notified(kind: u8, event: u8, parameters: Value) -> Option<Word> {
    let told = heard(
        json!({"source": "node", "event": "notification", "nodeId": 4, "endpointIndex": 0, "ccId": 113,
        "args": {"type": kind, "event": event, "label": "Access Control", "eventLabel": "x",
                 "parameters": parameters}}),
    )?;
    let Heard::Says {
        node: 4,
        word,
        unasked: true,
    } = told
    else {
        panic!("{told:?}")
    };
    Some(word)
}

#[test]
fn what_locks_tell() {
    let moved = |locked, by| Some(Word::Moved { locked, by });
    let keypad = |slot| By::Keypad(Some(Slot(slot)));
    assert_eq!(notified(6, 6, json!({"userId": 5})), moved(false, keypad(5)));
    assert_eq!(notified(6, 5, json!({"userId": 5})), moved(true, keypad(5)));
    // Without a user, with the administrator, or with a byte that nobody can read.
    for parameters in [
        json!({}),
        json!({"userId": 0}),
        json!(null),
        json!({"type": "Buffer", "data": [5]}),
    ] {
        assert_eq!(notified(6, 6, parameters), moved(false, By::Keypad(None)));
    }
    assert_eq!(notified(6, 1, json!({})), moved(true, By::Hand));
    assert_eq!(notified(6, 4, json!({})), moved(false, By::Radio));
    assert_eq!(notified(6, 9, json!({})), moved(true, By::Itself));
    assert_eq!(
        notified(6, 13, json!({"userId": 2})),
        Some(Word::CodeChanged(Some(Slot(2))))
    );
    assert_eq!(notified(6, 16, json!({})), Some(Word::Denied));
    assert_eq!(notified(7, 3, json!({})), Some(Word::Tampered));
    assert_eq!(notified(8, 11, json!({})), Some(Word::BatteryLow));
    assert_eq!(notified(6, 15, json!({"userId": 2})), None);
}

fn updated(class: u8, property: &str, key: Value, value: Value, before: Value) -> Option<Word> {
    let told = heard(
        json!({"source": "node", "event": "value updated", "nodeId": 4, "args":
        {"commandClassName": "x", "commandClass": class, "endpoint": 0, "property": property, "propertyKey": key,
         "newValue": value, "prevValue": before, "propertyName": property}}),
    )?;
    let Heard::Says {
        word, unasked: false, ..
    } = told
    else {
        panic!("{told:?}")
    };
    Some(word)
}

#[test]
fn values_that_changed() {
    let none = || Value::Null;
    assert_eq!(
        updated(98, "currentMode", none(), json!(255), json!(0)),
        Some(Word::Bolt(Some(true)))
    );
    assert_eq!(
        updated(98, "currentMode", none(), json!(254), json!(0)),
        Some(Word::Bolt(None))
    );
    // Told again with every report.
    assert_eq!(updated(98, "currentMode", none(), json!(255), json!(255)), None);
    assert_eq!(
        updated(118, "locked", none(), json!(false), json!(true)),
        Some(Word::Bolt(Some(false)))
    );
    assert_eq!(
        updated(128, "level", none(), json!(12), json!(13)),
        Some(Word::Battery(12))
    );
    let lock_state = json!("Lock state");
    assert_eq!(
        updated(113, "Access Control", lock_state, json!(11), json!(0)),
        Some(Word::Jammed)
    );
    let keypad = json!("Keypad state");
    assert_eq!(
        updated(113, "Access Control", keypad, json!(16), none()),
        Some(Word::Denied)
    );
    let cover = json!("Cover status");
    assert_eq!(
        updated(113, "Home Security", cover, json!(3), json!(0)),
        Some(Word::Tampered)
    );
    let battery = json!("Battery maintenance status");
    assert_eq!(
        updated(113, "Power Management", battery, json!(11), none()),
        Some(Word::BatteryLow)
    );
    assert_eq!(updated(99, "userCode", json!(1), json!("3131"), json!("")), None);
}

#[test]
fn how_nodes_and_the_stick_are() {
    let node = |event: &str| heard(json!({"source": "node", "event": event, "nodeId": 2, "oldStatus": 4}));
    assert_eq!(node("dead"), Some(Heard::Dead(2)));
    assert_eq!(node("alive"), Some(Heard::Alive(2)));
    assert_eq!(node("ready"), Some(Heard::Changed(2)));
    assert_eq!(node("statistics updated"), None);
    let status = |status| heard(json!({"source": "controller", "event": "status changed", "status": status}));
    assert_eq!(status(1), Some(Heard::Stick(Some(Outage::Stick))));
    assert_eq!(status(0), Some(Heard::Stick(None)));
    assert_eq!(
        status(2),
        Some(Heard::Stick(None)),
        "jammed, it answers all the same"
    );
    for (source, event) in [
        ("driver", "driver ready"),
        ("controller", "network joined"),
        ("controller", "network left"),
    ] {
        assert_eq!(
            heard(json!({"source": source, "event": event})),
            Some(Heard::Anew)
        );
    }
    let renamed = heard(
        json!({"source": "node", "event": "value updated", "nodeId": 2, "args": {"commandClass": 119,
               "property": "name", "newValue": "Attic", "prevValue": "Suite"}}),
    );
    assert_eq!(renamed, Some(Heard::Changed(2)));
    let gone =
        heard(json!({"source": "controller", "event": "node removed", "node": {"nodeId": 9}, "reason": 0}));
    assert_eq!(gone, Some(Heard::Gone(9)));
    // Arguments of any shape.
    for args in [
        json!([1, {"a": 2}]),
        json!("x"),
        json!(7),
        json!(null),
        json!({"commandClass": 98}),
    ] {
        let event = json!({"source": "node", "event": "metadata updated", "nodeId": 2, "args": args});
        assert_eq!(heard(event), None);
    }
}

#[test]
fn who_is_to_blame_for_a_missing_answer() {
    let error = |zwave, why: &str| {
        ask::cause(&Unanswered::Error {
            zwave,
            why: why.into(),
        })
    };
    let (silent, away) = (Cause::Known(Failed::Silent), Cause::Known(Failed::Away));
    let refused = Failed::Refused(Objection::Other);
    let not_acknowledged = "The node did not acknowledge the command (ZW0204)";
    assert_eq!(error(Some(204), not_acknowledged), silent);
    assert_eq!(error(Some(202), "The message was dropped"), silent);
    assert_eq!(
        error(Some(202), "The serial port is not open! (ZW0202)"),
        Cause::Stick
    );
    assert_eq!(error(Some(102), "The driver was destroyed"), Cause::Stick);
    // A stick that a dead node holds up says the same as one that is broken.
    assert_eq!(error(Some(200), "Timeout"), Cause::Unless(Failed::Silent));
    assert_eq!(error(Some(203), "NOK"), Cause::Unless(Failed::Silent));
    for said in [
        "Failed to execute controller command (ZW0202)",
        "Failed to send the command: Transmission queue full (ZW0202)",
        "Message dropped because of an unexpected error: the stream is closed (ZW0202)",
    ] {
        assert_eq!(error(Some(202), said), Cause::Unless(Failed::Silent), "{said}");
    }
    assert_eq!(error(Some(322), "out of range"), Cause::Unless(refused));
    // The air is full, or the stick was started anew: nobody's fault.
    let jammed = "Failed to send the command after 3 attempts (ZW0202)";
    assert_eq!(error(Some(202), jammed), away);
    assert_eq!(error(Some(205), "jammed"), away);
    assert_eq!(error(Some(206), "reset"), away);
    assert_eq!(error(None, "node_not_found"), away);
    assert_eq!(error(None, "unknown_error"), silent);
    assert_eq!(ask::cause(&Unanswered::Gone), away);
    assert_eq!(ask::cause(&Unanswered::Late), silent);
}

#[test]
fn a_server_that_is_too_old_is_told_what_is_needed() {
    let hello = |min, max| {
        let hello = json!({"type": "version", "homeId": HOME, "driverVersion": "12.0.0", "serverVersion": "1.35.0",
                           "minSchemaVersion": min, "maxSchemaVersion": max});
        serde_json::from_value::<wire::Hello>(hello).unwrap()
    };
    assert_eq!(agree(&hello(0, 50)).ok(), Some(50));
    assert_eq!(agree(&hello(0, 99)).ok(), Some(50));
    assert_eq!(agree(&hello(0, 47)).ok(), Some(47));
    let Err(trouble) = agree(&hello(0, 46)) else {
        panic!("it is too old")
    };
    assert!(
        trouble.why.contains("1.35.0") && trouble.why.contains("47"),
        "{}",
        trouble.why
    );
    assert!(agree(&hello(51, 60)).is_err());
}

#[test]
fn commands_are_as_the_server_wants_them() {
    let at = At {
        node_id: 2,
        endpoint: 0,
    };
    let said = |command: &Command<'_>| {
        serde_json::to_value(wire::Numbered {
            message_id: "7",
            command,
        })
        .unwrap()
    };
    assert_eq!(
        said(&Command::SetCredential {
            at,
            user_id: Slot(3),
            credential_type: 1,
            credential_slot: Slot(3),
            data: "4711",
        }),
        json!({"messageId": "7", "command": "endpoint.access_control.set_credential", "nodeId": 2, "endpoint": 0,
               "userId": 3, "credentialType": 1, "credentialSlot": 3, "data": "4711"})
    );
    assert_eq!(
        said(&Command::InvokeCcApi {
            at,
            command_class: 99,
            method_name: "set",
            args: &[
                ask::Argument::Number(1),
                ask::Argument::Number(1),
                ask::Argument::Digits("1234")
            ],
        }),
        json!({"messageId": "7", "command": "endpoint.invoke_cc_api", "nodeId": 2, "endpoint": 0, "commandClass": 99,
               "methodName": "set", "args": [1, 1, "1234"]})
    );
}

/// Captured from the rig.
mod captured {
    pub const HELLO: &str = include_str!("../../../tests/zwave/captured/hello.json");
    pub const DUMP: &str = include_str!("../../../tests/zwave/captured/dump.json");
    pub const EVENTS: &str = include_str!("../../../tests/zwave/captured/events.json");
    pub const ERRORS: &str = include_str!("../../../tests/zwave/captured/errors.json");
}

/// One of several captured messages, by its name.
fn one_of(all: &str, name: &str) -> String {
    let all: Value = serde_json::from_str(all).unwrap();
    all[name].to_string()
}

#[test]
fn a_captured_network() {
    let hello: wire::Hello = serde_json::from_str(captured::HELLO).unwrap();
    assert_eq!(agree(&hello).ok(), Some(50));
    let dump: wire::Answer<wire::Listening> = serde_json::from_str(captured::DUMP).unwrap();
    let state = dump.result.unwrap().state;
    assert_eq!(
        (state.controller.home_id, state.controller.status),
        (2_119_630_849, 0)
    );
    let locks: Vec<u16> = state
        .nodes
        .iter()
        .filter(|node| node::is_lock(node))
        .map(|node| node.node_id)
        .collect();
    assert!(locks.contains(&2) && !locks.contains(&9), "{locks:?}");
    assert!(state.nodes.iter().all(node::is_interviewed));
    let front = state.nodes.iter().find(|node| node.node_id == 2).unwrap();
    assert_eq!(node::name(front, None), "Front door, Hall");
    // Joined with S0.
    assert_eq!(node::capabilities(front, &codes(), None).closed, None);
}

#[test]
fn a_lock_that_only_a_newer_server_knows_says_so() {
    let codes = Codes {
        old_server: true,
        ..Codes::default()
    };
    let lock = node::capabilities(&node(&raw()), &codes, None);
    assert_eq!(lock.closed, Some(Closed::OldServer));
}

#[test]
fn captured_errors_are_laid_at_the_right_door() {
    let failed = |name: &str| {
        let answer: wire::Answer<wire::Nothing> =
            serde_json::from_str(&one_of(captured::ERRORS, name)).unwrap();
        assert!(!answer.success);
        ask::cause(&Unanswered::Error {
            zwave: answer.zwave_error_code,
            why: answer
                .zwave_error_message
                .or(answer.error_code)
                .unwrap_or_default(),
        })
    };
    let refused = Cause::Unless(Failed::Refused(Objection::Other));
    assert_eq!(failed("not_acknowledged"), Cause::Known(Failed::Silent));
    assert_eq!(failed("slot_out_of_range"), refused);
    assert_eq!(failed("code_too_short"), refused);
}

#[test]
fn captured_events_are_all_understood() {
    let all: Value = serde_json::from_str(captured::EVENTS).unwrap();
    for (name, message) in all.as_object().unwrap() {
        let text = message.to_string();
        let head = serde_json::from_str::<wire::Head<'_>>(&text);
        assert!(head.is_ok_and(|head| head.event.is_some()), "{name}");
    }
    let word = |name: &str| {
        let message = serde_json::from_str::<Value>(&one_of(captured::EVENTS, name)).unwrap();
        match heard(message["event"].clone()) {
            Some(Heard::Says { word, .. }) => word,
            other => panic!("{name}: {other:?}"),
        }
    };
    let moved = |locked, by| Word::Moved { locked, by };
    assert!(matches!(word("code_added"), Word::CodeChanged(_)));
    assert_eq!(word("keypad_unlock"), moved(false, By::Keypad(Some(Slot(1)))));
    assert_eq!(word("auto_lock"), moved(true, By::Itself));
    assert_eq!(word("jam"), Word::Jammed);
    assert_eq!(word("keypad_off"), Word::Denied);
    assert_eq!(word("wrong_code"), Word::Denied);
    assert_eq!(word("cover"), Word::Tampered);
    assert_eq!(word("battery"), Word::Battery(11));
    assert_eq!(word("battery_low"), Word::BatteryLow);
}
