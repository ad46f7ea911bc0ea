//! Events as a stream, against the real program: read, cut off, resumed, lost, and ended.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{BACK, FRONT, Rig, bearer, device, exchange};
use serde_json::{Value, json};

const STREAM: &str = "/lockbridge/v1/stream";
const CREATE: &str = "/access_codes/create";
/// No message takes longer than this, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What `[limits] streams` is unless somebody says otherwise.
const STREAMS: usize = 16;

/// A reader of a stream.
struct Reader(BufReader<TcpStream>);

/// What came between two empty lines.
#[derive(Debug, Default)]
struct Message {
    id: Option<u64>,
    event: String,
    data: Value,
    /// All of it, as it came.
    raw: String,
}

impl Reader {
    /// Begins to read with the key that may do everything.
    #[track_caller]
    fn open(rig: &Rig, query: &str, headers: &str) -> Reader {
        Reader::with(rig, query, &format!("{}{headers}", rig.bearer()))
    }

    #[track_caller]
    fn with(rig: &Rig, query: &str, headers: &str) -> Reader {
        let (head, reader) = Reader::ask(rig, query, headers);
        assert!(head.contains(" 200 ok\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
        reader
    }

    /// The head of the answer, and what comes after it.
    fn ask(rig: &Rig, query: &str, headers: &str) -> (String, Reader) {
        let mut stream = TcpStream::connect(rig.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // To a caller of this age the bytes of the stream come as they are.
        let head = format!("GET {STREAM}{query} HTTP/1.0\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = Reader(BufReader::new(stream));
        let head = reader.message().unwrap().raw.to_ascii_lowercase();
        (head, reader)
    }

    /// What comes next; `None` at the end.
    fn message(&mut self) -> Option<Message> {
        let mut message = Message::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                assert_eq!(message.raw, "", "a message was cut short");
                return None;
            }
            message.raw += &line;
            match line.trim_end().split_once(": ") {
                None if line.trim_end().is_empty() => return Some(message),
                Some(("id", id)) => message.id = Some(id.parse().unwrap()),
                Some(("event", event)) => event.clone_into(&mut message.event),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                _ => {}
            }
        }
    }

    /// The next event; its number stands in it too.
    #[track_caller]
    fn event(&mut self) -> Message {
        let message = self.message().expect("the stream goes on");
        assert_eq!(message.id, message.data["seq"].as_u64(), "{message:?}");
        assert_eq!(message.event, message.data["event_type"], "{message:?}");
        message
    }

    /// The number from which the stream begins.
    #[track_caller]
    fn beginning(&mut self) -> u64 {
        let message = self.message().unwrap();
        assert_eq!((message.event.as_str(), &message.data), ("", &Value::Null));
        message.id.unwrap()
    }

    /// Which events it will never see.
    #[track_caller]
    fn lost(&mut self) -> (u64, u64) {
        let message = self.message().unwrap();
        assert_eq!(message.event, "lockbridge.events_lost");
        let number = |name: &str| message.data[name].as_u64().unwrap();
        assert_eq!(message.id, Some(number("to")));
        (number("from"), number("to"))
    }
}

fn two_doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

/// The ids of all events that are kept, oldest first.
fn all_events(rig: &Rig) -> Vec<Value> {
    let listed = rig.get("/events/list?since=2020-01-01T00:00:00Z").ok();
    let events = listed["events"].as_array().unwrap();
    events.iter().map(|event| event["event_id"].clone()).collect()
}

fn make_a_code(rig: &Rig) -> Value {
    rig.post(CREATE, json!({"device_id": FRONT})).ok()["access_code"].clone()
}

#[test]
fn a_reader_that_is_cut_off_goes_on_without_a_gap() {
    let rig = Rig::start(&two_doors());
    let (address, headers) = (rig.address().to_owned(), rig.bearer());
    #[allow(clippy::disallowed_methods, reason = "jobs are made while somebody reads")]
    let jobs = std::thread::spawn(move || {
        for n in 0..40 {
            let door = [FRONT, BACK][n % 2];
            let body = json!({"device_id": door, "name": n.to_string()}).to_string();
            let made = exchange(&address, "POST", CREATE, &headers, &body).unwrap().ok();
            let body = json!({"access_code_id": made["access_code"]["access_code_id"]}).to_string();
            exchange(&address, "POST", "/access_codes/delete", &headers, &body)
                .unwrap()
                .ok();
        }
    });
    let mut seen = Vec::new();
    let mut reader = Reader::open(&rig, "?after=0", "");
    assert_eq!(reader.beginning(), 0);
    for cut in 1..=12 {
        for _ in 0..cut {
            seen.push(reader.event());
        }
        let last = seen.last().unwrap().id.unwrap();
        // What was on its way is lost with the connection. The parameter is what the page was first
        // opened with: what was seen since then wins.
        drop(reader);
        reader = Reader::open(&rig, "?after=0", &format!("Last-Event-ID: {last}\r\n"));
        assert_eq!(reader.beginning(), last);
    }
    jobs.join().unwrap();
    rig.advance(600);
    let all = all_events(&rig);
    assert!(
        all.len() > 12 * 13 / 2,
        "{} are too few to prove anything",
        all.len()
    );
    while seen.len() < all.len() {
        seen.push(reader.event());
    }
    let numbers = seen.iter().map(|message| message.id.unwrap());
    assert!(numbers.eq(1..=all.len() as u64), "each once, and in order");
    let ids = seen.iter().map(|message| &message.data["event_id"]);
    assert!(ids.eq(&all));
}

#[test]
fn a_stream_begins_now_and_stays_open_though_nothing_happens() {
    let mut rig = Rig::new(&two_doors());
    // Who only listens does not keep the gateway waiting.
    let config = std::fs::read_to_string(rig.config()).unwrap();
    let hasty = config.replace("[http]\n", "[http]\ntimeout = \"1s\"\n");
    std::fs::write(rig.config(), hasty).unwrap();
    rig.run();
    make_a_code(&rig);
    rig.advance(600);
    let count = all_events(&rig).len() as u64;
    let mut reader = Reader::open(&rig, "", "");
    assert_eq!(reader.beginning(), count);
    assert_eq!(reader.message().unwrap().raw, ":\n\n", "a sign of life");
    make_a_code(&rig);
    let first = reader.event();
    assert_eq!(
        (first.id, first.event.as_str()),
        (Some(count + 1), "access_code.created")
    );
}

#[test]
fn what_is_kept_no_more_is_told_as_lost() {
    let limits = "[limits]\nevents = 20\n".to_owned();
    let mut rig = Rig::start(&[vec![limits], two_doors()].concat());
    let mut before = Reader::open(&rig, "", "");
    before.beginning();
    for _ in 0..10 {
        make_a_code(&rig);
    }
    rig.advance(600);
    let mut after = Reader::open(&rig, "", "");
    let newest = after.beginning();
    assert!(newest > 20 + 3, "{newest} are too few");
    assert_eq!(all_events(&rig).len(), 20);
    let mut reader = Reader::open(&rig, "?after=3", "");
    assert_eq!(reader.beginning(), 3);
    assert_eq!(reader.lost(), (4, newest - 20));
    for number in newest - 19..=newest {
        assert_eq!(reader.event().id, Some(number));
    }
    // Nothing is lost for whoever has the last one that is lost.
    let mut reader = Reader::open(&rig, &format!("?after={}", newest - 20), "");
    assert_eq!(reader.beginning(), newest - 20);
    assert_eq!(reader.event().id, Some(newest - 19));

    // A number that was never given out: the reader's numbers are those of another life.
    rig.kill();
    rig.run();
    let mut reader = Reader::open(&rig, "", &format!("Last-Event-ID: {}\r\n", u64::MAX));
    assert_eq!(reader.beginning(), u64::MAX);
    // The start is an event too.
    assert_eq!(reader.lost(), (1, newest + 1));
    make_a_code(&rig);
    assert_eq!(reader.event().id, Some(newest + 2));
}

#[test]
fn no_pin_goes_out_whatever_the_key_may_see() {
    let rig = Rig::start(&[device(FRONT, "Front door", "slots", "lengths = [8]")]);
    let mut reader = Reader::open(&rig, "", "");
    reader.beginning();
    let body = json!({"device_id": FRONT, "code": "27182818"});
    let made = rig.post(CREATE, body).ok();
    let id = made["access_code"]["access_code_id"].clone();
    assert_eq!(made["access_code"]["code"], "27182818", "the key may see it");
    rig.advance(600);
    let body = json!({"access_code_id": id, "code": "31415926"});
    rig.post("/access_codes/update", body).ok();
    rig.advance(600);
    rig.post("/access_codes/delete", json!({"access_code_id": id}))
        .ok();
    rig.advance(600);
    let mut told = Vec::new();
    loop {
        let message = reader.event();
        assert!(
            !message.raw.contains("27182818") && !message.raw.contains("31415926"),
            "{}",
            message.raw
        );
        assert_eq!(message.data.get("code"), None);
        told.push(message.event);
        if told.last().unwrap() == "access_code.deleted" {
            break;
        }
    }
    for kind in [
        "access_code.set_on_device",
        "access_code.changed",
        "access_code.code_changed",
    ] {
        assert!(told.iter().any(|told| told == kind), "no {kind} in {told:?}");
    }
}

#[test]
fn streams_are_bounded_and_end_with_the_gateway() {
    let mut rig = Rig::start(&two_doors());
    let mut readers: Vec<Reader> = (0..STREAMS).map(|_| Reader::open(&rig, "", "")).collect();
    let refused = rig.get(STREAM);
    refused.refused(503, "busy", "streams");
    assert!(refused.header("retry-after").is_some());
    // A place is free again as soon as the gateway sees that its reader has gone.
    drop(readers.pop());
    let next = std::iter::repeat_with(|| Reader::ask(&rig, "", &rig.bearer()));
    let mut next = next.skip_while(|(head, _)| head.contains(" 503 "));
    readers.push(next.next().unwrap().1);
    drop(next);

    for reader in &mut readers {
        reader.beginning();
    }
    assert!(rig.terminate().success());
    for reader in &mut readers {
        assert!(reader.message().is_none());
    }
    assert!(!rig.log().contains("kept their connections"), "{}", rig.log());
}

#[test]
fn a_stream_asks_for_a_key_all_the_time() {
    let rig = Rig::start(&two_doors());
    let (mute, reads) = (
        rig.make_key("mute", "pins,operate,admin"),
        rig.make_key("reads", "codes"),
    );
    rig.call("GET", STREAM, "", "")
        .refused(401, "unauthorized", "key");
    rig.call("GET", STREAM, &bearer(&mute), "")
        .refused(403, "forbidden", "`codes`");
    let headers = format!("{}Last-Event-ID: last\r\n", rig.bearer());
    rig.call("GET", STREAM, &headers, "")
        .refused(400, "invalid_input", "Last-Event-ID");
    let mut reader = Reader::with(&rig, "", &bearer(&reads));
    reader.beginning();
    make_a_code(&rig);
    reader.event();
    assert!(rig.command(&["keys", "revoke", "reads"]).status.success());
    // What happened before may still come, and nothing of what happens now.
    let revoked_at = all_events(&rig).len() as u64;
    make_a_code(&rig);
    while let Some(message) = reader.message() {
        assert!(message.id <= Some(revoked_at), "{message:?}");
    }
}
