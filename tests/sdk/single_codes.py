"""Access codes one by one: made, changed in every way, deleted."""

from stage import (
    BACK, CELLAR, FRONT, NOBODY, advance, client, insist, opens, pins, play, refused, same, time, words,
)


def created(seam):
    code = seam.access_codes.create(device_id=FRONT, name="Cleaner")
    same((code.device_id, code.name, code.type), (FRONT, "Cleaner", "ongoing"), "created")
    same((code.status, code.common_code_key), ("setting", None), "at once, and linked with none")
    same(words(code.pending_mutations, "mutation_code"), ["creating"], "what it waits for")
    advance(300)
    same(pins(FRONT), [code.code], "in the lock")
    by_pin = seam.access_codes.get(device_id=FRONT, code=code.code)
    same((by_pin.access_code_id, by_pin.status), (code.access_code_id, "set"), "found by its PIN")

    booked = seam.access_codes.create(
        device_id=BACK, code="314159", name="Jane", starts_at=time(3600), ends_at=time(7200)
    )
    same((booked.code, booked.type, booked.status), ("314159", "time_bound", "unset"), "booked")
    (waits,) = booked.pending_mutations
    same(words([waits], "mutation_code"), ["deferring_creation"], "parked until its time")
    same(len(seam.access_codes.create(device_id=CELLAR, preferred_code_length=4).code), 8, "what suits")
    six = seam.access_codes.create(device_id=FRONT, preferred_code_length=6)
    same(len(six.code), 6, "the preferred length")
    seam.access_codes.delete(access_code_id=six.access_code_id)
    advance(300)
    return code


def linked(seam):
    """Codes made one by one under a key of the caller's are a group like any other."""
    one = seam.access_codes.create(device_id=FRONT, common_code_key="family", name="Family")
    two = seam.access_codes.create(device_id=BACK, common_code_key="family", name="Family")
    same((one.code, one.common_code_key), (two.code, "family"), "the same key, the same PIN")
    error = refused(
        "a lock that cannot have this PIN",
        lambda: seam.access_codes.create(device_id=CELLAR, common_code_key="family"),
        "cannot_share",
        400,
        "Cellar",
    )
    same(words(error.data["reasons"], "device_id"), [CELLAR], "which lock objects")
    seam.access_codes.update_multiple(common_code_key="family", name="Family of Jane")
    for code in (one, two):
        found = seam.access_codes.get(access_code_id=code.access_code_id)
        same(found.name, "Family of Jane", "all of them are renamed")
    advance(300)
    insist(one.code in pins(FRONT) and one.code in pins(BACK), "in both locks")
    return one, two


def updated(seam, one, two):
    def get(which):
        return seam.access_codes.get(access_code_id=which.access_code_id)

    def update(which, **what):
        same(seam.access_codes.update(access_code_id=which.access_code_id, **what), None, "update")
        return get(which)

    # Its name.
    code = update(one, name="Grandmother")
    same((code.name, code.code, code.type), ("Grandmother", one.code, "ongoing"), "only its name")

    # Its PIN: the other members keep theirs, and the group stays one.
    code = update(one, code="2468")
    same((code.code, code.common_code_key), ("2468", "family"), "its own PIN within the group")
    insist("updating_code" in words(code.pending_mutations, "mutation_code"), "on its way", code)
    same(get(two).code, two.code, "the other one keeps its PIN")
    advance(300)
    insist("2468" in pins(FRONT) and one.code not in pins(FRONT), "one PIN for the other", pins(FRONT))
    insist(two.code in pins(BACK), "the other lock as before", pins(BACK))
    same(get(one).status, "set", "proven")

    # Times for what had none.
    starts_at, ends_at = time(3600), time(7200)
    code = update(one, starts_at=starts_at, ends_at=ends_at)
    same((code.type, code.starts_at, code.ends_at), ("time_bound", starts_at, ends_at), "has times now")
    advance(300)
    insist("2468" not in pins(FRONT), "its time has not come: it is off the lock", pins(FRONT))
    same(get(one).status, "unset", "and says so")

    # One time alone.
    ends_at = time(9000)
    code = update(one, ends_at=ends_at)
    same((code.starts_at, code.ends_at), (starts_at, ends_at), "the end alone")
    starts_at = time(600)
    code = update(one, starts_at=starts_at)
    same((code.starts_at, code.ends_at), (starts_at, ends_at), "the start alone")
    advance(900)
    same(opens(FRONT, "2468"), True, "its time has come")
    refused(
        "an end before the start",
        lambda: update(one, ends_at=time(-86_400)),
        "invalid_input",
        400,
        "ends_at",
        "SeamHttpInvalidInputError",
    )

    # No times any more.
    code = update(one, type="ongoing")
    same((code.type, code.starts_at, code.ends_at), ("ongoing", None, None), "no times any more")
    advance(86_400)
    same(opens(FRONT, "2468"), True, "it did not end")
    # And times again.
    code = update(one, type="time_bound", starts_at=time(-60), ends_at=time(600))
    same((code.type, code.status), ("time_bound", "set"), "times again")
    refused(
        "one time alone for what has none",
        lambda: update(two, starts_at=time(3600)),
        "invalid_input",
        400,
        "ends_at",
        "SeamHttpInvalidInputError",
    )
    advance(900)
    same(opens(FRONT, "2468"), False, "it is over")
    same(get(one).status, "unset", "and says so")


def deleted(seam, code):
    pin = code.code
    same(seam.access_codes.delete(access_code_id=code.access_code_id), None, "delete")
    going = seam.access_codes.get(access_code_id=code.access_code_id)
    same(going.status, "removing", "until the lock confirms")
    same(words(going.pending_mutations, "mutation_code"), ["deleting"], "what it waits for")
    insist("being_deleted" in words(going.warnings, "warning_code"), "that it goes", going.warnings)
    advance(300)
    insist(pin not in pins(FRONT), "off the lock")
    for what, call in (
        ("get", lambda: seam.access_codes.get(access_code_id=code.access_code_id)),
        ("update", lambda: seam.access_codes.update(access_code_id=code.access_code_id, name="x")),
        ("update of nobody's", lambda: seam.access_codes.update(access_code_id=NOBODY, name="x")),
    ):
        refused(what, call, "access_code_not_found", 404, "no such access code")


def scenario():
    seam = client()
    code = created(seam)
    one, two = linked(seam)
    updated(seam, one, two)
    deleted(seam, code)


play(scenario)
