//! A device in Seam's shape, as far as codes go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::Site;
use super::receipt::waiting_hint;
use super::trouble::{Error, Warning};
use super::word::{Always, Moment};
use crate::gateway::view::DeviceView;
use crate::model::{Alphabet, Capabilities, NativeWindow, Note, Pattern, ReadBack};

/// What locks are made by, as far as this gateway knows.
pub const MANUFACTURER: &str = "unknown";

/// A lock of this gateway.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "device")]
pub struct Device {
    /// Its id.
    device_id: Uuid,
    /// What speaks to it, and that it is a lock.
    device_type: String,
    /// The name that its owner gave it, else the configuration's.
    display_name: String,
    /// The name that its owner gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
    /// The site.
    workspace_id: Uuid,
    /// The gateway.
    connected_account_id: Uuid,
    /// What kind of thing it is.
    capabilities_supported: [Capability; 2],
    /// When it was first part of this gateway.
    created_at: Moment,
    /// A device of this gateway.
    is_managed: Always<true>,
    /// Notes of its owner.
    #[schemars(with = "BTreeMap<String, NoteShape>")]
    custom_metadata: BTreeMap<String, Note>,
    /// There are no spaces.
    #[schemars(with = "[Uuid; 0]")]
    space_ids: [(); 0],
    /// It takes codes.
    can_program_online_access_codes: bool,
    /// No lock here makes codes by itself.
    can_program_offline_access_codes: Always<false>,
    /// Its bolt can be moved out by radio.
    can_remotely_lock: bool,
    /// Its bolt can be moved in by radio, and the operator allows it.
    can_remotely_unlock: bool,
    /// It has a keypad.
    can_unlock_with_code: Always<true>,
    /// It is simulated, and can be brought within reach.
    can_simulate_connection: bool,
    /// It is simulated, and can be taken out of reach.
    can_simulate_disconnection: bool,
    /// It is simulated, and can be taken away.
    can_simulate_removal: bool,
    /// What is wrong with it.
    errors: Vec<Error>,
    /// What is not as it should be.
    warnings: Vec<Warning>,
    /// How it is.
    properties: Properties,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Capability {
    AccessCode,
    Lock,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "says how a note looks")]
enum NoteShape {
    Flag(bool),
    Text(String),
}

/// How a device is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "device_properties")]
struct Properties {
    /// The same as `display_name`.
    name: String,
    /// How it looks elsewhere.
    appearance: DeviceAppearance,
    /// It answers.
    online: bool,
    /// Its bolt is out; left out while nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    locked: Option<bool>,
    /// How full its battery is; left out while nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    battery: Option<Battery>,
    /// It takes codes.
    online_access_codes_enabled: bool,
    /// Numbers of digits that it takes.
    supported_code_lengths: Vec<u8>,
    /// Its rules for PINs, as far as Seam has words for them.
    code_constraints: Vec<Constraint>,
    /// Codes that it can hold.
    max_active_codes_supported: u16,
    /// There are no backup codes.
    supports_backup_access_code_pool: Always<false>,
    /// What made it.
    manufacturer: &'static str,
    /// What it is.
    model: Model,
    /// What Seam has no word for.
    lockbridge: Ours,
}

/// A battery.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "battery")]
struct Battery {
    /// How full it is, from 0 to 1.
    level: f32,
    /// The same in a word.
    status: BatteryStatus,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum BatteryStatus {
    Critical,
    Low,
    Good,
    Full,
}

/// How a device looks elsewhere.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "device_appearance")]
struct DeviceAppearance {
    /// Its name in the configuration.
    name: String,
}

/// What a device is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "device_model")]
struct Model {
    /// Its name.
    display_name: String,
    /// What made it.
    manufacturer_display_name: &'static str,
    /// It has a keypad.
    has_built_in_keypad: Always<true>,
    /// No lock here makes codes by itself.
    offline_access_codes_supported: Always<false>,
    /// It takes codes.
    online_access_codes_supported: Always<true>,
}

/// A rule for PINs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "code_constraint")]
struct Constraint {
    /// Which.
    constraint_type: ConstraintType,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ConstraintType {
    #[serde(rename = "cannot_start_with_12")]
    CannotStartWith12,
    AtLeastThreeUniqueDigits,
    NoAllSameDigits,
    NoAscendingOrDescendingSequence,
    NoTripleConsecutiveInts,
    NoZeros,
}

/// What the gateway knows of its lock beyond Seam's words.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "device_lockbridge")]
struct Ours {
    /// What speaks to it.
    driver: String,
    /// It is simulated.
    simulated: bool,
    /// When it last answered.
    last_seen: Option<Moment>,
    /// Since when it does not answer.
    offline_since: Option<Moment>,
    /// Commands that wait for it.
    pending: usize,
    /// When the next of them is tried.
    next_try: Option<Moment>,
    /// Why it waits.
    waiting: Option<&'static str>,
    /// What to do about it.
    hint: Option<&'static str>,
    /// Codes that it holds or may hold.
    codes_on_device: usize,
    /// Those among them that this gateway did not set.
    unmanaged_codes: usize,
    /// Those among the unmanaged that may be from before a restore.
    suspect_codes: usize,
    /// A code that was proven is found changed or gone.
    drift: bool,
    /// What a read of it shows.
    read_back: ReadBackWord,
    /// How finely it enforces times itself.
    native_window: NativeWindowWord,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ReadBackWord {
    Full,
    Masked,
    None,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum NativeWindowWord {
    None,
    Minutes,
    Seconds,
}

/// A device.
#[must_use]
pub fn device(site: &Site, view: &DeviceView) -> Device {
    let can = |flag| can(view, flag);
    Device {
        device_id: view.device.0,
        device_type: device_type(view),
        display_name: display_name(view).to_owned(),
        nickname: view.nickname.clone(),
        workspace_id: site.workspace,
        connected_account_id: site.account,
        capabilities_supported: [Capability::AccessCode, Capability::Lock],
        created_at: Moment(view.created_at),
        is_managed: Always,
        custom_metadata: view.metadata.clone(),
        space_ids: [],
        can_program_online_access_codes: can("can_program_online_access_codes"),
        can_program_offline_access_codes: Always,
        can_remotely_lock: can("can_remotely_lock"),
        can_remotely_unlock: can("can_remotely_unlock"),
        can_unlock_with_code: Always,
        can_simulate_connection: can("can_simulate_connection"),
        can_simulate_disconnection: can("can_simulate_disconnection"),
        can_simulate_removal: can("can_simulate_removal"),
        errors: errors(view),
        warnings: warnings(view),
        properties: properties(view),
    }
}

/// What a device can do, by Seam's word for it.
#[must_use]
pub fn can(view: &DeviceView, flag: &str) -> bool {
    match flag {
        "can_unlock_with_code" => true,
        "can_program_online_access_codes" => view.takes_codes(),
        "can_remotely_lock" => view.capabilities.door && !view.removed,
        "can_remotely_unlock" => view.capabilities.door && view.remote_unlock && !view.removed,
        "can_simulate_connection" | "can_simulate_disconnection" | "can_simulate_removal" => view.simulated,
        _ => false,
    }
}

/// What speaks to a device, and that it is a lock.
#[must_use]
pub fn device_type(view: &DeviceView) -> String {
    format!("{}_lock", view.driver)
}

/// The name of a device: its owner's, else the configuration's.
#[must_use]
pub fn display_name(view: &DeviceView) -> &str {
    view.nickname.as_deref().unwrap_or(&view.name)
}

fn properties(view: &DeviceView) -> Properties {
    let capabilities = &view.capabilities;
    Properties {
        name: display_name(view).to_owned(),
        appearance: DeviceAppearance {
            name: view.name.clone(),
        },
        online: view.online && !view.removed,
        locked: view.locked,
        battery: view.battery.map(battery),
        online_access_codes_enabled: view.takes_codes(),
        supported_code_lengths: capabilities.lengths.iter().copied().collect(),
        code_constraints: constraints(capabilities),
        max_active_codes_supported: capabilities.capacity,
        supports_backup_access_code_pool: Always,
        manufacturer: MANUFACTURER,
        model: Model {
            display_name: format!("{} lock", view.driver),
            manufacturer_display_name: MANUFACTURER,
            has_built_in_keypad: Always,
            offline_access_codes_supported: Always,
            online_access_codes_supported: Always,
        },
        lockbridge: ours(view),
    }
}

fn ours(view: &DeviceView) -> Ours {
    Ours {
        driver: view.driver.clone(),
        simulated: view.simulated,
        last_seen: view.last_seen.map(Moment),
        offline_since: view.offline_since.map(Moment),
        pending: view.pending,
        next_try: view.next_try.map(Moment),
        waiting: view.reason.map(|reason| reason.word()),
        hint: view.reason.map(waiting_hint),
        codes_on_device: view.slots_used,
        unmanaged_codes: view.unmanaged,
        suspect_codes: view.suspects,
        drift: view.drift,
        read_back: match view.capabilities.read_back {
            ReadBack::Full => ReadBackWord::Full,
            ReadBack::Masked => ReadBackWord::Masked,
            ReadBack::None => ReadBackWord::None,
        },
        native_window: match view.capabilities.window {
            NativeWindow::None => NativeWindowWord::None,
            NativeWindow::Minutes => NativeWindowWord::Minutes,
            NativeWindow::Seconds => NativeWindowWord::Seconds,
        },
    }
}

fn battery(percent: u8) -> Battery {
    Battery {
        level: f32::from(percent.min(100)) / 100.0,
        status: match percent {
            0..=9 => BatteryStatus::Critical,
            10..=19 => BatteryStatus::Low,
            20..=84 => BatteryStatus::Good,
            85.. => BatteryStatus::Full,
        },
    }
}

fn errors(view: &DeviceView) -> Vec<Error> {
    let since = view.offline_since.or(view.last_seen).unwrap_or(view.created_at);
    if view.removed {
        vec![Error::device_removed(since)]
    } else if let Some(away) = view.radio_away {
        vec![Error::radio_away(away)]
    } else if !view.online {
        vec![Error::device_offline(since)]
    } else {
        Vec::new()
    }
}

fn warnings(view: &DeviceView) -> Vec<Warning> {
    let most = usize::from(view.capabilities.capacity);
    let since = view.last_seen.unwrap_or(view.created_at);
    let full = view.takes_codes() && view.slots_used >= most;
    let full = full.then(|| Warning::full(view.slots_used, most, since));
    let suspects = (view.suspects > 0).then(|| Warning::suspects(since));
    full.into_iter().chain(suspects).collect()
}

fn constraints(capabilities: &Capabilities) -> Vec<Constraint> {
    let no_zeros = capabilities.alphabet == Alphabet::NO_ZERO;
    let not_12 = capabilities
        .forbidden_prefixes
        .iter()
        .any(|prefix| prefix == "12");
    let patterns = capabilities
        .forbidden_patterns
        .iter()
        .map(|pattern| match pattern {
            Pattern::AllSame => ConstraintType::NoAllSameDigits,
            Pattern::Run => ConstraintType::NoAscendingOrDescendingSequence,
            Pattern::Triple => ConstraintType::NoTripleConsecutiveInts,
            Pattern::FewUnique => ConstraintType::AtLeastThreeUniqueDigits,
        });
    no_zeros
        .then_some(ConstraintType::NoZeros)
        .into_iter()
        .chain(not_12.then_some(ConstraintType::CannotStartWith12))
        .chain(patterns)
        .map(|constraint_type| Constraint { constraint_type })
        .collect()
}
