//! MQTT over TLS: who is let in, and in which words the log says why somebody is not.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::common::{BACK, FRONT, Rig, device};
use crate::papers::{Authority, Files, Issued, Papers};

const BASE: &str = "lockbridge/villa-7/gw1";
const REPLY: &str = "lockbridge/villa-7/reply/cloud";
const HOST: &[&str] = &["localhost", "127.0.0.1"];
const CONNECTED: &str = "connected to the MQTT broker";
const NOT_CONNECTED: &str = "no connection to the MQTT broker";

/// A broker with a second listener, over TLS; the first is for mosquitto's own clients.
struct Secret {
    broker: Broker,
    port: u16,
}

impl Secret {
    fn start(papers: &Papers, server: Issued, more: &str) -> Secret {
        let Files { cert, key } = server.into_files(papers, "broker");
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let broker = Broker::start(&format!(
            "listener {port} 127.0.0.1\ncertfile {}\nkeyfile {}\n{more}",
            cert.display(),
            key.display()
        ));
        Secret { broker, port }
    }
}

/// A gateway that does not run yet, with further lines for `[mqtt]`.
fn gateway(host: &str, port: u16, ca: &Path, more: &str) -> Rig {
    let quick = "latency = \"5ms\"";
    let ca = ca.display();
    Rig::new(&[
        format!("[mqtt]\nurl = \"mqtts://{host}:{port}\"\nca = \"{ca}\"\n{more}\n"),
        device(FRONT, "Front door", "slots", quick),
        device(BACK, "Back door", "slots", quick),
    ])
}

fn identity(files: &Files) -> String {
    format!(
        "cert = \"{}\"\nkey = \"{}\"",
        files.cert.display(),
        files.key.display()
    )
}

/// Runs a gateway at a broker with this certificate, and returns why it does not connect.
fn refusal(server: Issued, ca: &Authority) -> String {
    let papers = Papers::new();
    let secret = Secret::start(&papers, server, "");
    let mut rig = gateway("127.0.0.1", secret.port, &papers.file("ca.crt", &ca.pem), "");
    rig.run();
    rig.says(1, NOT_CONNECTED)
}

#[test]
fn everything_works_over_tls_with_a_certificate() {
    let (papers, authority) = (Papers::new(), Authority::new());
    let ca = papers.file("ca.crt", &authority.pem);
    let strict = format!("cafile {}\nrequire_certificate true", ca.display());
    let secret = Secret::start(&papers, authority.issue(HOST), &strict);
    let own = authority.issue(&["gw1"]).into_files(&papers, "gateway");
    for host in HOST {
        let mut ear = secret.broker.listen("lockbridge/#");
        let mut rig = gateway(host, secret.port, &ca, &identity(&own));
        rig.run();
        let status = format!("{BASE}/status");
        ear.find(|heard| heard.topic == status && heard.payload == "online");
        let ask = json!({"job_id": "stay-1", "device_ids": [FRONT, BACK], "name": "Jane"});
        let answered = ["-D", "publish", "response-topic", REPLY];
        let create = format!("{BASE}/cmd/create_multiple");
        secret.broker.publish(&create, &ask.to_string(), &answered);
        let told: Value = ear.on(REPLY).json();
        assert_eq!(told["access_codes"].as_array().map(Vec::len), Some(2), "{told}");
        rig.terminate();
        ear.find(|heard| heard.topic == status && heard.payload == "offline");
        assert!(!rig.log().contains(NOT_CONNECTED));
    }
}

#[test]
fn a_broker_that_nobody_vouches_for() {
    let line = refusal(Authority::new().issue(HOST), &Authority::new());
    assert!(
        line.contains("the broker's certificate is not vouched for by /"),
        "{line}"
    );
    assert!(line.contains("ca.crt"), "{line}");
}

#[test]
fn a_broker_whose_certificate_has_expired() {
    let authority = Authority::new();
    let line = refusal(authority.issue_between(HOST, 2019, 2020), &authority);
    assert!(
        line.contains("certificate expired on 2020-01-01T00:00:00.000Z"),
        "{line}"
    );
}

#[test]
fn a_broker_of_another_name() {
    let authority = Authority::new();
    let line = refusal(authority.issue(&["broker.example", "192.0.2.1"]), &authority);
    assert!(
        line.contains("certificate is for broker.example, 192.0.2.1, and not for 127.0.0.1"),
        "{line}"
    );
    let line = refusal(authority.issue(&[]), &authority);
    assert!(
        line.contains("certificate is for no host: make one for 127.0.0.1"),
        "{line}"
    );
}

#[test]
fn a_certificate_of_tomorrow_is_accepted_once_the_clock_is_right() {
    let (papers, authority) = (Papers::new(), Authority::new());
    let ca = papers.file("ca.crt", &authority.pem);
    let secret = Secret::start(&papers, authority.issue_between(HOST, 2100, 4096), "");
    let mut rig = gateway("127.0.0.1", secret.port, &ca, "backoff_max = \"60m\"");
    rig.run();
    // Until the pause between two attempts is longer than this test would wait.
    for attempt in 1..=14 {
        let line = rig.says(attempt, NOT_CONNECTED);
        assert!(
            line.contains("is valid from 2100-01-01T00:00:00.000Z on"),
            "{line}"
        );
        assert!(line.contains("most likely it is behind"), "{line}");
        if attempt < 14 {
            rig.advance(3600);
        }
    }
    assert!(!rig.log().contains(CONNECTED));
    rig.post("/lockbridge/v1/sim/clock", json!({"now": "2100-01-02T00:00:00Z"}))
        .ok();
    rig.says(1, CONNECTED);
}

#[test]
fn a_broker_that_asks_for_a_certificate() {
    let (papers, authority) = (Papers::new(), Authority::new());
    let ca = papers.file("ca.crt", &authority.pem);
    let strict = format!("cafile {}\nrequire_certificate true", ca.display());
    let secret = Secret::start(&papers, authority.issue(HOST), &strict);
    let mut without = gateway("127.0.0.1", secret.port, &ca, "");
    without.run();
    let line = without.says(1, NOT_CONNECTED);
    assert!(
        line.contains("the broker asks for a certificate: set [mqtt] cert and key"),
        "{line}"
    );
    drop(without);

    // One that another authority vouches for, until it is replaced: no restart is needed.
    let wrong = Authority::named("A stranger")
        .issue(&["gw1"])
        .into_files(&papers, "gateway");
    let more = identity(&wrong) + "\nbackoff_max = \"1s\"";
    let mut rig = gateway("127.0.0.1", secret.port, &ca, &more);
    rig.run();
    let line = rig.says(1, NOT_CONNECTED);
    let why = format!("the broker refuses the certificate in {}", wrong.cert.display());
    assert!(line.contains(&why), "{line}");
    papers.file("gateway.crt", "");
    rig.says(1, "gateway.crt holds no certificate");
    authority.issue(&["gw1"]).into_files(&papers, "gateway");
    rig.says(1, CONNECTED);
}

/// A server of openssl's, for what mosquitto does not do.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(server: &Files, more: &[&str]) -> Server {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert"])
            .arg(&server.cert)
            .arg("-key")
            .arg(&server.key)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned));
        let port = ready.unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Server { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_broker_of_older_versions() {
    let (papers, authority) = (Papers::new(), Authority::new());
    let ca = papers.file("ca.crt", &authority.pem);
    let server = authority.issue(HOST).into_files(&papers, "broker");
    let cases: [(&[&str], &str); 2] = [
        (
            &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
            "the broker offers neither TLS 1.2 nor 1.3",
        ),
        // Before 1.3 there is no word of its own for a certificate that is missing.
        (&["-tls1_2", "-Verify", "1"], "perhaps it asks for a certificate"),
    ];
    for (how, says) in cases {
        let broker = Server::start(&server, how);
        let mut rig = gateway("127.0.0.1", broker.port, &ca, "");
        rig.run();
        let line = rig.says(1, NOT_CONNECTED);
        assert!(line.contains(says), "{line}");
    }
}

#[test]
fn a_broker_that_speaks_no_tls() {
    let (papers, authority) = (Papers::new(), Authority::new());
    let ca = papers.file("ca.crt", &authority.pem);
    let broker = Broker::start("");
    let mut rig = gateway("127.0.0.1", broker.port, &ca, "");
    rig.run();
    let line = rig.says(1, NOT_CONNECTED);
    assert!(line.contains("perhaps it speaks no TLS at this port"), "{line}");
}

#[test]
fn files_that_cannot_be_used_are_an_error_of_the_configuration() {
    let (papers, authority) = (Papers::new(), Authority::new());
    let own = authority.issue(&["gw1"]).into_files(&papers, "gateway");
    let ca = papers.file("ca.crt", &authority.pem);
    let rig = gateway("127.0.0.1", 8883, &ca, &identity(&own));
    for (name, broken, named, says) in [
        (
            "gateway.key",
            "",
            "`key` in [mqtt]: ",
            "gateway.key holds no private key",
        ),
        ("ca.crt", "", "`ca` in [mqtt]: ", "ca.crt holds no certificate"),
    ] {
        papers.file(name, broken);
        let ended = rig.command(&["run"]);
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(2) && told.contains(says), "{told}");
        assert!(told.contains(named), "{told}");
    }
}
