//! Against a broker that says what the test wants, byte by byte.

use std::io;
use std::sync::Mutex;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::model::Voucher;

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;
const PATIENCE: Duration = Duration::from_secs(20);

/// Session not present, success, no properties.
const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];
/// The same, and a sign of life is wanted every second.
const CONNACK_EVERY_SECOND: &[u8] = &[0x20, 6, 0, 0, 3, 0x13, 0, 1];
const PINGRESP: &[u8] = &[0xd0, 0];

const LONGEST: Duration = Duration::from_secs(60);

/// The broker's end.
struct Script(TcpStream);

impl Script {
    /// Takes a connection and confirms it; returns the CONNECT too.
    async fn meet(listener: &TcpListener) -> (Script, Vec<u8>) {
        Script::meet_with(listener, CONNACK).await
    }

    async fn meet_with(listener: &TcpListener, connack: &[u8]) -> (Script, Vec<u8>) {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut script = Script(stream);
        let connect = script.expect(CONNECT).await;
        script.say(connack).await;
        (script, connect)
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the client is there");
    }

    /// A command `t` with QoS 1.
    async fn command(&mut self, packet: u16, payload: u8) {
        let [high, low] = packet.to_be_bytes();
        self.say(&[0x32, 7, 0, 1, b't', high, low, 0, payload]).await;
    }

    /// A message `t` with QoS 0 for a subscription.
    async fn word(&mut self, identifier: Option<&[u8]>) {
        let properties: Vec<u8> = match identifier {
            Some(identifier) => [&[0x0b], identifier].concat(),
            None => Vec::new(),
        };
        let length = u8::try_from(properties.len()).expect("short");
        let body = [&[0, 1, b't', length], &*properties, b"x"].concat();
        let header = [0x30, u8::try_from(body.len()).expect("short")];
        self.say(&[&header[..], &body].concat()).await;
    }

    /// The next packet, of this kind, without its header. Pings on the way are answered.
    async fn expect(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let (found, body) = self.packet().await;
            if found == kind {
                return body;
            }
            assert_eq!(found, PINGREQ, "another kind of packet");
            self.say(PINGRESP).await;
        }
    }

    /// The kind of the next packet, and the packet without its header.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.expect("a packet");
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
        (first >> 4, body)
    }

    /// The packet id of the next message, whose topic has one letter.
    async fn message(&mut self) -> [u8; 2] {
        let body = self.expect(PUBLISH).await;
        [body[3], body[4]]
    }
}

/// What is logged on this thread, by everything that a test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn says(&self, words: &str) -> bool {
        self.text().contains(words)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("whole").clone()).expect("text")
    }

    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        tls: None,
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

/// Skips the pause that the poller makes.
async fn skip_pause(clock: &Clock) {
    loop {
        if let Some(pause) = clock.next_sleeper() {
            return clock.jump_to(pause);
        }
        tokio::task::yield_now().await;
    }
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

        skip_pause(&clock).await;
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

/// The subscription identifier in a SUBSCRIBE without its header; `None` without properties.
fn identifier(subscribe: &[u8]) -> Option<Vec<u8>> {
    let properties = &subscribe[3..][..usize::from(subscribe[2])];
    properties.split_first().map(|(kind, value)| {
        assert_eq!(*kind, 0x0b);
        value.to_vec()
    })
}

#[tokio::test]
async fn a_message_that_a_broker_stored_is_told_from_one_of_now() {
    tell(|listener, mut link, clock| async move {
        let mut earlier = None;
        for _ in 0..2 {
            let (mut script, _) = Script::meet(&listener).await;
            up(&mut link).await;
            link.subscribe("t", Wanted::Now).expect("there is room");
            let ours = identifier(&script.expect(SUBSCRIBE).await).expect("one");
            link.subscribe("u", Wanted::Always).expect("there is room");
            assert_eq!(identifier(&script.expect(SUBSCRIBE).await), None);
            for (identifier, now) in [(&earlier, false), (&None, false), (&Some(ours.clone()), true)] {
                script.word(identifier.as_deref()).await;
                assert_eq!(came(&mut link).await.now, now, "{identifier:?}");
            }
            earlier = Some(ours);
            drop(script);
            assert!(matches!(link.next().await, Happening::Down));
            skip_pause(&clock).await;
        }
        // Subscription identifiers are not available.
        let (mut script, _) = Script::meet_with(&listener, &[0x20, 5, 0, 0, 2, 0x29, 0]).await;
        up(&mut link).await;
        link.subscribe("t", Wanted::Now).expect("there is room");
        assert_eq!(identifier(&script.expect(SUBSCRIBE).await), None);
        script.word(None).await;
        assert!(came(&mut link).await.now);
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_does_not_let_us_in_is_asked_again_after_pauses_and_the_log_says_what_to_do() {
    let log = Log::default();
    let _listening = log.listen();
    let refusals = [
        (0x84, "does not speak MQTT 5"),
        (0x01, "does not speak MQTT 5"),
        (0x85, "does not take our client id"),
        (0x86, "see `username` and `password_file`"),
        (0x87, "see its access list"),
        (0x88, "is busy"),
        (0x89, "is busy"),
        (0x97, "see its quotas"),
        (0x9d, "see `url`"),
    ];
    let lines = |log: &Log| log.text().lines().count();
    let told = log.clone();
    tell(|listener, mut link, clock| async move {
        for (nth, (code, words)) in refusals.into_iter().enumerate() {
            drop(Script::meet_with(&listener, &[0x20, 3, 0, code, 0]).await);
            while clock.next_sleeper().is_none() {
                tokio::task::yield_now().await;
            }
            let text = told.text();
            let last = text.lines().last().expect("a line");
            assert!(last.contains(words), "{code:#x}: {last}");
            assert_eq!(lines(&told), nth + 1, "one line for each: {text}");
            assert!(listener.accept().now_or_never().is_none(), "it does not rest");
            skip_pause(&clock).await;
        }
        let _script = Script::meet(&listener).await;
        up(&mut link).await;
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_the_broker_refuses_is_told_once_and_stops_nothing() {
    let log = Log::default();
    let _listening = log.listen();
    tell(|listener, mut link, _| async move {
        let (mut script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        link.subscribe("t", Wanted::Kept).expect("there is room");
        let packet = script.expect(SUBSCRIBE).await;
        // Not authorized.
        script.say(&[0x90, 4, packet[0], packet[1], 0, 0x87]).await;
        let number = link.publish(message()).expect("there is room");
        let [high, low] = script.message().await;
        script.say(&[0x40, 2, high, low]).await;
        assert!(matches!(link.next().await, Happening::Taken(taken) if taken == number));
    })
    .await;
    assert_eq!(
        log.text().matches("refuses a subscription").count(),
        1,
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn a_sign_of_life_goes_out_as_often_as_the_broker_wants_it_and_silence_is_a_dead_link() {
    let log = Log::default();
    let _listening = log.listen();
    tell(|listener, mut link, _| async move {
        let (mut script, _) = Script::meet_with(&listener, CONNACK_EVERY_SECOND).await;
        up(&mut link).await;
        script.expect(PINGREQ).await;
        script.say(PINGRESP).await;
        script.expect(PINGREQ).await;
        // Half-open: the socket stands, and nothing comes.
        assert!(matches!(link.next().await, Happening::Down));
    })
    .await;
    assert!(log.says("answers no pings"), "{}", log.text());
}

#[tokio::test]
async fn a_broker_that_wants_no_signs_of_life_gets_ours() {
    tell(|listener, mut link, _| async move {
        let none = [0x20, 6, 0, 0, 3, 0x13, 0, 0];
        let (mut script, _) = Script::meet_with(&listener, &none).await;
        up(&mut link).await;
        // One at once, by the client's own reading, and then none for our thirty seconds.
        script.expect(PINGREQ).await;
        script.say(PINGRESP).await;
        for _ in 0..500 {
            link.publish(message()).expect("there is room");
            let (kind, body) = script.packet().await;
            assert_eq!(kind, PUBLISH);
            script.say(&[0x40, 2, body[3], body[4]]).await;
            assert!(matches!(link.next().await, Happening::Taken(_)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_takes_no_more_is_given_up() {
    let log = Log::default();
    let _listening = log.listen();
    tell(|listener, mut link, clock| async move {
        let (script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        for _ in 0..REQUESTS {
            link.publish(message()).expect("there is room");
        }
        assert_eq!(link.publish(message()), Err(NotTaken::Down));
        assert!(matches!(link.next().await, Happening::Down));
        drop(script);
        skip_pause(&clock).await;
        let (mut script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        link.publish(message()).expect("there is room");
        script.message().await;
    })
    .await;
    assert!(log.says("more waits to go out"), "{}", log.text());
}

#[tokio::test]
async fn a_link_that_hangs_while_it_writes_is_given_up() {
    let log = Log::default();
    let _listening = log.listen();
    tell(|listener, mut link, _| async move {
        let (script, _) = Script::meet_with(&listener, CONNACK_EVERY_SECOND).await;
        up(&mut link).await;
        // More than the sockets of this machine hold together, and nobody reads.
        for _ in 0..WINDOW {
            let large = Message {
                payload: vec![0; 1 << 20],
                ..message()
            };
            link.publish(large).expect("there is room");
        }
        assert!(matches!(link.next().await, Happening::Down));
        drop(script);
    })
    .await;
    assert!(log.says("the connection hangs"), "{}", log.text());
}

#[tokio::test]
async fn a_client_that_is_stuck_at_a_packet_id_is_made_anew() {
    let log = Log::default();
    let _listening = log.listen();
    tell(|listener, mut link, clock| async move {
        // A sign of life every second; two messages at a time.
        let two = [0x20, 9, 0, 0, 6, 0x13, 0, 1, 0x21, 0, 2];
        let (mut script, _) = Script::meet_with(&listener, &two).await;
        assert!(matches!(link.next().await, Happening::Up { window: 2 }));
        for _ in 0..3 {
            link.publish(message()).expect("there is room");
        }
        // The first is never confirmed, and the third would get its packet id.
        let [_, second] = [script.message().await, script.message().await];
        script.say(&[0x40, 2, second[0], second[1]]).await;
        assert!(matches!(link.next().await, Happening::Taken(2)));
        let serve = async {
            loop {
                script.expect(PINGREQ).await;
                script.say(PINGRESP).await;
            }
        };
        tokio::select! {
            happening = link.next() => assert!(matches!(happening, Happening::Down)),
            () = serve => {}
        }
        drop(script);
        skip_pause(&clock).await;
        let (mut script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        for n in 1..=3 {
            link.publish(message()).expect("there is room");
            let [high, low] = script.message().await;
            script.say(&[0x40, 2, high, low]).await;
            assert!(matches!(link.next().await, Happening::Taken(number) if number == n));
        }
    })
    .await;
    assert!(log.says("leaves out an earlier one"), "{}", log.text());
}

#[tokio::test]
async fn a_thousand_commands_that_nobody_takes_do_not_silence_the_client() {
    tell(|listener, mut link, _| async move {
        let (mut script, _) = Script::meet_with(&listener, CONNACK_EVERY_SECOND).await;
        up(&mut link).await;
        for packet in 1..=1000 {
            script.command(packet, b'x').await;
        }
        for _ in 0..2 {
            script.expect(PINGREQ).await;
            script.say(PINGRESP).await;
        }
        for packet in 1..=1000 {
            let delivery = came(&mut link).await;
            assert_eq!(delivery.receipt.packet, packet);
            link.acknowledge(delivery.receipt);
        }
        for packet in 1..=1000_u16 {
            assert_eq!(script.expect(PUBACK).await[..2], packet.to_be_bytes());
        }
    })
    .await;
}

#[tokio::test]
async fn beyond_the_room_for_messages_the_broker_waits_and_nothing_is_lost() {
    tell(|listener, mut link, _| async move {
        let (mut script, _) = Script::meet(&listener).await;
        up(&mut link).await;
        // 200,000 bytes and their header, over and over.
        let mut packet = vec![0x32, 0xc6, 0x9a, 0x0c, 0, 1, b't', 0, 1, 0];
        packet.resize(4 + 200_006, b'x');
        let all = 4 * UNHEARD as usize / packet.len();
        let packets = packet.repeat(all);
        let hear = async {
            for _ in 0..all {
                assert_eq!(came(&mut link).await.payload.len(), 200_000);
            }
        };
        tokio::join!(script.say(&packets), hear);
    })
    .await;
}

#[test]
fn pauses_grow_to_a_minute_and_are_spread() {
    assert_eq!(pause(0, LONGEST, 0.0), Duration::ZERO);
    assert_eq!(pause(0, LONGEST, 1.0), SPREAD);
    assert_eq!(pause(0, Duration::from_secs(1), 1.0), Duration::from_secs(1));
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
