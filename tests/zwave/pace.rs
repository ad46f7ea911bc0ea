//! Three dead locks with work of their own, and a healthy one: what goes to the dead before its code (I11, I12). How
//! long that takes is printed, and judged by who reads it.

use std::time::Instant;

use serde_json::{Value, json};

use crate::common::Rig;
use crate::net::{Net, all_are, book, broker, code, codes, device, from_now, log_hides, topics_hide, until};

const HEALTHY: u16 = 6;
const DEAD: [u16; 3] = [10, 11, 12];
/// The driver sends so many frames for one command that is not acknowledged.
const TRIES: usize = 3;

#[test]
fn a_healthy_lock_does_not_wait_for_the_dead() {
    // A healthy lock stays one on a slow machine. The dead do not even acknowledge, which takes as long as they are
    // told.
    let net = Net::start(&["--locks", "3", "--report-timeout", "10000"]);
    let (_broker, mut listener, mqtt) = broker();
    let rig = net.gateway(&[HEALTHY, DEAD[0], DEAD[1], DEAD[2]], &[mqtt]);
    let lone = confirmed(&net, &rig, "28460173");
    DEAD.iter().for_each(|node| net.dead_for(*node, 500));
    let dead: Vec<String> = DEAD.iter().map(|node| net.id(*node)).collect();
    let mut waiting = codes(&book(&rig, &dead, &json!({"code": "55501973"})));
    until(&rig, "the dead are known to be silent", || {
        let silent = |id: &String| device(&rig, id)["properties"]["online"] == false;
        dead.iter().all(silent)
    });
    let rounds = if crate::full() { 20 } else { 4 };
    let mut slowest = 0;
    for round in 0..rounds {
        // A code that falls due has each of the dead tried at once, and by its start it goes before the healthy one's.
        let before = net.air().len();
        let earlier = json!({"code": format!("5{round:02}01973"),
                             "starts_at": from_now(-3600), "ends_at": from_now(36_000)});
        waiting.extend(codes(&book(&rig, &dead, &earlier)));
        until(&rig, "a dead lock is tried", || {
            net.air()[before..].iter().any(|node| DEAD.contains(node))
        });
        let took = confirmed(&net, &rig, &format!("4{round:02}19735"));
        slowest = slowest.max(took);
    }
    println!("a code on a healthy lock: {lone} ms alone, {slowest} ms at most beside three dead ones");
    assert!(all_are(&rig, &waiting, "setting"), "the dead were not made up");
    DEAD.iter().for_each(|node| net.fault(*node, "none"));
    until(&rig, "the dead are alive again", || {
        all_are(&rig, &waiting, "set")
    });
    let pins = ["28460173", "55501973", "50001973", "40019735", "40119735"];
    log_hides(&rig, &pins);
    topics_hide(&rig, &mut listener, &pins);
}

/// Milliseconds until a new code is proven on the healthy lock; it is taken off again.
fn confirmed(net: &Net, rig: &Rig, pin: &str) -> u128 {
    #[allow(clippy::disallowed_methods, reason = "a figure")]
    let began = Instant::now();
    let stay = json!({"code": pin, "starts_at": from_now(-60), "ends_at": from_now(36_000)});
    let members = codes(&book(rig, &[net.id(HEALTHY)], &stay));
    let booked = net.air().len();
    until(rig, "the healthy lock has its code", || {
        all_are(rig, &members, "set")
    });
    #[allow(clippy::disallowed_methods, reason = "a figure")]
    let took = began.elapsed().as_millis();
    assert_eq!(net.pins(HEALTHY), [pin]);
    // When the booking was answered the radio, which has one link, had been given to the healthy lock, or to a dead one
    // before. Once that one's command has failed, no lock in trouble is asked for three times as long while another
    // waits, and the healthy one waits: it is next, however slow the machine. All that its code takes is one exchange.
    let air = net.air();
    let last = air.iter().rposition(|node| *node == HEALTHY).unwrap();
    let ahead = air[booked.min(last)..last]
        .iter()
        .filter(|node| DEAD.contains(node));
    let ahead: Vec<u16> = ahead.copied().collect();
    assert!(
        ahead.len() <= TRIES && ahead.iter().all(|node| *node == ahead[0]),
        "more than the one command that was under way to a dead lock went before it: {ahead:?}"
    );
    let id: &Value = &members[0]["access_code_id"];
    rig.post("/access_codes/delete", json!({"access_code_id": id}))
        .ok();
    until(rig, "it is off again", || code(rig, id).is_null());
    took
}
