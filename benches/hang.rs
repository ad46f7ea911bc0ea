//! How long it takes to accept a stay on all doors while something hangs: the real program against another that is
//! as usual, asked in turn. `cargo bench --profile sim --bench hang`; the broker is a real mosquitto.

#[path = "../tests/mqtt/broker.rs"]
mod broker;
#[path = "../tests/common/mod.rs"]
mod common;
mod line;

use std::time::Duration;

use broker::Broker;
use common::{Rig, device};
use line::Line;
use serde_json::json;

/// Rounds; each books once on both gateways.
const ROUNDS: usize = 1000;
/// Locks of a gateway; the last has a radio of its own.
const LOCKS: usize = 5;
/// Exchanges that a radio has at once, as the configuration has it by itself.
const LINKS: usize = 3;
/// Between two stays, which follow each other from a week ahead on: nothing falls due meanwhile.
const STAY: i64 = 3600;

/// What hangs.
#[derive(Clone, Copy)]
enum Hanging {
    Nothing,
    /// One lock, with codes that wait for it.
    OneLock,
    /// All locks of a radio, likewise.
    Radio,
    /// The broker: its process stands still.
    Broker,
}

impl Hanging {
    fn locks(self) -> usize {
        match self {
            Hanging::Nothing | Hanging::Broker => 0,
            Hanging::OneLock => 1,
            Hanging::Radio => LOCKS - 1,
        }
    }
}

struct Site {
    rig: Rig,
    line: Line,
    /// Its process is there as long as this is.
    broker: Option<Broker>,
    stays: i64,
}

fn id(nth: usize) -> String {
    format!("11111111-0000-4000-8000-{nth:012}")
}

impl Site {
    fn open(hanging: Hanging, with_broker: bool) -> Site {
        let lock = |nth: usize| {
            let radio = if nth + 1 < LOCKS { "near" } else { "far" };
            // A lock hangs for longer than all rounds take.
            let more =
                format!("radio = \"{radio}\"\ncapacity = 10000\nlatency = \"1ms\"\npatience = \"10m\"");
            device(&id(nth), "Door", "write-only", &more)
        };
        let broker = with_broker.then(|| Broker::start(""));
        let mut parts: Vec<String> = (0..LOCKS).map(lock).collect();
        parts.push("[limits]\ncodes = 50000\njobs = 50000\ncreations_per_minute = 60000\n".to_owned());
        parts.extend(broker.as_ref().map(|broker| {
            let port = broker.port;
            format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n")
        }));
        let mut rig = Rig::new(&parts);
        let mut ear = broker
            .as_ref()
            .map(|broker| broker.listen("lockbridge/villa-7/gw1/status"));
        rig.run();
        if let Some(ear) = &mut ear {
            ear.find(|heard| heard.payload == "online");
        }
        let line = Line::open(&rig);
        let site = Site {
            rig,
            line,
            broker,
            stays: 0,
        };
        site.hang(hanging);
        site
    }

    fn hang(&self, hanging: Hanging) {
        if let Hanging::Broker = hanging {
            self.broker().signal("STOP");
        }
        for nth in 0..hanging.locks() {
            let path = format!("/lockbridge/v1/sim/devices/{}/fault", id(nth));
            self.rig.post(&path, json!({"kind": "hang"})).ok();
            for _ in 0..5 {
                let body = json!({"device_id": id(nth), "preferred_code_length": 8});
                self.rig.post("/access_codes/create", body).ok();
            }
        }
        while !self.hangs(hanging) {}
    }

    fn hangs(&self, hanging: Hanging) -> bool {
        let asked = |nth: &usize| {
            let path = format!("/lockbridge/v1/devices/{}/why", id(*nth));
            let told = self.rig.get(&path).ok();
            told["why"]["sentence"]
                .as_str()
                .is_some_and(|sentence| sentence.contains("being tried now"))
        };
        // The others of a radio wait for a link.
        let locks = hanging.locks();
        let all_asked = (0..locks).filter(asked).count() == locks.min(LINKS);
        all_asked && (!matches!(hanging, Hanging::Broker) || self.broker().stands_still())
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("this site has one")
    }

    /// Books a stay on all doors.
    fn book(&mut self) -> Duration {
        let from = 7 * 86_400 + self.stays * STAY;
        self.stays += 1;
        let body = json!({
            "device_ids": (0..LOCKS).map(id).collect::<Vec<_>>(),
            "name": "Jane",
            "preferred_code_length": 8,
            "starts_at": self.rig.time(from),
            "ends_at": self.rig.time(from + STAY / 2),
        });
        self.line.call("/access_codes/create_multiple", &body)
    }
}

/// The median, and what one in a hundred takes longer than.
fn quantiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [times.len() / 2, times.len() * 99 / 100].map(|nth| times[nth].as_secs_f64() * 1000.0)
}

fn compare(what: &str, hanging: Hanging, with_broker: bool) {
    let mut usual = Site::open(Hanging::Nothing, with_broker);
    let mut other = Site::open(hanging, with_broker);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        before.push(usual.book());
        after.push(other.book());
    }
    assert!(other.hangs(hanging), "it hung all the time");
    let (before, after) = (quantiles(before), quantiles(after));
    let show = |nth: usize| {
        format!(
            "{:6.2} ms -> {:6.2} ms ({:+.2})",
            before[nth],
            after[nth],
            after[nth] - before[nth]
        )
    };
    println!("{what:24} p50 {}   p99 {}", show(0), show(1));
}

fn main() {
    compare("nothing hangs", Hanging::Nothing, false);
    compare("one lock hangs", Hanging::OneLock, false);
    compare("a radio's locks all hang", Hanging::Radio, false);
    compare("the broker hangs", Hanging::Broker, true);
}
