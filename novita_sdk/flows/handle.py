"""The identity and the final state of a job, shared by the sync and the async `Job`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Self

from novita_sdk.wire.names import InvalidNameError, check_endpoint, check_job_id

if TYPE_CHECKING:
    from novita_sdk.flows.job_info import JobInfo

__all__ = ["Handle", "Queued", "checked_endpoint", "checked_job_id", "parse_handle"]


class Queued(NamedTuple):
    """What a submit brings."""

    job_id: str
    trace: Mapping[str, str]


class Handle:
    """An endpoint, a job id, and the job's final state once it was seen.

    Attributes:
        endpoint_id: Name of the endpoint.
        job_id: The job's id.
        final: Its final state, once it was seen.
        is_new: It was submitted by this process and not asked about yet.
        trace: The trace context of its submit, where one is recorded.
    """

    def __init__(self, endpoint_id: str, job_id: str) -> None:
        self.endpoint_id = checked_endpoint(endpoint_id)
        self.job_id = checked_job_id(job_id)
        self.final: JobInfo | None = None
        self.is_new = False
        self.trace: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(endpoint_id={self.endpoint_id!r}, job_id={self.job_id!r})"

    def begin(self, queued: Queued) -> Self:
        """Takes over what the submit brought."""
        self.is_new, self.trace = True, queued.trace
        return self

    def remember(self, info: JobInfo) -> None:
        """Keeps a final state, which never changes."""
        if info.is_final:
            self.final = info

    def forget(self) -> None:
        """Drops the final state, because the job was queued again."""
        self.final = None

    def to_string(self) -> str:
        """The job as text, without the API key; `from_string` of the same class makes a job of it again."""
        return json.dumps({"endpoint_id": self.endpoint_id, "job_id": self.job_id})


def parse_handle(text: str) -> tuple[str, str]:
    """Endpoint name and job id of a job's text.

    Raises:
        InvalidInputError: The text was not made by `to_string`.
    """
    try:
        members: object = json.loads(text)
    except (ValueError, TypeError):
        members = None
    match members:
        case {"endpoint_id": str(endpoint_id), "job_id": str(job_id)}:
            return endpoint_id, job_id
    from novita_sdk.errors import InvalidInputError

    raise InvalidInputError(f"Not a job: {text[:80]!r}. Pass what Job.to_string returned.")


def checked_endpoint(name: object) -> str:
    """Returns the endpoint name; raises InvalidInputError if it can't stand in a URL."""
    try:
        return check_endpoint(name)
    except InvalidNameError as error:
        raise _invalid(error) from None


def checked_job_id(job_id: object) -> str:
    """Returns the job id; raises InvalidInputError if it can't stand in a URL."""
    try:
        return check_job_id(job_id)
    except InvalidNameError as error:
        raise _invalid(error) from None


def _invalid(error: InvalidNameError) -> ValueError:
    from novita_sdk.errors import InvalidInputError

    return InvalidInputError(f"{error}. Nothing was sent.")
