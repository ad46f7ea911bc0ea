"""Door commands, and what the SDK makes of an action attempt."""

from seam import SeamActionAttemptFailedError, SeamActionAttemptTimeoutError

from stage import BACK, FRONT, NOBODY, advance, client, fault, insist, lock, play, refused, same, time


def fails(what, call, kind):
    try:
        told = call()
    except kind as error:
        insist(error.action_attempt.action_attempt_id, f"{what}: which attempt", error)
        return error
    raise AssertionError(f"{what}: no {kind.__name__}; told: {told!r}")


def scenario():
    seam = client()
    since = time(-60)
    # It waits for the end by itself.
    done = seam.locks.unlock_door(device_id=FRONT)
    same((done.action_type, done.status), ("UNLOCK_DOOR", "success"), "unlocked")
    # The older SDK has an empty object for a null.
    insist(not done.error, "no error", done)
    same(lock(FRONT)["locked"], False, "the truth of the lock")
    same(seam.devices.get(device_id=FRONT).properties.locked, False, "and what is known of it")
    done = seam.locks.lock_door(device_id=FRONT, wait_for_action_attempt=True)
    same((done.action_type, done.status, lock(FRONT)["locked"]), ("LOCK_DOOR", "success", True), "locked")
    # Or not.
    begun = seam.locks.unlock_door(device_id=FRONT, wait_for_action_attempt=False)
    same((begun.action_type, begun.status), ("UNLOCK_DOOR", "pending"), "under way")
    insist(not begun.result and not begun.error, "nothing to tell yet", begun)
    done = seam.action_attempts.get(
        action_attempt_id=begun.action_attempt_id,
        wait_for_action_attempt={"timeout": 30.0, "polling_interval": 0.1},
    )
    same((done.action_attempt_id, done.status), (begun.action_attempt_id, "success"), "waited for later")
    listed = seam.action_attempts.list(device_id=FRONT)
    same(len(listed), 3, "all attempts of the door")
    (one,) = seam.action_attempts.list(action_attempt_ids=[begun.action_attempt_id])
    same((one.action_attempt_id, one.status), (begun.action_attempt_id, "success"), "by its id")
    paginator = seam.create_paginator(seam.action_attempts.list, {"device_id": FRONT, "limit": 2})
    same(len(paginator.flatten_to_list()), 3, "page by page")

    # A lock that says no, and one that does not answer.
    fault(FRONT, kind="refuse", count=1)
    refusing = fails(
        "a lock that refuses", lambda: seam.locks.lock_door(device_id=FRONT), SeamActionAttemptFailedError
    )
    same(refusing.action_attempt.status, "error", "its status")
    fault(BACK, kind="hang", count=1)
    silent = fails(
        "a silent lock",
        lambda: seam.locks.lock_door(
            device_id=BACK, wait_for_action_attempt={"timeout": 60.0, "polling_interval": 0.1}
        ),
        SeamActionAttemptFailedError,
    )
    insist(silent.code and refusing.code, "a type", silent)
    insist(silent.code != refusing.code, "which tells one from the other", silent.code)
    insist(str(silent), "a message", silent)
    # A caller who does not wait for long.
    fault(BACK, kind="hang", count=1)
    fails(
        "too slow",
        lambda: seam.locks.unlock_door(
            device_id=BACK, wait_for_action_attempt={"timeout": 0.0, "polling_interval": 0.01}
        ),
        SeamActionAttemptTimeoutError,
    )
    # Until that, too, has ended.
    advance(60)

    events = seam.events.list(since=since, event_types=["lock.locked", "lock.unlocked"], device_id=FRONT)
    kinds = [event.event_type for event in events]
    same(kinds, ["lock.unlocked", "lock.locked", "lock.unlocked"], "what was told of the door")
    same({event.method for event in events}, {"remote"}, "and how")
    refused(
        "nobody's attempt",
        lambda: seam.action_attempts.get(action_attempt_id=NOBODY),
        "action_attempt_not_found",
        404,
        "no such",
    )
    refused("nobody's door", lambda: seam.locks.lock_door(device_id=NOBODY), "device_not_found", 404, NOBODY)


play(scenario)
