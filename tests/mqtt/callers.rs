//! Callers over HTTP and over a broker, who insist on an answer, and what must be true in the end.
//!
//! Each sends the same request, with the same handle, until an answer comes, whatever is killed or
//! cut meanwhile. So at the end nothing is open, and what the gateway and the locks hold must be
//! exactly what was promised: no code less, no code more.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use crate::broker::{Broker, Listener, publish_to};
use crate::common::{Answer, Rig, bearer, device, exchange};

const BASE: &str = "lockbridge/villa-7/gw1";
pub const DOORS: [&str; 4] = [
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
    "00000000-0000-4000-8000-000000000004",
];
/// Groups that one caller keeps at most, so that the locks do not fill up.
const GROUPS: usize = 8;

/// Why a group may be refused.
const FULL: &str = "no_space_for_access_code_on_device";

/// Where the gateway is at present.
#[derive(Default)]
pub struct Place {
    address: Mutex<Option<String>>,
    came: Condvar,
}

impl Place {
    pub fn set(&self, address: Option<&str>) {
        *self.address.lock().unwrap() = address.map(str::to_owned);
        self.came.notify_all();
    }

    /// Waits until the gateway is somewhere.
    fn get(&self) -> String {
        let address = self.address.lock().unwrap();
        let found = self
            .came
            .wait_while(address, |address| address.is_none())
            .unwrap();
        let found = found.clone().expect("waited for");
        assert_ne!(found, NOWHERE, "the test has failed");
        found
    }
}

const NOWHERE: &str = "nowhere";

/// Ends the wait of all callers if the killer fails.
pub struct LastWord<'a>(pub &'a Place);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set(Some(NOWHERE));
        }
    }
}

/// What a caller was promised.
#[derive(Clone)]
pub struct Promise {
    device: String,
    pin: String,
    key: String,
    name: String,
    ends_at: Value,
}

/// What a caller asks for.
pub struct Wish {
    verb: &'static str,
    body: Value,
}

/// How a caller sends a request until it is answered. Returns the job and its answer.
pub trait Way {
    /// `None` if it was refused because a lock is full at present: locks take codes off more
    /// slowly than callers can ask for new ones.
    fn insist(&mut self, wish: &Wish) -> Option<(String, Value)>;
    /// Requests that were sent more than once.
    fn repeated(&self) -> usize;
}

pub struct OverHttp<'a> {
    place: &'a Place,
    key: String,
    name: String,
    sent: usize,
    repeated: usize,
}

impl OverHttp<'_> {
    pub fn new<'a>(place: &'a Place, key: &str, name: &str) -> OverHttp<'a> {
        OverHttp {
            place,
            key: key.to_owned(),
            name: name.to_owned(),
            sent: 0,
            repeated: 0,
        }
    }
}

impl Way for OverHttp<'_> {
    fn insist(&mut self, wish: &Wish) -> Option<(String, Value)> {
        self.sent += 1;
        let headers = format!(
            "{}idempotency-key: {}-{}\r\n",
            bearer(&self.key),
            self.name,
            self.sent
        );
        let path = format!("/access_codes/{}", wish.verb);
        let body = wish.body.to_string();
        let mut tries = 0;
        loop {
            tries += 1;
            self.repeated += usize::from(tries == 2);
            let answer = exchange(&self.place.get(), "POST", &path, &headers, &body);
            if let Some(Answer {
                status: 200,
                headers,
                body,
            }) = answer
            {
                let job = headers.iter().find(|(name, _)| name == "lockbridge-job-id");
                return Some((job.expect("a job").1.clone(), body));
            }
            if let Some(answer) = answer.filter(|answer| answer.status != 503) {
                assert_eq!(answer.body["error"]["type"], FULL, "{path} {body}: {answer:?}");
                return None;
            }
        }
    }

    fn repeated(&self) -> usize {
        self.repeated
    }
}

pub struct OverMqtt {
    port: u16,
    reach: Vec<String>,
    ear: Listener,
    name: String,
    sent: usize,
    repeated: usize,
}

impl OverMqtt {
    pub fn new(broker: &Broker, name: &str) -> OverMqtt {
        OverMqtt {
            port: broker.port,
            reach: broker.reach(),
            ear: broker.listen(&format!("lockbridge/villa-7/reply/{name}")),
            name: name.to_owned(),
            sent: 0,
            repeated: 0,
        }
    }
}

impl Way for OverMqtt {
    fn insist(&mut self, wish: &Wish) -> Option<(String, Value)> {
        self.sent += 1;
        let job = format!("{}-{}", self.name, self.sent);
        let mut body = wish.body.clone();
        body["job_id"] = job.as_str().into();
        let reply = format!("lockbridge/villa-7/reply/{}", self.name);
        let mut tries = 0;
        loop {
            tries += 1;
            self.repeated += usize::from(tries == 2);
            assert!(tries < 100, "{job}: no answer");
            let topic = format!("{BASE}/cmd/{}", wish.verb);
            let mut with = vec!["-D", "publish", "response-topic", &reply];
            with.extend(self.reach.iter().map(String::as_str));
            publish_to(self.port, "-s", &topic, &body.to_string(), &with);
            // Impatient, so that the same is sent while the first is still under way.
            let patience = Duration::from_millis(700);
            let told = self.ear.within(patience, |heard| heard.json()["job_id"] == *job);
            let Some(told) = told.map(|heard| heard.json()) else {
                continue;
            };
            if told["error"]["type"] == FULL {
                return None;
            }
            assert_eq!(told["ok"], true, "{body}: {told}");
            return Some((job, told));
        }
    }

    fn repeated(&self) -> usize {
        self.repeated
    }
}

/// One who books, moves and cancels, and writes down what was promised.
pub struct Caller<W> {
    way: W,
    name: String,
    rng: SmallRng,
    jobs: Vec<String>,
    /// Code by code.
    promised: BTreeMap<String, Promise>,
    made: usize,
    refused: usize,
}

impl<W: Way> Caller<W> {
    pub fn new(way: W, name: &str, rng: SmallRng) -> Caller<W> {
        Caller {
            way,
            name: name.to_owned(),
            rng,
            jobs: Vec::new(),
            promised: BTreeMap::new(),
            made: 0,
            refused: 0,
        }
    }

    fn act(&mut self) {
        let groups: BTreeSet<String> = self.promised.values().map(|p| p.key.clone()).collect();
        let drawn = match groups.len() {
            0 => None,
            n => groups.into_iter().nth(self.rng.random_range(0..n)),
        };
        let full = self.promised.len() >= GROUPS * 3;
        match (drawn, self.rng.random_range(0..10)) {
            (Some(key), 0..3) => self.update(&key),
            (Some(key), 3..5) => self.delete(&key),
            (Some(key), _) if full => self.delete(&key),
            _ => self.create(),
        }
    }

    fn insist(&mut self, verb: &'static str, body: Value) -> Option<Value> {
        let Some((job, answer)) = self.way.insist(&Wish { verb, body }) else {
            self.refused += 1;
            return None;
        };
        self.jobs.push(job);
        Some(answer)
    }

    fn create(&mut self) {
        self.made += 1;
        let mut doors = DOORS.to_vec();
        while doors.len() > 2 && self.rng.random_bool(0.5) {
            doors.remove(self.rng.random_range(0..doors.len()));
        }
        let name = format!("{} books {}", self.name, self.made);
        let mut body = json!({"device_ids": doors, "name": name, "preferred_code_length": 6});
        if self.rng.random_bool(0.5) {
            body["starts_at"] = "2024-11-15T15:00:00.000Z".into();
            body["ends_at"] = "2090-11-17T11:00:00.000Z".into();
        }
        let Some(answer) = self.insist("create_multiple", body.clone()) else {
            return;
        };
        let codes = answer["access_codes"].as_array().unwrap();
        assert_eq!(codes.len(), doors.len(), "half a group: {answer}");
        for (code, door) in codes.iter().zip(doors) {
            let text = |name: &str| code[name].as_str().unwrap().to_owned();
            assert_eq!(
                (code["device_id"].as_str(), &code["code"]),
                (Some(door), &codes[0]["code"])
            );
            let promise = Promise {
                device: door.to_owned(),
                pin: text("code"),
                key: text("common_code_key"),
                name: name.clone(),
                ends_at: body["ends_at"].clone(),
            };
            self.promised.insert(text("access_code_id"), promise);
        }
    }

    fn update(&mut self, key: &str) {
        self.made += 1;
        let name = format!("{} moves {}", self.name, self.made);
        let bound = self
            .promised
            .values()
            .any(|p| p.key == key && !p.ends_at.is_null());
        let mut body = json!({"common_code_key": key, "name": name});
        if bound {
            body["ends_at"] = format!("20{}-11-17T11:00:00.000Z", self.rng.random_range(60..99)).into();
        }
        self.insist("update_multiple", body.clone())
            .expect("nothing that needs room");
        for promise in self.promised.values_mut().filter(|p| p.key == key) {
            promise.name.clone_from(&name);
            promise.ends_at = body["ends_at"].clone();
        }
    }

    /// All of a group, one after the other.
    fn delete(&mut self, key: &str) {
        let of_group = self.promised.iter().filter(|(_, p)| p.key == key);
        let codes: Vec<String> = of_group.map(|(code, _)| code.clone()).collect();
        for code in codes {
            self.insist("delete", json!({"access_code_id": code}))
                .expect("nothing that needs room");
            self.promised.remove(&code);
        }
    }
}

/// What callers bring home.
#[derive(Default)]
pub struct Done {
    pub jobs: Vec<String>,
    pub promised: BTreeMap<String, Promise>,
    pub repeated: usize,
    pub refused: usize,
}

/// Lets a caller act for as long as it is told to.
#[allow(clippy::disallowed_methods, reason = "callers are threads of their own")]
pub fn spawn<'scope, 'env: 'scope, W: Way + Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    mut caller: Caller<W>,
    goes_on: impl Fn() -> bool + Send + 'scope,
    report: Sender<Done>,
) {
    scope.spawn(move || {
        while goes_on() {
            caller.act();
        }
        let done = Done {
            repeated: caller.way.repeated(),
            refused: caller.refused,
            jobs: caller.jobs,
            promised: caller.promised,
        };
        // Nobody waits for it only if the test has failed already.
        let _ = report.send(done);
    });
}

/// What all of them bring home.
pub fn gather(reports: &Receiver<Done>, callers: usize) -> Done {
    let mut all = Done::default();
    let each: Vec<Done> = reports.iter().collect();
    assert_eq!(each.len(), callers, "every caller got all its answers");
    for done in each {
        all.jobs.extend(done.jobs);
        all.promised.extend(done.promised);
        all.repeated += done.repeated;
        all.refused += done.refused;
    }
    all
}

/// The locks that they book: quick ones, each with a radio of its own.
pub fn doors() -> impl Iterator<Item = String> {
    DOORS.iter().zip(["A", "B", "C", "D"]).map(|(id, name)| {
        let quick = format!("latency = \"5ms\"\ncapacity = 200\nradio = \"{name}\"");
        device(id, name, "slots", &quick)
    })
}

/// What all is drawn from: `LOCKBRIDGE_SEED`, or chance.
pub fn seed() -> u64 {
    number("LOCKBRIDGE_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

/// Whether the long tests are asked for.
pub fn full() -> bool {
    std::env::var("LOCKBRIDGE_FULL").is_ok_and(|full| full == "1")
}

pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number")),
    )
}

/// Holds everything against what was promised.
pub fn judge(rig: &Rig, done: &Done) {
    let Done { jobs, promised, .. } = done;
    rig.advance(3600);
    let ready = rig.get("/readyz").ok();
    assert_eq!(
        (&ready["commands_waiting"], &ready["jobs_open"]),
        (&json!(0), &json!(0)),
        "{ready}"
    );
    let distinct: BTreeSet<&String> = jobs.iter().collect();
    assert_eq!(distinct.len(), jobs.len(), "two jobs under one id");
    for job in jobs {
        let told = rig.get(&format!("/lockbridge/v1/jobs/{job}")).ok();
        assert_eq!(told["job"]["phase"], "done", "{told}");
    }
    for door in DOORS {
        let of_door = promised.iter().filter(|(_, promise)| promise.device == door);
        let expected: BTreeMap<&str, Value> = of_door
            .map(|(code, p)| (code.as_str(), json!([p.pin, p.key, p.name, p.ends_at, "set"])))
            .collect();
        let codes = rig.codes(door);
        let found: BTreeMap<&str, Value> = codes
            .iter()
            .map(|code| {
                let told = ["code", "common_code_key", "name", "ends_at", "status"].map(|name| &code[name]);
                (code["access_code_id"].as_str().unwrap(), json!(told))
            })
            .collect();
        assert_eq!(found, expected, "{door}");
        assert_eq!(codes.len(), found.len());
        let mut pins: Vec<String> = expected
            .values()
            .map(|e| e[0].as_str().unwrap().to_owned())
            .collect();
        let mut on_lock = rig.pins_on(door);
        pins.sort();
        on_lock.sort();
        assert_eq!(on_lock, pins, "{door}");
        on_lock.dedup();
        assert_eq!(on_lock.len(), pins.len(), "{door}: a PIN twice");
    }
}
