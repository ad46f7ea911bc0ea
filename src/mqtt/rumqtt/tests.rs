//! Against a broker that says what the test wants, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::model::Voucher;

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PATIENCE: Duration = Duration::from_secs(20);

/// Session not present, success, no properties.
const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];

const LONGEST: Duration = Duration::from_secs(60);

/// The broker's end.
struct Script(TcpStream);

impl Script {
    /// Takes a connection and confirms it; returns the CONNECT too.
    async fn meet(listener: &TcpListener) -> (Script, Vec<u8>) {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut script = Script(stream);
        let connect = script.expect(CONNECT).await;
        script.say(CONNACK).await;
        (script, connect)
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the client is there");
    }

    /// A command `t` with QoS 1.
    async fn command(&mut self, packet: u8, payload: u8) {
        self.say(&[0x32, 7, 0, 1, b't', 0, packet, 0, payload]).await;
    }

    /// The next packet, of this kind, without its header.
    async fn expect(&mut self, kind: u8) -> Vec<u8> {
        let first = self.0.read_u8().await.expect("a packet");
        assert_eq!(first >> 4, kind, "another kind of packet");
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.0.read_u8().await.expect("its length");
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("its body");
        body
    }

    /// The packet id of the next message, whose topic has one letter.
    async fn message(&mut self) -> [u8; 2] {
        let body = self.expect(PUBLISH).await;
        [body[3], body[4]]
    }
}

/// Lets a test tell its story while the poller runs.
async fn tell<F: Future<Output = ()>>(story: impl FnOnce(TcpListener, Rumqtt, Clock) -> F) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let broker = Broker {
        host: "127.0.0.1".into(),
        port: listener.local_addr().expect("its number").port(),
        client_id: "lockbridge-villa-gw1".into(),
        credentials: None,
        keep_alive: Duration::from_secs(30),
        backoff_max: LONGEST,
        will: (topic("w"), "offline"),
    };
    let clock = Clock::real(Voucher::System);
    let (link, poller) = connect(&broker, clock.clone(), 1);
    let story = timeout(PATIENCE, story(listener, link, clock));
    let (told, ()) = tokio::join!(story, poller);
    told.expect("it takes too long");
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("a fine one")
}

fn message() -> Message {
    Message {
        topic: topic("m"),
        payload: b"x".to_vec(),
        retain: false,
        expiry: None,
        correlation: None,
    }
}

async fn up(link: &mut Rumqtt) {
    assert!(matches!(link.next().await, Happening::Up { window: 32 }));
}

async fn came(link: &mut Rumqtt) -> Delivery {
    match link.next().await {
        Happening::Came(delivery) => delivery,
        _ => panic!("no message came"),
    }
}

#[tokio::test]
async fn an_acknowledgement_never_reaches_another_connection() {
    tell(|listener, mut link, clock| async move {
        let (mut script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        script.command(1, b'a').await;
        let old = came(&mut link).await;
        drop(script);
        assert!(matches!(link.next().await, Happening::Down));
        link.acknowledge(old.receipt);
        assert_eq!(link.publish(message()), Err(NotTaken::Down));

        let pause = clock.next_sleeper().expect("it will try again");
        clock.jump_to(pause);
        let (mut script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        script.command(1, b'b').await;
        let new = came(&mut link).await;
        link.acknowledge(old.receipt);
        link.publish(message()).expect("there is room");
        // Had the old one been acknowledged, its PUBACK would come before the message.
        script.message().await;
        link.acknowledge(new.receipt);
        assert_eq!(script.expect(PUBACK).await[..2], [0, 1]);
    })
    .await;
}

#[tokio::test]
async fn what_comes_of_a_message_is_told_under_its_number() {
    tell(|listener, mut link, _| async move {
        let (mut script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        let numbers: Vec<_> = (0..3).map(|_| link.publish(message())).collect();
        assert_eq!(numbers, [Ok(1), Ok(2), Ok(3)]);
        let packets = [
            script.message().await,
            script.message().await,
            script.message().await,
        ];
        let [_, second, _] = packets;
        script.say(&[0x40, 2, second[0], second[1]]).await;
        assert!(matches!(link.next().await, Happening::Taken(2)));
        for (n, [high, low]) in [(1, packets[0]), (3, packets[2])] {
            let quota_exceeded = 0x97;
            script.say(&[0x40, 3, high, low, quota_exceeded]).await;
            assert!(matches!(link.next().await, Happening::Refused(number, _) if number == n));
        }
        link.leave();
    })
    .await;
}

#[tokio::test]
async fn what_the_broker_is_told_at_the_beginning() {
    tell(|listener, link, _| async move {
        let (_script, connect) = Script::meet(&listener).await;
        // Name, version, flags (will: retained, QoS 1; no clean start), keep-alive.
        assert_eq!(connect[..10], *b"\x00\x04MQTT\x05\x2c\x00\x1e");
        let has = |bytes: &[u8]| connect.windows(bytes.len()).any(|window| window == bytes);
        assert!(has(b"\x21\x00\x10"), "receive maximum");
        assert!(has(b"\x27\x00\x04\x00\x00"), "maximum packet size");
        assert!(has(b"\x11\x00\x09\x3a\x80"), "session expiry");
        assert!(has(b"lockbridge-villa-gw1") && has(b"offline"));
        drop(link);
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_takes_little_is_given_little() {
    tell(|listener, mut link, _| async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut script = Script(stream);
        script.expect(CONNECT).await;
        // Receive maximum 2, maximum packet size 100.
        script
            .say(&[0x20, 11, 0, 0, 8, 0x21, 0, 2, 0x27, 0, 0, 0, 100])
            .await;
        assert!(matches!(link.next().await, Happening::Up { window: 2 }));
        let large = Message {
            payload: vec![0; 100],
            ..message()
        };
        assert!(matches!(
            link.publish(large),
            Err(NotTaken::TooLarge { most: 100, .. })
        ));
        link.publish(message()).expect("that fits");
        script.message().await;
    })
    .await;
}

#[test]
fn pauses_grow_to_a_minute_and_are_spread() {
    assert_eq!(pause(0, LONGEST, 1.0), Duration::from_secs(1));
    assert_eq!(pause(1, LONGEST, 0.0), Duration::from_millis(500));
    assert_eq!(pause(3, LONGEST, 1.0), Duration::from_secs(4));
    assert_eq!(pause(1000, LONGEST, 1.0), LONGEST);
    assert_eq!(pause(u32::MAX, LONGEST, 0.0), LONGEST / 2);
}

#[test]
fn no_message_is_born_expired() {
    assert_eq!(seconds(Duration::from_millis(1)), 1);
    assert_eq!(seconds(Duration::MAX), u32::MAX);
}
