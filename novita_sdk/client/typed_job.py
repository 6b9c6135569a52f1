# Generated from async_typed_job.py by tools/twins.py. Change that file, then run `make generate`.
"""Jobs whose outputs have a type, for synchronous code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from novita_sdk.client.job import Job
from novita_sdk.client.output_types import output_adapter
from novita_sdk.flows.handle import parse_handle
from novita_sdk.typed._checked import parse_output

if TYPE_CHECKING:
    from novita_sdk.client.client import Client

__all__ = ["JobStream", "TypedJob"]

OutputT = TypeVar("OutputT")
NamedT = TypeVar("NamedT")


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
        output_adapter(output_type)  # refused before it is needed
        # Not what reads it: a job can be pickled if its type can.
        self._output_type = output_type

    @classmethod
    def from_string(cls, text: str, client: Client, output_type: type[NamedT] | None = None) -> TypedJob[NamedT]:
        """The job that `to_string` wrote down, perhaps in another process; sends nothing.

        Args:
            text: What `to_string` returned; the type is not in it.
            client: Sends the calls.
            output_type: As in the constructor; a typed job can't do without.

        Raises:
            InvalidInputError: The text is no such thing.
            TypeError: The type is missing, or none of these.
        """
        if output_type is None:
            raise TypeError(f"{cls.__name__}.from_string needs the output_type as its third argument")
        # The class of this very call, whose type comes from the argument.
        kind = cast("type[TypedJob[NamedT]]", cls)
        return kind(*parse_handle(text), client, output_type)

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
        return parse_output(output_adapter(self._output_type), super().output(0))

    def stream(self, timeout: float | None = None, *, start: int = 0) -> Iterator[OutputT]:
        """Yields the chunks of a generator's output, checked; arguments and errors as in `Job.stream`."""
        chunks = super().stream(timeout, start=start)
        adapter = output_adapter(self._output_type)
        return (parse_output(adapter, chunk) for chunk in chunks)


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
