"""An endpoint, for asynchronous code."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar, Unpack, overload

from novita_sdk.client.async_job import AsyncJob
from novita_sdk.flows.handle import checked_endpoint
from novita_sdk.flows.options import RunOptions, SubmitOptions

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

    async def run(
        self,
        request_input: JSONValue,
        *,
        output_type: type[OutputT] | None = None,
        webhook: str | None = None,
        policy: Mapping[str, JSONValue] | None = None,
        s3_config: Mapping[str, JSONValue] | None = None,
        idempotency_key: str | None = None,
        check: bool = False,
        timeout: float | None = None,
    ) -> AsyncJob | AsyncTypedJob[OutputT]:
        """Queues a job and returns at once.

        Args:
            request_input: What the handler finds under `job["input"]`: any JSON value of at most 4 MiB, or a message,
                dataclass or pydantic model, which is checked first. An object that has the key `input` itself is sent
                whole. Files of this machine (`novita_sdk.files.File.from_path`) are uploaded first.
            output_type: What to make of the output: a message, dataclass, TypedDict or pydantic model.
            webhook: URL that the gateway calls with the final status, where it offers that.
            policy: `executionTimeout` and `ttl` in milliseconds, `lowPriority`.
            s3_config: Bucket for this job's outputs: `endpointUrl`, `accessId`, `accessSecret`, `bucketName`.
            idempotency_key: A second submit with the same key returns the first one's job, where the gateway recognises
                keys. Left out, every call has a key of its own, under which it is tried again if its answer is lost.
            check: Ask the gateway for the schema of the endpoint's worker, and refuse an input that breaks it. Where
                there is none, nothing is refused.
            timeout: Seconds without a byte before one request counts as lost; None for the client's.

        Raises:
            InvalidInputError: The input can't travel as JSON, with the path to what can't; or it breaks rules of its
                type, with every violation.
            PayloadTooLargeError: The input is over 4 MiB.
            AuthenticationError: The API key is not accepted.
            SubmitUncertainError: The answer was lost; the job may or may not be queued.
            NovitaError: See `docs/errors.md`.
        """
        if output_type is not None:
            from novita_sdk.client.async_typed_job import AsyncTypedJob
            from novita_sdk.client.output_types import output_adapter

            output_adapter(output_type)  # refused before anything is sent
        driver = self._client._open()
        queued = await driver.run(
            driver.flows.submit(
                self.endpoint_id,
                request_input,
                options=SubmitOptions(webhook=webhook, policy=policy, s3_config=s3_config),
                key=idempotency_key,
                check=check,
                timeout=timeout,
            )
        )
        if output_type is not None:
            return AsyncTypedJob(self.endpoint_id, queued.job_id, self._client, output_type).begin(queued)
        return self.job(queued.job_id).begin(queued)

    async def run_sync(
        self,
        request_input: JSONValue,
        *,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> JSONValue:
        """Queues a job, waits for its end, and returns its output.

        Args:
            request_input: As in `run`.
            timeout: Seconds to wait for the end of the job; None waits without end.
            cancel_on_timeout: Whether to cancel the job when the timeout is over.
            **options: As in `run`.

        Raises:
            WaitTimeoutError: The timeout is over; its `job_id` is what `job` takes to wait again.
            NovitaError: As `run` and `Job.output` raise.
        """
        driver = self._client._open()
        return await driver.run(
            driver.flows.run_sync(
                self.endpoint_id,
                request_input,
                options=options,
                timeout=timeout,
                cancel_on_timeout=cancel_on_timeout,
            )
        )

    def map(
        self,
        inputs: Iterable[JSONValue] | AsyncIterable[JSONValue],
        *,
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
            concurrency: Jobs that are under way, or whose outputs wait to be taken, at most.
            ordered: Yield in the order of the inputs, else as jobs end.
            return_exceptions: Yield errors in their places instead of raising the first; jobs under way go on then.
            timeout: Seconds for each job from its submit to its end; None has no end.
            manifest: A file in which the batch is recorded. After a crash, a run with the same inputs and the same file
                re-attaches to what was submitted and submits only the rest.
            progress: Show a bar on stderr; None does so where it is a terminal and `rich` is installed.
            **options: As in `run`.

        Raises:
            InvalidInputError: The concurrency is less than 1; or the manifest is none, belongs to another endpoint, or
                is in use.
            NovitaError: The first job's error that is reached, unless return_exceptions is set.
        """
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
                options=options,
            ),
            inputs,
            ordered=ordered,
            return_exceptions=return_exceptions,
            progress=progress,
        )

    def job(self, job_id: str) -> AsyncJob:
        """A job that was submitted before, perhaps by another process; sends nothing.

        Raises:
            InvalidInputError: The id can't stand in a URL.
        """
        return AsyncJob(self.endpoint_id, job_id, self._client)

    def jobs(self, *, status: str | None = None) -> AsyncIterator[JobInfo]:
        """The endpoint's recent jobs, newest first, without their outputs, where the gateway lists them.

        Args:
            status: Only jobs in this state.

        Raises:
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
