"""The outcome of a job: a handler's return or exception as it goes over the wire.

The shapes are the published workers', as observed: a dict gives up its `error` and `refresh_worker`, an empty dict has
no output at all, and an exception travels as a JSON string of type, message and traceback.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from novita_sdk.models import HandlerError, JobResult
from novita_sdk.typed import ContractError, Violation
from novita_sdk.wire.codec import encode
from novita_sdk.wire.payload import JSONValue, PayloadError, PayloadTooLargeError, check_size, dump
from novita_worker._errors import quoted, type_name
from novita_worker.desk.outbox import WorkerFault
from novita_worker.handlers.offload import NeedsStoreError, can_move, move
from novita_worker.handlers.spec import HandlerSpec

__all__ = ["Outcome", "Recycle", "Writer", "yielded_error"]

_PACKAGE: Final = str(Path(__file__).parent)
_STICKY_CUDA: Final = re.compile(
    r"CUDA error: (?!out of memory)|device-side assert|illegal memory access|CUDNN_STATUS_EXECUTION_FAILED"
    r"|unspecified launch failure|uncorrectable ECC|cudaErrorECC|CUDA_ERROR_(?!OUT_OF_MEMORY)\w+"
)
"""A CUDA context that met one of these fails every later call of its process."""

_MAX_TEXT: Final = 64 * 1024


class Recycle(Enum):
    """Why the worker is to be replaced after a job."""

    REFRESH = "a fresh worker was asked for"
    EXIT = "the handler asked the process to exit"
    CUDA = "the CUDA context is broken"


class Outcome(NamedTuple):
    """How a job ended.

    Attributes:
        body: The request body of its result.
        error: One line about a failure, for the log; None for a success.
        recycle: Why the worker is to be replaced, or None.
    """

    body: bytes
    error: str | None = None
    recycle: Recycle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes outcomes for one worker.

    Attributes:
        spec: The handler; its `dump` writes values.
        refresh: Whether the worker is replaced after every job.
        hostname: Part of every error.
        worker_id: Part of every error.
        offload: Whether files, and outputs that are too large, go to a store.
    """

    spec: HandlerSpec
    refresh: bool = False
    offload: bool = True
    hostname: str = "unknown"
    worker_id: str = "unknown"

    def returned(self, value: JSONValue) -> Outcome:
        """The outcome of a handler that returned.

        Raises:
            NeedsStoreError: `moved` can write it, in a thread that may wait.
        """
        recycle = Recycle.REFRESH if self.refresh else None
        error: JSONValue = None
        if isinstance(value, dict):
            error = value.get("error")
            if value.get("refresh_worker"):
                recycle = Recycle.REFRESH
            if "error" in value or "refresh_worker" in value:
                value = {key: item for key, item in value.items() if key not in ("error", "refresh_worker")}
        try:
            if error:
                return self._returned_error(error, value, recycle)
            output = None if isinstance(value, dict) and not value else self._dump(value, "output")
        except PayloadError as problem:
            if self.offload and not error and can_move(value, problem):
                raise NeedsStoreError from None
            return self._unwritable(problem, recycle)
        return Outcome(body=_result(output=output, recycle=recycle), recycle=recycle)

    def moved(self, value: JSONValue) -> Outcome:
        """The outcome of a handler that returned files, or more than the wire takes; blocks while they are uploaded."""
        from novita_sdk.files import FileError
        from novita_sdk.uploads import UploadError

        refresh = isinstance(value, dict) and bool(value.pop("refresh_worker", False))
        at_last = replace(self, offload=False, refresh=self.refresh or refresh)
        try:
            return at_last.returned(move(value, self.spec.dump, "output"))
        except (FileError, UploadError, OSError, PayloadError) as error:
            return at_last.raised(error)

    def streamed(self, chunks: list[bytes]) -> Outcome:
        """The outcome of a generator that ended; the chunks are those its result repeats."""
        recycle = Recycle.REFRESH if self.refresh else None
        output = b"[" + b",".join(chunks) + b"]"
        try:
            check_size(output, "the aggregated output")
        except PayloadTooLargeError as problem:
            return self._unwritable(problem, recycle)
        return Outcome(body=_result(output=output, recycle=recycle), recycle=recycle)

    def stream_failed(self, message: str) -> Outcome:
        """The outcome of a generator that yielded an error."""
        recycle = Recycle.REFRESH if self.refresh else None
        body = _result(error=dump(_utf8(message), "error"), recycle=recycle)
        return Outcome(body=body, error="the handler yielded an error", recycle=recycle)

    def raised(self, error: BaseException) -> Outcome:
        """The outcome of a handler that raised."""
        # The class alone is asked what it is: `isinstance` would ask the object, too, whose code may fail.
        kind = type(error)
        recycle = Recycle.REFRESH if self.refresh else None
        if issubclass(kind, PayloadError) and isinstance(error, PayloadError):
            return self._unwritable(error, recycle)
        if issubclass(kind, ContractError) and isinstance(error, ContractError):
            return self._broken_contract(error, error.code, recycle)
        message = quoted(lambda: str(error))
        # No other BaseException says anything about the process: libraries use them to cancel.
        if issubclass(kind, (SystemExit, KeyboardInterrupt)):
            recycle = Recycle.EXIT
        elif _STICKY_CUDA.search(message):
            recycle = Recycle.CUDA
        body = self._error(
            type_name=_text(quoted(lambda: str(kind), f"<class '{type_name(error)}'>")),
            message=_text(message),
            trace=_text(_trace(error)),
            code=quoted(lambda: _code(error), "") or None,
            recycle=recycle,
        )
        return Outcome(body=body, error=f"{type_name(error)}: {message}", recycle=recycle)

    def failed(self, fault: WorkerFault) -> bytes:
        """The body for a job that the worker itself fails."""
        return self._error(type_name="novita_worker", message=fault.message, code=fault.code)

    def dump_chunk(self, value: JSONValue) -> bytes:
        """Writes one piece of a streamed output.

        Raises:
            PayloadError: JSON can't hold it, or it is too large.
            NeedsStoreError: `moved_chunk` can write it, in a thread that may wait.
        """
        try:
            return self._dump(value, "the yielded output")
        except PayloadError as problem:
            if self.offload and can_move(value, problem):
                raise NeedsStoreError from None
            raise

    def moved_chunk(self, value: JSONValue) -> bytes:
        """Writes one piece of a streamed output that holds files; blocks while they are uploaded.

        Raises:
            PayloadError: JSON can't hold it, or it is too large.
            FileError, UploadError, OSError: A file could not be read or uploaded.
        """
        return self._dump(move(value, self.spec.dump, "the yielded output"), "the yielded output")

    def _returned_error(self, error: JSONValue, beside: JSONValue, recycle: Recycle | None) -> Outcome:
        """The outcome of a dict with an error; neither that nor what is beside it is of the output's type.

        Raises:
            PayloadError: JSON can't hold the error, or it is too large.
        """
        text = dump(error, "error")
        check_size(text, "error")
        try:
            output = dump(beside, "output") if beside else None
            check_size(output or b"", "output")
        except PayloadError:  # what can't be sent must not hide why the job failed
            output = None
        body = _result(output=output, error=text, recycle=recycle)
        return Outcome(body=body, error="the handler returned an error", recycle=recycle)

    def _dump(self, value: JSONValue, what: str) -> bytes:
        data = self.spec.dump(value, what)
        check_size(data, what)
        return data

    def _unwritable(self, problem: PayloadError, recycle: Recycle | None) -> Outcome:
        code = "OUTPUT_TOO_LARGE" if isinstance(problem, PayloadTooLargeError) else "INVALID_OUTPUT"
        if isinstance(problem, ContractError):
            return self._broken_contract(problem, code, recycle)
        body = self._error(type_name=str(type(problem)), message=str(problem), code=code, recycle=recycle)
        return Outcome(body=body, error=str(problem), recycle=recycle)

    def _broken_contract(self, error: ContractError, code: str, recycle: Recycle | None) -> Outcome:
        body = self._error(
            type_name=str(type(error)),
            message=str(error),
            code=code,
            violations=_dump_violations(error.violations),
            recycle=recycle,
        )
        return Outcome(body=body, error=f"{code}: {error}", recycle=recycle)

    def _error(
        self,
        *,
        type_name: str,
        message: str,
        trace: str = "",
        code: str | None = None,
        violations: bytes | None = None,
        recycle: Recycle | None = None,
    ) -> bytes:
        error = HandlerError(
            error_type=type_name,
            error_message=message,
            error_traceback=trace,
            hostname=self.hostname,
            worker_id=self.worker_id,
            code=code,
            violations=violations,
        )
        return _result(error=dump(encode(error).decode(), "error"), recycle=recycle)


def yielded_error(value: JSONValue) -> str | None:
    """The error that a generator reports by yielding a dict with a truthy `error`, or None."""
    error = value.get("error") if isinstance(value, dict) else None
    return str(error) if error else None


def _result(*, output: bytes | None = None, error: bytes | None = None, recycle: Recycle | None = None) -> bytes:
    return encode(JobResult(output=output, error=error, stop_pod=True if recycle is not None else None))


def _dump_violations(violations: Sequence[Violation]) -> bytes:
    try:
        return dump([violation.to_json() for violation in violations])
    except PayloadError:  # a value may be NaN, and may be what is wrong
        return dump([replace(violation, value=repr(violation.value)).to_json() for violation in violations])


def _code(error: BaseException) -> str:
    code = getattr(error, "code", None)
    return _utf8(code) if isinstance(code, str) else ""


def _trace(error: BaseException) -> str:
    def whole() -> str:
        return "".join(traceback.format_exception(type(error), error, _users_part(error.__traceback__)))

    return quoted(whole, "") or quoted(lambda: "".join(traceback.format_tb(_users_part(error.__traceback__))))


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Skips the runtime's own frames at the top, unless there are no others."""
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        first = first.tb_next
    return first or trace


def _text(value: str) -> str:
    """Text that can be sent, whatever an exception's message holds and however long it is."""
    if len(value) > _MAX_TEXT:
        half = _MAX_TEXT // 2
        value = f"{value[:half]}\n… {len(value) - _MAX_TEXT} characters left out …\n{value[-half:]}"
    return _utf8(value)


def _utf8(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
