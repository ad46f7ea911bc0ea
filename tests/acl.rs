//! The broker as an operator sets it up: the files in `config/mosquitto`, in which only ports and places are
//! those of the test, and certificates made by the commands of `docs/mqtt.md`. Needs Debian's
//! `mosquitto`, `mosquitto-clients` and `openssl`.
//!
//! One certificate is one connection, so that nobody here listens and publishes under one name.

#[path = "mqtt/broker.rs"]
mod broker;
#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use broker::{Broker, Listener, free_port, listen_to};
use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

const STATUS: &str = "lockbridge/villa-7/gw1/status";
const COMMAND: &str = "lockbridge/villa-7/gw1/cmd/create_multiple";
const REPLY: &str = "lockbridge/villa-7/reply/cloud";
const BIRTH: &str = "homeassistant/status";

const USERS: [&str; 4] = ["gw1", "cloud", "panel", "homeassistant"];

/// Every kind of topic: who may write it, and who gets it.
const RIGHTS: [(&str, &str, &str); 31] = [
    (STATUS, "gw1", "gw1 cloud panel homeassistant"),
    ("lockbridge/villa-7/gw1/info", "gw1", "gw1 panel homeassistant"),
    ("lockbridge/villa-7/gw1/summary", "gw1", "gw1 panel homeassistant"),
    ("lockbridge/villa-7/gw1/event", "gw1", "gw1 panel"),
    ("lockbridge/villa-7/gw1/job/stay-1", "gw1", "gw1 cloud"),
    ("lockbridge/villa-7/gw1/group/g1", "gw1", "gw1 panel"),
    (
        "lockbridge/villa-7/gw1/device/d1/status",
        "gw1",
        "gw1 panel homeassistant",
    ),
    (
        "lockbridge/villa-7/gw1/device/d1/state",
        "gw1",
        "gw1 panel homeassistant",
    ),
    (
        "lockbridge/villa-7/gw1/device/d1/event",
        "gw1",
        "gw1 panel homeassistant",
    ),
    ("lockbridge/villa-7/gw1/device/d1/set", "gw1", "gw1"),
    ("lockbridge/villa-7/gw1/cmd/create", "gw1 cloud", "gw1"),
    (COMMAND, "gw1 cloud", "gw1"),
    ("lockbridge/villa-7/gw1/cmd/update", "gw1 cloud", "gw1"),
    ("lockbridge/villa-7/gw1/cmd/update_multiple", "gw1 cloud", "gw1"),
    ("lockbridge/villa-7/gw1/cmd/delete", "gw1 cloud", "gw1"),
    (
        "lockbridge/villa-7/gw1/cmd/verify",
        "gw1 cloud homeassistant",
        "gw1",
    ),
    ("lockbridge/villa-7/gw1/cmd/whatever", "gw1", "gw1"),
    (REPLY, "gw1", "cloud"),
    ("lockbridge/villa-7/reply/cloud/7", "gw1", "cloud"),
    ("lockbridge/villa-7/reply/other", "gw1", ""),
    // Callers whose names look like topics of a gateway.
    ("lockbridge/villa-7/reply/status", "gw1", ""),
    ("lockbridge/villa-7/reply/group/1", "gw1", ""),
    ("lockbridge/villa-7/gw2/status", "", ""),
    ("lockbridge/villa-8/gw1/status", "", ""),
    (BIRTH, "homeassistant", "gw1 homeassistant"),
    (
        "homeassistant/device/lockbridge-villa-7-ID-gw1/d1/config",
        "gw1",
        "gw1 homeassistant",
    ),
    (
        "homeassistant/lock/lockbridge-villa-7-ID-gw1/d1-lock/config",
        "gw1",
        "gw1 homeassistant",
    ),
    // What others tell of their devices.
    ("homeassistant/device/d1/config", "", "homeassistant"),
    ("homeassistant/lock/gw2/d1/config", "", "homeassistant"),
    ("homeassistant/whatever", "", "homeassistant"),
    ("elsewhere", "", ""),
];

/// A broker, with all that the page has done for it.
struct House {
    broker: Broker,
    /// Where names and passwords are taken, if they are.
    with_password: u16,
}

impl House {
    fn set() -> House {
        House::with(|_, lines| lines)
    }

    /// With changes to the shipped lines.
    fn with(change: impl FnOnce(&Broker, String) -> String) -> House {
        let mut broker = Broker::planned();
        let with_password = free_port();
        certificates(broker.dir());
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mosquitto");
        let lines = std::fs::read_to_string(shipped.join("mosquitto.conf")).unwrap();
        let own = format!("{}/", broker.dir().display());
        let lines = [
            // It would give up root, to whom the test's files belong.
            ("user mosquitto\n", "user root\n".into()),
            ("listener 8883\n", format!("listener {} 127.0.0.1\n", broker.port)),
            ("listener 8884\n", format!("listener {with_password} 127.0.0.1\n")),
            ("/var/lib/mosquitto/", own.clone()),
            ("/etc/mosquitto/certs/", own.clone()),
            ("/etc/mosquitto/passwd", format!("{own}passwd")),
            ("/etc/mosquitto/acl", shipped.join("acl").display().to_string()),
        ]
        .into_iter()
        .fold(change(&broker, lines), |lines, (shipped, here)| {
            assert!(
                lines.contains(shipped),
                "mosquitto.conf does not say {shipped:?} any more"
            );
            lines.replace(shipped, &here)
        });
        broker.run_with(&lines);
        House {
            broker,
            with_password,
        }
    }

    fn file(&self, name: &str) -> String {
        self.broker.dir().join(name).display().to_string()
    }

    /// What a client says to be a user.
    fn identity(&self, user: &str) -> [String; 8] {
        let [cert, key] = ["crt", "key"].map(|kind| self.file(&format!("{user}.{kind}")));
        let [host, ca] = ["localhost".to_owned(), self.file("ca.crt")];
        [
            "-h".into(),
            host,
            "--cafile".into(),
            ca,
            "--cert".into(),
            cert,
            "--key".into(),
            key,
        ]
    }

    fn listen(&self, user: &str, filter: &str, more: &[&str]) -> Listener {
        let identity = self.identity(user);
        let arguments: Vec<&str> = identity
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        listen_to(self.broker.port, filter, &arguments)
    }

    fn publish(&self, user: &str, topic: &str, payload: &str, more: &[&str]) -> Published {
        let identity = self.identity(user);
        let arguments = identity.iter().map(String::as_str).chain(more.iter().copied());
        publish(self.broker.port, topic, payload, arguments)
    }

    /// The same, for what must be allowed.
    #[track_caller]
    fn say(&self, user: &str, topic: &str, payload: &str) {
        assert_eq!(
            self.publish(user, topic, payload, &[]),
            Published::Taken,
            "{user}: {topic}"
        );
    }
}

/// Carries the page's commands for certificates out.
fn certificates(dir: &Path) {
    let page = include_str!("../docs/mqtt.md");
    let block = page
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let made = Command::new("sh")
        .args(["-euc", block.expect("the page has commands")])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// What came of a message, as its sender sees it.
#[derive(Debug, PartialEq)]
enum Published {
    Taken,
    /// The broker lets the client in, and not the message: 0x87, in words.
    Refused,
    /// There was no connection, for a reason.
    NotIn(String),
}

fn publish<'a>(port: u16, topic: &str, payload: &str, more: impl Iterator<Item = &'a str>) -> Published {
    let output = Command::new("mosquitto_pub")
        .args([
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-p",
            &port.to_string(),
            "-t",
            topic,
            "-m",
            payload,
        ])
        .args(more)
        .output()
        .unwrap();
    let Output { status, stderr, .. } = output;
    match (status.success(), String::from_utf8(stderr).unwrap().trim_end()) {
        (true, "") => Published::Taken,
        (true, "Warning: Publish 1 failed: Not authorized.") => Published::Refused,
        (_, why) => Published::NotIn(why.to_owned()),
    }
}

fn is_among(users: &str, user: &str) -> bool {
    users.split(' ').any(|one| one == user)
}

/// The topics that somebody may write, and who does so here.
fn written() -> impl Iterator<Item = (&'static str, &'static str)> {
    let first = RIGHTS
        .iter()
        .map(|(topic, writers, _)| (*topic, writers.split(' ').next().unwrap()));
    first.filter(|(_, writer)| !writer.is_empty())
}

/// What a user gets of what is written by some.
fn heard_by(user: &str, some: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let readers = |topic: &str| RIGHTS.iter().find(|(other, ..)| *other == topic).unwrap().2;
    let theirs = written().filter(|(topic, writer)| some(writer) && is_among(readers(topic), user));
    theirs.map(|(topic, _)| topic.to_owned()).collect()
}

#[test]
fn each_may_write_what_its_task_takes_and_is_told_when_it_asks_for_more() {
    let house = House::set();
    for (topic, writers, _) in RIGHTS {
        for user in USERS {
            let expected = match is_among(writers, user) {
                true => Published::Taken,
                false => Published::Refused,
            };
            assert_eq!(house.publish(user, topic, "x", &[]), expected, "{user}: {topic}");
        }
    }
}

#[test]
fn each_hears_what_its_task_takes_and_no_more() {
    let house = House::set();
    for (topic, writer) in written() {
        assert_eq!(house.publish(writer, topic, "kept", &["-r"]), Published::Taken);
    }
    for user in USERS {
        let mut ear = house.listen(user, "#", &["-t", "+/+/+/#", "-t", "$SYS/#"]);
        for (topic, writer) in written().filter(|(_, writer)| *writer != user) {
            house.say(writer, topic, "new");
        }
        match user {
            "gw1" => house.say("homeassistant", BIRTH, "end"),
            _ => house.say("gw1", STATUS, "end"),
        }
        ear.find(|heard| heard.payload == "end");
        let topics = |payload: &str| -> BTreeSet<String> {
            let those = ear.heard.iter().filter(|heard| heard.payload == payload);
            those.map(|heard| heard.topic.clone()).collect()
        };
        assert_eq!(topics("kept"), heard_by(user, |_| true), "{user}");
        assert_eq!(topics("new"), heard_by(user, |writer| writer != user), "{user}");
        assert!(
            ear.heard
                .iter()
                .all(|heard| ["kept", "new", "end"].contains(&heard.payload.as_str()))
        );
    }
}

/// MQTT 3.1.1 has no word for a refusal, so that only its effect can be looked for.
#[test]
fn what_may_not_be_written_reaches_nobody_and_is_not_kept() {
    let house = House::set();
    let others = ["cloud", "panel", "homeassistant"];
    for forger in others {
        let ears = others.into_iter().filter(|user| *user != forger);
        let ears: Vec<Listener> = ears.map(|user| house.listen(user, "#", &[])).collect();
        for (topic, writers, _) in RIGHTS {
            if !is_among(writers, forger) {
                let told = house.publish(forger, topic, "forged", &["-r", "-V", "mqttv311"]);
                assert_eq!(told, Published::Taken, "so it looks to {forger}");
            }
        }
        house.say("gw1", STATUS, "end");
        for mut ear in ears {
            ear.find(|heard| heard.payload == "end");
            assert!(
                ear.heard.iter().all(|heard| heard.payload != "forged"),
                "{forger}: {:?}",
                ear.heard
            );
        }
    }
    for (user, waker, topic) in [
        ("gw1", "homeassistant", BIRTH),
        ("cloud", "gw1", STATUS),
        ("panel", "gw1", STATUS),
    ] {
        let mut ear = house.listen(user, "#", &[]);
        house.say(waker, topic, "end");
        ear.find(|heard| heard.payload == "end");
        assert_eq!(ear.heard.len(), 1, "{user}: {:?}", ear.heard);
    }
}

#[test]
fn a_last_will_is_a_message_like_any_other() {
    let house = House::set();
    let mut ear = house.listen("cloud", "#", &[]);
    for user in ["panel", "gw1"] {
        let will = ["--will-topic", STATUS, "--will-payload", user, "--will-qos", "1"];
        drop(house.listen(user, STATUS, &will));
        // By now the broker has done with the connection that was cut.
        house.publish(user, STATUS, "again", &[]);
    }
    ear.find(|heard| heard.payload == "again");
    let heard: Vec<&str> = ear.heard.iter().map(|heard| heard.payload.as_str()).collect();
    assert_eq!(
        heard,
        ["gw1", "again"],
        "the gateway's will, and not the dashboard's"
    );
}

#[test]
fn nobody_comes_in_without_a_certificate_of_ours() {
    let house = House::set();
    house.say("gw1", STATUS, "online");
    let foreign = tempfile::tempdir().unwrap();
    certificates(foreign.path());
    let theirs = |name: &str| foreign.path().join(name).display().to_string();
    let ca = house.file("ca.crt");
    for (how, arguments) in [
        ("in the clear", vec![]),
        ("without a certificate", vec!["--cafile", &ca]),
        ("with a name only", vec!["--cafile", &ca, "-u", "gw1", "-P", "x"]),
        (
            "with another authority's certificate",
            vec![
                "--cafile",
                &ca,
                "--cert",
                &theirs("gw1.crt"),
                "--key",
                &theirs("gw1.key"),
            ],
        ),
    ] {
        let arguments = ["-h", "localhost"].into_iter().chain(arguments);
        let told = publish(house.broker.port, STATUS, "offline", arguments);
        assert!(
            matches!(&told, Published::NotIn(why) if why.starts_with("Error: ")),
            "{how}: {told:?}"
        );
    }
    // Nor does a name count beside a certificate.
    let told = house.publish("panel", STATUS, "offline", &["-u", "gw1", "-P", "x"]);
    assert_eq!(told, Published::Refused);
}

#[test]
fn nobody_takes_the_gateways_place() {
    const ID: &str = "lockbridge-villa-7-ID-gw1";
    let house = House::set();
    let session = ["-c", "-i", ID, "-x", "3600"];
    let commands = "lockbridge/villa-7/gw1/cmd/+";
    drop(house.listen("gw1", commands, &session));
    house.say("cloud", COMMAND, "for the gateway");
    drop(house.listen("panel", "#", &["-i", ID]));
    let mut thief = house.listen("panel", "#", &["-c", "-i", "gw1"]);
    let gateway = house.listen("gw1", commands, &session);
    let waited: Vec<&str> = gateway.heard.iter().map(|heard| heard.payload.as_str()).collect();
    assert_eq!(waited, ["for the gateway"]);
    drop(gateway);
    house.say("gw1", STATUS, "end");
    thief.on(STATUS);
    assert_eq!(thief.heard.len(), 1, "{:?}", thief.heard);
}

#[test]
fn a_password_is_another_way_in_with_the_same_rights() {
    let house = House::with(|broker, lines| {
        let passwords = broker.file("passwd", "panel:of the panel\n");
        let hashed = Command::new("mosquitto_passwd").arg("-U").arg(passwords).status();
        assert!(hashed.unwrap().success());
        // As the file says: the "#" taken away before settings.
        let lines = lines.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(char::is_alphabetic) => setting,
            _ => line,
        });
        lines.flat_map(|line| [line, "\n"]).collect()
    });
    let ca = house.file("ca.crt");
    let known = [
        "-h",
        "localhost",
        "--cafile",
        &ca,
        "-u",
        "panel",
        "-P",
        "of the panel",
    ];
    let mut panel = listen_to(house.with_password, "#", &known);
    house.say("cloud", COMMAND, "{}");
    house.say("gw1", STATUS, "online");
    panel.on(STATUS);
    assert_eq!(panel.heard.len(), 1, "{:?}", panel.heard);
    let forged = publish(house.with_password, STATUS, "offline", known.into_iter());
    assert_eq!(forged, Published::Refused);

    let gateway = house.identity("gw1");
    let gateway: Vec<&str> = gateway.iter().map(String::as_str).collect();
    for (how, arguments) in [
        ("another password", vec!["-u", "panel", "-P", "of the gateway"]),
        ("no password", vec!["-u", "panel"]),
        ("a name without a password", vec!["-u", "gw1"]),
        ("no name", vec![]),
        ("a certificate", gateway),
    ] {
        let arguments = ["-h", "localhost", "--cafile", &ca].into_iter().chain(arguments);
        let told = publish(house.with_password, STATUS, "offline", arguments);
        let refused = matches!(&told, Published::NotIn(why) if why.contains("Not authorized"));
        assert!(refused, "{how}: {told:?}");
    }
}

/// The page's last step, word for word but for the port, by a shell that a person may have typed it into.
#[test]
fn what_the_page_has_one_try_shows_what_came_of_it() {
    let house = House::set();
    let mut panel = house.listen("panel", "#", &[]);
    let mut rig = gateway(&house);
    rig.run();
    panel.find(|heard| heard.topic == STATUS && heard.payload == "online");
    let page = include_str!("../docs/mqtt.md");
    let between = |start: &str, end: &str| page.split(start).nth(1).unwrap().split(end).next().unwrap();
    let job = between("### `cmd/create_multiple`\n\n```json\n", "```");
    house.broker.file("job.json", job);
    let step =
        between("**4. Look, and try.**\n\n```text\n", "```").replace("8883", &house.broker.port.to_string());
    let (_, commands) = step
        .split_once("\n\n")
        .expect("first one listens, then one sends");
    // One look, where a person goes on looking.
    let commands = commands.replace("mosquitto_sub", "mosquitto_sub -C 1 -W 60");
    let tried = Command::new("sh")
        .args(["-euc", &commands])
        .current_dir(house.broker.dir())
        .output()
        .unwrap();
    assert!(tried.status.success(), "{tried:?}");
    let told: Value = serde_json::from_slice(&tried.stdout).expect("one message");
    assert_eq!(
        (&told["job_id"], &told["phase"]),
        (&json!("stay-417"), &json!("accepted"))
    );
}

/// A gateway at this broker.
fn gateway(house: &House) -> Rig {
    let [ca, cert, key] = ["ca.crt", "gw1.crt", "gw1.key"].map(|name| house.file(name));
    let port = house.broker.port;
    let quick = "latency = \"5ms\"";
    Rig::new(&[
        format!("[mqtt]\nurl = \"mqtts://localhost:{port}\"\nca = {ca:?}\ncert = {cert:?}\nkey = {key:?}\n"),
        device(FRONT, "Front door", "slots", quick),
        device(BACK, "Back door", "slots", quick),
    ])
}

#[test]
fn a_stay_passes_through() {
    let house = House::set();
    let mut panel = house.listen("panel", "#", &[]);
    let mut rig = gateway(&house);
    rig.run();
    panel.find(|heard| heard.topic == STATUS && heard.payload == "online");

    let ask = json!({"job_id": "stay-1", "device_ids": [FRONT, BACK], "preferred_code_length": 6});
    let answer = Command::new("mosquitto_rr")
        .args([
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-W",
            "60",
            "-p",
            &house.broker.port.to_string(),
        ])
        .args(house.identity("cloud"))
        .args(["-t", COMMAND, "-e", REPLY, "-m", &ask.to_string()])
        .output()
        .unwrap();
    assert!(answer.status.success(), "{answer:?}");
    let told: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(
        (&told["phase"], &told["job_id"]),
        (&json!("accepted"), &json!("stay-1"))
    );
    let pin = told["access_codes"][0]["code"]
        .as_str()
        .expect("shown to the sender");

    panel.find(|heard| heard.topic.contains("/group/") && heard.json()["all_proven"] == true);
    let mut cloud = house.listen("cloud", "#", &[]);
    let done =
        |heard: &broker::Heard| heard.topic.ends_with("/job/stay-1") && heard.json()["phase"] == "done";
    cloud.find(done);

    assert_eq!(rig.pins_on(FRONT), [pin]);
    let event = format!("lockbridge/villa-7/gw1/device/{FRONT}/event");
    assert!(panel.heard.iter().any(|heard| heard.topic == event));
    for heard in &panel.heard {
        assert!(!heard.payload.contains(&format!("\"{pin}\"")), "{heard:?}");
        let secret = ["/cmd/", "/reply/", "/job/"]
            .iter()
            .any(|part| heard.topic.contains(part));
        assert!(!secret, "{heard:?}");
    }
    assert!(!rig.log().contains("refuse"), "{}", rig.log());
}
