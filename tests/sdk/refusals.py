"""Every refusal is the SDK's own exception, says what is wrong, and changes nothing."""

import os

from stage import (
    BACK, CELLAR, FRONT, NOBODY, SAFE, advance, client, insist, play, refused, same, time, words,
)

INVALID = "SeamHttpInvalidInputError"


def everything(seam):
    codes = [code for device in (FRONT, BACK, CELLAR, SAFE) for code in seam.access_codes.list(device_id=device)]
    return [(code.access_code_id, code.code, code.name, code.starts_at, code.ends_at) for code in codes]


def invalid_input(seam):
    soon, later, past = time(3600), time(7200), time(-3600)
    codes = seam.access_codes

    def create(**what):
        return lambda: codes.create_multiple(**{"device_ids": [FRONT, BACK], **what})

    for what, call, field, says in (
        ("no devices", create(device_ids=[]), "device_ids", "at least 1"),
        ("a device twice", create(device_ids=[FRONT, BACK, FRONT]), "device_ids", FRONT),
        ("no UUID", create(device_ids=["the front door"]), "device_ids", "the front door"),
        ("letters", create(code="12a4"), "code", "4 to 12 digits"),
        ("too short", create(code="123"), "code", "4 to 12 digits"),
        ("too long", create(code="1234567890123"), "code", "4 to 12 digits"),
        ("not for these locks", create(code="1234567"), "code", "takes codes of 4, 5, 6 digits"),
        ("no end", create(starts_at=soon), "ends_at", "ends_at"),
        ("no start", create(ends_at=later), "starts_at", "starts_at"),
        ("the end before the start", create(starts_at=later, ends_at=soon), "ends_at", "after starts_at"),
        ("the end at the start", create(starts_at=soon, ends_at=soon), "ends_at", "after starts_at"),
        ("past", create(starts_at="2020-01-01T00:00:00Z", ends_at=past), "ends_at", "ends_at"),
        ("no offset", create(starts_at=soon[:-5], ends_at=later), "starts_at", "offset"),
        ("a length that no code has", create(preferred_code_length=3), "preferred_code_length", "4"),
        (
            "no such behavior",
            create(behavior_when_code_cannot_be_shared="ask"),
            "behavior_when_code_cannot_be_shared",
            "create_random_code",
        ),
        (
            "codes that locks make by themselves",
            lambda: codes.create(device_id=FRONT, is_offline_access_code=True),
            "is_offline_access_code",
            "is_offline_access_code",
        ),
        ("one code, no end", lambda: codes.create(device_id=FRONT, starts_at=soon), "ends_at", "ends_at"),
        ("codes of nothing", lambda: codes.list(search="x"), "device_id", "access_code_ids"),
        ("a PIN of no device", lambda: codes.get(code="1234"), None, "device_id"),
        ("events of any time", lambda: seam.events.list(device_id=FRONT), None, "since"),
        (
            "lengths of another lock",
            lambda: codes.report_device_constraints(device_id=CELLAR, supported_code_lengths=[4]),
            "supported_code_lengths",
            "8 digits",
        ),
        ("no constraints", lambda: codes.report_device_constraints(device_id=CELLAR), None, "code_length"),
    ):
        error = refused(what, call, "invalid_input", 400, says, INVALID)
        # The older SDK keeps them to itself.
        if field and hasattr(error, "get_validation_error_messages"):
            insist(error.get_validation_error_messages(field), f"{what}: says what is wrong with {field}")

    error = refused("not for two locks", create(code="1234567"), "invalid_input", 400, "Front door", INVALID)
    same(words(error.data["reasons"], "device_id"), [FRONT, BACK], "each of them objects")


def sharing(seam):
    error = refused(
        "no PIN suits all",
        lambda: seam.access_codes.create_multiple(device_ids=[FRONT, CELLAR, BACK]),
        "cannot_share",
        400,
        "",
    )
    insist(str(error), "a message")
    reasons = error.data["reasons"]
    insist(CELLAR in words(reasons, "device_id"), "which door is in the way", reasons)
    insist(all(words(reasons, "message")), "and why", reasons)


def taken(seam):
    codes = seam.access_codes
    for what, call, code, says in (
        ("many", lambda: codes.create_multiple(device_ids=[FRONT, BACK], code="314159"),
         "duplicate_access_code", "Back door"),
        ("one", lambda: codes.create(device_id=BACK, code="314159"), "duplicate_access_code", "Back door"),
        ("many, full", lambda: codes.create_multiple(device_ids=[FRONT, SAFE]),
         "no_space_for_access_code_on_device", "Safe"),
        ("one, full", lambda: codes.create(device_id=SAFE), "no_space_for_access_code_on_device", "Safe"),
    ):
        error = refused(what, call, code, 409, says)
        insist(len(error.data["reasons"]) == 1, f"{what}: which door", error.data)


def unknown(seam):
    codes = seam.access_codes
    for what, call in (
        ("create_multiple", lambda: codes.create_multiple(device_ids=[FRONT, NOBODY])),
        ("create", lambda: codes.create(device_id=NOBODY)),
        ("codes.list", lambda: codes.list(device_id=NOBODY)),
        ("generate_code", lambda: codes.generate_code(device_id=NOBODY)),
        ("constraints", lambda: codes.report_device_constraints(device_id=NOBODY, supported_code_lengths=[4])),
        ("devices.get", lambda: seam.devices.get(device_id=NOBODY)),
        ("devices.get by name", lambda: seam.devices.get(name="Attic")),
        ("devices.update", lambda: seam.devices.update(device_id=NOBODY, name="x")),
        ("simulate", lambda: seam.devices.simulate.disconnect(device_id=NOBODY)),
        ("locks.get", lambda: seam.locks.get(device_id=NOBODY)),
        ("unlock_door", lambda: seam.locks.unlock_door(device_id=NOBODY)),
    ):
        refused(what, call, "device_not_found", 404, "device")
    for what, call in (
        ("get", lambda: codes.get(access_code_id=NOBODY)),
        ("get by PIN", lambda: codes.get(device_id=FRONT, code="0000")),
        ("update", lambda: codes.update(access_code_id=NOBODY, name="x")),
        ("delete", lambda: codes.delete(access_code_id=NOBODY)),
        ("a group", lambda: codes.update_multiple(common_code_key="nobody's", name="x")),
    ):
        refused(what, call, "access_code_not_found", 404, "access code")
    refused("an event", lambda: seam.events.get(event_id=NOBODY), "event_not_found", 404, "event")


def keys(seam):
    nobody = client("seam_1234567890")
    for call in (nobody.workspaces.get, nobody.devices.list):
        refused("a wrong key", call, "unauthorized", 401, "", "SeamHttpUnauthorizedError")
    blind = client(os.environ["BLIND"])
    (code,) = blind.access_codes.list(device_id=BACK)
    same((code.name, code.code), ("taken", None), "a key that may not see PINs")
    forbidden = ("forbidden", 403)
    refused("try PINs", lambda: blind.access_codes.get(device_id=BACK, code="314159"), *forbidden, "`pins`")
    refused("open doors", lambda: blind.locks.unlock_door(device_id=BACK), *forbidden, "`operate`")
    mute = client(os.environ["MUTE"])
    refused("see codes", lambda: mute.access_codes.list(device_id=BACK), *forbidden, "`codes`")
    refused(
        "make codes", lambda: mute.access_codes.create_multiple(device_ids=[BACK]), *forbidden, "`codes`"
    )


def too_much(seam):
    refused(
        "far too long a name",
        lambda: seam.access_codes.create_multiple(device_ids=[FRONT, BACK], name="x" * 300_000),
        "payload_too_large",
        413,
        "65536",
    )


def removed(seam):
    seam.devices.simulate.remove(device_id=CELLAR)
    cellar = seam.devices.get(device_id=CELLAR)
    same(words(cellar.errors, "error_code"), ["device_removed"], "it is gone")
    for what, call in (
        ("create_multiple", lambda: seam.access_codes.create_multiple(device_ids=[CELLAR])),
        ("create", lambda: seam.access_codes.create(device_id=CELLAR)),
        ("lock_door", lambda: seam.locks.lock_door(device_id=CELLAR)),
    ):
        refused(what, call, "device_removed", 409, "Cellar")


def scenario():
    seam = client()
    seam.access_codes.create(device_id=BACK, code="314159", name="taken")
    seam.access_codes.create(device_id=SAFE, code="161803", name="full")
    advance(600)
    before = everything(seam)
    same(len(before), 2, "to begin with")
    for act in (invalid_input, sharing, taken, unknown, keys, too_much, removed):
        act(seam)
        same(everything(seam), before, f"after {act.__name__}")


play(scenario)
