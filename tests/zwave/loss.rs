//! The server killed, the stick pulled out, the gateway killed, each in the middle of a group of ten: it
//! converges, nothing is there twice, and no lock is blamed for the stick, unless the driver itself does so.

use serde_json::{Value, json};

use crate::common::Rig;
use crate::net::{Net, all_are, book, broker, code, codes, log_hides, nobody_was_blamed, topics_hide, until};

/// Nodes of ten locks that take the same codes.
const DOORS: [u16; 10] = [6, 4, 10, 11, 12, 13, 14, 15, 16, 17];
const THEIRS: &str = "90905566";

#[test]
fn lost_in_the_middle_of_a_group_of_ten() {
    let net = Net::start(&["--locks", "8"]);
    net.by_hand(12, "add", 1, Some(THEIRS));
    let (_broker, mut listener, mqtt) = broker();
    let mut rig = net.gateway(&DOORS, &[mqtt]);
    until(&rig, "the stranger's code is known", || {
        crate::net::device(&rig, &net.id(12))["properties"]["lockbridge"]["unmanaged_codes"] == 1
    });
    let rounds = if crate::full() { 8 } else { 1 };
    let mut pins = vec![THEIRS.to_owned()];
    for round in 0..rounds {
        for (kind, loss) in LOSSES.iter().enumerate() {
            let pin = format!("7{round}4{kind}2860");
            through(&net, &mut rig, &pin, *loss);
            pins.push(pin);
        }
    }
    nobody_was_blamed(&rig);
    let pins: Vec<&str> = pins.iter().map(String::as_str).collect();
    topics_hide(&rig, &mut listener, &pins);
    assert_eq!(net.table(12), [(1, THEIRS.to_owned())]);
    assert!(DOORS.iter().all(|door| net.frames(*door, "clear_alls") == 0));
}

/// I12: a driver whose stick loses an answer for the second time takes the lock that it asked for dead. It is not
/// believed.
#[test]
fn a_lock_is_not_blamed_for_what_the_stick_lost() {
    if !crate::full() {
        return;
    }
    let net = Net::start(&["--locks", "8"]);
    let mut rig = net.gateway(&DOORS, &[]);
    for round in 1..=30 {
        through(
            &net,
            &mut rig,
            &format!("73{round:02}2860"),
            stick_pulled_for_a_moment,
        );
        nobody_was_blamed(&rig);
        let blamed = "is causing the controller to become unresponsive";
        if net.log().contains(blamed) {
            println!("in round {round}");
            return;
        }
    }
    panic!("the driver never blamed a lock");
}

/// I1, I11: a start while the server is away keeps all that was there, and blames nobody.
#[test]
fn a_start_without_the_server() {
    let net = Net::start(&[]);
    let (_broker, mut listener, mqtt) = broker();
    let mut rig = net.gateway(&[DOORS[0]], &[mqtt]);
    let door = [net.id(DOORS[0])];
    let first = codes(&book(&rig, &door, &json!({"code": "71842860"})));
    until(&rig, "it is set", || all_are(&rig, &first, "set"));
    rig.kill();
    net.post("/server/kill", &json!({}));
    rig.run();
    until(&rig, "the server is missed", || {
        away(&rig, &net) == "hub_disconnected"
    });
    assert!(all_are(&rig, &first, "set"));
    let second = codes(&book(&rig, &door, &json!({"code": "72842860"})));
    until(&rig, "it waits for the server", || {
        let door = crate::net::device(&rig, &door[0]);
        door["properties"]["lockbridge"]["waiting"] == "radio_away"
    });
    net.post("/server/start", &json!({"wait": false}));
    until(&rig, "it is set too", || all_are(&rig, &second, "set"));
    let pins = ["71842860", "72842860"];
    assert_eq!(net.pins(DOORS[0]), pins);
    nobody_was_blamed(&rig);
    log_hides(&rig, &pins);
    topics_hide(&rig, &mut listener, &pins);
}

type Loss = fn(&Net, &mut Rig);

const LOSSES: [Loss; 4] = [
    server_killed,
    stick_pulled,
    stick_pulled_for_a_moment,
    gateway_killed,
];

fn server_killed(net: &Net, rig: &mut Rig) {
    net.post("/server/kill", &json!({}));
    until(rig, "the server is missed", || {
        away(rig, net) == "hub_disconnected"
    });
    net.post("/server/start", &json!({"wait": false}));
}

fn stick_pulled(net: &Net, rig: &mut Rig) {
    net.post("/stick/unplug", &json!({}));
    until(rig, "the stick is missed", || {
        away(rig, net) == "hub_disconnected"
    });
    net.post("/stick/plug", &json!({}));
}

fn stick_pulled_for_a_moment(net: &Net, _: &mut Rig) {
    net.post("/stick/unplug", &json!({}));
    net.post("/stick/plug", &json!({}));
}

fn gateway_killed(_: &Net, rig: &mut Rig) {
    rig.kill();
    rig.run();
}

/// What is wrong with the first door.
fn away(rig: &Rig, net: &Net) -> String {
    let door = crate::net::device(rig, &net.id(DOORS[0]));
    let error = &door["errors"][0]["error_code"];
    error.as_str().unwrap_or_default().to_owned()
}

/// A group of ten that is set and taken off again, with a loss in the middle of both.
fn through(net: &Net, rig: &mut Rig, pin: &str, loss: Loss) {
    let doors: Vec<String> = DOORS.iter().map(|door| net.id(*door)).collect();
    let members = codes(&book(rig, &doors, &json!({"code": pin})));
    let some = |status: &str| {
        let is = |member: &&Value| code(rig, &member["access_code_id"])["status"] == status;
        members.iter().filter(is).count() >= 2
    };
    until(rig, "two of ten are set", || some("set"));
    loss(net, rig);
    until(rig, "all of ten are set", || all_are(rig, &members, "set"));
    for door in DOORS {
        let there = net.pins(door);
        assert_eq!(
            there.iter().filter(|code| *code == pin).count(),
            1,
            "node {door}: {there:?}"
        );
    }
    for member in &members {
        let id = json!({"access_code_id": member["access_code_id"]});
        rig.post("/access_codes/delete", id).ok();
    }
    let gone = |member: &&Value| code(rig, &member["access_code_id"]).is_null();
    until(rig, "two of ten are gone", || {
        members.iter().filter(gone).count() >= 2
    });
    loss(net, rig);
    until(rig, "all of ten are gone", || {
        let gone = |member: &Value| code(rig, &member["access_code_id"]).is_null();
        members.iter().all(gone)
    });
    assert!(
        DOORS
            .iter()
            .all(|door| !net.pins(*door).contains(&pin.to_owned()))
    );
    log_hides(rig, &[pin, THEIRS]);
}
