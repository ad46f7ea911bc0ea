//! A broker that does what a test wants, packet by packet, and the whole program at it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::broker::PATIENCE;
use crate::common::Rig;
use crate::{BASE, REPLY, gateway_at};

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
const PINGREQ: u8 = 12;

const LAST: &str = "last";

const SUCCESS: u8 = 0;
const NOT_AUTHORIZED: u8 = 0x87;
const QUOTA_EXCEEDED: u8 = 0x97;

/// Where the gateway knocks.
struct Gate {
    port: u16,
    knocks: Receiver<TcpStream>,
}

impl Gate {
    fn open() -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (say, knocks) = channel();
        #[allow(
            clippy::disallowed_methods,
            reason = "a wait for a connection must be able to end"
        )]
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if say.send(stream).is_err() {
                    break;
                }
            }
        });
        Gate { port, knocks }
    }

    /// Lets the gateway in, and remembers nothing of it; `properties` are those of the CONNACK.
    fn admit(&self, properties: &[u8]) -> Connection {
        let stream = self.knocks.recv_timeout(PATIENCE).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = Connection(stream);
        assert_eq!(connection.packet().0, CONNECT);
        let mut connack = vec![0, 0, u8::try_from(properties.len()).unwrap()];
        connack.extend(properties);
        connection.say(0x20, &connack);
        connection
    }
}

/// The gateway's connection, from the broker's side.
struct Connection(TcpStream);

/// A message of the gateway.
struct Sent {
    packet: [u8; 2],
    topic: String,
    payload: String,
}

impl Sent {
    fn is_online(&self) -> bool {
        self.topic == format!("{BASE}/status") && self.payload == "online"
    }

    fn job(&self) -> String {
        let told: Value = serde_json::from_str(&self.payload).unwrap();
        told["job_id"].as_str().unwrap().to_owned()
    }
}

impl Connection {
    fn say(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut left = body.len();
        while left > 0x7f {
            packet.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        packet.push(left as u8);
        packet.extend(body);
        self.0.write_all(&packet).unwrap();
    }

    /// The kind of the next packet, and the packet without its header.
    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut byte = || {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a packet");
            byte[0]
        };
        let kind = byte() >> 4;
        let (mut length, mut shift) = (0, 0);
        loop {
            let part = byte();
            length |= usize::from(part & 0x7f) << shift;
            shift += 7;
            if part & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (kind, body)
    }

    /// The next message, not yet confirmed. What else is asked on the way is granted.
    fn message(&mut self) -> Sent {
        loop {
            let (kind, body) = self.packet();
            match kind {
                PUBLISH => return sent(&body),
                SUBSCRIBE => self.say(0x90, &[body[0], body[1], 0, 1]),
                UNSUBSCRIBE => self.say(0xb0, &[body[0], body[1], 0, 0]),
                PINGREQ => self.say(0xd0, &[]),
                PUBACK => {}
                other => panic!("a packet of kind {other}"),
            }
        }
    }

    fn settle(&mut self, message: &Sent, reason: u8) {
        let [high, low] = message.packet;
        self.say(0x40, &[high, low, reason, 0]);
    }

    /// A command that can only be refused, and so has one answer.
    fn command(&mut self, packet: u8, job: &str) {
        let topic = format!("{BASE}/cmd/update_multiple");
        let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
        let response = [&[0x08], &*text(REPLY)].concat();
        let payload = json!({"job_id": job, "common_code_key": "none"}).to_string();
        let length = u8::try_from(response.len()).unwrap();
        let body = [
            &*text(&topic),
            &[0, packet, length],
            &response,
            payload.as_bytes(),
        ];
        self.say(0x32, &body.concat());
    }

    /// Confirms everything until an answer comes.
    fn answer(&mut self) -> Sent {
        loop {
            let message = self.message();
            if message.topic == REPLY {
                return message;
            }
            self.settle(&message, SUCCESS);
        }
    }

    /// Ends the connection once all that was said on it was heard. Of the job that tells so nobody
    /// knows whether its answer counts as taken.
    fn end(mut self) {
        self.command(100, LAST);
        let answer = self.answer();
        assert_eq!(answer.job(), LAST);
    }

    /// Confirms everything until the gateway says that it is there. The jobs whose answers came.
    fn birth(&mut self) -> Vec<String> {
        let mut answered = Vec::new();
        loop {
            let message = self.message();
            self.settle(&message, SUCCESS);
            if message.is_online() {
                return answered;
            }
            if message.topic == REPLY && message.job() != LAST {
                answered.push(message.job());
            }
        }
    }
}

fn sent(body: &[u8]) -> Sent {
    let (length, rest) = body.split_at(2);
    let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes([length[0], length[1]])));
    // Properties of ours are shorter than 128 bytes.
    let payload = &rest[3 + usize::from(rest[2])..];
    Sent {
        packet: [rest[0], rest[1]],
        topic: String::from_utf8(topic.to_vec()).unwrap(),
        payload: String::from_utf8(payload.to_vec()).unwrap(),
    }
}

fn scene() -> (Gate, Rig, Connection) {
    let gate = Gate::open();
    let mut rig = gateway_at(gate.port, "backoff_max = \"1s\"");
    rig.run();
    let mut connection = gate.admit(&[]);
    connection.birth();
    (gate, rig, connection)
}

#[test]
fn an_answer_that_the_broker_refuses_is_an_alarm_and_sent_again_until_it_is_taken() {
    let (gate, rig, mut connection) = scene();
    for (packet, (job, reason)) in [("quota", QUOTA_EXCEEDED), ("forbidden", NOT_AUTHORIZED)]
        .into_iter()
        .enumerate()
    {
        connection.command(1 + packet as u8, job);
        let answer = connection.answer();
        assert_eq!(answer.job(), job);
        connection.settle(&answer, reason);
    }
    let alarms = |log: &str| {
        let is_alarm = |line: &&str| line.contains("ERROR") && line.contains("refused an answer");
        log.lines().filter(is_alarm).count()
    };
    rig.logged(|log| alarms(log) == 2);

    rig.advance(60);
    for job in ["quota", "forbidden"] {
        let answer = connection.answer();
        assert_eq!(answer.job(), job);
        connection.settle(&answer, SUCCESS);
    }
    connection.end();
    assert_eq!(
        gate.admit(&[]).birth(),
        [""; 0],
        "what was taken is not sent again"
    );
}

#[test]
fn a_broker_that_forgets_us_gets_every_answer_that_it_did_not_confirm() {
    let (gate, _rig, mut connection) = scene();
    let jobs: Vec<String> = (1..=8).map(|n| format!("job-{n}")).collect();
    for (n, job) in jobs.iter().enumerate() {
        connection.command(1 + n as u8, job);
    }
    let answers: Vec<Sent> = jobs.iter().map(|_| connection.answer()).collect();
    assert_eq!(answers.iter().map(Sent::job).collect::<Vec<_>>(), jobs);
    for answer in &answers[..3] {
        connection.settle(answer, SUCCESS);
    }
    connection.end();

    let mut connection = gate.admit(&[]);
    let again: BTreeSet<String> = connection.birth().into_iter().collect();
    assert_eq!(again, jobs[3..].iter().cloned().collect());
    connection.end();
    assert_eq!(gate.admit(&[]).birth(), [""; 0]);
}

#[test]
fn a_broker_that_takes_tiny_packets_gets_those_and_the_rest_waits_for_a_better_one() {
    let (gate, rig, connection) = scene();
    drop(connection);
    // Maximum packet size 128: enough to be online.
    let mut connection = gate.admit(&[0x27, 0, 0, 0, 128]);
    connection.birth();
    connection.command(1, "one");
    connection.command(2, "two");
    let unsent = format!("a message cannot be sent topic={REPLY}");
    rig.logged(|log| log.matches(&unsent).count() == 2);
    assert!(gate.knocks.try_recv().is_err(), "the connection holds");
    drop(connection);
    let answered = gate.admit(&[]).birth();
    assert_eq!(answered, ["one", "two"]);
}
