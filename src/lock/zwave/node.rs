//! What a node is: whether it is a lock, what it is called, which codes it takes, and what an operator knows
//! of it that it does not tell. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use super::wire::{self, CredentialType, Node, Seen, UserCapabilities, class};
use crate::model::{Addressing, Alphabet, Capabilities, Closed, DeviceId, NativeWindow, ReadBack, Slot};

/// Ids of locks are UUIDs of version 5 in this name space.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_1a6c_52a4_4c1e_9a55_3c0f_8b7e_2d41);
/// The generic kind of node that opens and closes doors.
const ENTRY_CONTROL: u16 = 0x40;
/// A lock that was joined without a key.
const NO_SECURITY: i16 = -1;
/// The kinds of credential that hold digits, as numbers and as the server writes them.
const PINS: (u8, &str) = (1, "1");
const PASSWORDS: (u8, &str) = (2, "2");
/// Slots that are used of a lock with more, unless its operator wants them: reading so many takes minutes.
const MOST_SLOTS: u16 = 250;
/// What one command may take at most, all tries and detours of the radio included.
/// The driver itself gives one up after a minute, if its stick says nothing more of it.
pub const COMMAND_WITHIN: Duration = Duration::from_secs(75);
/// What a stick that answers needs for it, with what it has in hand.
pub const STICK_WITHIN: Duration = Duration::from_secs(10);
/// What one command takes at most on average while a whole table is read. A lock that sleeps a second at a time
/// answers within two if it is near, and a route or a second try costs as much again.
const READ_WITHIN: Duration = Duration::from_secs(4);

/// Makers of locks that keep something to themselves.
mod maker {
    /// Schlage: every code has as many digits as parameter 16 says.
    pub const SCHLAGE: u32 = 0x003b;
    /// Yale: slot 251 is the master code.
    pub const YALE: u32 = 0x0129;
}

/// Yale's master code.
const YALE_MASTER: Slot = Slot(251);

/// Which lock an operator means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By the number of its node.
    Node(u16),
    /// By its id.
    Device(DeviceId),
    /// By its name in the network.
    Name(String),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Node(node) => write!(f, "node {node}"),
            Which::Device(device) => write!(f, "{device}"),
            Which::Name(name) => write!(f, "\"{name}\""),
        }
    }
}

/// What an operator knows of a lock that it does not tell, or tells wrongly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which lock.
    pub which: Which,
    /// What it is to be called.
    pub name: Option<String>,
    /// Numbers of digits that it takes.
    pub lengths: Option<BTreeSet<u8>>,
    /// Digits that it takes.
    pub alphabet: Option<Alphabet>,
    /// Its highest slot.
    pub slots: Option<u16>,
    /// Slots that are left alone.
    pub reserved: BTreeSet<Slot>,
    /// What a read of it shows.
    pub read_back: Option<ReadBack>,
    /// It gets PINs although it was joined without encryption.
    pub allow_unsecured: bool,
}

/// How a lock keeps its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// User Code, written through the unified commands with this kind of credential where the server has
    /// them.
    UserCode(Option<u8>),
    /// User Credential, through the unified commands, with this kind of credential.
    UserCredential(u8),
}

/// Where on a node its parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The endpoint with the codes, and how they are kept.
    pub codes: Option<(u16, Scheme)>,
    /// The endpoint with the bolt, and its command class.
    pub bolt: Option<(u16, u8)>,
}

/// What the server says of a node's codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// How many slots, and lengths from and to; `None` where the interview has not found out.
    pub slots: Option<(u16, u8, u8)>,
    /// Digits that it takes, where it says so.
    pub alphabet: Option<Alphabet>,
    /// The kind of credential under which the unified commands know them.
    pub kind: Option<u8>,
    /// The server has no unified commands, and no others know these codes.
    pub old_server: bool,
}

/// The id of a lock: the same as long as the network and the number of its node are.
pub fn device_id(home: u32, node: u16) -> DeviceId {
    DeviceId(Uuid::new_v5(&NAMESPACE, format!("{home:08x}/{node}").as_bytes()))
}

/// Whether a node is a lock, as far as is known.
pub fn is_lock(node: &Node) -> bool {
    let generic = |endpoint: &wire::Endpoint| {
        let class = endpoint.device_class.as_ref();
        class.is_some_and(|class| class.generic.key == ENTRY_CONTROL)
    };
    has(node, class::DOOR_LOCK).or(has(node, class::LOCK)).is_some()
        || has(node, class::USER_CREDENTIAL)
            .or(has(node, class::USER_CODE))
            .is_some()
        || (!is_interviewed(node) && node.endpoints.iter().any(generic))
}

/// Whether the driver has found out all that it asks of a node.
pub fn is_interviewed(node: &Node) -> bool {
    node.interview_stage.as_deref() == Some("Complete") || node.ready
}

/// The endpoint on which a node has a command class.
pub fn has(node: &Node, class: u8) -> Option<u16> {
    let endpoint = |endpoint: &&wire::Endpoint| endpoint.command_classes.iter().any(|cc| cc.id == class);
    node.endpoints
        .iter()
        .find(endpoint)
        .map(|endpoint| endpoint.index)
}

/// A lock that is being interviewed anew: it is called what it was, and what it takes is not known for now.
pub fn interviewed_anew(before: &Node, now: &Node) -> Node {
    Node {
        status: now.status,
        ready: false,
        interview_stage: None,
        values: Seen::default(),
        ..before.clone()
    }
}

/// What the unified commands say of a node's codes. Each takes a user of its own.
pub fn codes_of(
    users: UserCapabilities,
    kinds: &wire::CredentialCapabilities,
    alphabet: Option<&str>,
) -> Codes {
    let of = |(kind, key): (u8, &str)| Some((kind, *kinds.supported_credential_types.get(key)?));
    let found = of(PINS).or_else(|| of(PASSWORDS));
    // A lock that was not interviewed to the end seems to have none.
    let found = found.filter(|(_, kind)| kind.number_of_credential_slots > 0);
    Codes {
        slots: found.map(|(_, kind)| {
            let (slots, from, to) = span(kind);
            let users = Some(users.max_users).filter(|users| *users > 0);
            (users.map_or(slots, |users| users.min(slots)), from, to)
        }),
        alphabet: alphabet.and_then(digits_in),
        kind: found.map(|(kind, _)| kind),
        old_server: false,
    }
}

/// What User Code says of itself, where there are no unified commands: its lengths are those of the command
/// class.
pub fn user_codes(users: Option<u16>, alphabet: Option<&str>) -> Codes {
    Codes {
        slots: users.filter(|users| *users > 0).map(|users| (users, 4, 10)),
        alphabet: alphabet.and_then(digits_in),
        ..Codes::default()
    }
}

fn span(kind: CredentialType) -> (u16, u8, u8) {
    (
        kind.number_of_credential_slots,
        kind.min_credential_length,
        kind.max_credential_length,
    )
}

fn digits_in(characters: &str) -> Option<Alphabet> {
    let digits: String = characters.chars().filter(char::is_ascii_digit).collect();
    Alphabet::parse(&digits)
}

/// Where on a node codes and bolt are.
pub fn parts(node: &Node, codes: &Codes) -> Parts {
    let kind = codes.kind.unwrap_or(PINS.0);
    let credential = has(node, class::USER_CREDENTIAL).map(|at| (at, Scheme::UserCredential(kind)));
    let code = has(node, class::USER_CODE).map(|at| (at, Scheme::UserCode(codes.kind)));
    let bolt = |class| has(node, class).map(|at| (at, class));
    Parts {
        codes: credential.or(code),
        bolt: bolt(class::DOOR_LOCK).or(bolt(class::LOCK)),
    }
}

/// What an operator says of a lock.
pub fn rules_for<'r>(rules: &'r [Rules], home: u32, node: &Node) -> Option<&'r Rules> {
    rules.iter().find(|rules| match &rules.which {
        Which::Node(id) => *id == node.node_id,
        Which::Device(id) => *id == device_id(home, node.node_id),
        Which::Name(name) => node.name.as_ref() == Some(name),
    })
}

/// What a lock is called.
pub fn name(node: &Node, rules: Option<&Rules>) -> String {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    if let Some(name) = rules.and_then(|rules| rules.name.clone()) {
        return name;
    }
    let name = said(&node.name).unwrap_or_else(|| {
        let model = said(&node.label).unwrap_or_else(|| "Lock".to_owned());
        format!("{model} (node {})", node.node_id)
    });
    match said(&node.location) {
        Some(location) => format!("{name}, {location}"),
        None => name,
    }
}

/// What a lock takes, holds and tells.
pub fn capabilities(node: &Node, codes: &Codes, rules: Option<&Rules>) -> Capabilities {
    let parts = parts(node, codes);
    let (known, from, to) = codes.slots.unwrap_or((0, 4, 10));
    let mut lock = Capabilities {
        lengths: (from.max(4)..=to).collect(),
        alphabet: codes.alphabet.unwrap_or(Alphabet::DIGITS),
        forbidden_prefixes: Vec::new(),
        forbidden_patterns: BTreeSet::new(),
        capacity: known.min(MOST_SLOTS),
        reserved: BTreeSet::new(),
        closed: None,
        name_limit: 0,
        read_back: match node.values.masked {
            true => ReadBack::Masked,
            false => ReadBack::Full,
        },
        // Its schedules have two-digit years and go by a clock of its own: the gateway sets and removes.
        window: NativeWindow::None,
        door: parts.bolt.is_some(),
        addressing: Addressing::Chosen,
        batch: false,
        patience: COMMAND_WITHIN + STICK_WITHIN,
    };
    by_its_maker(&mut lock, node);
    if let Some(rules) = rules {
        by_its_operator(&mut lock, known, rules);
    }
    let slots = lock.capacity;
    let left_alone = lock.reserved.range(Slot(1)..=Slot(slots)).count();
    lock.capacity -= u16::try_from(left_alone).unwrap_or(slots).min(slots);
    lock.patience += READ_WITHIN * commands_per_look(&parts) * u32::from(lock.capacity);
    lock.closed = match codes.old_server {
        true => Some(Closed::OldServer),
        false => closed(node, &parts, slots, rules),
    };
    if lock.closed.is_some() {
        lock.read_back = ReadBack::None;
    }
    lock
}

/// What is known of a maker's locks that they do not tell.
fn by_its_maker(lock: &mut Capabilities, node: &Node) {
    match node.manufacturer_id {
        Some(maker::SCHLAGE) => {
            let told = node.values.parameter_16.filter(|length| (4..=8).contains(length));
            if let Some(length) = told {
                lock.lengths = BTreeSet::from([length]);
            }
        }
        Some(maker::YALE) => drop(lock.reserved.insert(YALE_MASTER)),
        _ => {}
    }
}

/// What its operator knows better; `known` are the slots that it has, 0 where it does not say.
fn by_its_operator(lock: &mut Capabilities, known: u16, rules: &Rules) {
    if let Some(slots) = rules.slots {
        lock.capacity = if known > 0 { slots.min(known) } else { slots };
    }
    if let Some(lengths) = &rules.lengths {
        lock.lengths.clone_from(lengths);
    }
    lock.alphabet = rules.alphabet.unwrap_or(lock.alphabet);
    lock.read_back = rules.read_back.unwrap_or(lock.read_back);
    lock.reserved.extend(&rules.reserved);
}

/// Why a lock takes no codes at all, if that is so.
fn closed(node: &Node, parts: &Parts, slots: u16, rules: Option<&Rules>) -> Option<Closed> {
    if !is_interviewed(node) || (parts.codes.is_some() && slots == 0) {
        return Some(Closed::NotInterviewed);
    }
    if parts.codes.is_none() {
        return Some(Closed::NoCodes);
    }
    let secured = node
        .highest_security_class
        .is_some_and(|class| class != NO_SECURITY);
    let allowed = rules.is_some_and(|rules| rules.allow_unsecured);
    (!secured && !allowed).then_some(Closed::Unsecured)
}

/// Commands that one look into a slot takes.
fn commands_per_look(parts: &Parts) -> u32 {
    match parts.codes {
        // Its code, and whose it is.
        Some((_, Scheme::UserCredential(_))) => 2,
        Some((_, Scheme::UserCode(_))) | None => 1,
    }
}
