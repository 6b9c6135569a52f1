"""The comparison of a submit with the first one of its idempotency key."""

from __future__ import annotations

import json

from novita_sdk.files import File
from novita_sdk.models import JobRequest
from novita_sdk.wire.payload import PayloadError, load

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
    except (PayloadError, RecursionError):
        return False


def _canonical(payload: bytes) -> str:
    """The same text for the same value, however it was written."""
    return json.dumps(_without_links(load(payload)), sort_keys=True)


def _without_links(value: object) -> object:
    if isinstance(value, list):
        return [_without_links(item) for item in value]
    if isinstance(value, dict):
        is_file = File.of(value) is not None
        return {key: _without_links(item) for key, item in value.items() if not (is_file and key == "url")}
    return value
