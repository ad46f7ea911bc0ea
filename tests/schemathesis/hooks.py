"""What settings cannot say: which refusals are no faults, and which lock may be taken away."""

import os

import schemathesis
from schemathesis.core.failures import ServerError
from schemathesis.openapi.checks import IgnoredAuth


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """At a limit the gateway refuses new work, as it should: the run is meant to reach the limits.
    So a 503 is no fault where its body says `busy`; its shape and `retry-after` are checked as any
    other's. A gateway that has stopped says `busy` to readers too, which is never right here.

    Who shows many wrong keys is told 429 before the key is looked at: that is no way in either."""
    if isinstance(failure, IgnoredAuth):
        # `response` is the one to the right key.
        return "got `429 Too Many Requests`" not in failure.message
    if not isinstance(failure, ServerError) or response.status_code != 503:
        return True
    cause = response.json().get("error", {})
    said = ("holds as many", "too many door commands wait")
    return cause.get("type") != "busy" or not any(limit in cause["message"] for limit in said)


@schemathesis.hook
def before_call(context, case, kwargs):
    """A lock that is removed stays away until the gateway starts anew. One lock is there for it; if
    all were gone, there would be little left to find."""
    if case.path == "/devices/simulate/remove" and isinstance(case.body, dict):
        if case.body.get("device_id") in os.environ["STAY"].split():
            case.body["device_id"] = os.environ["GOES"]
