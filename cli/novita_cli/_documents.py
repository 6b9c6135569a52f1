"""A job as JSON, in the members and units of the platform's own status reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import JobInfo

__all__ = ["document"]


def document(info: JobInfo) -> dict[str, JSONValue]:
    """What is known of a job; `delayTime` and `executionTime` are milliseconds."""
    members = {
        "output": info.output,
        "error": info.error,
        "delayTime": _milliseconds(info.delay_time),
        "executionTime": _milliseconds(info.execution_time),
        "workerId": info.worker_id,
        "retries": info.retries,
    }
    known = {name: value for name, value in members.items() if value is not None}
    return {"id": info.job_id, "status": info.status, **known}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
