"""Data as JSON in UTF-8, whatever the terminal's encoding is."""

from __future__ import annotations

import json

from novita_sdk.wire.payload import JSONValue

__all__ = ["compact", "pretty"]


def compact(value: JSONValue) -> bytes:
    """One line of JSON."""
    return _encode(value, indent=None)


def pretty(value: JSONValue) -> bytes:
    """Indented JSON."""
    return _encode(value, indent=2)


def _encode(value: JSONValue, indent: int | None) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can hold
        return json.dumps(value, indent=indent).encode()
