"""The endpoint names, job ids and worker ids that can stand in a URL path."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["InvalidNameError", "check_endpoint", "check_job_id", "check_name", "check_worker_id"]

MAX_LENGTH: Final = 255

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f/\\?#%]|[^\x00-\x7f]")


class InvalidNameError(ValueError):
    """A name can't stand in a URL path; the message says why."""


def check_endpoint(name: object) -> str:
    """Returns the endpoint name, `<endpoint-id>` or `<endpoint-id>-<app-name>`.

    Raises:
        InvalidNameError: It is not a string, empty, too long, or holds a character a path segment can't.
    """
    return check_name(name, "endpoint name")


def check_job_id(job_id: object) -> str:
    """Returns the job id; raises InvalidNameError as `check_endpoint` does."""
    return check_name(job_id, "job id")


def check_worker_id(worker_id: object) -> str:
    """Returns the worker id; raises InvalidNameError as `check_endpoint` does."""
    return check_name(worker_id, "worker id")


def check_name(value: object, what: str) -> str:
    """Returns the value if it can be one segment of a URL path.

    Raises:
        InvalidNameError: It can't.
    """
    if not isinstance(value, str):
        raise InvalidNameError(f"the {what} must be a string, not {type(value).__name__}")
    if not value or value in {".", ".."}:
        raise InvalidNameError(f"the {what} must not be {value!r}")
    if len(value) > MAX_LENGTH:
        raise InvalidNameError(f"the {what} has {len(value)} characters; at most {MAX_LENGTH} are allowed")
    if match := _FORBIDDEN.search(value):
        raise InvalidNameError(
            f"the {what} {value!r} holds {match.group()!r} at position {match.start()}; "
            "slashes, spaces, '?', '#', '%' and non-ASCII characters can't stand in it"
        )
    return value
