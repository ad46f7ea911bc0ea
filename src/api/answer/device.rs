//! A device in Seam's shape, as far as codes go.

use serde_json::{Value, json};

use super::{Site, receipt::waiting_hint};
use crate::api::time;
use crate::gateway::view::DeviceView;
use crate::model::{Alphabet, Capabilities, NativeWindow, Pattern, ReadBack, Timestamp};

/// A device. What Seam has no word for stands in `properties.lockbridge`.
#[must_use]
pub fn device(site: &Site, view: &DeviceView) -> Value {
    json!({
        "device_id": view.device,
        "device_type": format!("{}_lock", view.driver),
        "display_name": view.name,
        "nickname": view.name,
        "workspace_id": site.workspace,
        "connected_account_id": site.account,
        "capabilities_supported": ["access_code", "lock"],
        // Devices come from the configuration, which knows no dates.
        "created_at": time::show(Timestamp(0)),
        "is_managed": true,
        "custom_metadata": {},
        "space_ids": [],
        "can_program_online_access_codes": !view.removed,
        "can_program_offline_access_codes": false,
        "can_remotely_lock": false,
        "can_remotely_unlock": false,
        "can_unlock_with_code": true,
        "can_simulate_connection": view.simulated,
        "can_simulate_disconnection": view.simulated,
        "can_simulate_removal": view.simulated,
        "errors": errors(view),
        "warnings": warnings(view),
        "properties": properties(view),
    })
}

fn properties(view: &DeviceView) -> Value {
    let capabilities = &view.capabilities;
    json!({
            "name": view.name,
            "appearance": {"name": view.name},
            "online": view.online && !view.removed,
            "online_access_codes_enabled": !view.removed,
            "supported_code_lengths": capabilities.lengths,
            "code_constraints": constraints(capabilities),
            "max_active_codes_supported": capabilities.capacity,
            "supports_backup_access_code_pool": false,
            "model": {
                "display_name": format!("{} lock", view.driver),
                "manufacturer_display_name": "unknown",
                "has_built_in_keypad": true,
                "offline_access_codes_supported": false,
                "online_access_codes_supported": true,
            },
            "lockbridge": ours(view),
    })
}

/// What the gateway knows of its lock beyond Seam's words.
fn ours(view: &DeviceView) -> Value {
    json!({
                "driver": view.driver,
                "simulated": view.simulated,
                "last_seen": view.last_seen.map(time::show),
                "pending": view.pending,
                "next_try": view.next_try.map(time::show),
                "waiting": view.reason.map(|reason| reason.word()),
                "hint": view.reason.map(waiting_hint),
                "codes_on_device": view.slots_used,
                "unmanaged_codes": view.unmanaged,
                "drift": view.drift,
                "read_back": read_back(view.capabilities.read_back),
                "native_window": native_window(view.capabilities.window),
    })
}

fn errors(view: &DeviceView) -> Value {
    let error = |code: &str, message: &str| {
        json!({
            "error_code": code,
            "message": message,
            "is_device_error": true,
            "created_at": time::show(view.last_seen.unwrap_or(Timestamp(0))),
        })
    };
    if view.removed {
        json!([error(
            "device_removed",
            "The device is no longer part of this gateway."
        )])
    } else if !view.online {
        json!([error("device_offline", "The lock does not answer.")])
    } else {
        json!([])
    }
}

fn warnings(view: &DeviceView) -> Value {
    let most = usize::from(view.capabilities.capacity);
    if view.slots_used < most {
        return json!([]);
    }
    json!([{
        "warning_code": "max_access_codes_reached",
        "message": "The lock holds as many codes as it can.",
        "active_access_code_count": view.slots_used,
        "max_active_access_code_count": most,
        "created_at": time::show(view.last_seen.unwrap_or(Timestamp(0))),
    }])
}

/// The lock's rules for PINs, as far as Seam has words for them.
fn constraints(capabilities: &Capabilities) -> Value {
    let mut words = Vec::new();
    if capabilities.alphabet == Alphabet::NO_ZERO {
        words.push("no_zeros");
    }
    if capabilities
        .forbidden_prefixes
        .iter()
        .any(|prefix| prefix == "12")
    {
        words.push("cannot_start_with_12");
    }
    words.extend(
        capabilities
            .forbidden_patterns
            .iter()
            .map(|pattern| match pattern {
                Pattern::AllSame => "no_all_same_digits",
                Pattern::Run => "no_ascending_or_descending_sequence",
                Pattern::Triple => "no_triple_consecutive_ints",
                Pattern::FewUnique => "at_least_three_unique_digits",
            }),
    );
    words
        .into_iter()
        .map(|word| json!({"constraint_type": word}))
        .collect()
}

fn read_back(read_back: ReadBack) -> &'static str {
    match read_back {
        ReadBack::Full => "full",
        ReadBack::Masked => "masked",
        ReadBack::None => "none",
    }
}

fn native_window(window: NativeWindow) -> &'static str {
    match window {
        NativeWindow::None => "none",
        NativeWindow::Minutes => "minutes",
        NativeWindow::Seconds => "seconds",
    }
}
