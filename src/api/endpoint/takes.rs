//! What each endpoint takes: its parameters, one list a call.

mod shared;

use crate::api::parameter::Effect::{Heeded, Ignored};
use crate::api::parameter::{Kind, MOST_ITEMS, Parameter};
pub use shared::BEHAVIORS;
pub(super) use shared::DEVICE_ID;
use shared::{
    ATTEMPT, BACKUP, CODE, CURSOR, ENDS_AT, EXTERNAL, EXTERNAL_OLD, FEW_UUIDS, FLAGS, KEY, LARGEST, LENGTH,
    LENGTH_WISH, LIMIT, LIMIT_OF_500, MANY, MAX_ROUNDING, NAME, NATIVE, NEW_NAME, OFFLINE, OFFLINE_OLD,
    ONE_TIME, PREFERRED_LENGTH, SEARCH, SOME_UUIDS, STARTS_AT, SYNC, TYPES, optional, required, unknowable,
};

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

pub(super) const LIST_GROUPS: &[Parameter] = &[
    optional(
        "limit",
        LIMIT,
        Heeded,
        "So many at most. Default, and most that is given: 100.",
    ),
    CURSOR,
];
pub(super) const RECEIPT: &[Parameter] = &[required("common_code_key", Kind::TEXT, "The key of the group.")];
pub(super) const QUEUE: &[Parameter] = &[DEVICE_ID];
pub(super) const WHY_DEVICE: &[Parameter] = &[DEVICE_ID];
pub(super) const VERIFY: &[Parameter] = &[DEVICE_ID];
pub(super) const WHY_CODE: &[Parameter] = &[required("access_code_id", Kind::Uuid, "The access code.")];
pub(super) const REVEAL: &[Parameter] = WHY_CODE;
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
pub(super) const PAIR: &[Parameter] = &[
    required(
        "address",
        Kind::Line { least: 17, most: 17 },
        "The lock's address on the air, such as `54:D2:72:AA:BB:CC`.",
    ),
    required(
        "security_pin",
        Kind::Pin,
        "The lock's security PIN from its app: four digits, six for an Ultra. It comes back in no answer.",
    ),
    optional(
        "name",
        NAME,
        Heeded,
        "What the lock is to be called here. Default: as in its app.",
    ),
];
pub(super) const UNPAIR: &[Parameter] = &[
    DEVICE_ID,
    optional(
        "force",
        Kind::Flag,
        Heeded,
        "Forget it although codes of it are not over, which then stay on the lock. Default: false.",
    ),
];
pub(super) const SIGN_IN: &[Parameter] = &[required(
    "api_key",
    Kind::TEXT,
    "The key that the session is to stand for. It comes back in no answer.",
)];
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
