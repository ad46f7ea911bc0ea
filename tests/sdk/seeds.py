"""Seam's documented examples, word for word but for their dates.

Their dates are past, so all are moved by one whole number of days; hours, and the distances between
them, stay as they are.
"""

from datetime import timedelta

from stage import BACK, FRONT, advance, at, client, insist, lock, opens, play, same, text, time

DAYS = timedelta(days=(at(time(0)) - at("2024-11-15T15:00:00Z")).days + 3)


def moved(moment):
    return text(at(moment) + DAYS).replace(".000Z", "Z")


def in_place(seam, pin, key, starts_at, ends_at):
    """What the gateway says and what the locks truly hold is this PIN in this window."""
    advance(300)
    window = (at(starts_at), at(ends_at))
    for door in (FRONT, BACK):
        (code,) = seam.access_codes.list(device_id=door)
        same((code.code, code.common_code_key), (pin, key), "listed")
        same((at(code.starts_at), at(code.ends_at)), window, "the window that is listed")
        same((code.status, code.is_scheduled_on_device), ("unset", True), "held ahead of its time")
        (row,) = lock(door)["codes"]
        same(row["code"], pin, "on the lock")
        same((at(row["starts_at"]), at(row["ends_at"])), window, "the window on the lock")
        insist(not opens(door, pin), "its time has not come")


def scenario():
    seam = client()

    # Create the group of linked access codes.
    # Each returned access code includes a common_code_key.
    created = seam.access_codes.create_multiple(
      device_ids = [
        "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73",
        "d87eea5d-71c6-4633-a966-396c5ac51177"
      ],
      name = "Jane's reservation",
      starts_at = moved("2024-11-15T15:00:00Z"),
      ends_at = moved("2024-11-17T11:00:00Z"),
      preferred_code_length = 4
    )

    same([code.device_id for code in created], [FRONT, BACK], "devices in the order given")
    pin, common_code_key = created[0].code, created[0].common_code_key
    insist(len(pin) == 4 and pin.isdigit(), "four digits, as preferred", pin)
    insist(common_code_key.startswith("auto_set_by_create_multiple_"), "the key", common_code_key)
    for code in created:
        same((code.code, code.common_code_key), (pin, common_code_key), "one PIN, one key")
        same(code.name, "Jane's reservation", "name")
        # As the documented answer has it: UTC, with milliseconds.
        same(code.starts_at, moved("2024-11-15T15:00:00Z").replace("Z", ".000Z"), "start")
        same(code.ends_at, moved("2024-11-17T11:00:00Z").replace("Z", ".000Z"), "end")
        same((code.type, code.status, code.is_managed), ("time_bound", "unset", True), "state")
    in_place(seam, pin, common_code_key, moved("2024-11-15T15:00:00Z"), moved("2024-11-17T11:00:00Z"))

    # Update the starting and ending times
    # for all these linked access codes,
    # using the common_code_key to identify
    # the group of access codes to update.
    told = seam.access_codes.update_multiple(
      common_code_key = common_code_key,
      starts_at = moved("2024-11-15T12:00:00Z"),
      ends_at = moved("2024-11-17T15:00:00Z")
    )

    same(told, None, "as documented")
    in_place(seam, pin, common_code_key, moved("2024-11-15T12:00:00Z"), moved("2024-11-17T15:00:00Z"))

    # And so it comes to pass.
    for moment, open_then in (("2024-11-15T12:00:00Z", True), ("2024-11-17T15:00:00Z", False)):
        advance(int((at(moved(moment)) - at(time(0))).total_seconds()) + 1)
        for door in (FRONT, BACK):
            same(opens(door, pin), open_then, f"{door} at {moment}")


play(scenario)
