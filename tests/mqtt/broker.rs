//! A real mosquitto on a loopback port, and mosquitto's own clients to talk to it: none of our
//! code is on that side.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Nothing here takes so long unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Debian keeps the broker where a user's path does not look.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

pub struct Broker {
    pub port: u16,
    config: PathBuf,
    process: Option<(Child, Lines<BufReader<ChildStderr>>)>,
    _dir: TempDir,
}

impl Broker {
    /// A broker that keeps nothing over a restart, with further lines of configuration.
    pub async fn start(more: &str) -> Broker {
        let mut broker = Broker::planned(more);
        broker.run().await;
        broker
    }

    /// A broker that does not run yet.
    pub fn planned(more: &str) -> Broker {
        let dir = TempDir::new().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("its number").port();
        let config = dir.path().join("mosquitto.conf");
        let mut file = std::fs::File::create(&config).expect("a file");
        let user = "user root\nlog_type all";
        write!(
            file,
            "listener {port} 127.0.0.1\nallow_anonymous true\n{user}\n{more}\n"
        )
        .expect("written");
        Broker {
            port,
            config,
            process: None,
            _dir: dir,
        }
    }

    pub async fn run(&mut self) {
        let mut child = Command::new(MOSQUITTO)
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto is installed");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        until(async {
            loop {
                let line = log.next_line().await.expect("text").expect("it runs");
                if line.ends_with(" running") {
                    break;
                }
            }
        })
        .await;
        self.process = Some((child, log));
    }

    /// Ends it, and with it all that it knew.
    pub async fn kill(&mut self) {
        let (mut child, _) = self.process.take().expect("it runs");
        child.kill().await.expect("ours to kill");
    }

    /// Listens to a filter, and returns once the broker has confirmed it.
    pub async fn listen(&self, filter: &str) -> Listener {
        // It tells of its subscription only when its buffer is full, unless it has none.
        let mut child = Command::new("stdbuf")
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
            .arg(self.port.to_string())
            .args(["-t", filter, "-F", "MSG|%r|%E|%D|%t|%p"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto-clients is installed");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut listener = Listener {
            lines,
            heard: Vec::new(),
            subscribed: false,
            _child: child,
        };
        until(async {
            while !listener.subscribed {
                listener.line().await
            }
        })
        .await;
        listener
    }

    /// Publishes as mosquitto's own client does it.
    pub async fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        let mut child = Command::new("mosquitto_pub")
            .args(["-V", "mqttv5", "-q", "1", "-h", "127.0.0.1", "-p"])
            .arg(self.port.to_string())
            .args(["-t", topic, "-s"])
            .args(more)
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto-clients is installed");
        let mut stdin = child.stdin.take().expect("piped");
        tokio::io::AsyncWriteExt::write_all(&mut stdin, payload.as_bytes())
            .await
            .expect("it reads");
        drop(stdin);
        let status = until(child.wait()).await.expect("it ends");
        assert!(status.success(), "mosquitto_pub to {topic}: {status}");
    }

    /// Everything that the broker keeps.
    pub async fn retained(&self) -> BTreeMap<String, String> {
        let mut listener = self.listen("#").await;
        // What is kept comes before what is published after it.
        self.publish("end", "of what was kept", &[]).await;
        listener.find(|message| message.topic == "end").await;
        let kept = listener.heard.into_iter().filter(|message| message.retained);
        kept.map(|message| (message.topic, message.payload)).collect()
    }
}

#[derive(Clone, Debug)]
pub struct Heard {
    pub retained: bool,
    pub expiry: String,
    pub correlation: String,
    pub topic: String,
    pub payload: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|e| panic!("{e}: {}", self.payload))
    }
}

pub struct Listener {
    lines: Lines<BufReader<ChildStdout>>,
    subscribed: bool,
    /// Everything so far, found or passed over.
    pub heard: Vec<Heard>,
    _child: Child,
}

impl Listener {
    async fn line(&mut self) {
        let line = self
            .lines
            .next_line()
            .await
            .expect("text")
            .expect("the listener runs");
        if line.starts_with("Subscribed") {
            self.subscribed = true;
        }
        let mut parts = line.splitn(6, '|');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        if part() == "MSG" {
            self.heard.push(Heard {
                retained: part() == "1",
                expiry: part(),
                correlation: part(),
                topic: part(),
                payload: part(),
            });
        }
    }

    /// Waits for a message, from here on.
    pub async fn find(&mut self, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let known = self.heard.len();
                self.line().await;
                if let Some(message) = self.heard[known..].iter().find(|message| wanted(message)) {
                    return message.clone();
                }
            }
        });
        match found.await {
            Ok(message) => message,
            Err(_) => panic!("not heard; instead: {:#?}", self.heard),
        }
    }

    /// Waits for the next message on a topic.
    pub async fn on(&mut self, topic: &str) -> Heard {
        self.find(|message| message.topic == topic).await
    }
}

pub async fn until<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it takes too long")
}
