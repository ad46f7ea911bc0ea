//! A line between two network namespaces, which `line.py` carries, with delay and loss, and cuts.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::broker::Process;

/// How a line is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Every connection ends with a word.
    Reset,
    /// Packets vanish until the gateway gives its connection up by itself.
    Hole,
}

pub struct Line {
    process: Process,
    /// What starts a command at the gateway's end.
    pub gateway: Vec<String>,
    /// What starts a command at the broker's end.
    pub broker: Vec<String>,
}

impl Line {
    /// The broker's end, as the gateway dials it.
    pub const BROKER: &str = "10.77.0.2";

    /// Whether this machine lets us make one: namespaces and their interfaces are root's.
    pub fn is_possible() -> bool {
        let tried = Command::new("unshare")
            .args(["--net", "true"])
            .stderr(Stdio::null())
            .status();
        Path::new("/dev/net/tun").exists() && tried.is_ok_and(|status| status.success())
    }

    /// A line that loses what a seed says, some packets of a hundred, and takes its time.
    pub fn lay(seed: u64) -> Line {
        let mut command = Command::new("python3");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mqtt/line.py"))
            .args([&seed.to_string(), "20", "0.01"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start(command, |child| child.stdout.take());
        let ready = process.line();
        let mut words = ready.split(' ').skip(1);
        let pid = words.next().unwrap();
        let mut end = || {
            let file = words.next().unwrap();
            vec!["nsenter".to_owned(), format!("--net=/proc/{pid}/fd/{file}")]
        };
        let (gateway, broker) = (end(), end());
        Line {
            process,
            gateway,
            broker,
        }
    }

    /// Cuts it, and returns once the gateway dials anew: how many seconds that took.
    pub fn cut(&mut self, how: Cut) -> f64 {
        let word = match how {
            Cut::Reset => "reset",
            Cut::Hole => "hole",
        };
        let stdin = self.process.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{word}").unwrap();
        let noticed = self.process.line();
        noticed.strip_prefix("noticed ").unwrap().parse().unwrap()
    }
}
