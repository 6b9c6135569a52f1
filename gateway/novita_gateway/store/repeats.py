"""The comparison of a submit with the first one of its idempotency key."""

from __future__ import annotations

import json

from novita_sdk.files import File
from novita_sdk.models import JobRequest

__all__ = ["is_repeat"]


def is_repeat(request: JobRequest, first: JobRequest) -> bool:
    """Compares input, webhook and policy.

    What a client makes anew for each attempt does not count: the links of files that travel beside the input, the
    credentials in `s3Config`, and a trace context.
    """
    if (request.webhook, request.policy) != (first.webhook, first.policy):
        return False
    if request.input == first.input:
        return True
    try:
        return _canonical(request.input) == _canonical(first.input)
    except (ValueError, RecursionError):  # of a job that a gateway took which did not look so closely
        return False


def _canonical(payload: bytes) -> str:
    """The same text for the same value, however it was written."""
    return json.dumps(json.loads(payload, object_hook=_without_link), sort_keys=True)


def _without_link(value: dict[str, object]) -> dict[str, object]:
    if File.of(value) is None:
        return value
    return {key: item for key, item in value.items() if key != "url"}
