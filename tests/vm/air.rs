//! Simulated locks on the air of `air.py`: each is there while a connection to its socket lasts.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use lockbridge::lock::ble::Address;
use serde_json::{Value, json};
use uuid::Uuid;

use super::common::leaks::hex;
use super::lock::{Kind, SimLock, characteristic};
use super::until;

const SOCKET: &str = "/run/air";

/// The controller, and what it hears.
pub struct Air(Child);

impl Air {
    /// Plugs the controller in.
    pub fn start() -> Air {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/air.py");
        let process = Command::new("python3").arg(script).arg(SOCKET).spawn().unwrap();
        until("the controller is there", || Path::new(SOCKET).exists());
        Air(process)
    }
}

impl Drop for Air {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_file(SOCKET);
    }
}

/// A lock, and how it is heard.
pub struct Lock {
    pub address: Address,
    lock: Arc<Mutex<SimLock>>,
    links: Arc<AtomicUsize>,
    on_air: Option<(UnixStream, JoinHandle<()>)>,
}

impl Lock {
    /// One that is out of reach.
    pub fn new(address: Address, lock: SimLock) -> Lock {
        Lock {
            address,
            lock: Arc::new(Mutex::new(lock)),
            links: Arc::default(),
            on_air: None,
        }
    }

    /// The lock itself, to look at and to change.
    pub fn inside(&self) -> MutexGuard<'_, SimLock> {
        self.lock.lock().unwrap()
    }

    /// Links that came about.
    pub fn links(&self) -> usize {
        self.links.load(SeqCst)
    }

    /// Comes within reach.
    pub fn come(&mut self) {
        let mut stream = UnixStream::connect(SOCKET).unwrap();
        let hello = hello(self.address, self.inside().kind);
        writeln!(stream, "{hello}").unwrap();
        let (served, lock, links) = (stream.try_clone().unwrap(), self.lock.clone(), self.links.clone());
        let thread = std::thread::spawn(move || serve(served, &lock, &links));
        self.on_air = Some((stream, thread));
    }

    /// Goes out of reach.
    pub fn go(&mut self) {
        let (stream, thread) = self.on_air.take().expect("it is on the air");
        stream.shutdown(Shutdown::Both).unwrap();
        thread.join().unwrap();
    }
}

fn serve(mut stream: UnixStream, lock: &Mutex<SimLock>, links: &AtomicUsize) {
    let questions = BufReader::new(stream.try_clone().unwrap()).lines();
    for question in questions.map_while(Result::ok) {
        let question: Value = serde_json::from_str(&question).unwrap();
        let answer = match question["write"].as_str() {
            None => {
                lock.lock().unwrap().connect();
                links.fetch_add(1, SeqCst);
                json!({})
            }
            Some(to) => {
                let to: Uuid = to.parse().unwrap();
                let said = lock
                    .lock()
                    .unwrap()
                    .write(to, &bytes(question["value"].as_str().unwrap()));
                assert!(said.iter().all(|indication| indication.characteristic == to));
                json!({"indicate": said.iter().map(|said| hex(&said.value)).collect::<Vec<_>>()})
            }
        };
        if writeln!(stream, "{answer}").is_err() {
            return;
        }
    }
}

/// What a lock is on the air: the beacon of one that is set up, a service to pair and one for every day.
fn hello(address: Address, kind: Kind) -> Value {
    let pairing = match kind {
        Kind::Classic => 0x100,
        Kind::Ultra => 0x300,
    };
    // General discovery, no classic Bluetooth; then the manufacturer's data, with the lock's number and the power.
    let mut advertisement = vec![2, 0x01, 0x06, 26, 0xff, 0x4c, 0x00, 0x02, 0x15];
    advertisement.extend(characteristic(0x200).as_bytes());
    advertisement.extend(&address.0[2..]);
    advertisement.push(0xc4);
    json!({
        "address": address.to_string(),
        "advertisement": hex(&advertisement),
        "services": {
            (characteristic(pairing).to_string()): [characteristic(pairing + 1)],
            (characteristic(0x200).to_string()): [characteristic(0x202)],
        },
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
