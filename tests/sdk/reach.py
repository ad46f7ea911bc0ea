"""A door out of reach, seen through the SDK alone."""

from stage import BACK, FRONT, advance, client, insist, pins, play, refused, same, words


def scenario():
    seam = client()
    same(seam.devices.simulate.disconnect(device_id=BACK), None, "disconnect")
    device = seam.devices.get(device_id=BACK)
    same(device.properties.online, False, "online")
    insist("device_offline" in words(device.errors, "error_code"), "the device's error", device.errors)
    refused(
        "a caller who will not wait",
        lambda: seam.access_codes.create_multiple(
            device_ids=[FRONT, BACK], attempt_for_offline_device=False
        ),
        "device_offline",
        409,
        "Back door",
    )
    same(seam.access_codes.list(device_id=FRONT), [], "what is refused leaves nothing")

    created = seam.access_codes.create_multiple(device_ids=[FRONT, BACK], name="Jane")
    pin = created[0].code
    advance(600)
    near = seam.access_codes.get(access_code_id=created[0].access_code_id)
    far = seam.access_codes.get(access_code_id=created[1].access_code_id)
    same((near.status, near.errors, near.pending_mutations), ("set", [], []), "the near door")
    same(far.status, "setting", "the far door")
    insist("device_offline" in words(far.errors, "error_code"), "why it waits", far.errors)
    same(words(far.pending_mutations, "mutation_code"), ["creating"], "what it waits for")
    insist(
        "delay_in_setting_on_device" in words(far.warnings, "warning_code"), "that it is late", far.warnings
    )
    same((pins(FRONT), pins(BACK)), ([pin], []), "the truth of the locks")

    same(seam.devices.simulate.connect(device_id=BACK), None, "connect")
    advance(600)
    far = seam.access_codes.get(access_code_id=created[1].access_code_id)
    same((far.status, far.errors, far.warnings), ("set", [], []), "heard again")
    same(far.pending_mutations, [], "nothing left to do")
    same((pins(FRONT), pins(BACK)), ([pin], [pin]), "once, and the same")
    device = seam.devices.get(device_id=BACK)
    same((device.properties.online, device.errors), (True, []), "the device")


play(scenario)
