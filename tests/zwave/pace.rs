//! Three dead locks with work of their own, and a healthy one: how long its code takes. Figures are printed, and
//! judged by who reads them; what is insisted on is the order (I11, I12).

use std::time::Instant;

use serde_json::{Value, json};

use crate::common::Rig;
use crate::net::{Net, all_are, book, broker, codes, device, log_hides, topics_hide, until};

const HEALTHY: u16 = 6;
const DEAD: [u16; 3] = [10, 11, 12];

#[test]
fn a_healthy_lock_does_not_wait_for_the_dead() {
    let net = Net::start(&["--locks", "3"]);
    let (_broker, mut listener, mqtt) = broker();
    let rig = net.gateway(&[HEALTHY, DEAD[0], DEAD[1], DEAD[2]], &[mqtt]);
    let lone = confirmed(&net, &rig, "28460173");
    DEAD.iter().for_each(|node| net.fault(*node, "dead"));
    let dead: Vec<String> = DEAD.iter().map(|node| net.id(*node)).collect();
    let waiting = codes(&book(&rig, &dead, &json!({"code": "55501973"})));
    until(&rig, "the dead are known to be silent", || {
        let silent = |id: &String| device(&rig, id)["properties"]["online"] == false;
        dead.iter().all(silent)
    });
    let rounds = if crate::full() { 20 } else { 4 };
    let mut slowest = 0;
    for round in 0..rounds {
        let took = confirmed(&net, &rig, &format!("4{round:02}19735"));
        slowest = slowest.max(took);
    }
    println!("a code on a healthy lock: {lone} ms alone, {slowest} ms at most beside three dead ones");
    assert!(all_are(&rig, &waiting, "setting"), "the dead were not made up");
    DEAD.iter().for_each(|node| net.fault(*node, "none"));
    until(&rig, "the dead are alive again", || {
        all_are(&rig, &waiting, "set")
    });
    let pins = ["28460173", "55501973", "40019735", "40119735"];
    log_hides(&rig, &pins);
    topics_hide(&rig, &mut listener, &pins);
}

/// Milliseconds until a new code is proven on the healthy lock; it is taken off again.
fn confirmed(net: &Net, rig: &Rig, pin: &str) -> u128 {
    let knocks = || DEAD.iter().map(|node| net.frames(*node, "unheard")).sum::<u64>();
    let before = knocks();
    #[allow(clippy::disallowed_methods, reason = "a figure")]
    let began = Instant::now();
    let members = codes(&book(rig, &[net.id(HEALTHY)], &json!({"code": pin})));
    until(rig, "the healthy lock has its code", || {
        all_are(rig, &members, "set")
    });
    #[allow(clippy::disallowed_methods, reason = "a figure")]
    let took = began.elapsed().as_millis();
    assert_eq!(net.pins(HEALTHY), [pin]);
    // The driver tries each three times.
    assert!(
        knocks() <= before + 3,
        "more than the one command that was in flight to a dead lock went before it"
    );
    let id: &Value = &members[0]["access_code_id"];
    rig.post("/access_codes/delete", json!({"access_code_id": id}))
        .ok();
    until(rig, "it is off again", || net.pins(HEALTHY).is_empty());
    took
}
