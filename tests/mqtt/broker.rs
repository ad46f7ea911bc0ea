//! A real mosquitto on a loopback port, and mosquitto's own clients to talk to it: none of our
//! code is on that side.
//!
//! Nothing here waits for time to pass. What is waited for is a message, and it is a failure when
//! it does not come within [`PATIENCE`].
#![allow(dead_code, reason = "every test takes what it needs")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::inside;

/// No message takes longer than this, however slow the machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Debian keeps the broker where a user's path does not look.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// Everybody may do everything.
const OPEN: &str = "allow_anonymous true\nuser root";

pub struct Broker {
    pub port: u16,
    /// The words that start a command in the namespace where it runs; none for this one. From
    /// another one it is reached over its Unix socket.
    inside: Vec<String>,
    dir: TempDir,
    process: Option<Process>,
}

impl Broker {
    /// A broker that keeps nothing over a restart, with further lines of configuration.
    pub fn start(more: &str) -> Broker {
        let mut broker = Broker::planned();
        broker.run(more);
        broker
    }

    /// A broker that does not run yet.
    pub fn planned() -> Broker {
        Broker {
            port: free_port(),
            inside: Vec::new(),
            dir: tempfile::tempdir().unwrap(),
            process: None,
        }
    }

    /// A broker in another namespace, where everybody may come to it.
    pub fn inside(inside: &[String], more: &str) -> Broker {
        let mut broker = Broker::planned();
        broker.inside = inside.to_vec();
        let socket = broker.socket();
        let (port, socket) = (broker.port, socket.display());
        broker.run_with(&format!(
            "listener {port} 0.0.0.0\nlistener 0 {socket}\n{OPEN}\n{more}\n"
        ));
        broker
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("broker.sock")
    }

    /// What mosquitto's clients must be told to reach it, beside its port.
    pub fn reach(&self) -> Vec<String> {
        match self.inside.is_empty() {
            true => Vec::new(),
            false => vec!["--unix".into(), self.socket().display().to_string()],
        }
    }

    pub fn run(&mut self, more: &str) {
        let port = self.port;
        self.run_with(&format!("listener {port} 127.0.0.1\n{OPEN}\n{more}\n"));
    }

    /// Runs with this configuration and nothing else.
    pub fn run_with(&mut self, lines: &str) {
        let config = self.file("mosquitto.conf", lines);
        let mut command = inside(&self.inside, MOSQUITTO);
        command
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::start(command, |child| child.stderr.take());
        while !process.line().ends_with(" running") {}
        self.process = Some(process);
    }

    /// Ends it, and with it all that it knew.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Sends a signal to its process.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Whether its process was stopped.
    pub fn stands_still(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").child.id()
    }

    /// Where the broker's own files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file of the broker's own.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Listens to a filter, and returns once the broker has confirmed it.
    pub fn listen(&self, filter: &str) -> Listener {
        let reach = self.reach();
        let reach: Vec<&str> = reach.iter().map(String::as_str).collect();
        listen_to(self.port, filter, &reach)
    }

    /// Publishes as mosquitto's own client does it, and returns once the broker has it.
    pub fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        self.publish_all("-s", topic, payload, more);
    }

    /// The same for every line of a text, as fast as it goes.
    pub fn publish_lines(&self, topic: &str, lines: &str, more: &[&str]) {
        self.publish_all("-l", topic, lines, more);
    }

    fn publish_all(&self, how: &str, topic: &str, payload: &str, more: &[&str]) {
        let reach = self.reach();
        let with: Vec<&str> = more
            .iter()
            .copied()
            .chain(reach.iter().map(String::as_str))
            .collect();
        publish_to(self.port, how, topic, payload, &with);
    }

    /// Everything that the broker keeps.
    pub fn retained(&self) -> BTreeMap<String, String> {
        let mut listener = self.listen("#");
        // What is kept comes before what is published after it.
        self.publish("end", "of what was kept", &[]);
        listener.on("end");
        let kept = listener.heard.into_iter().filter(|message| message.retained);
        kept.map(|message| (message.topic, message.payload)).collect()
    }
}

/// A port that nobody listens to.
pub fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// Listens at the broker of a port, with further arguments for mosquitto's client.
pub fn listen_to(port: u16, filter: &str, more: &[&str]) -> Listener {
    // It tells of its subscription only when its buffer is full, unless it has none.
    let mut command = Command::new("stdbuf");
    command
        .args([
            "-oL",
            "mosquitto_sub",
            "-d",
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-h",
            "127.0.0.1",
            "-p",
        ])
        .arg(port.to_string())
        .args(["-t", filter, "-F", "MSG|%r|%E|%D|%t|%p"])
        .args(more)
        .stdout(Stdio::piped());
    let mut process = Process::start(command, |child| child.stdout.take());
    // A session that waited for us has its messages come first.
    let mut heard = Vec::new();
    loop {
        let line = process.line();
        if line.starts_with("Subscribed") {
            return Listener { process, heard };
        }
        heard.extend(Heard::read(&line));
    }
}

/// Publishes to the broker of a port, from any thread: `-s` the whole payload, `-l` each of its
/// lines.
pub fn publish_to(port: u16, how: &str, topic: &str, payload: &str, more: &[&str]) {
    let mut child = Command::new("mosquitto_pub")
        .args(["-V", "mqttv5", "-q", "1", "-h", "127.0.0.1", "-p"])
        .arg(port.to_string())
        .args(["-t", topic, how])
        .args(more)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(payload.as_bytes()).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "mosquitto_pub to {topic}: {status}");
}

/// A message, as the listener shows it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub retained: bool,
    pub expiry: String,
    pub correlation: String,
    pub topic: String,
    pub payload: String,
}

impl Heard {
    /// A line of the listener, if it is a message.
    fn read(line: &str) -> Option<Heard> {
        let mut parts = line.strip_prefix("MSG|")?.splitn(5, '|');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        Some(Heard {
            retained: part() == "1",
            expiry: part(),
            correlation: part(),
            topic: part(),
            payload: part(),
        })
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|e| panic!("{e}: {}", self.payload))
    }
}

pub struct Listener {
    process: Process,
    /// Everything so far, found or passed over.
    pub heard: Vec<Heard>,
}

impl Listener {
    /// Waits for a message, from here on.
    #[track_caller]
    pub fn find(&mut self, wanted: impl Fn(&Heard) -> bool) -> Heard {
        self.within(PATIENCE, wanted)
            .unwrap_or_else(|| panic!("not heard; instead: {:#?}", self.heard))
    }

    /// The same for a caller with a patience of its own, who will ask again.
    pub fn within(&mut self, patience: Duration, wanted: impl Fn(&Heard) -> bool) -> Option<Heard> {
        loop {
            let line = self.process.lines.recv_timeout(patience).ok()?;
            let Some(message) = Heard::read(&line) else {
                continue;
            };
            self.heard.push(message.clone());
            if wanted(&message) {
                return Some(message);
            }
        }
    }

    /// Waits for the next message on a topic.
    #[track_caller]
    pub fn on(&mut self, topic: &str) -> Heard {
        self.find(|message| message.topic == topic)
    }
}

/// A child process that is read line by line, and ended when it is dropped.
pub struct Process {
    pub child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub fn start<R: Read + Send + 'static>(
        mut command: Command,
        output: impl FnOnce(&mut Child) -> Option<R>,
    ) -> Process {
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}; install mosquitto and mosquitto-clients"));
        let output = BufReader::new(output(&mut child).unwrap());
        let (say, lines) = channel();
        #[allow(clippy::disallowed_methods, reason = "a wait for a line must be able to end")]
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        Process { child, lines }
    }

    fn next(&self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    #[track_caller]
    pub fn line(&mut self) -> String {
        self.next().expect("it goes on")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
