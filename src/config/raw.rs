//! The file as typed. Every key of it stands here, and none but these; what it means is
//! [`super::check`]'s business.

use serde::Deserialize;

use crate::model::{NativeWindow, ReadBack};

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name { $(pub(super) $key: $type,)* }
    };
}

section! {
    /// The whole file.
    Raw {
        gateway: Gateway,
        http: Http,
        mqtt: Option<Mqtt>,
        zwave: Option<Zwave>,
        ble: Option<Ble>,
        schedule: Schedule,
        clock: Clock,
        locks: Locks,
        store: Store,
        export: Export,
        log: Log,
        limits: Limits,
        sim: Sim,
        device: Vec<Device>,
    }
}

/// Of the whole file what says where the gateway is; the rest goes unread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Whereabouts {
    pub(super) gateway: Gateway,
}

section! { Gateway { site: Option<String>, id: Option<String>, data_dir: Option<String>, } }
section! {
    Http {
        listen: Option<String>,
        timeout: Option<String>,
        allow_plaintext: Option<bool>,
        tls_cert: Option<String>,
        tls_key: Option<String>,
    }
}
section! {
    Mqtt {
        url: Option<String>,
        allow_plaintext: Option<bool>,
        username: Option<String>,
        username_file: Option<String>,
        password_file: Option<String>,
        ca: Option<String>,
        cert: Option<String>,
        key: Option<String>,
        reply_prefix: Option<String>,
        names: Option<Names>,
        discovery: Option<Discovery>,
        discovery_prefix: Option<String>,
        keep_alive: Option<String>,
        backoff_max: Option<String>,
    }
}
section! {
    Zwave {
        url: Option<String>,
        allow_plaintext: Option<bool>,
        ca: Option<String>,
        backoff_max: Option<String>,
        lock: Vec<ZwaveLock>,
    }
}
section! {
    /// What a lock of the network does not tell. One of the first three says which lock.
    ZwaveLock {
        node: Option<u16>,
        device_id: Option<String>,
        called: Option<String>,
        name: Option<String>,
        lengths: Option<Vec<u8>>,
        alphabet: Option<String>,
        slots: Option<u16>,
        reserved_slots: Option<Vec<u16>>,
        read_back: Option<ReadBack>,
        allow_unsecured: Option<bool>,
    }
}
section! { Ble { adapter: Option<String>, links: Option<usize>, } }
section! {
    Schedule {
        lead: Option<String>,
        preload: Option<String>,
        second_look: Option<String>,
        keep_ended: Option<String>,
        check_every: Option<String>,
    }
}
section! { Clock { source: Option<Source>, untrusted: Option<Untrusted>, } }
section! { Locks { remote_unlock: Option<bool>, } }
section! { Store { key_file: Option<String>, reserve_mb: Option<u64>, } }
section! { Export { dir: Option<String>, } }
section! { Log { level: Option<Level>, } }
section! {
    Limits {
        codes: Option<usize>,
        jobs: Option<usize>,
        members: Option<usize>,
        events: Option<usize>,
        replies: Option<usize>,
        refusals: Option<usize>,
        streams: Option<usize>,
        creations_per_minute: Option<u32>,
        updates_per_minute: Option<u32>,
        deletions_per_minute: Option<u32>,
        door_commands_per_minute: Option<u32>,
    }
}
section! { Sim { links: Option<usize>, } }
section! {
    /// One lock. From `profile` on the keys are those of simulated locks.
    Device {
        device_id: Option<String>,
        name: Option<String>,
        driver: Option<String>,
        profile: Option<String>,
        radio: Option<String>,
        lengths: Option<Vec<u8>>,
        alphabet: Option<String>,
        forbidden_prefixes: Option<Vec<String>>,
        capacity: Option<u16>,
        name_limit: Option<u16>,
        read_back: Option<ReadBack>,
        window: Option<NativeWindow>,
        batch: Option<bool>,
        latency: Option<String>,
        patience: Option<String>,
        silence_after: Option<String>,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Names {
    Hide,
    Show,
}

/// What Home Assistant is told of devices.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Discovery {
    Off,
    Device,
    Component,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    Kernel,
    System,
    None,
}

/// How much the log says.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Untrusted {
    Hold,
    Proceed,
}
