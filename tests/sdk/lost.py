"""The answer to the first call is lost on its way: whoever repeats it gets that answer, and no
second group is made. The same call once more, after an answer, is another booking."""

import os

from stage import BACK, FRONT, advance, client, pins, play, same, time


def scenario():
    seam = client()
    stay = {
        "device_ids": [FRONT, BACK],
        "name": "Jane's reservation",
        "starts_at": time(3600),
        "ends_at": time(2 * 86_400),
    }
    try:
        created = seam.access_codes.create_multiple(**stay)
        same(os.environ["REPEATS"], "sdk", "an answer although the first one was lost")
    except OSError as error:
        # The connection's own error, of the library below; the caller does not know what became of it.
        same(os.environ["REPEATS"], "caller", f"{error!r}")
        created = seam.access_codes.create_multiple(**stay)
    listed = [seam.access_codes.list(device_id=door) for door in (FRONT, BACK)]
    same([len(codes) for codes in listed], [1, 1], "one group")
    for told, (code,) in zip(created, listed):
        same(told.access_code_id, code.access_code_id, "the first result")
        same((told.code, told.common_code_key), (code.code, code.common_code_key), "the first result")

    # Meant, both of them.
    second = seam.access_codes.create_multiple(**stay)
    third = seam.access_codes.create_multiple(**stay)
    keys = {group[0].common_code_key for group in (created, second, third)}
    same(len(keys), 3, "three groups")
    for door in (FRONT, BACK):
        same(len(seam.access_codes.list(device_id=door)), 3, "a code of each")
    advance(2 * 3600)
    wanted = sorted(group[0].code for group in (created, second, third))
    same((pins(FRONT), pins(BACK)), (wanted, wanted), "on the locks")


play(scenario)
