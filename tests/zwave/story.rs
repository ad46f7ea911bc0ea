//! The story of the demo with real Z-Wave behind it: a stay over two Z-Wave locks and a simulated one, of which
//! one is dead at first; changed, moved to its end, and gone.

use serde_json::{Value, json};

use crate::common::{BACK, Rig, device};
use crate::net::{Net, all_are, book, broker, code, codes, from_now, log_hides, topics_hide, until};

const SUITE: u16 = 6;
const CELLAR: u16 = 4;
/// Somebody's own code, in the first slot of the cellar.
const THEIRS: &str = "90905566";

#[test]
fn a_stay_over_zwave_and_simulated_locks() {
    let net = Net::start(&[]);
    net.by_hand(CELLAR, "add", 1, Some(THEIRS));
    let (_broker, mut listener, mqtt) = broker();
    let safe = device(BACK, "Safe", "slots", "lengths = [8]");
    let rig = net.gateway(&[SUITE, CELLAR], &[safe, mqtt]);
    until(&rig, "the cellar is read", || {
        let cellar = &crate::net::device(&rig, &net.id(CELLAR))["properties"]["lockbridge"];
        cellar["unmanaged_codes"] == 1
    });

    net.fault(SUITE, "dead");
    let doors = [net.id(SUITE), net.id(CELLAR), BACK.to_owned()];
    let stay = json!({"name": "Ada", "preferred_code_length": 8,
                      "starts_at": from_now(-60), "ends_at": from_now(3600)});
    let booked = book(&rig, &doors, &stay);
    let members = codes(&booked);
    let key = members[0]["common_code_key"].clone();
    let pin = members[0]["code"].as_str().unwrap().to_owned();
    assert!(members.iter().all(|member| member["code"] == pin.as_str()));

    until(&rig, "the two that are there are proven", || {
        all_are(&rig, &members[1..], "set")
    });
    assert_eq!(net.table(CELLAR), [(1, THEIRS.to_owned()), (2, pin.clone())]);
    until(&rig, "the dead one is told as silent", || {
        waits(&rig, &key, 0) == "device_silent"
    });
    assert_eq!(net.table(SUITE), []);
    net.fault(SUITE, "none");
    until(&rig, "the dead one is alive and proven", || {
        all_are(&rig, &members, "set")
    });
    assert_eq!(net.pins(SUITE), [pin.as_str()]);

    let other = "73120846";
    let change = json!({"access_code_id": members[1]["access_code_id"], "code": other});
    rig.post("/access_codes/update", change).ok();
    until(&rig, "the cellar has another PIN", || {
        net.pins(CELLAR) == [THEIRS, other] && all_are(&rig, &members, "set")
    });

    let end = json!({"common_code_key": key, "ends_at": from_now(3)});
    rig.post("/access_codes/update_multiple", end).ok();
    until(&rig, "the stay is over on every door", || {
        let over = |member: &Value| code(&rig, &member["access_code_id"])["status"] == "unset";
        members.iter().all(over)
    });
    assert_eq!(net.pins(SUITE), [""; 0]);
    assert_eq!(net.table(CELLAR), [(1, THEIRS.to_owned())]);
    assert_eq!(
        net.frames(CELLAR, "clear_alls") + net.frames(SUITE, "clear_alls"),
        0
    );

    let pins = [pin.as_str(), other, THEIRS];
    log_hides(&rig, &pins);
    topics_hide(&rig, &mut listener, &pins);
}

/// Why a member of a group waits.
fn waits(rig: &Rig, key: &Value, member: usize) -> String {
    let receipt = rig
        .get(&format!("/lockbridge/v1/groups/{}", key.as_str().unwrap()))
        .ok();
    let reason = &receipt["receipts"][member]["waiting"]["reason"];
    reason.as_str().unwrap_or_default().to_owned()
}
