//! How calls slow down as a gateway fills: the real program with 10,000 codes against one with 100, asked in
//! turn, in ratios of medians. `cargo bench --profile sim --bench scale`.

#[path = "../tests/common/mod.rs"]
mod common;
mod line;

use std::time::Duration;

use common::{Rig, device};
use line::Line;
use serde_json::json;

/// Codes on one page.
const PAGE: usize = 50;
/// Rounds; each asks every gateway once for everything.
const ROUNDS: usize = 300;
/// Members of one group.
const GROUP: usize = 50;
/// Between two stays on one lock, which follow each other from a week ahead on: nothing falls due meanwhile.
const STAY: i64 = 3600;

/// A gateway whose locks hold so many codes each.
struct Full {
    rig: Rig,
    line: Line,
    stays: i64,
    some_code: String,
}

fn id(nth: usize) -> String {
    format!("11111111-0000-4000-8000-{nth:012}")
}

impl Full {
    fn with(locks: usize, codes_each: usize) -> Full {
        let more = "capacity = 100\nlatency = \"1ms\"";
        let devices: Vec<String> = (0..locks)
            .map(|n| device(&id(n), "Door", "write-only", more))
            .collect();
        let mut rig = Rig::new(&devices);
        let limits = "\n[limits]\ncodes = 50000\njobs = 50000\ncreations_per_minute = 60000\n";
        let mut config = std::fs::read_to_string(rig.config()).unwrap();
        config.push_str(limits);
        std::fs::write(rig.config(), config).unwrap();
        rig.run();
        let line = Line::open(&rig);
        let mut full = Full {
            rig,
            line,
            stays: 0,
            some_code: String::new(),
        };
        let all: Vec<usize> = (0..locks).collect();
        for _ in 0..codes_each {
            for locks in all.chunks(GROUP) {
                full.book(locks);
            }
            full.stays += 1;
        }
        full
    }

    fn book(&mut self, locks: &[usize]) {
        let from = 7 * 86_400 + self.stays * STAY;
        let body = json!({
            "device_ids": locks.iter().map(|n| id(*n)).collect::<Vec<_>>(),
            "name": "Jane",
            "preferred_code_length": 8,
            "starts_at": self.rig.time(from),
            "ends_at": self.rig.time(from + STAY / 2),
        });
        let booked = self.rig.post("/access_codes/create_multiple", body).ok();
        let code = booked["access_codes"][0]["access_code_id"].as_str().unwrap();
        self.some_code = code.to_owned();
    }

    fn list(&mut self) -> Duration {
        self.line
            .call("/access_codes/list", &json!({"device_id": id(0), "limit": PAGE}))
    }

    fn get(&mut self) -> Duration {
        let code = self.some_code.clone();
        self.line
            .call("/access_codes/get", &json!({"access_code_id": code}))
    }

    fn create(&mut self, round: usize) -> Duration {
        // A year ahead, each in a place of its own.
        let from = 400 * 86_400 + i64::try_from(round).unwrap() * STAY;
        let body = json!({
            "device_id": id(0),
            "starts_at": self.rig.time(from),
            "ends_at": self.rig.time(from + STAY / 2),
        });
        self.line.call("/access_codes/create", &body)
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn compare(what: &str, few: &mut Full, many: &mut Full) {
    type Call = fn(&mut Full, usize) -> Duration;
    let calls: [(&str, Call); 3] = [
        ("list, a page of 50", |full, _| full.list()),
        ("get", |full, _| full.get()),
        ("create", Full::create),
    ];
    println!("{what}");
    for (name, call) in calls {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            before.push(call(few, round));
            after.push(call(many, round));
        }
        let (before, after) = (median(before), median(after));
        let ratio = after.as_secs_f64() / before.as_secs_f64();
        println!("  {name:20} {before:>9.1?} -> {after:>9.1?}   x {ratio:.2}");
    }
}

fn main() {
    let mut few = Full::with(2, 50);
    let mut many = Full::with(100, 100);
    compare(
        "10,000 codes on 100 locks against 100 codes on 2",
        &mut few,
        &mut many,
    );
    drop(many);
    let mut few = Full::with(2, 50);
    let mut crowded = Full::with(1, 10_000);
    compare(
        "10,000 codes on one lock against 100 codes on 2",
        &mut few,
        &mut crowded,
    );
}
