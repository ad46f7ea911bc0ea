//! Published and recorded bytes. `LOCKBRIDGE_VECTORS` names further files of the same form, separated by `:`.

use std::convert::Infallible;

use lockbridge::lock::nuki::frame::{self, FrameError, Joiner};
use lockbridge::lock::nuki::message::{
    Action, Answer, Command, Happened, KeypadCode, Limit, LogbookRange, Request,
};
use lockbridge::lock::nuki::{
    Applicant, Beacon, Characteristic, Date, Model, Pairing, PrivateKey, SecurityPin, SharedKey, Turn,
    authenticator, beacon,
};
use lockbridge::model::{Pin, Timestamp};
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;

const KINDS: [&str; 10] = [
    "crc16",
    "key_derivation",
    "plain_message",
    "encrypt_request",
    "decrypt_response",
    "reassembly",
    "reject",
    "advertisement",
    "pairing_transcript",
    "pairing_authenticator",
];

fn all() -> Vec<Value> {
    let mut texts = vec![include_str!("../data/nuki.json").to_owned()];
    let further = std::env::var("LOCKBRIDGE_VECTORS").unwrap_or_default();
    texts.extend(
        further
            .split(':')
            .filter(|path| !path.is_empty())
            .map(|path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))),
    );
    let mut vectors = Vec::new();
    for text in texts {
        let file: Value = serde_json::from_str(&text).unwrap();
        vectors.extend(file["vectors"].as_array().unwrap().clone());
    }
    vectors
}

/// Runs over all vectors of a kind, and names the one that fails.
fn each(kind: &str, check: impl Fn(&Value, &Value)) {
    let vectors: Vec<Value> = all()
        .into_iter()
        .filter(|vector| vector["kind"] == kind)
        .collect();
    assert!(!vectors.is_empty(), "no vector of the kind {kind}");
    for vector in vectors {
        println!("{} {}", vector["id"], vector["title"]);
        check(&vector["input"], &vector["expect"]);
    }
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("no hex: {value}"));
    assert!(text.is_ascii() && text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap()
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    let number = value.as_u64().unwrap_or_else(|| panic!("no number: {value}"));
    T::try_from(number)
        .ok()
        .unwrap_or_else(|| panic!("too large: {value}"))
}

fn key(value: &Value) -> SharedKey {
    SharedKey::new(array(value))
}

fn date(value: &Value) -> Date {
    let instant: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
    Date::of(Timestamp(instant.as_millisecond())).unwrap()
}

fn time(value: &Value) -> [u8; 2] {
    let (hour, minute) = value.as_str().unwrap().split_once(':').unwrap();
    [hour.parse().unwrap(), minute.parse().unwrap()]
}

/// A source of randomness that gives out what is written down.
struct Script(Vec<u8>);

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.drain(..bytes.len()).collect::<Vec<u8>>());
        Ok(())
    }
}

impl TryCryptoRng for Script {}

#[test]
fn vectors_are_of_known_kinds() {
    for vector in all() {
        let kind = vector["kind"].as_str().unwrap();
        assert!(KINDS.contains(&kind), "{}: {kind}", vector["id"]);
    }
}

#[test]
fn vectors_of_checksums() {
    each("crc16", |input, expect| {
        let sum = frame::crc(&hex(&input["data"]));
        assert_eq!(sum.to_be_bytes(), array(&expect["crc"]));
        assert_eq!(sum.to_le_bytes(), array(&expect["wire_little_endian"]));
    });
}

#[test]
fn vectors_of_key_agreement() {
    each("key_derivation", |input, expect| {
        let private = PrivateKey::draw(&mut Script(hex(&input["client_private_key"])));
        assert_eq!(private.public(), array(&expect["client_public_key"]));
        let shared = private.agree(array(&input["lock_public_key"])).unwrap();
        assert_eq!(shared.expose(), &array(&expect["shared_key"]));
    });
}

#[test]
fn vectors_of_authenticators() {
    each("pairing_authenticator", |input, expect| {
        let private = PrivateKey::draw(&mut Script(hex(&input["client_private_key"])));
        assert_eq!(private.public(), array(&expect["client_public_key"]));
        let lock = array(&input["lock_public_key"]);
        let shared = private.agree(lock).unwrap();
        assert_eq!(shared.expose(), &array(&expect["shared_key"]));
        let challenge = hex(&input["challenge"]);
        let tag = authenticator(&shared, &[&private.public(), &lock, &challenge]);
        assert_eq!(tag, array(&expect["authenticator"]));
        let message = frame::plain(Command::AUTHORIZATION_AUTHENTICATOR, &tag);
        assert_eq!(message, hex(&expect["authenticator_message"]));
        if let Some(info) = expect.get("authorization_info_message") {
            let info = hex(info);
            let (command, _) = frame::read_plain(&info).unwrap();
            assert_eq!(command, Command::AUTHORIZATION_INFO);
        }
    });
}

#[test]
fn vectors_of_plain_messages() {
    each("plain_message", |input, expect| {
        let (command, payload) = (Command(number(&input["command"])), hex(&input["payload"]));
        let message = hex(&expect["message"]);
        assert_eq!(frame::plain(command, &payload), message);
        assert_eq!(frame::read_plain(&message), Ok((command, &payload[..])));
    });
}

#[test]
fn vectors_of_requests() {
    each("encrypt_request", |input, expect| {
        let (command, fields) = (Command(number(&input["command"])), &input["fields"]);
        let payload = hex(&expect["payload"]);
        let code = keypad_code(fields);
        if let Some(request) = request(command, fields, &code) {
            let mut payload = payload.clone();
            if fields["total_count"] == 1 {
                // The gateway never asks for the number of all entries.
                payload[7] = 0;
            }
            assert_eq!(request.command(), command);
            let challenge = fields.get("challenge").map_or([0; 32], array);
            let fits = security_pins(fields)
                .into_iter()
                .any(|pin| *request.payload(&challenge, pin.as_ref()) == payload);
            assert!(fits, "{request:?}");
        }
        let sealed = frame::seal(
            &key(&input["shared_key"]),
            number(&input["authorization_id"]),
            &array(&input["nonce24"]),
            command,
            &payload,
        );
        assert_eq!(sealed, hex(&expect["message"]));
    });
}

/// The request that fields stand for; `None` if the gateway never asks it.
fn request<'a>(command: Command, fields: &'a Value, code: &'a Option<KeypadCode>) -> Option<Request<'a>> {
    Some(match command {
        Command::REQUEST_DATA => match number(&fields["requested_command"]) {
            0x04 => Request::Challenge,
            0x0c => Request::States,
            _ => return None,
        },
        Command::REQUEST_CONFIG => Request::Config,
        Command::VERIFY_SECURITY_PIN => Request::VerifyPin,
        Command::UPDATE_TIME => Request::SetTime(date(&fields["time_utc"])),
        Command::REQUEST_LOG_ENTRIES => Request::Logbook(LogbookRange {
            from: number(&fields["start_index"]),
            count: number(&fields["count"]),
            newest_first: fields["sort_order"] == 1,
        }),
        Command::ADD_KEYPAD_CODE => Request::AddCode(code.as_ref()?),
        Command::UPDATE_KEYPAD_CODE => Request::UpdateCode {
            id: number(&fields["code_id"]),
            code: code.as_ref()?,
        },
        Command::REMOVE_KEYPAD_CODE => Request::RemoveCode {
            id: number(&fields["code_id"]),
        },
        Command::REQUEST_KEYPAD_CODES => Request::ListCodes {
            offset: number(&fields["offset"]),
            count: number(&fields["count"]),
        },
        Command::LOCK_ACTION => Request::Bolt {
            action: match number(&fields["action"]) {
                1 => Action::Unlock,
                2 => Action::Lock,
                _ => return None,
            },
            app_id: number(&fields["app_id"]),
            suffix: fields["name_suffix"].as_str(),
        },
        _ => return None,
    })
}

/// The security PIN of fields, of either width where nothing says which.
fn security_pins(fields: &Value) -> Vec<Option<SecurityPin>> {
    let Some(pin) = fields.get("security_pin").and_then(Value::as_u64) else {
        return vec![None];
    };
    let classic = SecurityPin::parse(Model::Classic, &format!("{pin:04}"));
    let ultra = SecurityPin::parse(Model::Ultra, &format!("{pin:06}"));
    match fields.get("security_pin_bits").and_then(Value::as_u64) {
        Some(16) => vec![classic],
        Some(_) => vec![ultra],
        None => vec![classic, ultra],
    }
}

fn keypad_code(fields: &Value) -> Option<KeypadCode> {
    let number_of = |name: &str| fields.get(name).and_then(Value::as_u64);
    Some(KeypadCode {
        pin: Pin::parse(&number_of("code")?.to_string())?,
        name: fields["name"].as_str()?.to_owned(),
        enabled: number_of("enabled") != Some(0),
        limit: (number_of("time_limited")? == 1).then(|| Limit {
            from: date(&fields["allowed_from_date_utc"]),
            until: date(&fields["allowed_until_date_utc"]),
            weekdays: number(&fields["allowed_weekdays_mask"]),
            daily_from: time(&fields["allowed_from_time"]),
            daily_until: time(&fields["allowed_until_time"]),
        }),
    })
}

#[test]
fn vectors_of_answers() {
    each("decrypt_response", |input, expect| {
        let message = hex(&input["message"]);
        let opened = frame::open(&key(&input["shared_key"]), &message).unwrap();
        assert_eq!(input["authorization_id"], opened.authorization);
        assert_eq!(opened.command, Command(number(&expect["command"])));
        assert_eq!(*opened.payload, hex(&expect["payload"]));
        let mut text = opened.authorization.to_le_bytes().to_vec();
        text.extend(opened.command.0.to_le_bytes());
        text.extend(&*opened.payload);
        text.extend(frame::crc(&text).to_le_bytes());
        assert_eq!(text, hex(&expect["plaintext_with_crc"]));
        // The published examples show requests under this kind, too.
        if let Some(fields) = expect.get("fields") {
            let answer = Answer::decode(opened.command, &opened.payload).unwrap();
            assert_fields(&answer, fields);
        }
    });
}

fn assert_fields(answer: &Answer, fields: &Value) {
    match answer {
        Answer::Challenge(challenge) => assert_eq!(challenge, &array(&fields["challenge"])),
        Answer::Complete => assert_eq!(fields["status"], 0),
        Answer::Accepted => assert_eq!(fields["status"], 1),
        Answer::Error { code, command } => {
            assert_eq!(fields["error_code"], code.0);
            assert_eq!(code.name(), fields["error_name"].as_str());
            assert_eq!(fields["command"], command.0);
        }
        Answer::CodeId(id) => assert_eq!(fields["code_id"], *id),
        Answer::CodeCount(count) => assert_eq!(fields["count"], *count),
        Answer::Code(row) => {
            assert_eq!(fields["code_id"], row.id);
            assert_eq!(Some(&row.code), keypad_code(fields).as_ref());
        }
        Answer::States(states) => {
            assert_eq!(fields["lock_state"], states.bolt);
            assert_eq!(states.time, date(&fields["current_time_utc"]));
            assert_eq!(fields["battery_critical"], states.battery_critical);
            assert_eq!(fields["battery_percent"], states.battery_percent);
            let keypad = fields["accessory_battery_state"]
                .as_u64()
                .filter(|state| state & 1 != 0);
            assert_eq!(states.keypad_battery_critical, keypad.map(|state| state & 2 != 0));
        }
        Answer::LogbookEntry(entry) => {
            assert_eq!(fields["index"], entry.number);
            assert_eq!(entry.at, date(&fields["timestamp_utc"]));
            match entry.what {
                Happened::Keypad {
                    action,
                    completion,
                    code,
                } => {
                    assert_eq!(fields["type"], 5);
                    assert_eq!(fields["lock_action"], action);
                    assert_eq!(fields["completion_status"], completion);
                    assert_eq!(fields["code_id"], code);
                }
                Happened::Other(kind) => assert_eq!(fields["type"], kind),
            }
        }
        Answer::Config(_) => {}
    }
}

#[test]
fn vectors_of_joined_indications() {
    each("reassembly", |input, expect| {
        let mut joiner = Joiner::default();
        let (last, first) = input["chunks"].as_array().unwrap().split_last().unwrap();
        for chunk in first {
            joiner.push(&hex(chunk));
            assert_eq!(joiner.sealed(), Ok(None));
        }
        joiner.push(&hex(last));
        let message = joiner.sealed().unwrap().unwrap();
        assert_eq!(message, hex(&expect["message"]));
        assert_eq!(expect["total_length"], message.len());
        let opened = frame::open(&key(&input["shared_key"]), &message).unwrap();
        if let Some(challenge) = expect.get("challenge") {
            let answer = Answer::decode(opened.command, &opened.payload);
            assert_eq!(answer, Ok(Answer::Challenge(array(challenge))));
        }
    });
}

#[test]
fn vectors_that_must_be_refused() {
    each("reject", |input, expect| {
        let opened = frame::open(&key(&input["shared_key"]), &hex(&input["message"]));
        let error = match opened {
            Err(error) => error,
            Ok(opened) => {
                assert_ne!(input["authorization_id"], opened.authorization);
                FrameError::Authorization
            }
        };
        match expect["result"].as_str() {
            Some("authentication failure") => assert_eq!(error, FrameError::Authentication),
            Some("crc failure") => assert_eq!(error, FrameError::Crc),
            Some("incomplete message") => assert_eq!(error, FrameError::Incomplete),
            _ => {}
        }
    });
}

#[test]
fn vectors_of_advertisements() {
    each("advertisement", |input, expect| {
        let seen = beacon(number(&input["company_id"]), &hex(&input["manufacturer_data"]));
        let expected = expect["nuki_id"].as_str().map(|id| Beacon {
            nuki_id: u32::from_str_radix(id, 16).unwrap(),
        });
        assert_eq!(seen, expected);
    });
}

#[test]
fn vectors_of_pairings() {
    each("pairing_transcript", |input, expect| {
        for longest in [usize::MAX, 20, 1] {
            pairing(input, expect, longest);
        }
    });
}

/// Replays a pairing whose indications are at most so long.
fn pairing(input: &Value, expect: &Value, longest: usize) {
    let applicant = Applicant {
        app_id: number(&input["app_id"]),
        name: input["name"].as_str().unwrap().to_owned(),
    };
    let (model, pin) = match input["ultra"] == true {
        true => (
            Model::Ultra,
            format!("{:06}", number::<u32>(&input["security_pin"])),
        ),
        false => (Model::Classic, "0000".to_owned()),
    };
    // As an app: the gateway never pairs as anything else.
    assert_eq!(input["id_type"], 0);
    let mut script = Script(hex(&input["client_private_key"]));
    for nonce in ["client_nonce32", "client_nonce24"] {
        script.0.extend(input.get(nonce).map(hex).unwrap_or_default());
    }
    let pin = SecurityPin::parse(model, &pin).unwrap();
    let (mut pairing, first) = Pairing::begin(applicant, pin, &mut script);
    let mut written = Some(first);
    let mut lines = expect["transcript"].as_array().unwrap().iter();
    let credentials = 'pairing: loop {
        let line = lines.next().expect("the pairing ends");
        assert_eq!(line["char"], Characteristic::Pairing(model).uuid().to_string());
        let bytes = hex(&line["hex"]);
        if line["dir"] == "client->lock" {
            assert_eq!(written.take(), Some(bytes));
            continue;
        }
        assert_eq!(written, None, "it speaks out of turn");
        for part in bytes.chunks(longest) {
            pairing = match pairing.hear(part, &mut script).unwrap() {
                Turn::Listen(next) => next,
                Turn::Say(next, message) => {
                    written = Some(message);
                    next
                }
                Turn::Done(credentials) => break 'pairing credentials,
            };
        }
    };
    assert_eq!(lines.next(), None);
    assert_eq!(
        credentials.authorization,
        number::<u32>(&expect["authorization_id"])
    );
    assert_eq!(
        credentials.authorization.to_le_bytes(),
        array(&expect["authorization_id_bytes"])
    );
    assert_eq!(credentials.key.expose(), &array(&expect["shared_key"]));
    assert_eq!(credentials.model, model);
}
