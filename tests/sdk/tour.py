"""Everything that is read: the site, devices, groups of codes, events, page by page."""

import re

from stage import (
    BACK, CELLAR, FRONT, SAFE, advance, at, client, http, insist, pins, play, same, time, words,
)

DEVICES = sorted([FRONT, BACK, CELLAR, SAFE])


def site(seam):
    same(http("GET", "/health", key=None), {"ok": True}, "health, which needs no key")
    workspace = seam.workspaces.get()
    same((workspace.is_suspended, workspace.is_publishable_key_auth_enabled), (False, False), "the site")
    insist(workspace.name and workspace.workspace_id, "name and id", workspace)
    same(seam.devices.get(device_id=FRONT).workspace_id, workspace.workspace_id, "one site for all")


def devices(seam):
    same([device.device_id for device in seam.devices.list()], DEVICES, "all devices, by id")
    same([device.device_id for device in seam.locks.list()], DEVICES, "all locks")
    asked = [device.device_id for device in seam.devices.list(device_ids=[SAFE, FRONT])]
    same(asked, sorted([SAFE, FRONT]), "those that were named")
    same([device.device_id for device in seam.devices.list(search="cell")], [CELLAR], "searched for")
    for get in (seam.devices.get, seam.locks.get):
        front = get(device_id=FRONT)
        same((front.device_id, front.display_name), (FRONT, "Front door"), "by id")
        same(get(name="Cellar").device_id, CELLAR, "by name")
        same(front.is_managed, True, "managed")
        same((front.errors, front.warnings), ([], []), "nothing is wrong")
        insist({"access_code", "lock"} <= set(front.capabilities_supported), "what it can do", front)
        same(front.properties.online, True, "online")
        same(front.properties.supported_code_lengths, [4, 5, 6], "lengths")
        same(front.properties.max_active_codes_supported, 30, "places")
        insist(front.properties.model, "a model", front.properties)
        for can in ("can_program_online_access_codes", "can_remotely_lock", "can_remotely_unlock",
                    "can_simulate_disconnection", "can_unlock_with_code"):
            same(getattr(front, can), True, can)
        at(front.created_at)


def notes(seam):
    named = seam.devices.update(
        device_id=FRONT, name="Main entrance", custom_metadata={"floor": "ground", "wired": True}
    )
    same(named, None, "devices.update")
    front = seam.devices.get(device_id=FRONT)
    same(front.nickname, "Main entrance", "the owner's name for it")
    same((front.custom_metadata["floor"], front.custom_metadata["wired"]), ("ground", True), "notes")
    seam.devices.update(device_id=FRONT, custom_metadata={"wired": False})
    front = seam.devices.get(device_id=FRONT)
    same((front.custom_metadata["floor"], front.custom_metadata["wired"]), ("ground", False), "one changed")
    same(front.nickname, "Main entrance", "the name stays")
    same(seam.devices.get(name="Main entrance").device_id, FRONT, "found by its new name")


def lengths(seam):
    for device, pattern in ((FRONT, "[0-9]{4,6}"), (CELLAR, "[0-9]{8}")):
        drawn = seam.access_codes.generate_code(device_id=device)
        same(drawn.device_id, device, "generate_code")
        insist(re.fullmatch(pattern, drawn.code), f"suits {pattern}", drawn.code)
        same(seam.access_codes.list(device_id=device), [], "nothing is made by it")
    # What a lock takes is narrowed by what its owner knows, either way of saying it.
    report = seam.access_codes.report_device_constraints
    same(report(device_id=SAFE, supported_code_lengths=[5, 6]), None, "report_device_constraints")
    same(seam.devices.get(device_id=SAFE).properties.supported_code_lengths, [5, 6], "reported")
    same(len(seam.access_codes.generate_code(device_id=SAFE).code), 5, "and heeded")
    report(device_id=SAFE, min_code_length=6, max_code_length=8)
    same(seam.devices.get(device_id=SAFE).properties.supported_code_lengths, [6], "as a range")


def groups(seam):
    """`create_multiple` in the ways that the documented examples leave out."""
    create = seam.access_codes.create_multiple
    ongoing = create(device_ids=[FRONT, BACK], name="Cleaner")
    same([code.type for code in ongoing], ["ongoing"] * 2, "without times")
    same([(code.starts_at, code.ends_at) for code in ongoing], [(None, None)] * 2, "without times")
    same([code.status for code in ongoing], ["setting"] * 2, "at once")
    same(len(ongoing[0].code), 4, "the shortest length that all take")

    own = create(device_ids=[FRONT, BACK], code="271828", name="Owner")
    same([code.code for code in own], ["271828"] * 2, "the caller's own PIN")
    same([code.common_code_key for code in own], [None] * 2, "does not link")

    apart = create(
        device_ids=[FRONT, CELLAR, BACK],
        behavior_when_code_cannot_be_shared="create_random_code",
        preferred_code_length=6,
    )
    same([len(code.code) for code in apart], [6, 8, 6], "those that cannot share get their own")
    same(apart[0].code, apart[2].code, "and the others share")
    same(len({code.common_code_key for code in apart}), 1, "all are one group")
    seam.access_codes.update_multiple(common_code_key=apart[0].common_code_key, name="Apart")

    advance(600)
    for code in ongoing + own + apart:
        found = seam.access_codes.get(access_code_id=code.access_code_id)
        same((found.status, found.pending_mutations), ("set", []), "in the lock")
        insist(code.code in pins(code.device_id), "in the lock")
    same(seam.access_codes.get(access_code_id=apart[1].access_code_id).name, "Apart", "renamed")
    return ongoing + own + apart


def pages(seam, codes):
    front = [code.access_code_id for code in codes if code.device_id == FRONT]
    list_codes = seam.access_codes.list
    same([code.access_code_id for code in list_codes(device_id=FRONT)], front, "in their order")
    ids = [codes[0].access_code_id, codes[1].access_code_id]
    same(sorted(c.access_code_id for c in list_codes(access_code_ids=ids)), sorted(ids), "by their ids")
    same([c.code for c in list_codes(device_id=FRONT, search="OWN")], ["271828"], "searched for")

    paginator = seam.create_paginator(list_codes, {"device_id": FRONT, "limit": 2})
    page, pagination = paginator.first_page()
    same([code.access_code_id for code in page], front[:2], "the first page")
    same(pagination.has_next_page, True, "there is more")
    page, pagination = paginator.next_page(pagination.next_page_cursor)
    same([code.access_code_id for code in page], front[2:], "the next page")
    same((pagination.has_next_page, pagination.next_page_cursor), (False, None), "there is no more")
    same([code.access_code_id for code in paginator.flatten_to_list()], front, "all as a list")
    same([code.access_code_id for code in paginator.flatten()], front, "all, one by one")

    paginator = seam.create_paginator(seam.devices.list, {"limit": 3})
    same([device.device_id for device in paginator.flatten()], DEVICES, "devices, page by page")
    paginator = seam.create_paginator(seam.devices.list)
    same([device.device_id for device in paginator.flatten()], DEVICES, "devices, all on one page")


def events(seam, since, codes):
    code = codes[0]
    listed = seam.events.list(since=since, access_code_id=code.access_code_id)
    types = words(listed, "event_type")
    for kind in ("access_code.created", "access_code.set_on_device"):
        same(types.count(kind), 1, f"{kind} among {types}")
    same({event.device_id for event in listed}, {FRONT}, "of its device")
    for event in listed:
        insist(event.event_id and event.workspace_id and event.connected_account_id, "ids", event)
        insist(at(since) <= at(event.occurred_at), "since then", event)
    event = seam.events.get(event_id=listed[0].event_id)
    same((event.event_id, event.event_type), (listed[0].event_id, types[0]), "events.get")
    of_two = seam.events.list(
        since=since, event_types=["access_code.created"], device_ids=[FRONT, BACK], limit=3
    )
    same([event.event_type for event in of_two], ["access_code.created"] * 3, "by type, so many")
    same(seam.events.list(between=["2020-01-01T00:00:00Z", since]), [], "before it began")


def scenario():
    seam = client()
    since = time(-60)
    site(seam)
    devices(seam)
    lengths(seam)
    codes = groups(seam)
    pages(seam, codes)
    events(seam, since, codes)
    notes(seam)


play(scenario)
