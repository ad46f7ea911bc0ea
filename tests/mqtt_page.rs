//! `docs/mqtt.md`, held against the program at a real broker: its commands are sent, and what it shows of
//! messages must be in those that were heard. Needs Debian's `mosquitto` and `mosquitto-clients`.

#[path = "mqtt/broker.rs"]
mod broker;
#[path = "common/mod.rs"]
mod common;

use broker::{Broker, Heard, Listener};
use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../docs/mqtt.md");
const BASE: &str = "lockbridge/villa-7/gw1";
const REPLY: &str = "lockbridge/villa-7/reply/cloud";

/// A run of the program along the page.
struct Run {
    broker: Broker,
    rig: Rig,
    ear: Listener,
}

impl Run {
    fn start() -> Run {
        let broker = Broker::start("");
        let mut ear = broker.listen("lockbridge/#");
        let quick = "latency = \"5ms\"";
        let mut rig = Rig::new(&[
            format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port),
            device(FRONT, "Front door", "slots", quick),
            device(BACK, "Back door", "slots", quick),
        ]);
        rig.run();
        ear.find(|heard| heard.topic == format!("{BASE}/status") && heard.payload == "online");
        Run { broker, rig, ear }
    }

    /// Sends a command of the page, with what this run has in the place of the page's own.
    fn send(&mut self, verb: &str, of_this_run: Value) -> Value {
        let topic = format!("cmd/{verb}");
        let (_, mut body) = examples()
            .find(|(of, _)| *of == topic)
            .expect("the page shows it");
        for (name, value) in of_this_run.as_object().unwrap() {
            assert!(body.get(name).is_some(), "the page's {verb} has no {name}");
            body[name] = value.clone();
        }
        let wish = ["-D", "publish", "response-topic", REPLY];
        self.broker
            .publish(&format!("{BASE}/{topic}"), &body.to_string(), &wish);
        self.ear.on(REPLY).json()
    }

    /// A stay of the page, from its booking to its end, and what is refused.
    fn stay(&mut self) {
        let (arrival, departure) = (self.rig.time(3600), self.rig.time(90_000));
        let booked = self.send(
            "create_multiple",
            json!({"starts_at": arrival, "ends_at": departure}),
        );
        let code = &booked["access_codes"][0];
        self.rig.advance(3600);
        let done = self.ear.on(REPLY).json();
        for (topic, says) in [
            ("group/<group>", r#""all_proven":true"#),
            ("job/stay-417", r#""phase":"done""#),
        ] {
            let shown = |heard: &Heard| is(&heard.topic, topic) && heard.payload.contains(says);
            if !self.ear.heard.iter().any(shown) {
                self.ear.find(shown);
            }
        }
        let moved = json!({"common_code_key": code["common_code_key"], "ends_at": self.rig.time(100_000)});
        let moved = self.send("update_multiple", moved);
        let gone = self.send("delete", json!({"access_code_id": code["access_code_id"]}));
        for (told, phase) in [
            (&booked, "accepted"),
            (&done, "done"),
            (&moved, "accepted"),
            (&gone, "accepted"),
        ] {
            assert_eq!(told["phase"], phase, "{told}");
        }
        let nobody = json!({"job_id": "stay-418", "device_ids": ["00000000-0000-4000-8000-000000000000"]});
        let refused = self.send("create_multiple", nobody);
        assert_eq!(refused["phase"], "rejected", "{refused}");
        self.ear.on(&format!("{BASE}/job/stay-418"));
    }

    /// Insists that a message like the page's was heard.
    fn compare(&self, topic: &str, example: &Value) {
        let alike = self
            .ear
            .heard
            .iter()
            .filter(|heard| is(&heard.topic, topic) && !heard.payload.is_empty());
        let lacking = alike.map(|heard| lacks(example, &heard.json(), ""));
        let least = lacking
            .min_by_key(Vec::len)
            .unwrap_or_else(|| panic!("nothing was heard on {topic}"));
        assert!(least.is_empty(), "messages on {topic} have no {least:?}");
    }
}

/// What the page shows of messages, by the topics in the headings above them.
fn examples() -> impl Iterator<Item = (&'static str, Value)> {
    PAGE.split("\n### `").skip(1).flat_map(|section| {
        let (topic, text) = section.split_once('`').unwrap();
        let text = text.split("\n## ").next().unwrap();
        let blocks = text.split("```json\n").skip(1);
        blocks.map(move |block| {
            (
                topic,
                serde_json::from_str(block.split("```").next().unwrap()).expect(topic),
            )
        })
    })
}

/// The page's table of topics: each with its direction.
fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    let section = PAGE
        .split("\n## ")
        .find(|section| section.starts_with("Topics\n"))
        .unwrap();
    section.lines().filter_map(|line| {
        let (topic, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((topic, rest.split(" | ").next()?))
    })
}

/// Whether a topic is one of those that the page names so, by levels; `<…>` is any.
fn is(topic: &str, name: &str) -> bool {
    let whole = match name.starts_with("lockbridge/") {
        true => name.to_owned(),
        false => format!("{BASE}/{name}"),
    };
    let same = |(level, name): (&str, &str)| level == name || name.starts_with('<');
    topic.split('/').count() == whole.split('/').count() && topic.split('/').zip(whole.split('/')).all(same)
}

/// What an example has, and a message has not, or says otherwise: see [`says`]. Where it says `null`, there may be anything.
fn lacks(example: &Value, message: &Value, path: &str) -> Vec<String> {
    match (example, message) {
        (Value::Object(shown), Value::Object(told)) => shown
            .iter()
            .flat_map(|(key, example)| {
                let path = format!("{path}/{key}");
                told.get(key)
                    .map_or_else(|| vec![path.clone()], |told| lacks(example, told, &path))
            })
            .collect(),
        (Value::Array(shown), Value::Array(told)) => shown
            .iter()
            .flat_map(|example| {
                let lacking = told.iter().map(|told| lacks(example, told, path));
                lacking
                    .min_by_key(Vec::len)
                    .unwrap_or_else(|| vec![format!("{path}/0")])
            })
            .collect(),
        (Value::Null, _) => Vec::new(),
        _ if says(example, message) => Vec::new(),
        _ => vec![format!("{path}: {example}")],
    }
}

/// Whether a message says what the example shows. Words and sentences are the same in every run; ids, times, PINs and
/// numbers are not, and of them only the kind is.
fn says(example: &Value, message: &Value) -> bool {
    let made_anew = |text: &str| !text.contains(' ') && text.contains(|c: char| c.is_ascii_digit());
    match (example, message) {
        (Value::String(shown), Value::String(_)) if made_anew(shown) => true,
        (Value::Number(_), Value::Number(_)) => true,
        _ => example == message,
    }
}

#[test]
fn state_and_answers_are_as_the_page_shows_them() {
    let mut run = Run::start();
    run.stay();
    let mut compared = 0;
    for (topic, mut example) in
        examples().filter(|(topic, _)| !topic.starts_with("cmd/") && !topic.ends_with("event"))
    {
        if topic == "info" {
            // Here the locks are simulated, and so is the clock.
            example["clock"]["source"] = Value::Null;
        }
        run.compare(topic, &example);
        compared += 1;
    }
    assert_eq!(
        compared, 7,
        "the page lost an example, or the test does not find it"
    );
    for heard in &run.ear.heard {
        let known = table().any(|(name, _)| is(&heard.topic, name)) || heard.topic == REPLY;
        assert!(known, "the page does not tell of {}", heard.topic);
    }
}

#[test]
fn events_and_checks_are_as_the_page_shows_them() {
    let mut run = Run::start();
    run.stay();
    let checked = run.send("verify", json!({}));
    assert_eq!(
        (&checked["ok"], &checked["phase"]),
        (&json!(true), &json!("accepted")),
        "{checked}"
    );
    for (topic, example) in examples().filter(|(topic, _)| topic.ends_with("event")) {
        run.compare(topic, &example);
    }
    for (name, _) in table().filter(|(_, direction)| *direction == "out") {
        assert!(
            run.ear.heard.iter().any(|heard| is(&heard.topic, name)),
            "nothing was heard on {name}"
        );
    }
}
