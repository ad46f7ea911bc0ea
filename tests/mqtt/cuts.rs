//! The link is cut again and again, under load, on a line that delays and loses packets: no job is
//! lost or done twice, no event is missing, and memory does not grow.
//!
//! `LOCKBRIDGE_CUTS=n` says how often (30; with `LOCKBRIDGE_FULL=1` 300), and `LOCKBRIDGE_SEED=n`
//! draws the same moments, requests and losses again. How threads and packets interleave is the
//! machine's business.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::broker::{Broker, Heard};
use crate::callers::{
    Caller, DOORS, LastWord, OverHttp, OverMqtt, Place, doors, full, gather, judge, number, seed, spawn,
};
use crate::common::Rig;
use crate::line::{Cut, Line};
use crate::size::memory;
use crate::told::is_event;
use crate::{BASE, is_online};

/// One cut in so many is half-open.
const HOLES: usize = 10;
/// What each caller asks for between two cuts.
const TURNS: usize = 3;
/// What a job may take for as long as it is remembered, with its events, in kB.
const PER_JOB: u64 = 8;
/// What the gateway may take beside, once it is at work, in kB.
const SLACK: u64 = 8 * 1024;

/// Events as they came: in order, none missing, unless the gateway said that it is lost. One whose
/// confirmation was cut off comes again.
#[track_caller]
fn whole(heard: &[Heard]) -> u64 {
    let mut last = 0;
    for event in heard.iter().filter(|heard| is_event(heard)).map(Heard::json) {
        let (from, to) = match event["event_type"].as_str() {
            Some("lockbridge.events_lost") => (&event["from"], &event["to"]),
            _ => (&event["seq"], &event["seq"]),
        };
        let (from, to) = (from.as_u64().unwrap(), to.as_u64().unwrap());
        assert!(from <= last + 1, "after {last} came {event}");
        last = last.max(to);
    }
    last
}

#[test]
#[allow(clippy::disallowed_methods, reason = "callers are threads of their own")]
fn a_link_that_is_cut_again_and_again_loses_nothing() {
    if !Line::is_possible() {
        // Past the harness, which would keep it to itself.
        let notice =
            "\n*** NOT RUN: the test of a link that is cut needs root, unshare and /dev/net/tun ***\n";
        std::io::stderr().write_all(notice.as_bytes()).unwrap();
        return;
    }
    let cuts = number("LOCKBRIDGE_CUTS").unwrap_or(if full() { 300 } else { 30 });
    let seed = seed();
    println!("LOCKBRIDGE_SEED={seed} LOCKBRIDGE_CUTS={cuts}");
    let mut rng = SmallRng::seed_from_u64(seed);

    let mut line = Line::lay(rng.random());
    let broker = Broker::inside(&line.broker, "max_queued_messages 0");
    let mut ear = broker.listen("lockbridge/#");
    let mqtt = format!(
        "[limits]\njobs = 1_000_000\n\n[mqtt]\nurl = \"mqtt://{}:{}\"\nallow_plaintext = true\n\
         keep_alive = \"5s\"\nbackoff_max = \"1s\"\n",
        Line::BROKER,
        broker.port
    );
    let parts: Vec<String> = std::iter::once(mqtt).chain(doors()).collect();
    let mut rig = Rig::new(&parts);
    rig.inside.clone_from(&line.gateway);
    rig.run();
    ear.find(is_online);
    let before = memory(&rig);

    let place = Place::default();
    place.set(Some(rig.address()));
    let (report, reports) = channel();
    let mut noticed = Vec::new();
    std::thread::scope(|scope| {
        let _last_word = LastWord(&place);
        let mut turns = Vec::new();
        let mut go_on = || {
            let (turn, of_turns) = channel::<()>();
            turns.push(turn);
            move || of_turns.recv().is_ok()
        };
        for name in ["http-1", "http-2"] {
            let way = OverHttp::new(&place, &rig.key, name);
            let caller = Caller::new(way, name, SmallRng::seed_from_u64(rng.random()));
            spawn(scope, caller, go_on(), report.clone());
        }
        for name in ["mqtt-1", "mqtt-2"] {
            let way = OverMqtt::new(&broker, name);
            let caller = Caller::new(way, name, SmallRng::seed_from_u64(rng.random()));
            spawn(scope, caller, go_on(), report.clone());
        }
        // The moments are drawn, not waited for: whatever is under way then is cut, be it a greeting.
        for nth in 0..usize::try_from(cuts).unwrap() {
            for turn in turns.iter().flat_map(|turn| std::iter::repeat_n(turn, TURNS)) {
                // It is gone only if the test has failed already.
                let _ = turn.send(());
            }
            let moment = Duration::from_millis(rng.random_range(0..1500));
            let early = reports.recv_timeout(moment);
            assert_eq!(early.err(), Some(RecvTimeoutError::Timeout), "a caller gave up");
            let how = match nth % HOLES {
                5 => Cut::Hole,
                _ => Cut::Reset,
            };
            noticed.push((how, line.cut(how)));
        }
        drop(turns);
    });
    drop(report);
    let done = gather(&reports, 4);
    judge(&rig, &done);

    // Everything that happened was told, up to the end of a job that comes after all.
    let after_all = json!({"device_id": DOORS[0], "name": "after all"});
    let made = rig.post("/access_codes/create", after_all);
    let last = made.header("lockbridge-job-id").unwrap().to_owned();
    let done_too =
        |told: &Value| told["event_type"] == "lockbridge.job.done" && told["job_id"] == last.as_str();
    ear.find(|heard| is_event(heard) && done_too(&heard.json()));
    let events = whole(&ear.heard);
    // And so is how things are.
    let kept = broker.retained();
    for job in &done.jobs {
        let shown = &kept[&format!("{BASE}/job/{job}")];
        assert!(shown.contains(r#""phase":"done""#), "{job}: {shown}");
    }
    assert_eq!(kept[&format!("{BASE}/status")], "online");

    let longest = |wanted: Cut| {
        let of_kind = noticed.iter().filter(|(how, _)| *how == wanted);
        of_kind.map(|(_, seconds)| *seconds).fold(0.0, f64::max)
    };
    let after = memory(&rig);
    println!(
        "{} connections; {} jobs, {} of them sent again; {events} events; dialled again after at most \
         {:.1} s, and {:.1} s where nothing was said; memory {before} kB, then {after} kB",
        rig.log().matches("connected to the MQTT broker").count(),
        done.jobs.len(),
        done.repeated,
        longest(Cut::Reset),
        longest(Cut::Hole),
    );
    let most = before + SLACK + PER_JOB * done.jobs.len() as u64;
    assert!(after < most, "{after} kB is more than {most} kB");
}
