"""The state of a job, as the client hands it out."""

from __future__ import annotations

from dataclasses import dataclass, field

from novita_sdk.files._in_values import load_output
from novita_sdk.models import JobStatus
from novita_sdk.wire import states
from novita_sdk.wire.payload import JSONValue, PayloadError, load

__all__ = ["JobInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """What the gateway said about a job in one answer.

    Attributes:
        job_id: The job.
        status: `PENDING`, `IN_QUEUE`, `IN_PROGRESS`, `COMPLETED`, `FAILED`, `CANCELLED`, `TIMED_OUT`, or a word this
            version doesn't know.
        output: The result of a final job, else its latest progress.
        error: What the worker sent as its error: text, a JSON string, or any JSON value.
        delay_time: Seconds from the submit to the start, where the gateway tells.
        execution_time: Seconds the last attempt ran, where the gateway tells.
        worker_id: The worker that had it last, where the gateway tells.
        retries: Attempts after the first, where the gateway tells.
        revision: Another one with every change, where the gateway tells. Of no account in comparisons.
        unreadable: Why the output can't be read here, and where in it, such as an integer of thousands of digits that
            a worker in another language wrote; None where it can be. `output` is None then.
        raw_output: The bytes of an output that can't be read here; None where it can be.
    """

    job_id: str
    status: str
    output: JSONValue = None
    error: JSONValue = None
    delay_time: float | None = None
    execution_time: float | None = None
    worker_id: str | None = None
    retries: int | None = None
    revision: int | None = field(default=None, compare=False)
    unreadable: str | None = None
    raw_output: bytes | None = field(default=None, repr=False)

    @property
    def is_final(self) -> bool:
        """Whether the job never changes again."""
        return states.is_final(self.status)

    @property
    def progress(self) -> JSONValue:
        """The latest progress of a job that goes on; None otherwise."""
        return None if self.is_final else self.output

    @classmethod
    def from_message(cls, job: JobStatus) -> JobInfo:
        """Decodes the payloads of a status message. What can't be read stays as it came: the state counts."""
        output: JSONValue = None
        unreadable: str | None = None
        if job.HasField("output"):
            try:
                output = load_output(job.output, "output")
            except PayloadError as reason:
                unreadable = str(reason)
        return cls(
            job_id=job.id,
            status=job.status,
            output=output,
            error=_load_error(job.error) if job.HasField("error") else None,
            delay_time=job.delay_time / 1000 if job.HasField("delay_time") else None,
            execution_time=job.execution_time / 1000 if job.HasField("execution_time") else None,
            worker_id=job.worker_id if job.HasField("worker_id") else None,
            retries=job.retries if job.HasField("retries") else None,
            revision=job.revision if job.HasField("revision") else None,
            unreadable=unreadable,
            raw_output=None if unreadable is None else job.output,
        )


def _load_error(data: bytes) -> JSONValue:
    try:
        return load(data)
    except PayloadError:  # an error may be any text
        return data.decode(errors="replace")
