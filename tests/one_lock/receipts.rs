//! What is remembered of doors for their receipts.

use std::collections::BTreeMap;

use lockbridge::gateway::view::DoorReceipt;
use lockbridge::model::UpdateDevice;

use super::*;

const STAY: &str = "stay";

fn doors(site: &Site) -> Vec<DoorReceipt> {
    site.gateway.doors_of(&GroupKey(STAY.into())).unwrap_or_default()
}

fn until_moved(site: &mut Site, code: CodeId, seconds: u64) {
    let times = NewTimes::Bound {
        starts_at: None,
        ends_at: Some(START + Duration::from_secs(seconds)),
    };
    site.update(code, None, times);
}

fn delete(site: &mut Site, code: CodeId) {
    let answer = site.ask(Verb::Delete, None, Request::Delete(Delete { code, device: None }));
    assert_eq!(answer, Answer::Ok);
    site.settle();
}

#[test]
fn a_lock_speaks_for_the_times_that_it_was_told() {
    for (profile, keeps_times) in [("keypad-6", true), ("slots", false)] {
        let mut site = Site::with(profile);
        let code = site.create(Some("345678"), until(20 * HOUR), Some(STAY)).code;
        site.settle();
        site.fault(FaultKind::Hang, None);
        until_moved(&mut site, code, 30 * HOUR);
        site.wait(60);
        let door = doors(&site).remove(0);
        let held = door.held.unwrap();
        assert_eq!((held.window, door.window), (until(20 * HOUR), until(30 * HOUR)));
        // Where the gateway keeps the times, nothing is to be done on the lock.
        assert_eq!(door.as_recorded, !keeps_times, "{profile}");
        site.fault(FaultKind::None, None);
        site.wait(HOUR);
        let door = doors(&site).remove(0);
        let heard = if keeps_times {
            until(30 * HOUR)
        } else {
            until(20 * HOUR)
        };
        assert_eq!((door.held.unwrap().window, door.as_recorded), (heard, true));
    }
}

#[test]
fn what_departed_is_told_over_a_start_and_is_bounded() {
    let mut site = Site::with("slots");
    for _ in 0..70 {
        site.pass(Duration::from_secs(30));
        let code = site.create(None, Window::Ongoing, Some(STAY)).code;
        site.settle();
        delete(&mut site, code);
    }
    let told = doors(&site);
    let gone = |door: &DoorReceipt| door.held.is_some() && door.removed.is_some() && !door.as_recorded;
    assert!(told.len() == 64 && told.iter().all(gone), "{told:?}");
    site.start();
    assert_eq!(doors(&site), told);
    // Of what is kept long enough nothing is left once the next one goes.
    site.wait(31 * 24 * HOUR);
    let code = site.create(None, Window::Ongoing, Some(STAY)).code;
    site.settle();
    delete(&mut site, code);
    assert_eq!(doors(&site).len(), 1);
    site.start();
    assert_eq!(doors(&site).len(), 1);
}

/// Each is stored once, not with every change of its device.
#[test]
fn what_departed_does_not_swell_what_is_stored_of_a_device() {
    let mut site = Site::with("slots");
    let rename = |site: &mut Site| {
        let job = UpdateDevice {
            device: DEVICE,
            name: Some("Front door".into()),
            metadata: BTreeMap::new(),
        };
        assert_eq!(
            site.ask(Verb::UpdateDevice, None, Request::UpdateDevice(job)),
            Answer::Ok
        );
        site.bytes_of_last_batch
    };
    let mut grown = Vec::new();
    for key in [None, Some(STAY)] {
        let before = rename(&mut site);
        for n in 0..64 {
            site.pass(Duration::from_secs(30));
            let digits = format!("{:06}", 345_678 + n);
            let code = site.create(Some(&digits), Window::Ongoing, key).code;
            site.settle();
            delete(&mut site, code);
        }
        // Time for the second look, and for what went to be forgotten.
        site.wait(HOUR);
        grown.push(rename(&mut site) - before);
    }
    // What is remembered of their PINs was so by the first round.
    assert!(grown[1] < 100, "{grown:?}");
}
