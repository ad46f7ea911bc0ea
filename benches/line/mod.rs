//! An open line to a gateway: calls on it are timed, without the making of connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::Rig;

pub struct Line {
    stream: TcpStream,
    bearer: String,
}

impl Line {
    /// To a gateway that runs.
    pub fn open(rig: &Rig) -> Line {
        let stream = TcpStream::connect(rig.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        Line {
            stream,
            bearer: rig.bearer(),
        }
    }

    /// One call, and how long it took.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    pub fn call(&mut self, path: &str, body: &Value) -> Duration {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\n{}content-length: {}\r\n\r\n{body}",
            self.bearer,
            body.len()
        );
        let began = Instant::now();
        self.stream.write_all(request.as_bytes()).unwrap();
        let answer = self.answer();
        let took = began.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        took
    }

    fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 65536];
        loop {
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the line was cut");
            bytes.extend(&chunk[..read]);
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    return text.into_owned();
                }
            }
        }
    }
}
