//! What each endpoint takes: its parameters, one list a call, and those that several calls share.

use crate::api::parameter::Effect::{Heeded, Ignored, MatchesNothing};
use crate::api::parameter::{Effect, Kind, MOST_ITEMS, Parameter};

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        effect: Heeded,
        about,
    }
}

const fn optional(name: &'static str, kind: Kind, effect: Effect, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: false,
        effect,
        about,
    }
}

/// A text of a person, such as a name; Seam states no bound, locks store far fewer characters.
const NAME: Kind = Kind::Line { least: 0, most: 100 };
const KEY: Kind = Kind::Line { least: 1, most: 255 };
const SEARCH: Kind = Kind::Text { least: 1, most: 255 };
const LIMIT: Kind = Kind::Whole { least: 1, most: MANY };
/// More than there can ever be.
const MANY: u64 = 1_000_000_000;
/// The largest number that every reader of JSON takes for what it is; events after a restore are
/// numbered from the milliseconds since 1970.
const LARGEST: u64 = (1 << 53) - 1;
const PREFERRED_LENGTH: Kind = Kind::Whole { least: 4, most: 12 };
/// Seam's bounds for the lengths that somebody reports.
const LENGTH: Kind = Kind::Whole { least: 4, most: 20 };
/// Ids of one list. Seam states no bound.
const SOME_UUIDS: Kind = Kind::List {
    of: &Kind::Uuid,
    least: 1,
    most: MOST_ITEMS,
};
/// Ids that nothing here is called by.
const FEW_UUIDS: Kind = Kind::List {
    of: &Kind::Uuid,
    least: 0,
    most: 50,
};
const ROUNDING: Kind = Kind::Word(&["1hour", "1day", "1h", "1d"]);
const TYPES: Kind = Kind::Word(&["ongoing", "time_bound"]);
/// `behavior_when_code_cannot_be_shared`: refuse, or give PINs of their own.
pub const BEHAVIORS: [&str; 2] = ["throw", "create_random_code"];
/// Seam's capability flags that lists can be filtered by; a lock has some of them.
const FLAGS: Kind = Kind::List {
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

pub(super) const DEVICE_ID: Parameter = required("device_id", Kind::Uuid, "The device.");
const CODE: Parameter = optional(
    "code",
    Kind::Pin,
    Heeded,
    "The PIN. Without it, a random one that suits is drawn.",
);
const NEW_NAME: Parameter = optional("name", NAME, Heeded, "Name of the guest or the stay.");
const STARTS_AT: Parameter = optional(
    "starts_at",
    Kind::Time,
    Heeded,
    "From when on the code opens. Goes together with `ends_at`; without both, the code is ongoing.",
);
const ENDS_AT: Parameter = optional(
    "ends_at",
    Kind::Time,
    Heeded,
    "From when on the code opens no more; after `starts_at`, and in the future.",
);
const LENGTH_WISH: Parameter = optional(
    "preferred_code_length",
    PREFERRED_LENGTH,
    Heeded,
    "Digits of the PIN to draw, where the device takes so many; without effect beside `code`.",
);
const ATTEMPT: Parameter = optional(
    "attempt_for_offline_device",
    Kind::Flag,
    Heeded,
    "Accept the call although a device does not answer at present. Default: true.",
);
const NATIVE: Parameter = optional(
    "prefer_native_scheduling",
    Kind::Flag,
    Heeded,
    "Let a lock that can enforce the times itself do so. Default: true.",
);
const EXTERNAL: Parameter = optional(
    "is_external_modification_allowed",
    Kind::Flag,
    Ignored,
    "Without effect: what others change on a lock is set again.",
);
const EXTERNAL_OLD: Parameter = optional(
    "allow_external_modification",
    Kind::Flag,
    Ignored,
    "Older word for `is_external_modification_allowed`.",
);
const BACKUP: Parameter = optional(
    "use_backup_access_code_pool",
    Kind::Flag,
    Ignored,
    "Without effect: there are no backup codes.",
);
const OFFLINE: Parameter = optional(
    "is_offline_access_code",
    Kind::Only(false),
    Heeded,
    "Must not be true: locks here make no codes by themselves.",
);
const OFFLINE_OLD: Parameter = optional(
    "use_offline_access_code",
    Kind::Only(false),
    Heeded,
    "Older word for `is_offline_access_code`; must not be true.",
);
const ONE_TIME: Parameter = optional(
    "is_one_time_use",
    Kind::Only(false),
    Heeded,
    "Must not be true: no lock here takes a code away after its first use.",
);
const MAX_ROUNDING: Parameter = optional(
    "max_time_rounding",
    ROUNDING,
    Ignored,
    "Without effect: times are not rounded, but to what a lock's own clock can tell.",
);
const SYNC: Parameter = optional(
    "sync",
    Kind::Flag,
    Ignored,
    "Without effect: every answer comes once what it tells is on record.",
);
const LIMIT_OF_500: Parameter = optional(
    "limit",
    LIMIT,
    Heeded,
    "So many at most. Default, and most that is given: 500.",
);
const CURSOR: Parameter = optional(
    "page_cursor",
    Kind::Uuid,
    Heeded,
    "Where to go on: `next_page_cursor` of the page before.",
);

const fn unknowable(name: &'static str, kind: Kind) -> Parameter {
    optional(
        name,
        kind,
        MatchesNothing,
        "Nothing matches: this gateway does not know of it.",
    )
}

pub(super) const CREATE: &[Parameter] = &[
    DEVICE_ID,
    CODE,
    LENGTH_WISH,
    optional(
        "common_code_key",
        KEY,
        Heeded,
        "Codes that carry the same key get the same PIN.",
    ),
    NEW_NAME,
    STARTS_AT,
    ENDS_AT,
    ATTEMPT,
    NATIVE,
    EXTERNAL,
    EXTERNAL_OLD,
    BACKUP,
    OFFLINE,
    OFFLINE_OLD,
    ONE_TIME,
    MAX_ROUNDING,
    SYNC,
];

pub(super) const CREATE_MULTIPLE: &[Parameter] = &[
    required(
        "device_ids",
        SOME_UUIDS,
        "The devices that get the PIN: at least one, none twice.",
    ),
    optional(
        "code",
        Kind::Pin,
        Heeded,
        "The PIN. Then the codes have no `common_code_key`. Without it, a random one that suits all is drawn.",
    ),
    LENGTH_WISH,
    optional(
        "behavior_when_code_cannot_be_shared",
        Kind::Word(&BEHAVIORS),
        Heeded,
        "What to do when no PIN suits all devices: `throw` (default) refuses, `create_random_code` gives \
         those that cannot share a PIN of their own.",
    ),
    NEW_NAME,
    STARTS_AT,
    ENDS_AT,
    ATTEMPT,
    NATIVE,
    EXTERNAL,
    EXTERNAL_OLD,
    BACKUP,
    OFFLINE,
    OFFLINE_OLD,
    ONE_TIME,
    MAX_ROUNDING,
    SYNC,
];

pub(super) const UPDATE: &[Parameter] = &[
    required("access_code_id", Kind::Uuid, "The access code."),
    optional("device_id", Kind::Uuid, Heeded, "Its device; must agree."),
    optional("code", Kind::Pin, Heeded, "The new PIN."),
    optional("name", NAME, Heeded, "The new name."),
    optional(
        "starts_at",
        Kind::Time,
        Heeded,
        "The new start; without it, the start stays.",
    ),
    optional(
        "ends_at",
        Kind::Time,
        Heeded,
        "The new end; without it, the end stays.",
    ),
    optional(
        "type",
        TYPES,
        Heeded,
        "`ongoing` takes the times away, and goes with none; `time_bound` asks for times, given or on record.",
    ),
    ATTEMPT,
    optional(
        "prefer_native_scheduling",
        Kind::Flag,
        Heeded,
        "Whether a lock that can enforce the times itself does so; without it, that stays.",
    ),
    optional(
        "is_managed",
        Kind::Only(true),
        Heeded,
        "Must not be false: a code of this gateway stays one.",
    ),
    optional(
        "preferred_code_length",
        PREFERRED_LENGTH,
        Ignored,
        "Without effect: an update draws no PIN.",
    ),
    EXTERNAL,
    EXTERNAL_OLD,
    BACKUP,
    OFFLINE,
    OFFLINE_OLD,
    ONE_TIME,
    MAX_ROUNDING,
    SYNC,
];

pub(super) const UPDATE_MULTIPLE: &[Parameter] = &[
    required("common_code_key", KEY, "The key of the group."),
    optional("name", NAME, Heeded, "The new name."),
    optional(
        "starts_at",
        Kind::Time,
        Heeded,
        "The new start; without it, the start stays.",
    ),
    optional(
        "ends_at",
        Kind::Time,
        Heeded,
        "The new end; without it, the end stays.",
    ),
];

pub(super) const DELETE: &[Parameter] = &[
    required("access_code_id", Kind::Uuid, "The access code."),
    optional("device_id", Kind::Uuid, Heeded, "Its device; must agree."),
    SYNC,
];

pub(super) const GET_CODE: &[Parameter] = &[
    optional("access_code_id", Kind::Uuid, Heeded, "The access code."),
    optional(
        "device_id",
        Kind::Uuid,
        Heeded,
        "Its device; with `code`, in place of `access_code_id`.",
    ),
    optional(
        "code",
        Kind::TEXT,
        Heeded,
        "Its PIN; with `device_id`. Asks for a key that may see PINs.",
    ),
];

pub(super) const LIST_CODES: &[Parameter] = &[
    optional(
        "device_id",
        Kind::Uuid,
        Heeded,
        "Codes of this device. This, or one of the ids below, is needed.",
    ),
    optional("access_code_ids", Kind::UUIDS, Heeded, "These codes."),
    optional(
        "search",
        SEARCH,
        Heeded,
        "Codes with this in their name, id or, for a key that may see them, PIN.",
    ),
    optional(
        "limit",
        LIMIT,
        Heeded,
        "So many at most. Default, and most that is given: 55000.",
    ),
    CURSOR,
    unknowable("access_grant_id", Kind::Uuid),
    unknowable("access_grant_key", Kind::TEXT),
    unknowable("access_method_id", Kind::Uuid),
    unknowable("customer_key", Kind::TEXT),
    unknowable("user_identifier_key", Kind::TEXT),
];

pub(super) const GET_DEVICE: &[Parameter] = &[
    optional("device_id", Kind::Uuid, Heeded, "The device."),
    optional(
        "name",
        Kind::TEXT,
        Heeded,
        "Its name, as its owner or the configuration says it.",
    ),
];

pub(super) const LIST_DEVICES: &[Parameter] = &[
    optional("device_ids", Kind::UUIDS, Heeded, "These devices."),
    optional("device_type", Kind::TEXT, Heeded, "Devices of this type."),
    optional(
        "device_types",
        Kind::TEXTS,
        Heeded,
        "Devices of one of these types.",
    ),
    optional(
        "manufacturer",
        Kind::TEXT,
        Heeded,
        "Devices of this manufacturer; those here are of `unknown`.",
    ),
    optional(
        "connected_account_id",
        Kind::Uuid,
        Heeded,
        "Devices of this account: of this gateway, or none.",
    ),
    optional(
        "connected_account_ids",
        Kind::UUIDS,
        Heeded,
        "Devices of one of these accounts.",
    ),
    optional(
        "created_before",
        Kind::Time,
        Heeded,
        "Devices that the gateway knew before.",
    ),
    optional(
        "custom_metadata_has",
        Kind::Notes { erasable: false },
        Heeded,
        "Devices with all these notes.",
    ),
    optional("include_if", FLAGS, Heeded, "Devices that can do all of this."),
    optional("exclude_if", FLAGS, Heeded, "Devices that can do none of this."),
    optional("search", SEARCH, Heeded, "Devices with this in their name or id."),
    LIMIT_OF_500,
    CURSOR,
    unknowable("connect_webview_id", Kind::Uuid),
    unknowable("customer_key", Kind::TEXT),
    unknowable("space_id", Kind::Uuid),
    unknowable("unstable_location_id", Kind::Uuid),
    unknowable("user_identifier_key", Kind::TEXT),
];

pub(super) const UPDATE_DEVICE: &[Parameter] = &[
    DEVICE_ID,
    optional(
        "name",
        NAME,
        Heeded,
        "The new name; an empty one goes back to the configuration's.",
    ),
    optional(
        "properties",
        Kind::Object(&[optional(
            "name",
            NAME,
            Heeded,
            "The same, where there is no `name`.",
        )]),
        Heeded,
        "Older place of the name.",
    ),
    optional(
        "custom_metadata",
        Kind::Notes { erasable: true },
        Heeded,
        "Notes to keep with the device; `null` takes one away, and those that are not named stay.",
    ),
    optional(
        "is_managed",
        Kind::Only(true),
        Heeded,
        "Must not be false: a device of this gateway stays one.",
    ),
    optional(
        "backup_access_code_pool_enabled",
        Kind::Only(false),
        Heeded,
        "Must not be true: there are no backup codes.",
    ),
];

pub(super) const REPORT_CONSTRAINTS: &[Parameter] = &[
    DEVICE_ID,
    optional(
        "supported_code_lengths",
        Kind::List {
            of: &LENGTH,
            least: 1,
            most: MOST_ITEMS,
        },
        Heeded,
        "Numbers of digits that the lock takes.",
    ),
    optional(
        "min_code_length",
        LENGTH,
        Heeded,
        "The same as a range, together with `max_code_length`.",
    ),
    optional(
        "max_code_length",
        LENGTH,
        Heeded,
        "The same as a range, together with `min_code_length`.",
    ),
];

pub(super) const DOOR: &[Parameter] = &[DEVICE_ID, SYNC];

pub(super) const GET_EVENT: &[Parameter] = &[
    optional(
        "event_id",
        Kind::Uuid,
        Heeded,
        "The event. This, or one of the others, is needed.",
    ),
    optional("event_type", Kind::TEXT, Heeded, "The newest event of this type."),
    optional(
        "device_id",
        Kind::Uuid,
        Heeded,
        "The newest event of this device.",
    ),
];

pub(super) const LIST_EVENTS: &[Parameter] = &[
    optional(
        "since",
        Kind::Time,
        Heeded,
        "Events from then on. This or `between` is needed.",
    ),
    optional(
        "between",
        Kind::List {
            of: &Kind::Time,
            least: 2,
            most: 2,
        },
        Heeded,
        "Events after the first time and before the second.",
    ),
    optional("device_id", Kind::Uuid, Heeded, "Events of this device."),
    optional(
        "device_ids",
        Kind::UUIDS,
        Heeded,
        "Events of one of these devices.",
    ),
    optional(
        "access_code_id",
        Kind::Uuid,
        Heeded,
        "Events of this access code.",
    ),
    optional(
        "access_code_ids",
        Kind::UUIDS,
        Heeded,
        "Events of one of these access codes.",
    ),
    optional("event_type", Kind::TEXT, Heeded, "Events of this type."),
    optional(
        "event_types",
        Kind::TEXTS,
        Heeded,
        "Events of one of these types.",
    ),
    optional("event_ids", Kind::UUIDS, Heeded, "These events."),
    optional(
        "connected_account_id",
        Kind::Uuid,
        Heeded,
        "Events of this account: of this gateway, or none.",
    ),
    LIMIT_OF_500,
    optional(
        "unstable_offset",
        Kind::Whole { least: 0, most: MANY },
        Heeded,
        "Leaves out so many first.",
    ),
    unknowable("access_grant_id", Kind::Uuid),
    unknowable("access_grant_ids", FEW_UUIDS),
    unknowable("access_method_id", Kind::Uuid),
    unknowable("access_method_ids", FEW_UUIDS),
    unknowable("acs_access_group_id", Kind::Uuid),
    unknowable("acs_credential_id", Kind::Uuid),
    unknowable("acs_encoder_id", Kind::Uuid),
    unknowable("acs_entrance_id", Kind::Uuid),
    unknowable("acs_system_id", Kind::Uuid),
    unknowable("acs_system_ids", FEW_UUIDS),
    unknowable("acs_user_id", Kind::Uuid),
    unknowable("connect_webview_id", Kind::Uuid),
    unknowable("customer_key", Kind::TEXT),
    unknowable("space_id", Kind::Uuid),
    unknowable("space_ids", FEW_UUIDS),
    unknowable("user_identity_id", Kind::Uuid),
];

pub(super) const GET_ATTEMPT: &[Parameter] =
    &[required("action_attempt_id", Kind::Uuid, "The door command.")];

pub(super) const LIST_ATTEMPTS: &[Parameter] = &[
    optional("action_attempt_ids", Kind::UUIDS, Heeded, "These door commands."),
    optional("device_id", Kind::Uuid, Heeded, "Door commands of this device."),
    LIMIT_OF_500,
    CURSOR,
];

pub(super) const RECEIPT: &[Parameter] = &[required("common_code_key", Kind::TEXT, "The key of the group.")];
pub(super) const QUEUE: &[Parameter] = &[DEVICE_ID];
pub(super) const WHY_DEVICE: &[Parameter] = &[DEVICE_ID];
pub(super) const WHY_CODE: &[Parameter] = &[required("access_code_id", Kind::Uuid, "The access code.")];
pub(super) const INCIDENT: &[Parameter] = &[
    optional(
        "since",
        Kind::Time,
        Heeded,
        "From when on. Default: from the oldest event on.",
    ),
    optional(
        "ago_s",
        Kind::Whole { least: 0, most: MANY },
        Heeded,
        "From so many seconds ago on, as the gateway's clock goes. With `since`: from the later of both on.",
    ),
];
pub(super) const JOB: &[Parameter] = &[required("job_id", Kind::TEXT, "The job.")];
pub(super) const STREAM: &[Parameter] = &[optional(
    "after",
    Kind::Whole {
        least: 0,
        most: LARGEST,
    },
    Heeded,
    "Events after the one with this number. The header `Last-Event-ID` wins over it. Default: from now on.",
)];
