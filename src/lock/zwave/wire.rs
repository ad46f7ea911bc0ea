//! What goes over the socket, as types: of each message no more than is used.
//!
//! A dump of the network has some kilobytes for every lock, PINs in the clear among them. It is read in
//! place, value by value, and what is kept of a node is a handful of numbers. Nothing here can be
//! printed that may hold a PIN, and the words of the parser are never passed on: they quote what it read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::Pin;

/// Command classes by their numbers.
pub mod class {
    pub const NOTIFICATION: u8 = 0x71;
    pub const DOOR_LOCK: u8 = 0x62;
    pub const USER_CODE: u8 = 0x63;
    pub const CONFIGURATION: u8 = 0x70;
    pub const LOCK: u8 = 0x76;
    pub const NAMING: u8 = 0x77;
    pub const BATTERY: u8 = 0x80;
    pub const USER_CREDENTIAL: u8 = 0x83;
}

/// What the server says first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    pub server_version: String,
    pub driver_version: String,
    pub min_schema_version: u32,
    pub max_schema_version: u32,
}

/// What every message begins with: enough to know whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    #[serde(default, borrow)]
    pub message_id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub event: Option<Event>,
}

/// A command, with the number by which its answer is known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbered<'a, C> {
    pub message_id: &'a str,
    #[serde(flatten)]
    pub command: &'a C,
}

/// The answer to a command.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<R> {
    pub success: bool,
    #[serde(default = "Option::default")]
    pub result: Option<R>,
    #[serde(default)]
    pub error_code: Option<String>,
    #[serde(default)]
    pub zwave_error_code: Option<u32>,
    #[serde(default)]
    pub zwave_error_message: Option<String>,
}

/// An answer of which nothing is used.
#[derive(Deserialize)]
pub struct Nothing {}

/// The answer to `start_listening`.
#[derive(Deserialize)]
pub struct Listening {
    pub state: Dump,
}

/// The whole network.
#[derive(Deserialize)]
pub struct Dump {
    pub controller: Controller,
    pub nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    pub home_id: u32,
    #[serde(default)]
    pub own_node_id: Option<u16>,
    /// 0 ready, 1 it does not answer, 2 jammed.
    #[serde(default)]
    pub status: u8,
}

/// The answer to `node.get_state`.
#[derive(Deserialize)]
pub struct NodeState {
    pub state: Node,
}

/// The answer to `node.ping`.
#[derive(Deserialize)]
pub struct Pinged {
    pub responded: bool,
}

/// One node, as far as it may be a lock.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub node_id: u16,
    #[serde(default)]
    pub status: Option<u8>,
    #[serde(default)]
    pub ready: bool,
    #[serde(default)]
    pub interview_stage: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub location: Option<String>,
    /// The maker's word for the model.
    #[serde(default)]
    pub label: Option<String>,
    #[serde(default)]
    pub manufacturer_id: Option<u32>,
    #[serde(default)]
    pub highest_security_class: Option<i16>,
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    #[serde(default)]
    pub values: Seen,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    #[serde(default)]
    pub index: u16,
    #[serde(default)]
    pub device_class: Option<DeviceClass>,
    #[serde(default)]
    pub command_classes: Vec<CommandClass>,
}

#[derive(Clone, Deserialize)]
pub struct DeviceClass {
    pub generic: Key,
}

#[derive(Clone, Deserialize)]
pub struct Key {
    pub key: u16,
}

#[derive(Clone, Copy, Deserialize)]
pub struct CommandClass {
    pub id: u8,
}

/// What the values of a node tell, all of them taken together.
#[derive(Clone, Default)]
pub struct Seen {
    /// Where the bolt is; within it, that the lock does not know.
    pub bolt: Option<Option<bool>>,
    /// Percent.
    pub battery: Option<u8>,
    pub jammed: bool,
    pub keypad_off: bool,
    pub tampered: bool,
    pub battery_low: bool,
    /// What it is called.
    pub named: bool,
    /// A code that is there shows no digits.
    pub masked: bool,
    /// Configuration parameter 16: on some locks how many digits every code has.
    pub parameter_16: Option<u8>,
}

impl Seen {
    fn take(&mut self, value: &Value<'_>) {
        let key = value.property_key.text();
        match (value.command_class, value.property.text().as_ref()) {
            (class::DOOR_LOCK, "currentMode") => self.bolt = value.value.number().map(bolt),
            (class::LOCK, "locked") => self.bolt = value.value.flag().map(Some),
            (class::BATTERY, "level") => self.battery = value.value.number().and_then(|n| n.try_into().ok()),
            (class::NOTIFICATION, "Access Control") => match (key.as_ref(), value.value.number()) {
                ("Lock state", number) => self.jammed = number == Some(11),
                ("Keypad state", number) => self.keypad_off = number == Some(16),
                _ => {}
            },
            (class::NOTIFICATION, "Home Security") if key == "Cover status" => {
                self.tampered = value.value.number() == Some(3);
            }
            (class::NOTIFICATION, "Power Management") if key == "Battery maintenance status" => {
                self.battery_low = matches!(value.value.number(), Some(10 | 11));
            }
            (class::NAMING, "name" | "location") => self.named = true,
            (class::USER_CODE, "userCode") => self.masked |= value.value.is_mask(),
            (class::CONFIGURATION, "16") => {
                self.parameter_16 = value.value.number().and_then(|n| n.try_into().ok());
            }
            _ => {}
        }
    }
}

/// Where a bolt is by the mode of its lock; `None` where the lock does not know.
pub fn bolt(mode: i64) -> Option<bool> {
    match mode {
        0xff => Some(true),
        0..=0xfd => Some(false),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seen, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Seen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the values of a node")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Seen, A::Error> {
                let mut seen = Seen::default();
                while let Some(value) = values.next_element::<Value<'de>>()? {
                    seen.take(&value);
                }
                Ok(seen)
            }
        }
        deserializer.deserialize_seq(Values)
    }
}

/// A value, in a dump or in an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value<'a> {
    command_class: u8,
    #[serde(borrow)]
    property: Scalar<'a>,
    #[serde(default, borrow)]
    property_key: Scalar<'a>,
    #[serde(default, alias = "newValue", borrow)]
    value: Scalar<'a>,
}

/// A number, a text or a truth; all else is nothing.
#[derive(Default, PartialEq)]
enum Scalar<'a> {
    Number(i64),
    Flag(bool),
    Text(Cow<'a, str>),
    #[default]
    Other,
}

impl Scalar<'_> {
    fn number(&self) -> Option<i64> {
        match self {
            Scalar::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Scalar::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Scalar::Text(text) => Cow::Borrowed(text),
            Scalar::Number(number) => Cow::Owned(number.to_string()),
            Scalar::Flag(_) | Scalar::Other => Cow::Borrowed(""),
        }
    }

    fn is_mask(&self) -> bool {
        matches!(self, Scalar::Text(text) if is_mask(text))
    }
}

/// Whether a lock shows this in place of digits.
pub fn is_mask(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'*')
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'a>, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Flag(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
                Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Other)
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Something that happened.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub source: String,
    pub event: String,
    #[serde(default)]
    pub node_id: Option<u16>,
    /// Of a controller.
    #[serde(default, deserialize_with = "number_or_nothing")]
    pub status: Option<u8>,
    /// Of a controller's event about a node.
    #[serde(default)]
    pub node: Option<NodeName>,
    #[serde(default)]
    pub cc_id: Option<u8>,
    #[serde(default)]
    pub args: Args,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeName {
    pub node_id: u16,
}

/// What an event tells beyond its name: a value, or what a lock notifies.
#[derive(Default)]
pub struct Args {
    pub seen: Seen,
    pub kind: Option<u8>,
    pub event: Option<u8>,
    /// The slot whose code was typed.
    pub user: Option<u16>,
}

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Args, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Raw<'a> {
            #[serde(rename = "type", borrow)]
            kind: Scalar<'a>,
            #[serde(borrow)]
            event: Scalar<'a>,
            parameters: Parameters,
            command_class: Option<u8>,
            #[serde(borrow)]
            property: Scalar<'a>,
            #[serde(borrow)]
            property_key: Scalar<'a>,
            #[serde(borrow)]
            new_value: Scalar<'a>,
            #[serde(borrow)]
            prev_value: Scalar<'a>,
        }
        let small = |scalar: &Scalar<'_>| scalar.number().and_then(|number| number.try_into().ok());
        // Arguments of other events have other shapes.
        let Some(raw) = Lenient(std::marker::PhantomData::<Raw<'de>>).deserialize(deserializer)? else {
            return Ok(Args::default());
        };
        let mut seen = Seen::default();
        // Values are told of with every report, and most reports bring nothing new.
        if let Some(command_class) = raw.command_class
            && raw.new_value != raw.prev_value
        {
            seen.take(&Value {
                command_class,
                property: raw.property,
                property_key: raw.property_key,
                value: raw.new_value,
            });
        }
        Ok(Args {
            seen,
            kind: small(&raw.kind),
            event: small(&raw.event),
            user: raw.parameters.user_id,
        })
    }
}

/// What a notification tells beyond its number. Locks send a name, a byte, or nothing.
#[derive(Default)]
struct Parameters {
    user_id: Option<u16>,
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parameters, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Raw<'a> {
            #[serde(borrow)]
            user_id: Scalar<'a>,
        }
        let raw = Lenient(std::marker::PhantomData::<Raw<'de>>).deserialize(deserializer)?;
        let number = raw.and_then(|raw| raw.user_id.number());
        Ok(Parameters {
            user_id: number.and_then(|number| number.try_into().ok()),
        })
    }
}

/// A map as this type; anything else is nothing.
struct Lenient<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Lenient<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Lenient<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

fn number_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let scalar = Scalar::deserialize(deserializer)?;
    Ok(scalar.number().and_then(|number| number.try_into().ok()))
}

/// The code in a slot, as `get` of User Code answers. Without a response the lock did not answer.
#[derive(Deserialize)]
pub struct UserCode {
    #[serde(default)]
    pub response: Option<UserCodeReport>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserCodeReport {
    pub user_id_status: u8,
    #[serde(default)]
    pub user_code: Digits,
}

/// What stands in a slot.
#[derive(Clone, Default)]
pub enum Digits {
    /// These.
    Shown(Pin),
    /// A mask, or nothing.
    #[default]
    Hidden,
    /// Something else, such as letters, or the bytes of a card.
    Other,
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digits, D::Error> {
        // Neither a text nor nothing, it is a buffer.
        let held = Option::<Scalar<'de>>::deserialize(deserializer)?;
        Ok(match held {
            None => Digits::Hidden,
            Some(Scalar::Text(text)) if text.is_empty() || is_mask(&text) => Digits::Hidden,
            Some(Scalar::Text(text)) => Pin::parse(&text).map_or(Digits::Other, Digits::Shown),
            Some(_) => Digits::Other,
        })
    }
}

/// A credential, as `get_credential` answers. Without one the lock did not answer.
#[derive(Deserialize)]
pub struct OneCredential {
    #[serde(default)]
    pub credential: Option<Credential>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    #[serde(default)]
    pub user_id: u16,
    #[serde(rename = "type", default)]
    pub kind: u8,
    #[serde(default)]
    pub slot: u16,
    #[serde(default)]
    pub data: Digits,
}

/// What the server remembers of all credentials.
#[derive(Deserialize)]
pub struct AllCredentials {
    pub credentials: Vec<Credential>,
}

/// A user, as `get_user` answers.
#[derive(Deserialize)]
pub struct OneUser {
    #[serde(default)]
    pub user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[serde(default)]
    pub user_name: Option<String>,
    #[serde(default)]
    pub active: bool,
}

/// How a change of a credential came out: 0 is done.
#[derive(Deserialize)]
pub struct Changed {
    pub result: u8,
}

/// How adding a user with a credential came out.
#[derive(Deserialize)]
pub struct Added {
    pub result: AddedBoth,
}

#[derive(Deserialize)]
pub struct AddedBoth {
    pub user: u8,
    #[serde(default)]
    pub credential: Option<u8>,
}

/// Whether a node has codes that the unified commands know.
#[derive(Deserialize)]
pub struct Supported {
    pub supported: bool,
}

/// What a node takes, of users or of codes.
#[derive(Deserialize)]
pub struct Capabilities<T> {
    pub capabilities: T,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserCapabilities {
    /// 0 where it does not say.
    #[serde(default)]
    pub max_users: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialCapabilities {
    /// By kind: "1" are PINs, "2" passwords.
    #[serde(default)]
    pub supported_credential_types: BTreeMap<String, CredentialType>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialType {
    pub number_of_credential_slots: u16,
    pub min_credential_length: u8,
    pub max_credential_length: u8,
}

/// A value that the server remembers.
#[derive(Deserialize)]
pub struct Remembered<T> {
    #[serde(default = "Option::default")]
    pub value: Option<T>,
}

/// What a supervised command came to; without a response nobody knows.
#[derive(Deserialize)]
pub struct Supervised {
    #[serde(default)]
    pub response: Option<SupervisedStatus>,
}

#[derive(Deserialize)]
pub struct SupervisedStatus {
    #[serde(default)]
    pub status: Option<u8>,
}

/// Where a bolt is, as `get` of Door Lock answers.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Response<T> {
    #[serde(default = "Option::default")]
    pub response: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DoorLockReport {
    pub current_mode: i64,
}
