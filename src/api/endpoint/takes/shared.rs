//! Parameters that several calls share, and the kinds of others.

use crate::api::parameter::Effect::{Heeded, Ignored, MatchesNothing};
use crate::api::parameter::{Effect, Kind, MOST_ITEMS, Parameter};

pub(super) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        effect: Heeded,
        about,
    }
}

pub(super) const fn optional(
    name: &'static str,
    kind: Kind,
    effect: Effect,
    about: &'static str,
) -> Parameter {
    Parameter {
        name,
        kind,
        required: false,
        effect,
        about,
    }
}

/// A text of a person, such as a name; Seam states no bound, locks store far fewer characters.
pub(super) const NAME: Kind = Kind::Line { least: 0, most: 100 };
pub(super) const KEY: Kind = Kind::Line { least: 1, most: 255 };
pub(super) const SEARCH: Kind = Kind::Text { least: 1, most: 255 };
pub(super) const LIMIT: Kind = Kind::Whole { least: 1, most: MANY };
/// More than there can ever be.
pub(super) const MANY: u64 = 1_000_000_000;
/// The largest number that every reader of JSON takes for what it is; events after a restore are
/// numbered from the milliseconds since 1970.
pub(super) const LARGEST: u64 = (1 << 53) - 1;
pub(super) const PREFERRED_LENGTH: Kind = Kind::Whole { least: 4, most: 12 };
/// Seam's bounds for the lengths that somebody reports.
pub(super) const LENGTH: Kind = Kind::Whole { least: 4, most: 20 };
/// Ids of one list. Seam states no bound.
pub(super) const SOME_UUIDS: Kind = Kind::List {
    of: &Kind::Uuid,
    least: 1,
    most: MOST_ITEMS,
};
/// Ids that nothing here is called by.
pub(super) const FEW_UUIDS: Kind = Kind::List {
    of: &Kind::Uuid,
    least: 0,
    most: 50,
};
const ROUNDING: Kind = Kind::Word(&["1hour", "1day", "1h", "1d"]);
pub(super) const TYPES: Kind = Kind::Word(&["ongoing", "time_bound"]);
/// `behavior_when_code_cannot_be_shared`: refuse, or give PINs of their own.
pub const BEHAVIORS: [&str; 2] = ["throw", "create_random_code"];
/// Seam's capability flags that lists can be filtered by; a lock has some of them.
pub(super) const FLAGS: Kind = Kind::List {
    of: &Kind::Word(&[
        "can_configure_auto_lock",
        "can_hvac_cool",
        "can_hvac_heat",
        "can_hvac_heat_cool",
        "can_program_offline_access_codes",
        "can_program_online_access_codes",
        "can_program_thermostat_programs_as_different_each_day",
        "can_program_thermostat_programs_as_same_each_day",
        "can_program_thermostat_programs_as_weekday_weekend",
        "can_remotely_lock",
        "can_remotely_unlock",
        "can_run_thermostat_programs",
        "can_simulate_connection",
        "can_simulate_disconnection",
        "can_simulate_hub_connection",
        "can_simulate_hub_disconnection",
        "can_simulate_paid_subscription",
        "can_simulate_removal",
        "can_turn_off_hvac",
        "can_unlock_with_code",
    ]),
    least: 0,
    most: MOST_ITEMS,
};

pub(in crate::api::endpoint) const DEVICE_ID: Parameter = required("device_id", Kind::Uuid, "The device.");
pub(super) const CODE: Parameter = optional(
    "code",
    Kind::Pin,
    Heeded,
    "The PIN. Without it, a random one that suits is drawn.",
);
pub(super) const NEW_NAME: Parameter = optional("name", NAME, Heeded, "Name of the guest or the stay.");
pub(super) const STARTS_AT: Parameter = optional(
    "starts_at",
    Kind::Time,
    Heeded,
    "From when on the code opens. Goes together with `ends_at`; without both, the code is ongoing.",
);
pub(super) const ENDS_AT: Parameter = optional(
    "ends_at",
    Kind::Time,
    Heeded,
    "From when on the code opens no more; after `starts_at`, and in the future.",
);
pub(super) const LENGTH_WISH: Parameter = optional(
    "preferred_code_length",
    PREFERRED_LENGTH,
    Heeded,
    "Digits of the PIN to draw, where the device takes so many; without effect beside `code`.",
);
pub(super) const ATTEMPT: Parameter = optional(
    "attempt_for_offline_device",
    Kind::Flag,
    Heeded,
    "Accept the call although a device does not answer at present. Default: true.",
);
pub(super) const NATIVE: Parameter = optional(
    "prefer_native_scheduling",
    Kind::Flag,
    Heeded,
    "Let a lock that can enforce the times itself do so. Default: true.",
);
pub(super) const EXTERNAL: Parameter = optional(
    "is_external_modification_allowed",
    Kind::Flag,
    Ignored,
    "Without effect: what others change on a lock is set again.",
);
pub(super) const EXTERNAL_OLD: Parameter = optional(
    "allow_external_modification",
    Kind::Flag,
    Ignored,
    "Older word for `is_external_modification_allowed`.",
);
pub(super) const BACKUP: Parameter = optional(
    "use_backup_access_code_pool",
    Kind::Flag,
    Ignored,
    "Without effect: there are no backup codes.",
);
pub(super) const OFFLINE: Parameter = optional(
    "is_offline_access_code",
    Kind::Only(false),
    Heeded,
    "Must not be true: locks here make no codes by themselves.",
);
pub(super) const OFFLINE_OLD: Parameter = optional(
    "use_offline_access_code",
    Kind::Only(false),
    Heeded,
    "Older word for `is_offline_access_code`; must not be true.",
);
pub(super) const ONE_TIME: Parameter = optional(
    "is_one_time_use",
    Kind::Only(false),
    Heeded,
    "Must not be true: no lock here takes a code away after its first use.",
);
pub(super) const MAX_ROUNDING: Parameter = optional(
    "max_time_rounding",
    ROUNDING,
    Ignored,
    "Without effect: times are not rounded, but to what a lock's own clock can tell.",
);
pub(super) const SYNC: Parameter = optional(
    "sync",
    Kind::Flag,
    Ignored,
    "Without effect: every answer comes once what it tells is on record.",
);
pub(super) const LIMIT_OF_500: Parameter = optional(
    "limit",
    LIMIT,
    Heeded,
    "So many at most. Default, and most that is given: 500.",
);
pub(super) const CURSOR: Parameter = optional(
    "page_cursor",
    Kind::Uuid,
    Heeded,
    "Where to go on: `next_page_cursor` of the page before.",
);

pub(super) const fn unknowable(name: &'static str, kind: Kind) -> Parameter {
    optional(
        name,
        kind,
        MatchesNothing,
        "Nothing matches: this gateway does not know of it.",
    )
}
