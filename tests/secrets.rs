//! PINs and keys are found nowhere but where they belong (I8).
//!
//! A whole life is lived over HTTP and MQTT, with refusals, wrong keys, the wordiest log and a
//! kill. Then everything that it wrote is searched for every PIN and every key, as they are, in
//! hex, and in base64. Left out is what may hold them: the answers to callers who may see PINs,
//! the commands themselves, and the memories of the simulated locks, which stand for the locks.

#[path = "mqtt/broker.rs"]
mod broker;
mod common;

use std::collections::BTreeSet;
use std::path::Path;

use broker::{Broker, Listener};
use common::leaks::{Written, base64, finds, hex, leaks};
use common::{BACK, FRONT, Rig, bearer, device};
use lockbridge::gateway::view::{CodeView, JobMemberView, JobView, MemberReceipt, Status};
use lockbridge::gateway::{Answer, Ask, Door, Phase, Token, Verb};
use lockbridge::model::{
    CallId, Caller, CodeId, Content, CreateMultiple, DeviceId, Entry, Exchange, Finding, JobId, Outcome, Pin,
    Request, Slot, Step, Timestamp, Unshared, Window,
};
use serde_json::{Value, json};
use uuid::Uuid;

const BASE: &str = "lockbridge/villa-7/gw1";
const REPLY: &str = "lockbridge/villa-7/reply/cloud";
const CREATE: &str = "/access_codes/create_multiple";
const CELLAR: &str = "11111111-0000-4000-8000-000000000001";

/// One run, what it wrote, and what must not stand there.
struct Life {
    rig: Rig,
    broker: Broker,
    ear: Listener,
    written: Written,
    secrets: BTreeSet<String>,
}

impl Life {
    fn begin() -> Life {
        let broker = Broker::start("");
        let mut ear = broker.listen("#");
        let password = "correct-horse-battery-staple-7";
        let file = broker.file("password", &format!("{password}\n"));
        let all = "lengths = [4, 5, 6, 7, 8]\nlatency = \"5ms\"";
        let mut rig = Rig::new(&[
            format!(
                "[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\nusername = \"gw1\"\npassword_file = \"{}\"\n",
                broker.port,
                file.display()
            ),
            device(FRONT, "Front door", "slots", all),
            device(BACK, "Back door", "masked", all),
            device(CELLAR, "Cellar", "write-only", all),
        ]);
        rig.verbose = true;
        let recovery = rig.told(&["init"]).trim().to_owned();
        rig.run();
        ear.find(|heard| heard.topic == format!("{BASE}/status") && heard.payload == "online");
        let secrets = BTreeSet::from([rig.key.clone(), password.to_owned(), recovery]);
        Life {
            rig,
            broker,
            ear,
            written: Vec::new(),
            secrets,
        }
    }

    fn secret(&mut self, secret: &str) {
        self.secrets.insert(secret.to_owned());
    }

    fn write(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.written.push((place.to_owned(), bytes.into()));
    }

    /// Sends what is refused, and collects the refusal.
    fn refused(&mut self, headers: &str, path: &str, body: &Value) {
        let answer = self.rig.call("POST", path, headers, &body.to_string());
        assert!(
            (400..500).contains(&answer.status),
            "{path} {body}: {}",
            answer.body
        );
        self.write(
            &format!("the refusal of {body}"),
            format!("{answer:?}{}", answer.body),
        );
    }

    /// An answer that shows no PIN, to a key that may see none.
    fn blind(&mut self, key: &str, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.rig.call(method, path, &bearer(key), &body.to_string());
        self.write(
            &format!("{method} {path} without `pins`"),
            format!("{answer:?}{}", answer.body),
        );
        answer.body
    }

    /// Takes the PINs out of an answer to somebody who may see them.
    fn learn(&mut self, answer: &Value) -> String {
        let codes = answer["access_codes"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"));
        for code in codes {
            self.secret(code["code"].as_str().unwrap());
        }
        codes[0]["code"].as_str().unwrap().to_owned()
    }

    fn over_mqtt(&mut self, verb: &str, body: &Value) -> Value {
        let with = [
            "-D",
            "publish",
            "response-topic",
            REPLY,
            "-D",
            "publish",
            "correlation-data",
            "c",
        ];
        self.broker
            .publish(&format!("{BASE}/cmd/{verb}"), &body.to_string(), &with);
        let job = body["job_id"].clone();
        self.ear
            .find(|heard| heard.topic == REPLY && heard.json()["job_id"] == job)
            .json()
    }

    /// What is told to people and programs, at one moment.
    fn look_around(&mut self, blind: &str, key: &str) {
        for arguments in [
            vec!["check-config"],
            vec!["devices"],
            vec!["codes"],
            vec!["--verbose", "codes", "--device", "Front door"],
            vec!["queue"],
            vec!["--verbose", "receipt", key],
            vec!["receipt", "no such key"],
            vec!["keys", "list"],
            vec!["run"],
            vec!["init"],
            vec!["export"],
            vec!["incident", "--since", "1d"],
            vec!["status"],
            vec!["status", "--json"],
            vec!["receipt", key, "--signed"],
            vec!["receipt-key"],
        ] {
            let output = self.rig.command(&arguments);
            let place = format!("`lockbridge {}`", arguments.join(" "));
            self.write(&place, [output.stdout, output.stderr].concat());
        }
        let mut paths = vec![
            "/devices/list".to_owned(),
            "/readyz".to_owned(),
            "/health".to_owned(),
        ];
        for door in [FRONT, BACK, CELLAR] {
            paths.push(format!("/lockbridge/v1/devices/{door}/queue"));
            paths.push(format!("/access_codes/list?device_id={door}&_strict=true"));
        }
        paths.push(format!("/lockbridge/v1/groups/{key}"));
        paths.push("/lockbridge/v1/jobs/drawn-8".to_owned());
        // What happened tells PINs too: those that were set, changed and deleted.
        paths.push("/events/list?since=2020-01-01T00:00:00Z".to_owned());
        paths.push("/openapi.json".to_owned());
        paths.push("/lockbridge/v1/status".to_owned());
        paths.push(format!("/lockbridge/v1/groups/{key}/signed"));
        for path in paths {
            self.blind(blind, "GET", &path, &Value::Null);
        }
        let figures = self.rig.text("/metrics");
        self.write("/metrics", figures);
    }

    /// Lives, and collects.
    fn live(&mut self) {
        let blind = self.rig.make_key("blind", "codes");
        let gone = self.rig.make_key("gone", "codes,pins");
        self.secret(&blind);
        self.secret(&gone);
        let mut group = String::new();
        for length in [8, 6, 4] {
            let body = json!({"device_ids": [FRONT, BACK, CELLAR], "preferred_code_length": length});
            let answer = self.rig.post(CREATE, body).ok();
            let pin = self.learn(&answer);
            assert_eq!(pin.len(), length);
            group = answer["access_codes"][0]["common_code_key"]
                .as_str()
                .unwrap()
                .to_owned();
        }
        for code in ["27182818", "4711"] {
            let answer = self
                .rig
                .post(CREATE, json!({"device_ids": [FRONT], "code": code}))
                .ok();
            self.learn(&answer);
        }
        let drawn = json!({
            "job_id": "drawn-8", "device_ids": [BACK, FRONT], "preferred_code_length": 8, "progress": true,
        });
        let answer = self.over_mqtt("create_multiple", &drawn);
        self.learn(&answer);
        let taken = json!({"job_id": "taken", "device_ids": [FRONT], "code": "27182818"});
        let refused = self.over_mqtt("create_multiple", &taken);
        assert_eq!(refused["reasons"][0]["reason"], "duplicate_access_code");
        self.write("a refusal over MQTT", refused.to_string());

        // What was wrong stays as secret as what was right.
        let (everything, nobody) = (
            self.rig.bearer(),
            "seam_WrongKeyThatNobodyEverMade0123456789abcdef",
        );
        for wrong in [
            "27182818",
            "9182736459182",
            "918273645",
            "48a151623",
            "4815 162 342",
        ] {
            self.secret(wrong);
            self.refused(
                &everything,
                CREATE,
                &json!({"device_ids": [FRONT, BACK], "code": wrong}),
            );
            let body =
                json!({"job_id": format!("wrong-{}", wrong.len()), "device_ids": [FRONT], "code": wrong});
            let told = self.over_mqtt("create_multiple", &body);
            self.write(&format!("the refusal over MQTT of {wrong}"), told.to_string());
        }
        self.secret("161803398");
        self.refused(
            &everything,
            CREATE,
            &json!({"device_ids": [FRONT], "code": 161_803_398}),
        );
        self.refused(
            &everything,
            CREATE,
            &json!({"device_ids": [FRONT], "code": ["161803398"]}),
        );
        let by_pin = json!({"device_id": FRONT, "code": "161803398"});
        self.refused(&everything, "/access_codes/get", &by_pin);
        self.refused(
            &bearer(&blind),
            "/access_codes/get",
            &json!({"device_id": FRONT, "code": "27182818"}),
        );
        let by_hand = format!("/lockbridge/v1/sim/devices/{FRONT}/code");
        self.refused(&everything, &by_hand, &json!({"op": "add", "code": 161_803_398}));
        self.refused(&everything, &by_hand, &json!({"op": "add", "code": "161803398x"}));
        self.refused(&everything, &by_hand, &json!({"op": "161803398", "code": "1"}));
        self.secret(nobody);
        self.refused(&bearer(nobody), CREATE, &json!({"device_ids": [FRONT]}));
        assert!(self.rig.command(&["keys", "revoke", "gone"]).status.success());
        self.refused(&bearer(&gone), CREATE, &json!({"device_ids": [FRONT]}));

        // A code that somebody typed in at the door is a secret too.
        self.rig
            .post(&by_hand, json!({"op": "add", "code": "31415926"}))
            .ok();
        let fault = format!("/lockbridge/v1/sim/devices/{CELLAR}/fault");
        self.rig.post(&fault, json!({"kind": "refuse", "count": 3})).ok();
        let body = json!({"device_ids": [CELLAR, FRONT], "preferred_code_length": 8, "name": "Jane"});
        let answer = self.rig.post(CREATE, body).ok();
        self.learn(&answer);
        self.look_around(&blind, &group);
        self.blind(
            &blind,
            "POST",
            CREATE,
            &json!({"device_ids": [FRONT, BACK], "preferred_code_length": 7}),
        );
        self.rig
            .post("/devices/simulate/disconnect", json!({"device_id": BACK}))
            .ok();
        self.change_pins(&blind);
        self.rig.advance(600);
        self.look_around(&blind, &group);

        self.rig.kill();
        self.rig.run();
        self.rig
            .post("/devices/simulate/connect", json!({"device_id": BACK}))
            .ok();
        self.rig.advance(600);
        self.look_around(&blind, &group);
        for door in [FRONT, BACK, CELLAR] {
            let pins = self.rig.pins_on(door);
            assert!(pins.len() >= 4, "{door}: {pins:?}");
            self.secrets.extend(pins);
        }
        let first = self.rig.codes(FRONT)[0]["access_code_id"].clone();
        let told = self.over_mqtt("delete", &json!({"job_id": "gone-1", "access_code_id": first}));
        assert_eq!(told["ok"], true, "{told}");
        self.rig.advance(600);
        assert!(self.rig.terminate().success());
        self.ear
            .find(|heard| heard.topic == format!("{BASE}/status") && heard.payload == "offline");

        self.write("the log", self.rig.log());
        for heard in std::mem::take(&mut self.ear.heard) {
            if !heard.topic.contains("/cmd/") && !heard.topic.contains("/reply/") {
                self.write(&heard.topic, format!("{heard:?}{}", heard.payload));
            }
        }
        let data = self.rig.data_dir();
        self.files(&data);
    }

    /// Single codes get other PINs, on a door out of reach and on others, and some are refused.
    fn change_pins(&mut self, blind: &str) {
        const UPDATE: &str = "/access_codes/update";
        let everything = self.rig.bearer();
        for (door, new) in [(BACK, "16273849"), (CELLAR, "29384756")] {
            let answer = self
                .rig
                .post("/access_codes/create", json!({"device_id": door}))
                .ok();
            let code = &answer["access_code"];
            let id = code["access_code_id"].clone();
            self.secret(code["code"].as_str().unwrap());
            self.secret(new);
            self.rig.advance(60);
            self.rig
                .post(UPDATE, json!({"access_code_id": id, "code": new}))
                .ok();
            let body = json!({"access_code_id": id});
            self.blind(blind, "POST", "/access_codes/get", &body);
            self.refused(
                &everything,
                UPDATE,
                &json!({"access_code_id": id, "code": "918273645"}),
            );
            let other = json!({"job_id": format!("recode-{door}"), "access_code_id": id, "code": "38495067"});
            self.secret("38495067");
            self.over_mqtt("update", &other);
        }
    }

    fn files(&mut self, folder: &Path) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            match (path.is_dir(), path.file_name().is_some_and(|name| name == "sim")) {
                (true, true) => {}
                (true, false) => self.files(&path),
                (false, _) if path.is_file() => {
                    self.write(&path.display().to_string(), std::fs::read(&path).unwrap());
                }
                // The socket.
                _ => {}
            }
        }
    }
}

#[test]
fn no_secret_stands_where_it_does_not_belong() {
    let mut life = Life::begin();
    life.live();
    let (written, secrets) = (&life.written, &life.secrets);
    for place in [
        "the log",
        "keys.json",
        "/group/",
        "store",
        "`lockbridge codes`",
        "`lockbridge incident",
        "/readyz",
        "/metrics",
        "`lockbridge status`",
        "/signed",
        "/job/",
    ] {
        assert!(
            written
                .iter()
                .any(|(at, bytes)| at.contains(place) && !bytes.is_empty()),
            "nothing of {place} was searched"
        );
    }
    let long = secrets.iter().filter(|secret| secret.len() >= 6).count();
    let size: usize = written.iter().map(|(_, bytes)| bytes.len()).sum();
    println!(
        "{} secrets ({long} long) sought in {} places, {size} bytes",
        secrets.len(),
        written.len()
    );
    assert!(
        long >= 12 && secrets.len() - long >= 2,
        "{long} of {}",
        secrets.len()
    );
    assert_eq!(leaks(written, secrets), [""; 0]);

    // The search finds what is there: each secret in each guise, wherever in a line it stands.
    let place = written.iter().position(|(place, _)| place == "the log").unwrap();
    for secret in secrets {
        let bytes = secret.as_bytes();
        let mut planted = vec![secret.clone()];
        if secret.len() >= 6 {
            planted.extend([hex(bytes), hex(bytes).to_uppercase()]);
            for before in ["", "x", "xy"] {
                planted.push(base64(format!("{before}{secret} and more").as_bytes()));
            }
        }
        for leak in planted {
            let mut copy = vec![written[place].clone()];
            copy[0].1.extend(format!("\ncode={leak} was set\n").bytes());
            let found = leaks(&copy, &BTreeSet::from([secret.clone()]));
            assert_eq!(found, [format!("{secret} in the log")], "planted as {leak}");
        }
    }
}

#[test]
fn nothing_that_carries_a_pin_shows_it_to_a_debugger() {
    let digits = "27182818";
    let pin = || Pin::parse(digits).unwrap();
    let (id, at) = (Uuid::nil(), Timestamp(0));
    let code = CodeView {
        code: CodeId(id),
        device: DeviceId(id),
        group: None,
        own_pin: false,
        pin: pin(),
        name: None,
        name_on_lock: None,
        window: Window::Ongoing,
        status: Status::Set,
        scheduled_on_device: false,
        created_at: at,
        deleted_at: None,
        pending: None,
        device_offline: false,
        radio_away: None,
        device_removed: false,
        external: None,
        clock_untrusted: None,
    };
    let receipt = MemberReceipt {
        code: code.clone(),
        device_name: "Front door".to_owned(),
        proven: None,
        last_proven: None,
        removed: None,
        problem: false,
    };
    let content = Content {
        pin: pin(),
        name: None,
        window: Window::Ongoing,
    };
    let put = Step::Put {
        code: CodeId(id),
        generation: 1,
        slot: Slot(1),
        content,
        stale: vec![pin()],
    };
    let remove = Step::Remove {
        code: CodeId(id),
        generation: 1,
        slot: Slot(1),
        pins: vec![pin()],
    };
    let exchange = Exchange {
        call: CallId(1),
        device: DeviceId(id),
        steps: vec![put, remove],
        deadline: std::time::Duration::ZERO,
        not_after: None,
    };
    let entry = Entry {
        slot: Slot(1),
        pin: Some(pin()),
        name: None,
        window: Window::Ongoing,
    };
    let outcome = Outcome {
        findings: vec![Finding::Table(vec![entry])],
        took: std::time::Duration::ZERO,
    };
    let ask = Ask {
        token: Token(1),
        caller: Caller("everything".to_owned()),
        verb: Verb::CreateMultiple,
        door: Door::Http { handle: None },
        hash: [0; 32],
        request: Ok(Request::CreateMultiple(CreateMultiple {
            devices: vec![DeviceId(id)],
            code: Some(pin()),
            preferred_length: None,
            unshared: Unshared::Throw,
            name: None,
            window: Window::Ongoing,
            attempt_offline: true,
            prefer_native: true,
        })),
    };
    let job = JobView {
        id: JobId::parse("job").unwrap(),
        verb: Verb::CreateMultiple,
        phase: Phase::Accepted,
        at,
        done_at: None,
        answer: Answer::Created(vec![code.clone()]),
        members: vec![JobMemberView {
            device: DeviceId(id),
            code: CodeId(id),
            settled: false,
            now: Some(receipt.clone()),
        }],
    };
    let shown = [
        format!("{code:?}"),
        format!("{receipt:?}"),
        format!("{exchange:?}"),
        format!("{outcome:?}"),
        format!("{ask:?}"),
        format!("{:?}", Answer::Created(vec![code])),
        format!("{job:#?}"),
    ];
    let written: Written = shown.map(|text| ("Debug".to_owned(), text.into_bytes())).into();
    assert!(
        written
            .iter()
            .all(|(_, text)| finds(text, b"hidden").next().is_some())
    );
    assert_eq!(leaks(&written, &BTreeSet::from([digits.to_owned()])), [""; 0]);
}
