"""Data as JSON in UTF-8, whatever the terminal's encoding is, and a job as such data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import JobInfo

__all__ = ["compact", "job_document", "pretty"]


def compact(value: JSONValue) -> bytes:
    """One line of JSON."""
    return _encode(value, indent=None)


def pretty(value: JSONValue) -> bytes:
    """Indented JSON."""
    return _encode(value, indent=2)


def job_document(info: JobInfo) -> dict[str, JSONValue]:
    """What is known of a job, in the members of the platform's own status reply; its times are milliseconds."""
    members = {
        "output": info.output,
        "error": info.error,
        "unreadable": info.unreadable,
        "delayTime": _milliseconds(info.delay_time),
        "executionTime": _milliseconds(info.execution_time),
        "workerId": info.worker_id,
        "retries": info.retries,
    }
    known = {name: value for name, value in members.items() if value is not None}
    return {"id": info.job_id, "status": info.status, **known}


def _encode(value: JSONValue, indent: int | None) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can hold
        return json.dumps(value, indent=indent).encode()


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
