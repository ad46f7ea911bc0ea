"""What is refused because there is too much of it, and taken again later."""

from stage import BACK, FRONT, advance, client, play, refused, same


def scenario():
    seam = client()
    codes = seam.access_codes
    created = codes.create_multiple(device_ids=[FRONT, BACK])
    key = created[0].common_code_key
    # Some SDKs ask again by themselves, and are told the same.
    refused(
        "many", lambda: codes.create_multiple(device_ids=[FRONT, BACK]), "busy", 503, "access codes"
    )
    codes.create(device_id=FRONT)
    refused("one", lambda: codes.create(device_id=FRONT), "busy", 503, "access codes")
    same([len(codes.list(device_id=door)) for door in (FRONT, BACK)], [2, 1], "no more than the limit")

    for name in ("first", "second"):
        codes.update_multiple(common_code_key=key, name=name)
    for what, call in (
        ("a group", lambda: codes.update_multiple(common_code_key=key, name="third")),
        ("one", lambda: codes.update(access_code_id=created[1].access_code_id, name="third")),
    ):
        refused(what, call, "rate_limited", 429, "more than 2 updates in a minute")
    same(codes.get(access_code_id=created[1].access_code_id).name, "second", "what is refused changes nothing")

    advance(60)
    codes.update_multiple(common_code_key=key, name="third")
    same(codes.get(access_code_id=created[1].access_code_id).name, "third", "a minute later")
    codes.delete(access_code_id=created[0].access_code_id)
    advance(300)
    same(len(codes.create_multiple(device_ids=[FRONT])), 1, "room again")


play(scenario)
