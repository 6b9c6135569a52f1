"""Data on stdout: JSON in UTF-8, whatever the terminal's encoding is."""

from __future__ import annotations

import json

import click

from novita_sdk.wire.payload import JSONValue

__all__ = ["compact", "pretty", "write_stdout"]


def compact(value: JSONValue) -> bytes:
    """One line of JSON."""
    return _encode(value, indent=None)


def pretty(value: JSONValue) -> bytes:
    """Indented JSON."""
    return _encode(value, indent=2)


def write_stdout(data: bytes) -> None:
    """Writes a line, and waits until it is out."""
    click.echo(data)


def _encode(value: JSONValue, indent: int | None) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can hold
        return json.dumps(value, indent=indent).encode()
