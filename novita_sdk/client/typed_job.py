"""Jobs whose outputs have a type."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from novita_sdk.client.async_job import AsyncJob
from novita_sdk.client.job import Job
from novita_sdk.typed._adapters import Adapter, find_adapter
from novita_sdk.typed._checked import parse_output

if TYPE_CHECKING:
    from novita_sdk.client.async_client import AsyncClient
    from novita_sdk.client.client import Client

__all__ = ["AsyncJobStream", "AsyncTypedJob", "JobStream", "TypedJob"]

OutputT = TypeVar("OutputT")


class TypedJob(Job, Generic[OutputT]):
    """A job with an output of a known type.

    Args:
        endpoint_id: Name of the endpoint.
        job_id: The job's id.
        client: Sends the calls.
        output_type: A protobuf message, a dataclass, a TypedDict or a pydantic model.

    Raises:
        TypeError: The type is none of these.
    """

    def __init__(self, endpoint_id: str, job_id: str, client: Client, output_type: type[OutputT]) -> None:
        super().__init__(endpoint_id, job_id, client)
        self._adapter = output_adapter(output_type)

    def output(self, timeout: float | None = None) -> OutputT:
        """Waits for the end of the job and returns its output, checked.

        Members that the type doesn't know are ignored, so that a newer worker breaks no older client.

        Args:
            timeout: Seconds to wait; None waits without end.

        Raises:
            OutputError: The worker's output is not of the type; lists every violation.
            WaitTimeoutError: The timeout is over. The job goes on, and can be waited for again.
            JobError: As in `Job.output`.
        """
        self.wait(timeout)
        return parse_output(self._adapter, super().output(0))

    def stream(self, timeout: float | None = None) -> Iterator[OutputT]:
        """Yields the chunks of a generator's output, checked; arguments and errors as in `Job.stream`."""
        return (parse_output(self._adapter, chunk) for chunk in super().stream(timeout))


class AsyncTypedJob(AsyncJob, Generic[OutputT]):
    """A job with an output of a known type, for asynchronous code. Arguments as of `TypedJob`."""

    def __init__(self, endpoint_id: str, job_id: str, client: AsyncClient, output_type: type[OutputT]) -> None:
        super().__init__(endpoint_id, job_id, client)
        self._adapter = output_adapter(output_type)

    async def output(self, timeout: float | None = None) -> OutputT:
        """Waits for the end of the job and returns its output, checked; as `TypedJob.output`."""
        await self.wait(timeout)
        return parse_output(self._adapter, await super().output(0))

    def stream(self, timeout: float | None = None) -> AsyncIterator[OutputT]:
        """Yields the chunks of a generator's output, checked; arguments and errors as in `AsyncJob.stream`."""
        chunks = super().stream(timeout)
        return (parse_output(self._adapter, chunk) async for chunk in chunks)


class JobStream(Generic[OutputT]):
    """A job whose output comes in chunks: iterate over it.

    Attributes:
        job: The job itself, to look at or cancel.
    """

    def __init__(self, job: TypedJob[OutputT]) -> None:
        self.job = job

    def __iter__(self) -> Iterator[OutputT]:
        """Yields each chunk as it comes; errors as in `Job.stream`."""
        return self.job.stream()


class AsyncJobStream(Generic[OutputT]):
    """A job whose output comes in chunks: iterate over it with `async for`.

    Attributes:
        job: The job itself, to look at or cancel.
    """

    def __init__(self, job: AsyncTypedJob[OutputT]) -> None:
        self.job = job

    def __aiter__(self) -> AsyncIterator[OutputT]:
        """Yields each chunk as it comes; errors as in `AsyncJob.stream`."""
        return self.job.stream()


def output_adapter(output_type: type[OutputT]) -> Adapter[OutputT]:
    """The adapter of a type.

    Raises:
        TypeError: There is none.
    """
    adapter: Adapter[Any] | None = find_adapter(output_type)
    if adapter is None:
        raise TypeError(
            f"output_type must be a protobuf message, a dataclass, a TypedDict or a pydantic model, not {output_type!r}"
        )
    return adapter
