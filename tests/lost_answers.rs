//! Answers that do not arrive, and callers that keep the real program waiting.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use common::{Answer, BACK, FRONT, Rig, device, exchange};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create_multiple";
const DELETE: &str = "/access_codes/delete";
/// More than any of these tests takes, and less than the time-out of a connection.
const SOON: Duration = Duration::from_secs(20);

fn two_doors() -> Vec<String> {
    vec![
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

/// A gateway whose patience with callers is short.
fn impatient() -> Rig {
    let mut rig = Rig::new(&two_doors());
    let config = std::fs::read_to_string(rig.config()).unwrap();
    let config = config.replace("[http]\n", "[http]\ntimeout = \"1s\"\n");
    std::fs::write(rig.config(), config).unwrap();
    rig.run();
    rig
}

/// A stay that begins in an hour.
fn stay(rig: &Rig, name: &str) -> String {
    let (from, until) = (rig.time(3600), rig.time(86_400));
    json!({"device_ids": [FRONT, BACK], "name": name, "starts_at": from, "ends_at": until}).to_string()
}

fn put(rig: &Rig, body: &str) -> Answer {
    rig.call("PUT", CREATE, &rig.bearer(), body)
}

fn ids(codes: &Value) -> Vec<&str> {
    let codes = codes.as_array().unwrap().iter();
    codes
        .map(|code| code["access_code_id"].as_str().unwrap())
        .collect()
}

/// The codes of one name on a device, by their ids.
fn named(rig: &Rig, device: &str, name: &str) -> Vec<String> {
    let mut codes = rig.codes(device);
    codes.retain(|code| code["name"] == name);
    let codes = Value::from(codes);
    ids(&codes).into_iter().map(str::to_owned).collect()
}

/// What became of a request whose way back was cut.
#[derive(Debug, PartialEq)]
enum Cut {
    /// No byte of an answer came.
    Lost,
    /// It was faster.
    Answered,
}

/// A proxy between a caller and the gateway: it forwards the whole of one request, and cuts both
/// sides before it reads an answer. It returns once the gateway has given the connection up, so
/// that nothing of it is under way any more.
fn call_and_cut(rig: &Rig, method: &str, path: &str, body: &str) -> Cut {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\n{}content-length: {}\r\n\r\n",
        rig.bearer(),
        body.len()
    );
    let mut caller = TcpStream::connect(address).unwrap();
    caller.write_all((head + body).as_bytes()).unwrap();
    caller.shutdown(Shutdown::Write).unwrap();

    let (mut this_side, _) = proxy.accept().unwrap();
    let mut request = Vec::new();
    this_side.read_to_end(&mut request).unwrap();
    let mut far_side = TcpStream::connect(rig.address()).unwrap();
    far_side.write_all(&request).unwrap();
    // Time for the gateway to take the request up, and hardly for its card.
    assert_eq!(
        exchange(rig.address(), "GET", "/health", "", "").unwrap().status,
        200
    );

    far_side.shutdown(Shutdown::Write).unwrap();
    drop(this_side);
    let mut answer = Vec::new();
    far_side.set_read_timeout(Some(SOON)).unwrap();
    far_side.read_to_end(&mut answer).unwrap();
    assert!(
        matches!(caller.read(&mut [0]), Ok(0) | Err(_)),
        "the caller got nothing"
    );
    match answer.is_empty() {
        true => Cut::Lost,
        false => Cut::Answered,
    }
}

/// Books stays until an answer is lost although the stay was booked, which says what comes of the
/// race. Returns its request, its name, and the code that it made at the front door.
fn book_and_lose(rig: &Rig) -> (String, String, String) {
    for round in 0..20 {
        let name = format!("Jane {round}");
        let body = stay(rig, &name);
        let cut = call_and_cut(rig, "PUT", CREATE, &body);
        if let ([code], Cut::Lost) = (&named(rig, FRONT, &name)[..], cut) {
            return (body, name, code.clone());
        }
    }
    panic!("the cut never came between the card and the answer");
}

#[test]
fn a_repeat_of_what_was_lost_gets_the_first_result() {
    let rig = Rig::start(&two_doors());
    let (body, name, code) = book_and_lose(&rig);
    let repeated = put(&rig, &body).ok();
    assert_eq!(ids(&repeated["access_codes"])[0], code);
    for door in [FRONT, BACK] {
        assert_eq!(named(&rig, door, &name).len(), 1);
    }
    // That one arrived: who asks now means it.
    put(&rig, &body).ok();
    assert_eq!(named(&rig, FRONT, &name).len(), 2);
}

#[test]
fn a_repeat_gets_the_first_result_after_a_power_cut_too() {
    let mut rig = Rig::start(&two_doors());
    let (body, name, code) = book_and_lose(&rig);
    rig.kill();
    rig.run();
    let repeated = put(&rig, &body).ok();
    assert_eq!(ids(&repeated["access_codes"])[0], code);
    for door in [FRONT, BACK] {
        assert_eq!(named(&rig, door, &name).len(), 1);
    }
}

#[test]
fn whenever_the_way_back_is_cut_a_repeat_makes_one_group() {
    let rig = Rig::start(&two_doors());
    let mut lost = 0;
    for round in 0..20 {
        let name = format!("John {round}");
        let body = stay(&rig, &name);
        // What was answered in time is no repeat.
        if call_and_cut(&rig, "PUT", CREATE, &body) == Cut::Lost {
            put(&rig, &body).ok();
            assert_eq!(named(&rig, FRONT, &name).len(), 1, "{name}");
            lost += 1;
        }
    }
    assert!(lost > 0);
}

#[test]
fn a_delete_whose_answer_was_lost_is_not_told_that_there_is_no_such_code() {
    let rig = Rig::start(&two_doors());
    for round in 0..20 {
        let name = format!("Jack {round}");
        let created = put(&rig, &stay(&rig, &name)).ok();
        let body = json!({"access_code_id": ids(&created["access_codes"])[0]}).to_string();
        let cut = call_and_cut(&rig, "DELETE", DELETE, &body);
        let gone = named(&rig, FRONT, &name).is_empty();
        if gone && cut == Cut::Lost {
            let delete = || rig.call("DELETE", DELETE, &rig.bearer(), &body);
            assert_eq!(delete().ok(), json!({"ok": true}));
            delete().refused(404, "access_code_not_found", "no such access code");
            return;
        }
    }
    panic!("the cut never came between the card and the answer");
}

#[test]
fn two_calls_that_are_meant_make_two_groups() {
    let rig = Rig::start(&two_doors());
    let body = stay(&rig, "Jane");
    let (first, second) = (put(&rig, &body).ok(), put(&rig, &body).ok());
    let key = |made: &Value| made["access_codes"][0]["common_code_key"].clone();
    assert_ne!(key(&first), key(&second));
    for door in [FRONT, BACK] {
        assert_eq!(named(&rig, door, "Jane").len(), 2);
    }
}

#[test]
fn who_keeps_the_gateway_waiting_is_let_go() {
    let rig = impatient();
    let begun = [
        // Nothing at all, half a head, and a request after which nothing comes.
        "",
        "GET /health HTTP/1.1\r\nhos",
        "GET /health HTTP/1.1\r\nhost: h\r\n\r\n",
    ];
    for sent in begun {
        let mut stream = TcpStream::connect(rig.address()).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{sent}"),
        }
        assert_eq!(answer.starts_with("HTTP/1.1 200"), sent.ends_with("\r\n\r\n"));
    }
}

#[test]
fn callers_that_only_hold_connections_keep_nobody_out_for_long() {
    let rig = impatient();
    let idle: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(rig.address()).unwrap())
        .collect();
    let mut last = TcpStream::connect(rig.address()).unwrap();
    last.set_read_timeout(Some(SOON)).unwrap();
    let request = b"GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    last.write_all(request).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(idle);
}
