//! The real program over simulated locks, and a caller of its API that speaks plain HTTP.
//!
//! Nothing here waits for time to pass: the gateway says when it is ready, and simulated time is
//! moved on by its own API, which answers when all that fell due was done.
#![allow(dead_code, reason = "every test takes what it needs")]

pub mod leaks;
pub mod page;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use lockbridge::api::time;
use lockbridge::model::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The devices of Seam's own examples.
pub const FRONT: &str = "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73";
pub const BACK: &str = "d87eea5d-71c6-4633-a966-396c5ac51177";

/// No answer takes longer than this, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway of one test: its directory, its process, a key that may do everything.
pub struct Rig {
    dir: TempDir,
    data_dir: PathBuf,
    process: Option<Child>,
    address: String,
    pub key: String,
    /// The words that start a command in the namespace where it runs; none for this one. From
    /// another one it is called over its Unix socket.
    pub inside: Vec<String>,
    /// Whether it says all that it can say.
    pub verbose: bool,
    log: Arc<Log>,
    /// Closed when the log of the present process is at its end.
    over: Receiver<()>,
}

/// What the program said, line by line.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grew: Condvar,
}

impl Log {
    fn add(&self, line: &str) {
        writeln!(self.text.lock().unwrap(), "{line}").unwrap();
        self.grew.notify_all();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// What is no JSON is a text.
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.body["ok"], true);
        self.body
    }

    /// Insists on a refusal of this kind, whose message says this.
    #[track_caller]
    pub fn refused(&self, status: u16, kind: &str, says: &str) {
        let error = &self.body["error"];
        assert_eq!(
            (self.status, error["type"].as_str()),
            (status, Some(kind)),
            "{}",
            self.body
        );
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(says), "`{message}` does not say `{says}`");
        assert_eq!(self.body["ok"], false);
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "{content_type}");
        assert!(self.header("seam-request-id").is_some());
    }
}

/// A simulated lock for the configuration; `more` are further keys.
pub fn device(id: &str, name: &str, profile: &str, more: &str) -> String {
    format!(
        "[[device]]\ndevice_id = \"{id}\"\nname = \"{name}\"\ndriver = \"sim\"\nprofile = \"{profile}\"\n{more}\n"
    )
}

impl Rig {
    /// A running gateway over these devices.
    pub fn start(devices: &[String]) -> Rig {
        let mut rig = Rig::new(devices);
        rig.run();
        rig
    }

    /// A gateway that does not run yet.
    pub fn new(devices: &[String]) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        Rig::with(dir, data_dir, devices)
    }

    /// The same with its data in that directory.
    pub fn on(data_dir: &Path, devices: &[String]) -> Rig {
        Rig::with(tempfile::tempdir().unwrap(), data_dir.to_owned(), devices)
    }

    fn with(dir: TempDir, data_dir: PathBuf, devices: &[String]) -> Rig {
        let config = format!(
            "[gateway]\nsite = \"villa-7\"\nid = \"gw1\"\ndata_dir = \"{}\"\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n\
             [store]\nreserve_mb = 1\n\n{}",
            data_dir.display(),
            devices.join("\n"),
        );
        std::fs::write(dir.path().join("lockbridge.toml"), config).unwrap();
        let mut rig = Rig {
            dir,
            data_dir,
            process: None,
            address: String::new(),
            key: String::new(),
            inside: Vec::new(),
            verbose: false,
            log: Arc::default(),
            over: channel().1,
        };
        rig.key = rig.make_key("everything", "codes,pins,operate,admin");
        rig
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("lockbridge.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    pub fn make_key(&self, name: &str, scopes: &str) -> String {
        let made = self.command(&["keys", "create", name, "--scope", scopes]);
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs the program with this configuration until it ends.
    pub fn command(&self, arguments: &[&str]) -> Output {
        program(&self.config()).args(arguments).output().unwrap()
    }

    /// The same for a command that reads this.
    pub fn command_with(&self, arguments: &[&str], text: &str) -> Output {
        let mut command = program(&self.config())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        command.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        command.wait_with_output().unwrap()
    }

    /// What a command prints.
    #[track_caller]
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the gateway, and returns once it is ready.
    #[track_caller]
    pub fn run(&mut self) {
        if let Err(status) = self.try_to_run() {
            panic!("it did not start, {status}:\n{}", self.log());
        }
    }

    /// Starts the gateway, and returns once it is ready, or how it ended.
    pub fn try_to_run(&mut self) -> Result<(), ExitStatus> {
        let mut process = program_inside(&self.inside, &self.config())
            .arg("run")
            .args(self.verbose.then_some("--verbose"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::clone(&self.log);
        let ready = lines.by_ref().map_while(Result::ok).find(|line| {
            log.add(line);
            line.contains("ready")
        });
        let Some(ready) = ready else {
            return Err(process.wait().unwrap());
        };
        self.is_at(&ready);
        self.process = Some(process);
        let (at_work, over) = channel();
        self.over = over;
        #[allow(
            clippy::disallowed_methods,
            reason = "the log must be read, or the program waits"
        )]
        std::thread::spawn(move || {
            let _at_work: Sender<()> = at_work;
            for line in lines.map_while(Result::ok) {
                log.add(&line);
            }
        });
        Ok(())
    }

    fn is_at(&mut self, ready: &str) {
        let addresses = ready.split("://").nth(1).unwrap();
        let nth = usize::from(!self.inside.is_empty());
        self.address = addresses.split(" and ").nth(nth).unwrap().to_owned();
    }

    /// Waits until the gateway is ready for the nth time since this rig was made.
    #[track_caller]
    pub fn is_ready_again(&mut self, times: usize) {
        let ready = self.says(times, "lockbridge is ready");
        self.is_at(&ready);
    }

    /// Starts the gateway, and `kill -9` at a moment that need not find it ready. What it says
    /// is read on the way, and not kept.
    pub fn run_and_kill(&self, moment: impl FnOnce()) {
        self.kill_at(&["run"], moment);
    }

    /// Runs the program with this configuration, and `kill -9` at a moment.
    pub fn kill_at(&self, arguments: &[&str], moment: impl FnOnce()) {
        let mut process = program(&self.config())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        moment();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Where it listens: host and port, or a path.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process that runs.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// All that the gateway said on stderr so far.
    pub fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }

    /// Waits until the log is as it should be.
    #[track_caller]
    pub fn logged(&self, wanted: impl Fn(&str) -> bool) {
        let text = self.log.text.lock().unwrap();
        let unwanted = |text: &mut String| !wanted(text);
        let (text, waited) = self
            .log
            .grew
            .wait_timeout_while(text, PATIENCE, unwanted)
            .unwrap();
        assert!(!waited.timed_out(), "it said something else:\n{text}");
    }

    /// Waits until this many lines of the log say something, and returns the last of them.
    #[track_caller]
    pub fn says(&self, times: usize, wanted: &str) -> String {
        let find = |text: &str| {
            let mut those = text.lines().filter(|line| line.contains(wanted));
            those.nth(times - 1).map(str::to_owned)
        };
        self.logged(|text| find(text).is_some());
        find(&self.log()).unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Waits until the program ends by itself, and returns how.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE).expect("it ends")
    }

    /// The same for a caller with a patience of its own, who will ask again.
    pub fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        // The log ends with the program.
        let over = self.over.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        over.then(|| self.process.take().expect("it ran").wait().unwrap())
    }

    /// `kill`, and how the program ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.process.take().expect("it runs").wait().unwrap()
    }

    /// Does something while the gateway's process stands still: what is sent to it meanwhile, it
    /// finds all at once.
    pub fn while_it_stands_still(&self, deed: impl FnOnce()) {
        self.signal("STOP");
        // Its threads stop one by one.
        while !self.stands_still() {}
        deed();
        self.signal("CONT");
    }

    fn stands_still(&self) -> bool {
        let process = self.process.as_ref().expect("it runs");
        let threads = std::fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
        let stopped = |stat: String| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'));
        // A thread that has ended meanwhile runs no more.
        let mut states =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        states.all(stopped)
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it runs");
        let kill = Command::new("kill")
            .args(["-s", signal, &process.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// POST with the key that may do everything.
    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &self.bearer(), &body.to_string())
    }

    /// GET with the key that may do everything.
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &self.bearer(), "")
    }

    /// GET of what is no JSON, with the key that may do everything.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        self.text_as(&self.key, path, "*/*")
    }

    /// The same with that key, in the form that `accept` says.
    #[track_caller]
    pub fn text_as(&self, key: &str, path: &str, accept: &str) -> String {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--max-time", "60", "--header"])
            .arg(format!("Authorization: Bearer {key}"))
            .args(["--header", &format!("Accept: {accept}")])
            .arg(format!("http://{}{path}", self.address))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn bearer(&self) -> String {
        bearer(&self.key)
    }

    /// One request on a connection of its own; `headers` are whole lines.
    pub fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        exchange(&self.address, method, path, headers, body)
            .unwrap_or_else(|| panic!("no whole answer to {method} {path}"))
    }

    /// Moves simulated time on; all that falls due on the way is done.
    #[track_caller]
    pub fn advance(&self, seconds: u64) {
        self.post("/lockbridge/v1/sim/clock", json!({"advance_s": seconds}))
            .ok();
    }

    /// The gateway's own time, some seconds from now, as callers write it.
    pub fn time(&self, seconds_from_now: i64) -> String {
        let now = self.get("/lockbridge/v1/sim/clock").ok();
        let Timestamp(now) = time::parse(now["now"].as_str().unwrap()).unwrap();
        time::text(Timestamp(now + seconds_from_now * 1000)).unwrap()
    }

    /// The true table of a lock.
    pub fn table(&self, device: &str) -> Vec<Value> {
        let table = self
            .get(&format!("/lockbridge/v1/sim/devices/{device}/table"))
            .ok();
        table["codes"].as_array().unwrap().clone()
    }

    /// The digits in a lock.
    pub fn pins_on(&self, device: &str) -> Vec<String> {
        let text = |row: &Value| row["code"].as_str().unwrap().to_owned();
        self.table(device).iter().map(text).collect()
    }

    /// The access codes of a device.
    pub fn codes(&self, device: &str) -> Vec<Value> {
        let listed = self.post("/access_codes/list", json!({"device_id": device})).ok();
        listed["access_codes"].as_array().unwrap().clone()
    }

    /// Whether a door opens to these digits.
    pub fn opens(&self, device: &str, code: &str) -> bool {
        let path = format!("/lockbridge/v1/sim/devices/{device}/keypad");
        self.post(&path, json!({"code": code})).ok()["opened"] == true
    }

    /// Everything that a refused request must leave as it is.
    pub fn everything(&self) -> Value {
        let devices = self.get("/devices/list").ok();
        let each = devices["devices"].as_array().unwrap().iter().map(|device| {
            let id = device["device_id"].as_str().unwrap();
            json!({
                "table": self.table(id),
                "codes": self.codes(id),
                "queue": self.get(&format!("/lockbridge/v1/devices/{id}/queue")).ok(),
            })
        });
        json!({"devices": each.collect::<Vec<_>>(), "ready": self.get("/readyz").ok()})
    }
}

pub fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n")
}

fn program(config: &Path) -> Command {
    program_inside(&[], config)
}

fn program_inside(words: &[String], config: &Path) -> Command {
    let mut program = inside(words, env!("CARGO_BIN_EXE_lockbridge"));
    program
        .arg("--config")
        .arg(config)
        .env_remove("RUNTIME_DIRECTORY")
        .env_remove("CREDENTIALS_DIRECTORY");
    program
}

/// A program that is started by other words, if there are any.
pub fn inside(words: &[String], program: &str) -> Command {
    match words.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    }
}

/// One request on a connection of its own; `None` if no whole answer came back.
pub fn exchange(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    if address.starts_with('/') {
        let stream = UnixStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        whole_answer(stream, &head, body)
    } else {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        whole_answer(stream, &head, body)
    }
}

fn whole_answer(mut stream: impl Read + Write, head: &str, body: &str) -> Option<Answer> {
    stream.write_all(head.as_bytes()).ok()?;
    // A body that is too long is refused before it is read to its end.
    let _ = stream.write_all(body.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    parse(&String::from_utf8(bytes).unwrap())
}

/// `None` for an answer that was cut short.
fn parse(response: &str) -> Option<Answer> {
    let (head, body) = response.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    if length.is_some_and(|(_, length)| length.parse() != Ok(body.len())) {
        return None;
    }
    let is_json = |(name, value): &(String, String)| name == "content-type" && value == "application/json";
    let body = match headers.iter().any(is_json) {
        true => serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {body}")),
        false => body.into(),
    };
    Some(Answer {
        status: status.parse().unwrap(),
        headers,
        body,
    })
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the gateway said:\n{}", self.log());
        }
    }
}
