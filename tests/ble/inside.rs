//! A gateway inside this process, so that its clock can be moved, and all that anything in it says can be heard.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lockbridge::api::answer::Site;
use lockbridge::api::time;
use lockbridge::clock::Clock;
use lockbridge::gateway::Gateway;
use lockbridge::http::keys::Keys;
use lockbridge::http::{self, Api, serve};
use lockbridge::lock::ble::Options;
use lockbridge::lock::paired::{self, Household};
use lockbridge::model::{Settings, Voucher};
use lockbridge::shell;
use lockbridge::signature::SigningKey;
use lockbridge::store::{MemoryStore, SealKey, Vault};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::bluez::{Bluez, Device};
use super::bus::Bus;
use super::common::leaks::{Written, base64, hex, leaks};
use super::gateway::{CLASSIC_PIN, ULTRA_PIN, kind, now, security_pin};
use super::lock::SimLock;
use super::rig::{DEADLINE, address, pause};
use super::stage;
use super::storm::full;

const LONG: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn randomness() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(7)
}

/// A gateway of Bluetooth locks alone, with everything but its command line.
struct Inside {
    bluez: Bluez,
    clock: Clock,
    household: Arc<Household>,
    socket: PathBuf,
    stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
    // The last to go.
    _bus: Bus,
}

impl Inside {
    #[expect(clippy::disallowed_methods, reason = "the program's part")]
    fn begin(locks: u8) -> Inside {
        let bus = Bus::start();
        let bluez = Bluez::start((1..=locks).map(|number| {
            let kind = kind(number);
            let mut lock = SimLock::new(kind, number.into());
            lock.security_pin = security_pin(kind).parse().unwrap();
            lock.pairing = true;
            (address(number), lock)
        }));
        let clock = Clock::real(Voucher::System);
        let mut store = MemoryStore::new();
        let key = SealKey::new([7; SealKey::BYTES]);
        let (vault, content) = Vault::open(&mut store, &key, [1; 16]).unwrap();
        let (gateway, _) = Gateway::boot(
            vault,
            content,
            Vec::new(),
            BTreeMap::from([(paired::radio(), 3)]),
            Settings::default(),
            clock.boot(),
            clock.reading(),
        )
        .unwrap();
        let (report, facts) = shell::ear();
        let options = Options {
            adapter: "hci0".to_owned(),
            links: 3,
        };
        let household = Arc::new(Household::open(
            options,
            paired::applicant("villa-7", "gw1"),
            clock.clone(),
            report,
            || Box::new(randomness()),
            gateway.credentials(),
        ));
        let (core, _running) = shell::start(shell::Parts {
            gateway,
            store: Box::new(store),
            storage_low: Box::new(|| false),
            exporter: None,
            locks: BTreeMap::new(),
            facts,
            clock: clock.clone(),
            rng: Box::new(randomness()),
        })
        .unwrap();
        tokio::spawn(Arc::clone(&household).run());
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let (peer, _other) = UnixStream::pair().unwrap();
        let (stop, stopping) = watch::channel(false);
        let api = Api::new(http::Parts {
            core,
            site: Site::new("villa-7", "gw1"),
            keys: Keys::of(folder.path()),
            locks: BTreeMap::new(),
            household: Some(Arc::clone(&household)),
            time_is_steered: false,
            storage_low: Box::new(|| false),
            broker: None,
            signing_key: SigningKey::of(&[7; 32]),
            randomness: || Box::new(randomness()),
            own_uid: Some(peer.peer_cred().unwrap().uid()),
            over_tls: false,
            streams: 1,
            stop: stopping.clone(),
        });
        tokio::spawn(serve(listener, Arc::new(api), LONG, None, stopping));
        Inside {
            bluez,
            clock,
            household,
            socket,
            stop,
            _folder: folder,
            _bus: bus,
        }
    }

    async fn get(&self, path: &str) -> Value {
        self.call(&format!("GET {path}"), "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.call(&format!("POST {path}"), &body.to_string()).await
    }

    /// The body of an answer.
    async fn call(&self, what: &str, body: &str) -> Value {
        let head = format!("{what} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        let (_, body) = told.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{told}: {error}"))
    }

    /// Pairs with a lock: its id, and why it came to nothing.
    async fn pair(&self, number: u8, pin: &str) -> (String, Option<String>) {
        let wanted = json!({"address": address(number).to_string(), "security_pin": pin, "name": "Door"});
        self.post("/lockbridge/v1/bluetooth/pair", &wanted).await;
        let mut errand = Value::Null;
        self.until("the pairing ends", async || {
            errand = self.get("/lockbridge/v1/bluetooth/errand").await["errand"].take();
            errand["state"] != "running"
        })
        .await;
        let problem = errand["problem"].as_str().map(str::to_owned);
        (errand["device_id"].as_str().unwrap().to_owned(), problem)
    }

    async fn until(&self, what: &str, mut so: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !so().await {
                pause().await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(waited.is_ok(), "{what}: never");
    }

    /// Why a lock's work waits, in a word, and when it is tried next.
    async fn waits(&self, device: &str) -> (String, String) {
        let why = self.get(&format!("/lockbridge/v1/devices/{device}/why")).await;
        let queue = self.get(&format!("/lockbridge/v1/devices/{device}/queue")).await;
        let next = queue["queue"][0]["next_try"].as_str().unwrap_or_default();
        (why["why"]["cause"].as_str().unwrap().to_owned(), next.to_owned())
    }

    async fn book(&self, device: &str) -> Value {
        let stay = json!({"device_id": device, "name": "Ada", "starts_at": self.at(HOUR), "ends_at": self.at(HOUR * 99)});
        self.post("/access_codes/create", &stay).await["access_code"].take()
    }

    /// The digits that a lock holds.
    fn held(&self, number: u8) -> Vec<String> {
        self.bluez.with(address(number), |lock| {
            let codes = lock.lock.codes.iter();
            codes.map(|code| code.digits.to_string()).collect()
        })
    }

    /// What time it is, so long from now, by the gateway's clock.
    fn at(&self, span: Duration) -> String {
        time::text(self.clock.now().wall + span).unwrap()
    }

    async fn at_rest(&self, device: &str) {
        self.until("it rests", async || self.waits(device).await.0 == "at_rest")
            .await;
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.household.end();
    }
}

#[test]
fn a_lock_that_was_away_for_an_hour_is_served_at_its_first_word() {
    stage(
        "inside::a_lock_that_was_away_for_an_hour_is_served_at_its_first_word",
        async || {
            let site = Inside::begin(2);
            let (device, problem) = site.pair(1, CLASSIC_PIN).await;
            assert_eq!(problem, None);
            site.at_rest(&device).await;
            site.bluez.with(address(1), |lock| lock.in_range = false);
            site.book(&device).await;
            // An hour of the gateway's time, in which it is tried in vain.
            let over = site.clock.now().mono + HOUR;
            let before = site.bluez.world().called("Connect");
            while site.clock.now().mono < over {
                site.clock
                    .jump_to(site.clock.now().mono + Duration::from_secs(10));
                let now = site.clock.now().wall;
                // A radio that hears nothing at all would be helped.
                site.until("the other one is heard, or this one tried", async || {
                    site.waits(&device).await;
                    let heard = site.household.neighbours();
                    let other = heard.iter().find(|one| one.address == address(2));
                    other.is_some_and(|other| now <= other.at)
                        || site.bluez.with(address(1), |lock| lock.is_connecting())
                })
                .await;
            }
            let tries = site.bluez.world().called("Connect") - before;
            assert_eq!(site.waits(&device).await.0, "device_silent");
            let mut next = String::new();
            site.until("nobody tries, and it is not its turn for a while", async || {
                next = site.waits(&device).await.1;
                site.clock.awake() == 0 && next > site.at(Duration::from_secs(10))
            })
            .await;
            site.bluez.with(address(1), |lock| {
                (lock.first_word, lock.in_range) = (None, true);
            });
            site.until("it is served", async || site.held(1).len() == 1).await;
            let served = now();
            let heard = site.bluez.with(address(1), |lock| lock.first_word.unwrap());
            println!(
                "away for an hour of steered time, and tried {tries} times; served {:?} of real time after it was heard",
                served - heard
            );
            assert!(site.at(Duration::ZERO) < next, "before its turn by the clock");
        },
    );
}

/// A radio that hears nothing is helped, from the mildest way out to one that connects to the bus anew.
#[test]
fn a_radio_that_begins_anew_deafens_no_caller() {
    stage("inside::a_radio_that_begins_anew_deafens_no_caller", async || {
        let times = if full() { 17_000 } else { 1_700 };
        let site = Inside::begin(1);
        site.bluez.with(address(1), |lock| lock.in_range = false);
        let begun = || site.bluez.world().callers.len();
        site.until("it listens", async || begun() > 0).await;
        for call in 0..times {
            site.clock
                .jump_to(site.clock.now().mono + Duration::from_secs(10));
            let answer = tokio::time::timeout(LONG / 2, site.get("/lockbridge/v1/bluetooth")).await;
            assert!(answer.is_ok(), "call {call} waits in vain");
        }
        println!("{times} calls, over {} connections to the bus", begun());
        assert!(begun() > times / 400, "it hardly ever began anew: {}", begun());
    });
}

/// Takes down all that anything in this process says, whichever of the two ways it says it.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<u8>>>);

impl Ear {
    fn listen() -> Ear {
        let ear = Ear::default();
        let writer = ear.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .init();
        log::set_logger(Box::leak(Box::new(ear.clone()))).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        ear
    }

    fn heard(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}: {}\n", record.level(), record.target(), record.args());
        self.0.lock().unwrap().extend(line.bytes());
    }

    fn flush(&self) {}
}

#[test]
fn nothing_that_is_said_at_any_level_tells_a_secret() {
    stage(
        "inside::nothing_that_is_said_at_any_level_tells_a_secret",
        async || {
            let ear = Ear::listen();
            let site = Inside::begin(2);
            let (again, wrong) = ("345678", "0666");
            // As the lock gets them.
            let mut sent: Vec<String> = [again, ULTRA_PIN]
                .map(|pin| list(&pin.parse::<u32>().unwrap().to_le_bytes()))
                .into();
            let mut secrets: BTreeSet<String> =
                [CLASSIC_PIN, ULTRA_PIN, wrong, again].map(str::to_owned).into();
            let (_, problem) = site.pair(1, wrong).await;
            let problem = problem.expect("it is wrong");
            assert!(problem.contains("refuses the security PIN"), "{problem}");
            for (number, pin) in [(1, CLASSIC_PIN), (2, ULTRA_PIN)] {
                let (device, problem) = site.pair(number, pin).await;
                assert_eq!(problem, None);
                site.at_rest(&device).await;
                let code = site.book(&device).await;
                let first = code["code"].as_str().unwrap().to_owned();
                site.until("it is set", async || site.held(number) == [first.as_str()])
                    .await;
                let other = json!({"access_code_id": code["access_code_id"], "code": again});
                site.post("/access_codes/update", &other).await;
                site.until("it is another", async || site.held(number) == [again])
                    .await;
                // The hour at which it opens.
                let opens = |lock: &mut Device| {
                    lock.lock.clock_off_ms += 7_200_000;
                    let opens = lock.lock.keypad(again.parse().unwrap());
                    lock.lock.clock_off_ms -= 7_200_000;
                    opens
                };
                assert!(site.bluez.with(address(number), opens));
                let gone = json!({"access_code_id": code["access_code_id"]});
                site.post("/access_codes/delete", &gone).await;
                site.until("it is gone", async || site.held(number).is_empty())
                    .await;
                let asked = json!({"since": "2000-01-01T00:00:00Z", "event_type": "lock.unlocked", "device_id": device});
                site.until("its logbook was read", async || {
                    let told = site.post("/events/list", &asked).await;
                    told["events"].as_array().is_some_and(|told| told.len() == 1)
                })
                .await;
                sent.push(list(&first.parse::<u32>().unwrap().to_le_bytes()));
                secrets.insert(first);
                for user in site
                    .bluez
                    .with(address(number), |lock| lock.lock.users.clone())
                    .values()
                {
                    secrets.extend([hex(&user.key), base64(&user.key), list(&user.key)]);
                }
                site.at_rest(&device).await;
                let unpaired = site
                    .post("/lockbridge/v1/bluetooth/unpair", &json!({"device_id": device}))
                    .await;
                assert_eq!(unpaired["unpaired"]["user_deleted"], true, "{unpaired}");
            }
            secrets.extend(sent);
            let said = ear.heard();
            for somebody in ["INFO lockbridge", "TRACE bluez_async"] {
                assert!(said.contains(somebody), "{somebody} says nothing:\n{said}");
            }
            println!("{} lines, {} bytes", said.lines().count(), said.len());
            let written: Written = vec![("what was said".to_owned(), said.into())];
            assert_eq!(leaks(&written, &secrets), Vec::<String>::new());
        },
    );
}

/// As `Debug` shows bytes.
fn list(bytes: &[u8]) -> String {
    let list = format!("{bytes:?}");
    list[1..list.len() - 1].to_owned()
}
