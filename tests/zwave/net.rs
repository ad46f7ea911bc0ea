//! A Z-Wave network for a test: the real driver and server of Z-Wave JS over mocked locks, as
//! `tests/zwave/rig` has it, and a gateway that speaks with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lockbridge::api::time;
use lockbridge::clock::Clock;
use lockbridge::lock::zwave::device_id;
use lockbridge::model::{Timestamp, Voucher};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::broker::{Broker, Listener};
use crate::common::{Rig, exchange};

/// Nothing here takes longer than this, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(150);
/// What is waited for is looked at so often, and whenever something happens.
const LOOK: Duration = Duration::from_millis(200);

/// The network of one test. It ends with it.
pub struct Net {
    process: Child,
    control: String,
    home: u32,
    pub port: u16,
    cache: TempDir,
}

impl Net {
    /// A network whose nodes are all ready.
    pub fn start(options: &[&str]) -> Net {
        let rig = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zwave/rig");
        let cache = tempfile::tempdir().unwrap();
        let mut process = Command::new("node")
            .arg(format!("{rig}/rig.mjs"))
            .arg("--cache")
            .arg(cache.path())
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(cache.path().join("rig.log")).unwrap())
            .spawn()
            .expect("Node is there: tests/run installs what the rig needs");
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!(
                "the rig does not start; tests/run installs its packages:\n{}",
                said(&cache)
            )
        });
        let port = |key: &str| u16::try_from(told[key].as_u64().unwrap()).unwrap();
        Net {
            control: format!("127.0.0.1:{}", port("control")),
            home: u32::try_from(told["home_id"].as_u64().unwrap()).unwrap(),
            port: port("server"),
            process,
            cache,
        }
    }

    /// The section of a gateway's configuration; `more` are further keys and sections.
    pub fn config(&self, more: &str) -> String {
        let port = self.port;
        format!(
            "[clock]\nsource = \"system\"\n[locks]\nremote_unlock = true\n\
             [zwave]\nurl = \"ws://127.0.0.1:{port}\"\nbackoff_max = \"1s\"\n{more}\n"
        )
    }

    /// A running gateway that has met these nodes.
    pub fn gateway(&self, nodes: &[u16], more: &[String]) -> Rig {
        let mut config = vec![self.config("")];
        config.extend_from_slice(more);
        let mut rig = Rig::new(&config);
        rig.verbose = true;
        rig.run();
        let ids: Vec<String> = nodes.iter().map(|node| self.id(*node)).collect();
        until(&rig, "the gateway meets its locks", || {
            ids.iter()
                .all(|id| device(&rig, id)["properties"]["online"] == true)
        });
        rig
    }

    /// The id of the lock of a node.
    pub fn id(&self, node: u16) -> String {
        device_id(self.home, node).to_string()
    }

    /// All that the rig has said, and driver and server through it.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.cache.path().join("rig.log")).unwrap()
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let json = "content-type: application/json\r\n";
        let answer = exchange(&self.control, method, path, json, &body.to_string());
        let answer = answer.unwrap_or_else(|| panic!("the rig does not answer {method} {path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, body)
    }

    /// What befalls a node from now on.
    pub fn fault(&self, node: u16, kind: &str) {
        self.post(&format!("/nodes/{node}/fault"), &json!({"kind": kind}));
    }

    /// A node that hears nothing, and a controller that gives each try up so soon.
    pub fn dead_for(&self, node: u16, ms: u32) {
        let fault = json!({"kind": "dead", "ms": ms});
        self.post(&format!("/nodes/{node}/fault"), &fault);
    }

    /// What befalls a node, with all that can be said of it.
    pub fn fault_with(&self, node: u16, fault: &Value) {
        self.post(&format!("/nodes/{node}/fault"), fault);
    }

    /// Another client of the server has it do something; what it answers.
    pub fn another_client(&self, command: &Value) -> Value {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let (mut socket, _) = tungstenite::client(format!("ws://127.0.0.1:{}/", self.port), stream).unwrap();
        let mut command = command.clone();
        command["messageId"] = json!("it");
        let initialize = json!({"messageId": "first", "command": "initialize", "schemaVersion": 50});
        for message in [initialize, command] {
            socket.send(Message::text(message.to_string())).unwrap();
        }
        loop {
            let Message::Text(text) = socket.read().unwrap() else {
                continue;
            };
            let told: Value = serde_json::from_str(&text).unwrap();
            if told["messageId"] == "it" {
                assert_eq!(told["success"], true, "{told}");
                return told["result"].clone();
            }
        }
    }

    /// What befalls a node so many times.
    pub fn strikes(&self, node: u16, kind: &str, count: u32) {
        let fault = json!({"kind": kind, "count": count});
        self.post(&format!("/nodes/{node}/fault"), &fault);
    }

    /// Somebody changes the codes at the door.
    pub fn by_hand(&self, node: u16, op: &str, slot: u16, code: Option<&str>) {
        let change = json!({"op": op, "slot": slot, "code": code});
        self.post(&format!("/nodes/{node}/code"), &change);
    }

    pub fn keypad(&self, node: u16, what: &Value) -> Value {
        self.post(&format!("/nodes/{node}/keypad"), what)
    }

    /// The true table of a lock: slots and digits.
    pub fn table(&self, node: u16) -> Vec<(u64, String)> {
        let table = self.call("GET", &format!("/nodes/{node}/codes"), &Value::Null);
        let row = |row: &Value| {
            (
                row["slot"].as_u64().unwrap(),
                row["code"].as_str().unwrap().to_owned(),
            )
        };
        table.as_array().unwrap().iter().map(row).collect()
    }

    /// The digits in a lock.
    pub fn pins(&self, node: u16) -> Vec<String> {
        self.table(node).into_iter().map(|(_, code)| code).collect()
    }

    pub fn state(&self, node: u16) -> Value {
        self.call("GET", &format!("/nodes/{node}/state"), &Value::Null)
    }

    /// Makes everything as it was at first.
    pub fn tidy(&self, nodes: &[u16]) {
        for node in nodes {
            self.fault(*node, "none");
            self.call("DELETE", &format!("/nodes/{node}/codes"), &Value::Null);
            self.call("DELETE", &format!("/nodes/{node}/frames"), &Value::Null);
        }
    }

    /// The nodes to which frames were sent, heard or not, in their order.
    pub fn air(&self) -> Vec<u16> {
        let sent = self.call("GET", "/air", &Value::Null);
        let node = |node: &Value| u16::try_from(node.as_u64().unwrap()).unwrap();
        sent.as_array().unwrap().iter().map(node).collect()
    }

    /// How many frames of a kind reached a node.
    pub fn frames(&self, node: u16, kind: &str) -> u64 {
        let frames = self.call("GET", &format!("/nodes/{node}/frames"), &Value::Null);
        frames[kind].as_u64().unwrap_or(0)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Its end of the pipe tells the rig to go, and the server with it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the rig said:\n{}", said(&self.cache));
        }
    }
}

/// What the rig said, and the driver and the server through it; of much the end.
fn said(cache: &TempDir) -> String {
    let log = std::fs::read(cache.path().join("rig.log")).unwrap_or_default();
    let end = log.len().saturating_sub(20_000);
    String::from_utf8_lossy(&log[end..]).into_owned()
}

/// A broker that hears all, and what a gateway's configuration says of it.
pub fn broker() -> (Broker, Listener, String) {
    let broker = Broker::start("");
    let listener = broker.listen("#");
    let mqtt = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port);
    (broker, listener, mqtt)
}

/// A device as the API has it; null while there is none.
pub fn device(rig: &Rig, id: &str) -> Value {
    let answer = rig.post("/devices/get", json!({"device_id": id}));
    answer.body["device"].clone()
}

/// Waits until something is so, and looks again whenever something happens.
#[track_caller]
pub fn until(rig: &Rig, what: &str, so: impl Fn() -> bool) {
    #[allow(clippy::disallowed_methods, reason = "a deadline, so that a test ends")]
    let began = Instant::now();
    let mut stream = TcpStream::connect(rig.address()).unwrap();
    stream.set_read_timeout(Some(LOOK)).unwrap();
    let head = format!(
        "GET /lockbridge/v1/stream HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
        rig.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut heard = [0; 4096];
    while !so() {
        #[allow(clippy::disallowed_methods, reason = "a deadline, so that a test ends")]
        let waited = began.elapsed();
        assert!(waited < PATIENCE, "in vain: {what}\n{}", causes(rig));
        // Nothing happening is as good as something.
        let _ = stream.read(&mut heard);
    }
}

/// Why each device is as it is.
fn causes(rig: &Rig) -> String {
    let listed = rig.post("/devices/list", json!({})).ok();
    let devices = listed["devices"].as_array().unwrap().iter();
    let cause = |device: &Value| {
        let id = device["device_id"].as_str().unwrap();
        let why = rig.get(&format!("/lockbridge/v1/devices/{id}/why"));
        format!("{}\n", why.body["why"]["sentence"])
    };
    devices.map(cause).collect()
}

/// Books codes for these devices with this PIN, or a drawn one; returns the whole answer.
#[track_caller]
pub fn book(rig: &Rig, devices: &[String], more: &Value) -> Value {
    let mut body = json!({"device_ids": devices});
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    rig.post("/access_codes/create_multiple", body).ok()
}

/// The time of the machine, some seconds from now: what is real is not steered.
pub fn from_now(seconds: i64) -> String {
    let now = Clock::real(Voucher::System).now();
    time::text(Timestamp(now.wall.0 + seconds * 1000)).unwrap()
}

/// The codes of an answer.
pub fn codes(answer: &Value) -> Vec<Value> {
    answer["access_codes"].as_array().unwrap().clone()
}

/// An access code as it is now; null once it is gone.
pub fn code(rig: &Rig, id: &Value) -> Value {
    let answer = rig.post("/access_codes/get", json!({"access_code_id": id}));
    answer.body["access_code"].clone()
}

/// Whether every one of these codes has this status.
pub fn all_are(rig: &Rig, codes: &[Value], status: &str) -> bool {
    let mut ids = codes.iter().map(|code| &code["access_code_id"]);
    ids.all(|id| code(rig, id)["status"] == status)
}

/// Events of a kind, oldest first.
pub fn events(rig: &Rig, kind: &str) -> Vec<Value> {
    let asked = json!({"since": "2000-01-01T00:00:00Z", "event_type": kind});
    let listed = rig.post("/events/list", asked).ok();
    listed["events"].as_array().unwrap().clone()
}

/// Insists that no lock was held to be silent.
#[track_caller]
pub fn nobody_was_silent(rig: &Rig) {
    assert_eq!(events(rig, "device.disconnected"), [Value::Null; 0]);
}

/// Insists that no lock was held to be silent, or to refuse anything.
#[track_caller]
pub fn nobody_was_blamed(rig: &Rig) {
    nobody_was_silent(rig);
    for kind in [
        "access_code.failed_to_set_on_device",
        "access_code.failed_to_remove_from_device",
    ] {
        assert_eq!(events(rig, kind), [Value::Null; 0]);
    }
}

/// Insists that nothing that a broker heard tells any of these digits. It has heard the last of whatever became of a
/// code on a lock, and so all before that.
#[track_caller]
pub fn topics_hide(rig: &Rig, listener: &mut Listener, pins: &[&str]) {
    let kinds = [
        "access_code.unmanaged.created",
        "access_code.set_on_device",
        "access_code.removed_from_device",
    ];
    let last = |kind| Some(events(rig, kind).last()?["event_id"].as_str()?.to_owned());
    let mut unheard: Vec<String> = kinds.into_iter().filter_map(last).collect();
    assert!(!unheard.is_empty(), "there was a code");
    while !unheard.is_empty() {
        let heard = listener.find(|heard| heard.topic.ends_with("/event"));
        unheard.retain(|id| !heard.payload.contains(id));
    }
    for heard in &listener.heard {
        let tells = |pin: &&str| heard.payload.contains(*pin) || heard.topic.contains(*pin);
        assert!(!pins.iter().any(tells), "{} tells a PIN", heard.topic);
    }
}

/// Insists that the log tells none of these digits.
#[track_caller]
pub fn log_hides(rig: &Rig, pins: &[&str]) {
    let log = rig.log();
    for pin in pins {
        assert!(!log.contains(pin), "the log tells a PIN");
    }
}
