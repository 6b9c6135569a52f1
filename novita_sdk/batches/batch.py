"""The flow of each input of a batch, written once for both clients."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from novita_sdk import errors
from novita_sdk.batches.manifest import Manifest
from novita_sdk.batches.window import Failed, Result
from novita_sdk.files._in_values import fingerprint
from novita_sdk.flows.handle import Handle, Queued
from novita_sdk.flows.jobs import Flows, check_key
from novita_sdk.flows.options import SubmitOptions
from novita_sdk.flows.steps import Flow
from novita_sdk.flows.submit import Submission, prepare, upload_helps
from novita_sdk.flows.timeouts import check_timeout
from novita_sdk.wire.payload import JSONValue
from novita_sdk.wire.retry import RetryPolicy

__all__ = ["InputBatch"]

_PATIENT: Final = RetryPolicy(budget=60.0)
"""For the submits of a batch, which nobody watches."""

_MAYBE_QUEUED: Final = (errors.SubmitUncertainError, errors.ServerError, errors.ProtocolError)
"""Failures of a submit after which a job may exist."""


class InputBatch:
    """Makes the flow of each input of a batch.

    Args:
        flows: The client's.
        endpoint: Where the jobs run.
        concurrency: Jobs that are under way, or whose outputs wait to be taken, at most.
        manifest: Path of the record; None for none.
        timeout: Seconds for each job from its submit to its end; None has no end.
        options: What is sent beside each input, and how.
        read: What makes the values to hand out of outputs; None hands them out as they are.

    Entering it opens the manifest, and raises InvalidInputError if that can't be used.

    Raises:
        InvalidInputError: The concurrency is less than 1, the timeout no number, or an option none.
    """

    def __init__(
        self,
        flows: Flows,
        endpoint: str,
        *,
        concurrency: int,
        manifest: str | os.PathLike[str] | None,
        timeout: float | None,
        options: SubmitOptions,
        read: Callable[[JSONValue], object] | None = None,
    ) -> None:
        if not isinstance(concurrency, int) or concurrency < 1:
            raise errors.InvalidInputError(f"concurrency must be at least 1, not {concurrency!r}. Nothing was sent.")
        if timeout is not None:
            check_timeout(timeout)
        key = options.get("idempotency_key")
        if key is not None:
            check_key(key)
        prepare({}, options)  # what is wrong with an option is no matter of one input
        self.concurrency: Final = concurrency
        self._flows = flows
        self._endpoint = endpoint
        self._manifest: Final = Manifest(manifest, endpoint, key)
        self._timeout = timeout
        self._options = options
        self._is_repeatable: Final = None if key is None else True
        self._read = read

    def __enter__(self) -> Self:
        self._manifest.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._manifest.__exit__(exc_type, exc, traceback)
        if exc is not None and not isinstance(exc, (Exception, GeneratorExit)):
            exc.add_note(
                f"Jobs of this batch on endpoint {self._endpoint} may be under way, and go on. "
                + (
                    "Run it again with the same manifest to re-attach to them."
                    if self._manifest.is_kept
                    else "With manifest=… a later run re-attaches to them."
                )
            )

    def hand_out(self, result: Result[JSONValue], *, return_exceptions: bool) -> JSONValue:
        """What the caller gets for an input: the output, or its error, raised or returned."""
        return result.error if return_exceptions and isinstance(result, Failed) else result.unwrap()

    def item(self, value: object) -> Flow[JSONValue]:
        """The flow of the next input; it ends with the job's output or raises its error."""
        try:
            submission = prepare(value, self._options)
        except errors.InvalidInputError as error:
            if not upload_helps(value, error):
                return self._run(value, "", error)
            return self._run(value, self._manifest.key(prepare(fingerprint(value), self._options).body), None)
        return self._run(value, self._manifest.key(submission.body), submission)

    def _run(
        self, value: object, key: str, submission: Submission | errors.InvalidInputError | None
    ) -> Flow[JSONValue]:
        if isinstance(submission, errors.InvalidInputError):
            raise submission
        info = self._manifest.known(key).final
        if info is None:
            queued = yield from self._queue(value, key, submission)
            job = Handle(self._endpoint, queued.job_id).begin(queued)
            info = yield from self._flows.waiting.wait(job, self._timeout)
            self._manifest.finished(key, info)
        output = yield from self._flows.output_of(info, self._endpoint)
        return output if self._read is None else self._read(output)

    def _queue(self, value: object, key: str, submission: Submission | None) -> Flow[Queued]:
        known = self._manifest.known(key)
        if known.job_id is not None:
            return Queued(known.job_id, {})
        if (
            known.is_begun
            and not self._is_repeatable
            and not (yield from self._flows.caller.recognises_keys(self._endpoint, _PATIENT))
        ):
            raise errors.SubmitUncertainError(
                f"An earlier run ended while it submitted this input to endpoint {self._endpoint}, so its job may or "
                "may not be queued, and the gateway recognises no keys. To submit it again, remove the line with key "
                f"{key} from the manifest.",
                idempotency_key=key,
            )
        if submission is None:
            submission = yield from self._flows.prepare(self._endpoint, value, self._options)
        else:
            yield from self._flows.admit(self._endpoint, submission, self._options)
        self._manifest.begin(key)
        try:
            queued = yield from self._flows.queue(
                self._endpoint, submission, key=key, repeatable=self._is_repeatable, retry=_PATIENT
            )
        except errors.NovitaError as error:
            if not isinstance(error, _MAYBE_QUEUED):
                self._manifest.withdrawn(key)
            raise
        self._manifest.queued(key, queued.job_id)
        return queued
