# Generated from async_job.py by tools/twins.py. Change that file, then run `make generate`.
"""A submitted job, for synchronous code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from novita_sdk.flows.handle import Handle, parse_handle

if TYPE_CHECKING:
    from novita_sdk.client.client import Client
    from novita_sdk.flows.job_info import JobInfo
    from novita_sdk.wire.payload import JSONValue

__all__ = ["Job"]


class Job(Handle):
    """A job on an endpoint. Every method may be called from any thread, and again after an error.

    Args:
        endpoint_id: Name of the endpoint.
        job_id: The job's id.
        client: Sends the calls.

    Attributes:
        endpoint_id: Name of the endpoint.
        job_id: The job's id.
    """

    def __init__(self, endpoint_id: str, job_id: str, client: Client) -> None:
        super().__init__(endpoint_id, job_id)
        self._client = client

    @classmethod
    def from_string(cls, text: str, client: Client) -> Self:
        """The job that `to_string` wrote down, perhaps in another process; sends nothing.

        Raises:
            InvalidInputError: The text is no such thing.
        """
        return cls(*parse_handle(text), client)

    def status(self) -> str:
        """The state now: `PENDING`, `IN_QUEUE`, `IN_PROGRESS`, `COMPLETED`, `FAILED`, `CANCELLED`, `TIMED_OUT`.

        A final state is kept, so that later calls send nothing. A state that this version doesn't know is handed out as
        the gateway words it.

        Raises:
            NotFoundError: The gateway knows no such job, or knows it no longer.
            NovitaError: See `docs/errors.md`.
        """
        return self.info().status

    def info(self) -> JobInfo:
        """All that the gateway tells about the job now; raises as `status` does."""
        driver = self._client._open()
        return driver.run(driver.flows.info(self))

    def output(self, timeout: float | None = 0) -> JSONValue:
        """The job's output.

        Args:
            timeout: Seconds to wait for the end of the job; None waits without end. With 0, the default, it returns
                what there is now: the output of a completed job, or the latest progress of one that goes on.

        Raises:
            JobFailedError: The worker reported an error; type, message and traceback are in it.
            JobCancelledError: Somebody cancelled the job.
            JobTimedOutError: The job ran into its own time limit.
            WaitTimeoutError: The timeout is over. The job goes on, and can be waited for again.
            NovitaError: See `docs/errors.md`. Failures that may pass don't end the wait.
        """
        driver = self._client._open()
        return driver.run(driver.flows.output(self, timeout))

    def wait(self, timeout: float | None = None) -> JobInfo:
        """Waits for the end of the job, whatever it is; a failed job raises nothing here.

        Args:
            timeout: Seconds; None waits without end.

        Raises:
            WaitTimeoutError: The timeout is over. The job goes on, and can be waited for again.
            NovitaError: As in `output`.
        """
        driver = self._client._open()
        return driver.run(driver.flows.waiting.wait(self, timeout))

    def updates(self, timeout: float | None = None) -> Iterator[JobInfo]:
        """Yields the state at once, then every change of state or progress that is seen, and ends with the final one.

        Args:
            timeout: Seconds for the whole iteration; None waits without end.

        Raises:
            WaitTimeoutError: The timeout is over; a new iteration goes on.
            NovitaError: As in `output`.
        """
        driver = self._client._open()
        return driver.iterate(driver.flows.waiting.updates(self, timeout))

    def stream(self, timeout: float | None = None, *, start: int = 0) -> Iterator[JSONValue]:
        """Yields the chunks of a generator handler as they come, and ends with the job.

        Each iteration begins with chunk `start`, as often and by as many as there are, where the gateway gives
        cursors; else a chunk is handed out once, so two iterations share them. A gateway without streams has the chunks
        when the job is done, if the worker aggregates them.

        Args:
            timeout: Seconds for the whole iteration; None waits without end.
            start: Number of the first chunk that is wanted, from 0 on: to go on where another iteration ended. It
                changes nothing where a chunk is handed out once.

        Raises:
            JobError: The job did not complete; the chunks before that were yielded.
            UnreadableOutputError: A chunk can't be read here; `start=error.chunk + 1` goes on behind it.
            StreamRestartedError: Another attempt began the stream anew; what was yielded is void. Iterate again.
            WaitTimeoutError: The timeout is over; the job goes on, and can be iterated again.
            NovitaError: As in `output`.
        """
        driver = self._client._open()
        return driver.iterate(driver.flows.stream(self, timeout, start))

    def cancel(self, timeout: float = 3) -> JSONValue:
        """Orders the job to stop and returns the gateway's answer; a final job stays as it is.

        Args:
            timeout: Seconds without a byte before the request counts as lost.

        Raises:
            NotFoundError: The gateway knows no such job.
            NovitaError: See `docs/errors.md`.
        """
        driver = self._client._open()
        return driver.run(driver.flows.cancel(self, timeout))

    def retry(self, timeout: float = 3) -> JSONValue:
        """Queues a FAILED or TIMED_OUT job again under the same id, where the gateway offers that.

        Args:
            timeout: Seconds without a byte before the request counts as lost.

        Raises:
            ConflictError: The job is in another state.
            NovitaError: See `docs/errors.md`.
        """
        driver = self._client._open()
        return driver.run(driver.flows.retry(self, timeout))
