//! The Z-Wave network of the file, and what is known of its locks.

use std::time::Duration;

use uuid::Uuid;

use crate::lock::zwave::{Rules, Which};
use crate::model::{Alphabet, DeviceId, ReadBack, Slot};

use super::check::{MINUTE, Section, address, file, is_local};
use super::error::Source;
use super::raw;
use super::{ClientTls, ConfigError, Zwave};

/// A server on the same machine is asked often: to find it there costs nothing.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

pub(super) fn check(typed: raw::Zwave, source: &Source<'_>) -> Result<Zwave, ConfigError> {
    let section = Section::new(source, "[zwave]", 0);
    let url = section.needed("url", typed.url)?;
    let form = "is not of the form ws://host:port or wss://host:port";
    let found = address(&url, ["ws", "wss"]).ok_or_else(|| section.wrong("url", form))?;
    let (secret, host, port) = found;
    let tls = match (secret, typed.ca) {
        (true, Some(ca)) => Some(ClientTls {
            ca: file(&section, "ca", &ca),
            identity: None,
        }),
        (true, None) => {
            let problem = "is missing: the file of the authorities that may vouch for the server; for one with a \
                           public certificate, /etc/ssl/certs/ca-certificates.crt";
            return Err(section.wrong("ca", problem));
        }
        (false, None) => None,
        (false, Some(_)) => return Err(section.wrong("url", "must begin with wss:// for ca to count")),
    };
    if !is_local(&host) && tls.is_none() && typed.allow_plaintext != Some(true) {
        let problem = format!(
            "{host} is another machine, and PINs would go there in the clear; write wss://, or, if that network is \
             yours alone, set allow_plaintext = true"
        );
        return Err(section.wrong("url", problem));
    }
    let spans = Duration::from_secs(1)..=MINUTE * 60;
    let mut locks: Vec<Rules> = Vec::new();
    for (nth, typed) in typed.lock.into_iter().enumerate() {
        let section = Section::new(source, "[[zwave.lock]]", nth);
        let (key, rules) = lock(typed, &section)?;
        if locks.iter().any(|other| other.which == rules.which) {
            return Err(section.wrong(key, "names the same lock as a section before; write one for each"));
        }
        locks.push(rules);
    }
    Ok(Zwave {
        host,
        port,
        tls,
        backoff_max: section.span("backoff_max", typed.backoff_max, BACKOFF_MAX, &spans)?,
        locks,
    })
}

/// What is known of a lock, and the key that says of which.
fn lock(typed: raw::ZwaveLock, section: &Section<'_>) -> Result<(&'static str, Rules), ConfigError> {
    let (key, which) = match (typed.node, typed.device_id, typed.called) {
        (Some(node), None, None) => ("node", Which::Node(node)),
        (None, Some(id), None) => {
            let id = Uuid::parse_str(&id);
            let id = id.map_err(|_| section.wrong("device_id", "is not a UUID"))?;
            ("device_id", Which::Device(DeviceId(id)))
        }
        (None, None, Some(name)) => ("called", Which::Name(name)),
        _ => return Err(section.wrong("node", "say which lock by one of node, device_id and called")),
    };
    if let Some(name) = &typed.name
        && (name.trim().is_empty() || name.len() > 200)
    {
        return Err(section.wrong("name", "write 1 to 200 bytes"));
    }
    if let Some(lengths) = &typed.lengths
        && (lengths.is_empty() || !lengths.iter().all(|length| (4..=10).contains(length)))
    {
        let problem = "write numbers of digits, each 4 to 10, as in [4, 5, 6]";
        return Err(section.wrong("lengths", problem));
    }
    if typed.read_back == Some(ReadBack::None) {
        let problem =
            "write \"full\" or \"masked\": a Z-Wave lock says of each slot at least whether it is in use";
        return Err(section.wrong("read_back", problem));
    }
    let digits = |digits: String| {
        let problem = "write the digits of the keypad, as in \"123456789\"";
        Alphabet::parse(&digits).ok_or_else(|| section.wrong("alphabet", problem))
    };
    let slots = typed
        .slots
        .map(|slots| section.number("slots", Some(slots), slots, &(1..=10_000)));
    let rules = Rules {
        which,
        name: typed.name,
        lengths: typed.lengths.map(|lengths| lengths.into_iter().collect()),
        alphabet: typed.alphabet.map(digits).transpose()?,
        slots: slots.transpose()?,
        reserved: typed.reserved_slots.into_iter().flatten().map(Slot).collect(),
        read_back: typed.read_back,
        allow_unsecured: typed.allow_unsecured.unwrap_or(false),
    };
    Ok((key, rules))
}
