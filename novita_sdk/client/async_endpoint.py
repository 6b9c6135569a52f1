"""An endpoint, for asynchronous code."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, overload

from novita_sdk.client.async_job import AsyncJob
from novita_sdk.client.map_options import MapOptions
from novita_sdk.flows.handle import checked_endpoint
from novita_sdk.flows.options import MISSING, RunOptions, SubmitOptions, choose_input, known_options

if TYPE_CHECKING:
    from novita_sdk.client.async_client import AsyncClient
    from novita_sdk.client.async_typed_job import AsyncTypedJob
    from novita_sdk.flows.job_info import JobInfo
    from novita_sdk.wire.payload import JSONValue

__all__ = ["AsyncEndpoint"]

OutputT = TypeVar("OutputT")


class AsyncEndpoint:
    """Queues jobs on one endpoint.

    Args:
        endpoint_id: `<endpoint-id>` or `<endpoint-id>-<app-name>`.
        client: Sends the calls.

    Raises:
        InvalidInputError: The name can't stand in a URL.
    """

    def __init__(self, endpoint_id: str, client: AsyncClient) -> None:
        self.endpoint_id = checked_endpoint(endpoint_id)
        self._client = client

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.endpoint_id!r})"

    @overload
    async def run(
        self, request_input: JSONValue, *, output_type: type[OutputT], **options: Unpack[RunOptions]
    ) -> AsyncTypedJob[OutputT]: ...

    @overload
    async def run(
        self, request_input: JSONValue, *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> AsyncJob: ...

    @overload
    async def run(
        self, *, input: JSONValue, output_type: type[OutputT], **options: Unpack[RunOptions]
    ) -> AsyncTypedJob[OutputT]: ...

    @overload
    async def run(self, *, input: JSONValue, output_type: None = None, **options: Unpack[RunOptions]) -> AsyncJob: ...

    async def run(
        self,
        request_input: JSONValue = MISSING,
        *,
        input: JSONValue = MISSING,
        output_type: type[OutputT] | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncJob | AsyncTypedJob[OutputT]:
        """Queues a job and returns at once.

        Args:
            request_input: What the handler finds under `job["input"]`: any JSON value of at most 4 MiB, or a message,
                dataclass or pydantic model, which is checked first. An object that has the key `input` itself is a
                whole request: what is beside its input reaches the worker beside it. Files of this machine
                (`novita_sdk.files.File.from_path`) are uploaded first.
            input: The same, but always the input, whatever keys it has.
            output_type: What to make of the output: a message, dataclass, TypedDict or pydantic model.
            **options: `webhook`, `policy`, `low_priority`, `s3_config`, `idempotency_key`, `check` and `timeout`; see
                `RunOptions`.

        Raises:
            InvalidInputError: The input can't travel as JSON, with the path to what can't; or it breaks rules of its
                type, with every violation; or an option has a value or a member that is none.
            TypeError: There is no such option; names what may have been meant.
            PayloadTooLargeError: The input is over 4 MiB.
            AuthenticationError: The API key is not accepted.
            SubmitUncertainError: The answer was lost; the job may or may not be queued.
            NovitaError: See `docs/errors.md`.
        """
        value = choose_input("run", request_input, input)
        known = known_options("run", options, "output_type", "input")
        if output_type is not None:
            from novita_sdk.client.async_typed_job import AsyncTypedJob
            from novita_sdk.client.output_types import output_adapter

            output_adapter(output_type)  # refused before anything is sent
        driver = self._client._open()
        queued = await driver.run(driver.flows.submit(self.endpoint_id, value, options=known))
        if output_type is not None:
            return AsyncTypedJob(self.endpoint_id, queued.job_id, self._client, output_type).begin(queued)
        return self.job(queued.job_id).begin(queued)

    @overload
    async def run_sync(
        self,
        request_input: JSONValue,
        timeout: float | None = None,
        *,
        output_type: type[OutputT],
        cancel_on_timeout: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> OutputT: ...

    @overload
    async def run_sync(
        self,
        request_input: JSONValue,
        timeout: float | None = None,
        *,
        output_type: None = None,
        cancel_on_timeout: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> JSONValue: ...

    @overload
    async def run_sync(
        self,
        *,
        input: JSONValue,
        output_type: type[OutputT],
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> OutputT: ...

    @overload
    async def run_sync(
        self,
        *,
        input: JSONValue,
        output_type: None = None,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> JSONValue: ...

    async def run_sync(
        self,
        request_input: JSONValue = MISSING,
        timeout: float | None = None,
        *,
        input: JSONValue = MISSING,
        output_type: type[OutputT] | None = None,
        cancel_on_timeout: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> OutputT | JSONValue:
        """Queues a job, waits for its end, and returns its output.

        Args:
            request_input: As in `run`.
            timeout: Seconds to wait for the end of the job; None waits without end.
            input: As in `run`.
            output_type: What to make of the output, as in `run`.
            cancel_on_timeout: Whether to cancel the job when the timeout is over.
            **options: As in `run`, but for its `timeout`; see `SubmitOptions`.

        Raises:
            OutputError: The worker's output is not of the type; lists every violation.
            WaitTimeoutError: The timeout is over; its `job_id` is what `job` takes to wait again.
            NovitaError: As `run` and `Job.output` raise.
        """
        value = choose_input("run_sync", request_input, input)
        known = known_options("run_sync", options, "output_type", "input", "timeout", "cancel_on_timeout")
        read = None if output_type is None else _reader(output_type)
        driver = self._client._open()
        output = await driver.run(
            driver.flows.run_sync(
                self.endpoint_id,
                value,
                options=known,
                timeout=timeout,
                cancel_on_timeout=cancel_on_timeout,
            )
        )
        return output if read is None else read(output)

    @overload
    def map(
        self,
        inputs: Iterable[JSONValue] | AsyncIterable[JSONValue],
        *,
        output_type: type[OutputT],
        return_exceptions: Literal[False] = False,
        **options: Unpack[MapOptions],
    ) -> AsyncIterator[OutputT]: ...

    @overload
    def map(
        self,
        inputs: Iterable[JSONValue] | AsyncIterable[JSONValue],
        *,
        output_type: type[OutputT],
        return_exceptions: bool,
        **options: Unpack[MapOptions],
    ) -> AsyncIterator[OutputT | Exception]: ...

    @overload
    def map(
        self,
        inputs: Iterable[JSONValue] | AsyncIterable[JSONValue],
        *,
        output_type: None = None,
        return_exceptions: bool = False,
        **options: Unpack[MapOptions],
    ) -> AsyncIterator[JSONValue]: ...

    def map(
        self,
        inputs: Iterable[JSONValue] | AsyncIterable[JSONValue],
        *,
        output_type: type[OutputT] | None = None,
        concurrency: int = 16,
        ordered: bool = True,
        return_exceptions: bool = False,
        timeout: float | None = None,
        manifest: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        **options: Unpack[SubmitOptions],
    ) -> AsyncIterator[JSONValue]:
        """Runs a job for every input and yields the outputs; draws inputs only as there is room for them.

        Args:
            inputs: Any number of inputs, as `run` takes them, from a plain or an async iterable.
            output_type: What to make of each output, as in `run`.
            concurrency: Jobs that are under way, or whose outputs wait to be taken, at most.
            ordered: Yield in the order of the inputs, else as jobs end.
            return_exceptions: Yield errors in their places instead of raising the first; jobs under way go on then.
            timeout: Seconds for each job from its submit to its end; None has no end.
            manifest: A file in which the batch is recorded. After a crash, a run with the same inputs and the same file
                re-attaches to what was submitted and submits only the rest.
            progress: Show a bar on stderr; None does so where it is a terminal and `rich` is installed.
            **options: As in `run`, but for its `timeout`; see `SubmitOptions`. An `idempotency_key` becomes part of the
                key of each input, beside its content: the same batch under the same key is the same jobs.

        Raises:
            InvalidInputError: The concurrency is less than 1; an option is none; or the manifest is none, belongs to
                another endpoint or key, or is in use.
            TypeError: There is no such option; names what may have been meant.
            OutputError: A worker's output is not of the type, unless return_exceptions is set.
            NovitaError: The first job's error that is reached, unless return_exceptions is set.
        """
        known = known_options("map", options, *MapOptions.__optional_keys__, "output_type", "return_exceptions")
        read = None if output_type is None else _reader(output_type)
        driver = self._client._open()
        from novita_sdk.batches.batch import InputBatch
        from novita_sdk.batches.tasks import map_inputs

        return map_inputs(
            driver,
            InputBatch(
                driver.flows,
                self.endpoint_id,
                concurrency=concurrency,
                manifest=manifest,
                timeout=timeout,
                options=known,
                read=read,
            ),
            inputs,
            ordered=ordered,
            return_exceptions=return_exceptions,
            progress=progress,
        )

    @overload
    def job(self, job_id: str, *, output_type: type[OutputT]) -> AsyncTypedJob[OutputT]: ...

    @overload
    def job(self, job_id: str, *, output_type: None = None) -> AsyncJob: ...

    def job(self, job_id: str, *, output_type: type[OutputT] | None = None) -> AsyncJob | AsyncTypedJob[OutputT]:
        """A job that was submitted before, perhaps by another process; sends nothing.

        Args:
            job_id: The job's id.
            output_type: What to make of the output: a message, dataclass, TypedDict or pydantic model.

        Raises:
            InvalidInputError: The id can't stand in a URL.
            TypeError: The type is none of these.
        """
        if output_type is None:
            return AsyncJob(self.endpoint_id, job_id, self._client)
        from novita_sdk.client.async_typed_job import AsyncTypedJob

        return AsyncTypedJob(self.endpoint_id, job_id, self._client, output_type)

    def jobs(self, *, status: str | None = None) -> AsyncIterator[JobInfo]:
        """The endpoint's recent jobs, newest first, without their outputs, where the gateway lists them.

        Args:
            status: Only jobs in this state, in any case.

        Raises:
            InvalidInputError: There is no such state.
            NovitaError: See `docs/errors.md`.
        """
        driver = self._client._open()
        return driver.iterate(driver.flows.jobs(self.endpoint_id, status))

    async def health(self, timeout: float = 3) -> dict[str, JSONValue]:
        """Counters of jobs and workers, as the gateway words them.

        Args:
            timeout: Seconds without a byte before the request counts as lost.

        Raises:
            NovitaError: See `docs/errors.md`.
        """
        driver = self._client._open()
        return await driver.run(driver.flows.health(self.endpoint_id, timeout))

    async def schema(self, timeout: float = 3) -> dict[str, JSONValue] | None:
        """The types of inputs and outputs that the endpoint's worker told the gateway when it started.

        Args:
            timeout: Seconds without a byte before the request counts as lost.

        Returns:
            `methods`, each with JSON Schemas as `input` and `output`, and for protobuf messages `descriptors`; see
            `docs/contracts.md`. None where the worker has no types, or the gateway doesn't keep them.

        Raises:
            NovitaError: See `docs/errors.md`.
        """
        driver = self._client._open()
        schema: dict[str, JSONValue] | None = await driver.run(driver.flows.schemas.read(self.endpoint_id, timeout))
        return schema

    async def purge_queue(self, timeout: float = 3) -> dict[str, JSONValue]:
        """Removes the jobs that wait, leaves those that run, and returns the gateway's answer.

        Args:
            timeout: Seconds without a byte before the request counts as lost.

        Raises:
            NovitaError: See `docs/errors.md`.
        """
        driver = self._client._open()
        return await driver.run(driver.flows.purge_queue(self.endpoint_id, timeout))


def _reader(output_type: type[OutputT]) -> Callable[[JSONValue], OutputT]:
    # Loaded here alone: who wants plain JSON needs no types.
    from novita_sdk.client.output_types import output_reader

    return output_reader(output_type)
