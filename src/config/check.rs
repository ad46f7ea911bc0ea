//! From what was typed to what is meant.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use crate::model::{Limits, Settings, Untrusted, Voucher};

use super::error::Source;
use super::raw::{self, Raw};
use super::{
    Ble, CREDENTIALS, ClientTls, Config, ConfigError, Device, Discovery, Http, Identity, Mqtt, NamedFile,
    Place, Secret, device, is_withheld, span, zwave,
};

/// Where a Linux system keeps the state of its services.
const DATA_DIR: &str = "/var/lib/lockbridge";
/// On this machine only: PINs go over it in the clear.
const LISTEN: &str = "127.0.0.1:8480";
/// Long enough for a caller that makes one call after another, short enough for those who wait.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
/// Two signs of life are so far apart: a dead link is noticed within twice that.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Often enough for whoever repaired a broker and waits to see it work.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Room for the store to tidy itself up, and for the system to log why it is in trouble.
const RESERVE_MB: u64 = 64;
/// Few, as a Bluetooth adapter does.
const SIM_LINKS: usize = 3;
/// The first adapter of a machine.
const ADAPTER: &str = "hci0";
/// What adapters bear that are built into small machines.
const BLE_LINKS: usize = 3;
/// One million of anything is beyond the memory of the machine that this is for.
const COUNTS: RangeInclusive<usize> = 1..=1_000_000;
/// Each takes a connection for good: half of those of a door stay for calls.
const STREAMS: RangeInclusive<usize> = 1..=128;
const PACES: RangeInclusive<u32> = 1..=60_000;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

type Checked<T> = Result<T, ConfigError>;

pub(super) fn check(raw: Raw, source: &Source<'_>) -> Checked<Config> {
    let top = |name| Section::new(source, name, 0);
    let gateway = top("[gateway]");
    let site = level(&gateway, "site", raw.gateway.site)?;
    let has_network = raw.zwave.is_some() || raw.ble.is_some();
    let mut devices = Vec::new();
    let mut ids = BTreeSet::new();
    for (nth, typed) in raw.device.into_iter().enumerate() {
        let section = Section::new(source, "[[device]]", nth);
        let device = device::check(typed, &section)?;
        if !ids.insert(device.id) {
            return Err(section.wrong(
                "device_id",
                format!("{} is another device's too; give each its own", device.id),
            ));
        }
        devices.push(device);
    }
    Ok(Config {
        gateway: level(&gateway, "id", raw.gateway.id)?,
        data_dir: data_dir(raw.gateway.data_dir),
        http: http(&top("[http]"), raw.http)?,
        mqtt: raw
            .mqtt
            .map(|typed| mqtt(&top("[mqtt]"), typed, &site))
            .transpose()?,
        zwave: raw.zwave.map(|typed| zwave::check(typed, source)).transpose()?,
        ble: raw.ble.map(|typed| ble(&top("[ble]"), typed)).transpose()?,
        settings: Settings {
            remote_unlock: raw.locks.remote_unlock.unwrap_or(false),
            untrusted: match raw.clock.untrusted {
                None | Some(raw::Untrusted::Hold) => Untrusted::Hold,
                Some(raw::Untrusted::Proceed) => Untrusted::Proceed,
            },
            ..settings(&top("[schedule]"), raw.schedule, &top("[limits]"), &raw.limits)?
        },
        clock: match raw.clock.source {
            Some(raw::Source::Kernel) => Voucher::Kernel,
            Some(raw::Source::System) => Voucher::System,
            Some(raw::Source::None) => Voucher::None,
            None if !has_network && devices.iter().all(Device::is_simulated) => Voucher::System,
            None => Voucher::Kernel,
        },
        key_file: raw
            .store
            .key_file
            .map(|typed| file(&top("[store]"), "key_file", &typed)),
        reserve: top("[store]").number("reserve_mb", raw.store.reserve_mb, RESERVE_MB, &(1..=1_000_000))?
            << 20,
        export_dir: raw.export.dir.map(PathBuf::from),
        log: match raw.log.level {
            Some(raw::Level::Error) => Level::ERROR,
            Some(raw::Level::Warn) => Level::WARN,
            Some(raw::Level::Info) | None => Level::INFO,
            Some(raw::Level::Debug) => Level::DEBUG,
        },
        sim_links: top("[sim]").number("links", raw.sim.links, SIM_LINKS, &(1..=64))?,
        site,
        devices,
        files: Vec::new(),
    })
}

/// Where everything is kept.
pub(super) fn data_dir(typed: Option<String>) -> PathBuf {
    PathBuf::from(typed.as_deref().unwrap_or(DATA_DIR))
}

/// A section of the file, to complain about.
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    name: &'static str,
    nth: usize,
}

impl<'a> Section<'a> {
    /// The `nth` section of a name.
    pub(super) fn new(source: &'a Source<'a>, name: &'static str, nth: usize) -> Section<'a> {
        Section { source, name, nth }
    }
}

impl Section<'_> {
    pub(super) fn wrong(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            place: self.place(key),
            key: key.to_owned(),
            problem: problem.into(),
        }
    }

    fn place(&self, key: &str) -> Place {
        self.source.find(self.name, self.nth, key)
    }

    pub(super) fn needed<T>(&self, key: &str, typed: Option<T>) -> Checked<T> {
        typed.ok_or_else(|| self.wrong(key, "is missing, and has no default"))
    }

    pub(super) fn number<T>(
        &self,
        key: &str,
        typed: Option<T>,
        default: T,
        range: &RangeInclusive<T>,
    ) -> Checked<T>
    where
        T: PartialOrd + std::fmt::Display,
    {
        match typed {
            Some(number) if !range.contains(&number) => {
                let (from, to) = (range.start(), range.end());
                Err(self.wrong(key, format!("{number} is not within {from} to {to}")))
            }
            typed => Ok(typed.unwrap_or(default)),
        }
    }

    pub(super) fn span(
        &self,
        key: &str,
        typed: Option<String>,
        default: Duration,
        range: &RangeInclusive<Duration>,
    ) -> Checked<Duration> {
        let Some(typed) = typed else {
            return Ok(default);
        };
        let span = span::parse(&typed).map_err(|problem| self.wrong(key, problem))?;
        if !range.contains(&span) {
            let (from, to) = (span::print(*range.start()), span::print(*range.end()));
            return Err(self.wrong(key, format!("{typed} is not within {from} to {to}")));
        }
        Ok(span)
    }
}

/// A name that can be a level of a topic, and of a path.
fn level(section: &Section<'_>, key: &str, typed: Option<String>) -> Checked<String> {
    let name = section.needed(key, typed)?;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
        let problem =
            format!("\"{name}\" does not go into a topic; write 1 to 64 of a to z, 0 to 9, - and _");
        return Err(section.wrong(key, problem));
    }
    Ok(name)
}

fn http(section: &Section<'_>, http: raw::Http) -> Checked<Http> {
    let timeout = section.span(
        "timeout",
        http.timeout,
        HTTP_TIMEOUT,
        &(Duration::from_secs(1)..=MINUTE * 10),
    )?;
    let identity = identity(section, ["tls_cert", "tls_key"], [http.tls_cert, http.tls_key])?;
    let typed = http.listen.as_deref().unwrap_or(LISTEN);
    let address: SocketAddr = typed.parse().map_err(|_| {
        section.wrong(
            "listen",
            format!("\"{typed}\" is not an address and a port, as in \"{LISTEN}\""),
        )
    })?;
    if !address.ip().is_loopback() && identity.is_none() && http.allow_plaintext != Some(true) {
        let problem = format!(
            "{address} can be reached from other machines, which needs tls_cert and tls_key; without them keys \
             and PINs would go there in the clear: if that network is yours alone, set allow_plaintext = true"
        );
        return Err(section.wrong("listen", problem));
    }
    Ok(Http {
        listen: address,
        timeout,
        identity,
    })
}

/// A certificate and its key, which are given together.
fn identity(section: &Section<'_>, keys: [&str; 2], files: [Option<String>; 2]) -> Checked<Option<Identity>> {
    let [cert, key] = files;
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(Identity {
            cert: file(section, keys[0], &cert),
            key: file(section, keys[1], &key),
        })),
        (Some(_), None) => Err(section.wrong(keys[0], format!("needs {} too", keys[1]))),
        (None, Some(_)) => Err(section.wrong(keys[1], format!("needs {} too", keys[0]))),
    }
}

/// The path of a file that somebody else wrote.
pub(super) fn file(section: &Section<'_>, key: &str, typed: &str) -> PathBuf {
    let typed = PathBuf::from(typed);
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let path = match (typed.strip_prefix(CREDENTIALS), folder) {
        (Ok(name), Some(folder)) => folder.join(name),
        _ => typed,
    };
    section.source.note(NamedFile {
        place: section.place(key),
        key: key.to_owned(),
        path: path.clone(),
    });
    path
}

fn mqtt(section: &Section<'_>, typed: raw::Mqtt, site: &str) -> Checked<Mqtt> {
    let url = section.needed("url", typed.url)?;
    // Not quoted: somebody may have put a password into it.
    let form =
        "is not of the form mqtt://host:port or mqtts://host:port; user and password have keys of their own";
    let schemes = ["mqtt", "mqtts"];
    let (secret, host, port) = address(&url, schemes).ok_or_else(|| section.wrong("url", form))?;
    let identity = identity(section, ["cert", "key"], [typed.cert, typed.key])?;
    let tls = match (secret, typed.ca) {
        (true, Some(ca)) => Some(ClientTls {
            ca: file(section, "ca", &ca),
            identity,
        }),
        (true, None) => {
            let problem = "is missing: the file of the authorities that may vouch for the broker; for a broker with \
                           a public certificate, /etc/ssl/certs/ca-certificates.crt";
            return Err(section.wrong("ca", problem));
        }
        (false, None) if identity.is_none() => None,
        (false, _) => {
            return Err(section.wrong("url", "must begin with mqtts:// for ca, cert and key to count"));
        }
    };
    if !is_local(&host) && tls.is_none() && typed.allow_plaintext != Some(true) {
        let problem = format!(
            "{host} is another machine, and PINs would go there in the clear; write mqtts://, or, if that network is yours alone, set allow_plaintext = true"
        );
        return Err(section.wrong("url", problem));
    }
    let first_line = |key, typed: Option<String>| {
        typed
            .map(|typed| first_line(section, key, &file(section, key, &typed)))
            .transpose()
    };
    let username = match (typed.username, first_line("username_file", typed.username_file)?) {
        (Some(_), Some(_)) => return Err(section.wrong("username_file", "says what username says already")),
        (username, from_file) => username.or_else(|| from_file.map(|name| name.expose().to_owned())),
    };
    let password = first_line("password_file", typed.password_file)?;
    if password.is_some() && username.is_none() {
        return Err(section.wrong("password_file", "needs a username too"));
    }
    let reply_prefix = typed
        .reply_prefix
        .unwrap_or_else(|| format!("lockbridge/{site}/reply/"));
    let levels = reply_prefix.split('/').count();
    if !reply_prefix.ends_with('/')
        || reply_prefix.starts_with(['/', '$'])
        || reply_prefix.contains(['+', '#', '\0'])
        || levels > 6
    {
        let problem = format!(
            "\"{reply_prefix}\" is not a prefix of topics; end it with /, begin it with neither / nor $, and use no + or # and at most five levels"
        );
        return Err(section.wrong("reply_prefix", problem));
    }
    let discovery_prefix = typed
        .discovery_prefix
        .unwrap_or_else(|| "homeassistant".to_owned());
    if discovery_prefix.is_empty()
        || discovery_prefix.starts_with(['/', '$'])
        || discovery_prefix.ends_with('/')
        || discovery_prefix.contains(['+', '#', '\0'])
        || discovery_prefix.split('/').count() > 2
    {
        let problem = format!("\"{discovery_prefix}\" is not one or two levels of a topic");
        return Err(section.wrong("discovery_prefix", problem));
    }
    Ok(Mqtt {
        host,
        port,
        tls,
        // The client takes no less than five seconds, and MQTT has sixteen bits for it.
        keep_alive: section.span(
            "keep_alive",
            typed.keep_alive,
            KEEP_ALIVE,
            &(Duration::from_secs(5)..=MINUTE * 60),
        )?,
        backoff_max: section.span(
            "backoff_max",
            typed.backoff_max,
            BACKOFF_MAX,
            &(Duration::from_secs(1)..=MINUTE * 60),
        )?,
        username,
        password,
        reply_prefix,
        discovery: match typed.discovery {
            None | Some(raw::Discovery::Off) => Discovery::Off,
            Some(raw::Discovery::Device) => Discovery::Device,
            Some(raw::Discovery::Component) => Discovery::Component,
        },
        discovery_prefix,
        show_names: typed.names == Some(raw::Names::Show),
    })
}

fn ble(section: &Section<'_>, typed: raw::Ble) -> Checked<Ble> {
    let adapter = typed.adapter.unwrap_or_else(|| ADAPTER.to_owned());
    if adapter.is_empty() || !adapter.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(section.wrong(
            "adapter",
            "is no name of an adapter, such as hci0 (bluetoothctl list)",
        ));
    }
    Ok(Ble {
        adapter,
        links: section.number("links", typed.links, BLE_LINKS, &(1..=16))?,
    })
}

/// Whether a name or address is this machine's own.
pub(super) fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether it is the second, secret, of two schemes, with host and port; an IPv6 address stands in brackets.
pub(super) fn address(url: &str, schemes: [&str; 2]) -> Option<(bool, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let secret = schemes.iter().position(|known| *known == scheme)? == 1;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_');
    match bare {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().ok()?,
        None if host.is_empty() || host.contains(odd) => return None,
        None => return Some((secret, host.to_owned(), port)),
    };
    Some((secret, bare?.to_owned(), port))
}

/// The first line of a file; the name of a file that only the service can read.
fn first_line(section: &Section<'_>, key: &str, file: &Path) -> Checked<Secret> {
    if is_withheld(file) {
        return Ok(Secret::new(file.display().to_string()));
    }
    let text = std::fs::read_to_string(file).map(Secret::new);
    let text = text.map_err(|error| section.wrong(key, format!("{}: {error}", file.display())))?;
    match text.expose().lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
        _ => Err(section.wrong(key, format!("{} is empty", file.display()))),
    }
}

fn settings(
    schedule: &Section<'_>,
    times: raw::Schedule,
    limits: &Section<'_>,
    counts: &raw::Limits,
) -> Checked<Settings> {
    let known = Settings::default();
    let count = |key, typed, default| limits.number(key, typed, default, &COUNTS);
    let pace = |key, typed, default| limits.number(key, typed, default, &PACES);
    Ok(Settings {
        remote_unlock: known.remote_unlock,
        untrusted: known.untrusted,
        lead: schedule.span("lead", times.lead, known.lead, &(Duration::ZERO..=DAY))?,
        preload: schedule.span("preload", times.preload, known.preload, &(MINUTE..=DAY * 365))?,
        second_look: schedule.span(
            "second_look",
            times.second_look,
            known.second_look,
            &(MINUTE..=MINUTE * 2),
        )?,
        keep_ended: schedule.span(
            "keep_ended",
            times.keep_ended,
            known.keep_ended,
            &(DAY..=DAY * 3650),
        )?,
        check_every: schedule.span(
            "check_every",
            times.check_every,
            known.check_every,
            &(MINUTE * 10..=DAY * 7),
        )?,
        limits: Limits {
            codes: count("codes", counts.codes, known.limits.codes)?,
            jobs: count("jobs", counts.jobs, known.limits.jobs)?,
            members: count("members", counts.members, known.limits.members)?,
            events: count("events", counts.events, known.limits.events)?,
            replies: count("replies", counts.replies, known.limits.replies)?,
            refusals: count("refusals", counts.refusals, known.limits.refusals)?,
            streams: limits.number("streams", counts.streams, known.limits.streams, &STREAMS)?,
            creations_per_minute: pace(
                "creations_per_minute",
                counts.creations_per_minute,
                known.limits.creations_per_minute,
            )?,
            updates_per_minute: pace(
                "updates_per_minute",
                counts.updates_per_minute,
                known.limits.updates_per_minute,
            )?,
            deletions_per_minute: pace(
                "deletions_per_minute",
                counts.deletions_per_minute,
                known.limits.deletions_per_minute,
            )?,
            door_commands_per_minute: pace(
                "door_commands_per_minute",
                counts.door_commands_per_minute,
                known.limits.door_commands_per_minute,
            )?,
        },
    })
}
