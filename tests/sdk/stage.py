"""What every scenario needs: the SDK's client, words to insist with, and hands on the locks.

Endpoint and keys come in the environment, where no list of processes shows them.
"""

import datetime
import importlib.metadata
import json
import os
import sys
import urllib.request

from seam import Seam

VERSION = importlib.metadata.version("seam")
assert VERSION == os.environ["VERSION"], VERSION

FRONT = "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73"
BACK = "d87eea5d-71c6-4633-a966-396c5ac51177"
CELLAR = "11111111-0000-4000-8000-000000000001"
SAFE = "11111111-0000-4000-8000-000000000002"
NOBODY = "99999999-0000-4000-8000-000000000009"

ENDPOINT = os.environ["ENDPOINT"]
KEY = os.environ["KEY"]


def client(key=KEY, **options):
    return Seam(api_key=key, endpoint=ENDPOINT, **options)


def insist(holds, what, told=None):
    if not holds:
        raise AssertionError(f"{what}; told: {told!r}")


def same(got, wanted, what):
    insist(got == wanted, f"{what}: not {wanted!r}", got)


def refused(what, call, code, status, says, kind="SeamHttpApiError"):
    """Insists that the SDK raises its own exception, and returns it."""
    try:
        told = call()
    except Exception as error:  # noqa: BLE001: which one it is stands below
        same(type(error).__name__, kind, f"{what}: {error!r}: its class")
        same((error.code, error.status_code), (code, status), f"{what}: {error!r}: type and status")
        insist(says in str(error), f"{what}: the message does not say `{says}`", str(error))
        insist(error.request_id, f"{what}: no request id")
        return error
    raise AssertionError(f"{what}: not refused; told: {told!r}")


def http(method, path, body=None, key=KEY):
    """One call by plain HTTP, at the gateway itself."""
    request = urllib.request.Request(f"http://{os.environ['GATEWAY']}{path}", method=method)
    if key:
        request.add_header("authorization", f"Bearer {key}")
    if body is not None:
        request.add_header("content-type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    insist(told["ok"] is True, f"{method} {path}", told)
    return told


SIM = "/lockbridge/v1/sim"


def advance(seconds):
    """Moves simulated time on; all that falls due on the way is done."""
    http("POST", f"{SIM}/clock", {"advance_s": seconds})


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def text(moment):
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def time(seconds):
    """The gateway's own time, in whole seconds, so many from now."""
    now = at(http("GET", f"{SIM}/clock")["now"])
    return text(now + datetime.timedelta(seconds=seconds))


def fault(device, **kind):
    http("POST", f"{SIM}/devices/{device}/fault", kind)


def lock(device):
    """The truth about a lock."""
    return http("GET", f"{SIM}/devices/{device}/table")


def pins(device):
    return sorted(row["code"] for row in lock(device)["codes"])


def opens(device, code):
    return http("POST", f"{SIM}/devices/{device}/keypad", {"code": code})["opened"]


def words(objects, key):
    """The `error_code`s, or the like. What is listed comes as objects or as dictionaries, as the
    version has it."""
    return [one[key] if isinstance(one, dict) else getattr(one, key) for one in objects]


def play(scenario):
    scenario()
    print("played to the end")
    sys.stdout.flush()
