"""What a real Home Assistant makes of what the gateway tells it: scene.py ROOT WORK PROGRAM, see `run`."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

from home import Browser, Home, ask, until

ROOT, WORK, PROGRAM = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
PICTURES = os.environ.get("LOCKBRIDGE_PICTURES")
DOORS = {
    "Front door": "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73",
    "Back door": "d87eea5d-71c6-4633-a966-396c5ac51177",
    "Garden gate": "3f0c7a52-0f0e-4e2c-9f6b-0d7f4f1f2a11",
}
GATEWAY = "lockbridge villa-7 gw1"
VIEW = pathlib.Path("config/dashboards/home-assistant.yaml")

# All that belongs to the gateway and to a lock: by entity id the category, the device class and the unit.
OF_THE_GATEWAY = {
    "binary_sensor.{}_connectivity": ("diagnostic", "connectivity", None),
    "binary_sensor.{}_clock": ("diagnostic", "problem", None),
    "binary_sensor.{}_groups": (None, "problem", None),
    "sensor.{}_version": ("diagnostic", None, None),
    "sensor.{}_jobs_open": (None, None, None),
    "sensor.{}_locks_online": (None, None, None),
    "sensor.{}_codes_waiting": (None, None, None),
    "sensor.{}_codes_overdue": (None, None, None),
    "button.{}_check_all_codes_now": ("diagnostic", None, None),
}
OF_A_LOCK = {
    "lock.{}": (None, None, None),
    "sensor.{}_battery": ("diagnostic", "battery", "%"),
    "sensor.{}_signal_strength": ("diagnostic", "signal_strength", "dBm"),
    "sensor.{}_last_seen": ("diagnostic", "timestamp", None),
    "sensor.{}_last_heard": ("diagnostic", "timestamp", None),
    "sensor.{}_codes_waiting": (None, None, None),
    "binary_sensor.{}_code_drift": ("diagnostic", "problem", None),
    "event.{}_activity": (None, None, None),
    "button.{}_check_codes_now": ("diagnostic", None, None),
}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def slug(name):
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


class Gateway:
    """The program, with simulated doors."""

    def __init__(self, broker):
        self.broker, self.port = broker, free_port()
        self.config, self.process = WORK / "lockbridge.toml", None

    def write(self, doors):
        lines = [
            '[gateway]\nsite = "villa-7"\nid = "gw1"', f'data_dir = "{WORK}/data"',
            f'[http]\nlisten = "127.0.0.1:{self.port}"',
            f'[mqtt]\nurl = "mqtt://127.0.0.1:{self.broker}"\ndiscovery = "device"\nnames = "show"',
            '[log]\nlevel = "debug"',
        ]
        for door in doors:
            lines.append(f'[[device]]\ndevice_id = "{DOORS[door]}"\nname = "{door}"\ndriver = "sim"\n'
                         'profile = "keypad-6"\nlatency = "20ms"\nsilence_after = "200ms"')
        self.config.write_text("\n".join(lines) + "\n")

    def start(self):
        log = open(WORK / "lockbridge.log", "a", encoding="utf-8")
        self.process = subprocess.Popen([PROGRAM, "run", "--config", self.config], stderr=log, stdout=log)
        until("the gateway answers", lambda: ask(f"http://127.0.0.1:{self.port}/health"))

    def make_key(self):
        words = [PROGRAM, "keys", "create", "scene", "--scope", "codes,pins,operate,admin", "--config", self.config]
        self.key = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    def post(self, path, **body):
        answer = ask(f"http://127.0.0.1:{self.port}{path}", body, self.key)
        assert answer is not None, path
        return answer

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0
            self.process = None


def step(words):
    print(f"-- {words}", flush=True)


def entities_are(home, expected):
    """Insists on exactly these entities, each with its properties."""

    def look():
        found = home.entities()
        return set(found) == set(expected) and found

    try:
        found = until("the entities", look, 30)
    except AssertionError:
        there = set(home.entities())
        raise AssertionError(f"lacking {set(expected) - there}, too many {there - set(expected)}") from None
    for name, properties in expected.items():
        attributes = home.attributes(name)
        told = (found[name]["entity_category"], attributes.get("device_class"), attributes.get("unit_of_measurement"))
        assert told == properties, f"{name}: {told}"


def expected(doors):
    gateway = {name.format(slug(GATEWAY)): is_so for name, is_so in OF_THE_GATEWAY.items()}
    locks = {name.format(slug(door)): is_so for door in doors for name, is_so in OF_A_LOCK.items()}
    return gateway | locks


def pictures(home):
    if not PICTURES:
        return
    step("pictures")
    device = home.devices()["Front door"]["id"]
    with contextlib.closing(Browser(WORK, home, 1100, 860)) as browser:
        browser.picture(f"{home.url}/config/devices/device/{device}", ["Codes waiting", "Activity"],
                        f"{PICTURES}/home-assistant-lock.png")
        browser.picture(f"{home.url}/lockbridge-doors/doors", ["Arrivals", "need somebody", "device_silent"],
                        f"{PICTURES}/home-assistant.png")


def story(home, gateway, broker):
    front, ours = DOORS["Front door"], slug(GATEWAY)
    doors = list(DOORS)

    step("Home Assistant finds the gateway and its locks")
    home.start()
    home.connect(broker)
    entities_are(home, expected(doors))
    devices = home.devices()
    assert set(devices) == {GATEWAY, *DOORS}, set(devices)
    assert all(devices[door]["via_device_id"] == devices[GATEWAY]["id"] for door in DOORS)

    named = set(re.findall(r"\b(?:binary_sensor|sensor|lock|event|button)\.\w+", VIEW.read_text()))
    named.remove("binary_sensor.front_door")  # Stands in its comment.
    assert named <= set(home.entities()), f"the view shows {named - set(home.entities())}"

    step("states")
    home.becomes(f"binary_sensor.{ours}_connectivity", "on")
    home.becomes(f"binary_sensor.{ours}_clock", "off")
    home.becomes(f"binary_sensor.{ours}_groups", "off")
    home.becomes(f"sensor.{ours}_locks_online", "3")
    home.becomes("sensor.front_door_battery", "unknown")
    home.becomes("sensor.front_door_last_heard", "unknown")
    until("a time", lambda: home.state("sensor.front_door_last_seen") not in (None, "unknown", "unavailable"))
    home.becomes("binary_sensor.front_door_code_drift", "off")

    step("a bolt is moved from there")
    for service, state in [("lock.lock", "locked"), ("lock.unlock", "unlocked"), ("lock.lock", "locked")]:
        home.call(service, "lock.front_door")
        home.becomes("lock.front_door", state)
    happened = until("the event", lambda: home.attributes("event.front_door_activity").get("happened"))
    assert happened == "lock.locked" and home.attributes("event.front_door_activity")["event_type"] == "by_radio"

    step("a group waits for a lock that is away, and is proven once it is back")
    gateway.post("/devices/simulate/disconnect", device_id=front)
    booked = gateway.post("/access_codes/create_multiple", device_ids=[DOORS[door] for door in doors], name="Jane")
    home.becomes("sensor.front_door_codes_waiting", "1")
    until("the lock is away", lambda: home.state("lock.front_door") == "unavailable")
    home.becomes(f"binary_sensor.{ours}_groups", "on")
    home.becomes(f"sensor.{ours}_codes_overdue", "1")
    home.becomes(f"sensor.{ours}_locks_online", "2")
    why = home.attributes("sensor.front_door_codes_waiting")
    assert why["reason"] == "device_silent" and why["next_try"], why
    groups = home.attributes(f"binary_sensor.{ours}_groups")
    assert groups["count"] == 1 and len(groups["groups"]) == 1, groups
    pictures(home)
    gateway.post("/devices/simulate/connect", device_id=front)
    home.becomes("sensor.front_door_codes_waiting", "0")
    home.becomes(f"binary_sensor.{ours}_groups", "off")
    home.becomes(f"sensor.{ours}_codes_overdue", "0")
    home.becomes("lock.front_door", "locked")

    step("the guest comes in")
    # Simulated keypads tell nothing, so that what a real one makes of the gateway is said in its place.
    pin, code = (booked["access_codes"][0][key] for key in ("code", "access_code_id"))
    happened = {"event_type": "lock.unlocked", "method": "keycode", "access_code_id": code, "access_code_name": "Jane",
                "occurred_at": "2027-05-01T15:10:00.000Z", "device_id": front, "seq": 1_000_000}
    topic = f"lockbridge/villa-7/gw1/device/{front}/event"
    subprocess.run(["mosquitto_pub", "-p", str(broker), "-q", "1", "-t", topic, "-m", json.dumps(happened)], check=True)
    until("who came in", lambda: home.attributes("event.front_door_activity").get("event_type") == "code_used")
    who = home.attributes("event.front_door_activity")
    assert who["access_code_name"] == "Jane" and who["access_code_id"], who
    assert pin not in str(home.get("states")), "a PIN is shown"

    step("the gateway goes, and comes back")
    gateway.stop()
    home.becomes(f"binary_sensor.{ours}_connectivity", "off")
    home.becomes("lock.front_door", "unavailable")
    home.becomes("sensor.front_door_codes_waiting", "unavailable")
    gateway.start()
    home.becomes(f"binary_sensor.{ours}_connectivity", "on")
    home.becomes("sensor.front_door_codes_waiting", "0")
    # Where its bolt is nobody has said since.
    until("the lock is back", lambda: home.state("lock.front_door") != "unavailable")

    step("a button has codes checked")
    before = home.state("sensor.front_door_last_seen")
    home.call("button.press", "button.front_door_check_codes_now")
    until("the lock was read", lambda: home.state("sensor.front_door_last_seen") != before)

    step("a lock leaves while Home Assistant listens")
    doors.remove("Garden gate")
    gateway.write(doors)
    gateway.stop()
    gateway.start()
    entities_are(home, expected(doors))
    assert set(home.devices()) == {GATEWAY, *doors}

    step("a lock leaves while it does not, and an owner's deletion does not last")
    device = home.devices()["Front door"]["id"]
    home.tell("config/device_registry/remove_config_entry", device_id=device, config_entry_id=home.mqtt()["entry_id"])
    until("it is gone", lambda: "Front door" not in home.devices())
    home.stop()
    doors.remove("Back door")
    gateway.write(doors)
    gateway.stop()
    gateway.start()
    home.start()
    until("it is loaded", lambda: home.mqtt()["state"] == "loaded")
    entities_are(home, expected(doors))
    assert set(home.devices()) == {GATEWAY, *doors}

    step("nothing that it was told was wrong")
    home.stop()
    told = home.logs.splitlines()
    wrong = [line for line in told if re.search(r"WARNING|ERROR", line) and re.search("mqtt|lockbridge|template", line)]
    # Of the device that its owner deleted it takes away each entity by itself, and hears of each.
    wrong = [line for line in wrong if f"No device components to cleanup for {front}" not in line]
    assert not wrong, "\n".join(wrong)


def main():
    port = free_port()
    (WORK / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    log = open(WORK / "mosquitto.log", "w", encoding="utf-8")
    broker = subprocess.Popen(["mosquitto", "-c", WORK / "mosquitto.conf"], stdout=log, stderr=log)
    gateway, home = Gateway(port), Home(ROOT, WORK, free_port())
    shutil.copy(VIEW, home.folder / "doors.yaml")
    try:
        gateway.write(list(DOORS))
        gateway.start()
        gateway.make_key()
        story(home, gateway, port)
    finally:
        home.stop()
        if gateway.process:
            gateway.process.kill()
        broker.terminate()
        broker.wait(20)


main()
