"""Every error of the client; `ERROR_TABLE` has one row per code, with its class and HTTP status.

Each is also an instance of what the published package raises in its place, so that existing `except` clauses work:

    NovitaError
    ├── APIError                    the gateway refused            requests.HTTPError
    │   ├── InvalidInputError       input, name or argument        ValueError, TypeError
    │   │   └── PayloadTooLargeError
    │   ├── AuthenticationError     key missing or not accepted    RuntimeError
    │   │   └── PermissionDeniedError
    │   ├── NotFoundError           no such job or endpoint
    │   ├── ConflictError           the job's state forbids it
    │   ├── RateLimitError          too many requests              requests.exceptions.RetryError
    │   └── ServerError             5xx
    ├── TransportError              no answer                      requests.ConnectionError
    │   ├── RequestTimeoutError     none in time                   requests.ConnectTimeout, ReadTimeout
    │   └── SubmitUncertainError    a job may or may not exist     requests.ReadTimeout
    ├── ProtocolError               an answer that isn't ours      requests.JSONDecodeError
    ├── WaitTimeoutError            the job goes on                TimeoutError
    ├── StreamRestartedError        the chunks so far are void
    └── JobError                    the job ended without output
        ├── JobFailedError
        ├── JobCancelledError
        ├── JobTimedOutError
        └── UnreadableOutputError   it completed; Python can't read its output
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import requests  # for its exceptions

from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk.wire.violations import Violation

__all__ = [
    "ERROR_TABLE",
    "APIError",
    "AuthenticationError",
    "ConflictError",
    "ErrorDetails",
    "ErrorRow",
    "InvalidInputError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobTimedOutError",
    "NotFoundError",
    "NovitaError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "StreamRestartedError",
    "SubmitUncertainError",
    "TransportError",
    "UnreadableOutputError",
    "WaitTimeoutError",
    "row_of_status",
]


class ErrorDetails(TypedDict, total=False):
    """What every error can be told; see the attributes of `NovitaError`."""

    code: str | None
    retryable: bool | None
    job_id: str | None
    request_id: str | None


class NovitaError(Exception):
    """Base of all errors of the client.

    Attributes:
        message: What happened, to which job, and what to do next.
        code: Machine-readable; one of `ERROR_TABLE`, or the gateway's own.
        retryable: Whether the same call may succeed later.
        job_id: The job it is about, where there is one.
        request_id: Names the request in the gateway's log, where one was sent.
    """

    default_code = "UNKNOWN"
    default_retryable = False

    # The message alone is enough, because unpickling calls the class with it and then restores the attributes.
    def __init__(self, message: str = "", **details: Unpack[ErrorDetails]) -> None:
        # Not super(): the other bases below want arguments of their own.
        Exception.__init__(self, message)
        code, retryable = details.get("code"), details.get("retryable")
        self.message = message
        self.code = self.default_code if code is None else code
        self.retryable = self.default_retryable if retryable is None else retryable
        self.job_id = details.get("job_id")
        self.request_id = details.get("request_id")

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[NovitaError], tuple[str], dict[str, object]]:
        return type(self), (self.message,), self.__dict__


class APIError(NovitaError, requests.HTTPError):
    """The gateway refused the call, or would have.

    Attributes:
        status: HTTP status, None where the call was refused before it was sent.
        reason: The gateway's own word for why, where it has one: `NOT_ENOUGH_BALANCE`.
        retry_after: Seconds the gateway asked to wait.
        response: As in `requests.HTTPError`; None where nothing was sent.
    """

    default_code = "REFUSED"
    request = None

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
        response: requests.Response | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.response = response


class InvalidInputError(APIError, ValueError, TypeError):
    """An input, a name or an argument that can't be right; nothing was queued.

    Attributes:
        violations: The rules of its type that a typed input breaks (`novita_sdk.typed.Violation`).
    """

    default_code = "INVALID_INPUT"

    def __init__(
        self,
        message: str = "",
        *,
        violations: Sequence[Violation] = (),
        status: int | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
        response: requests.Response | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, status=status, reason=reason, retry_after=retry_after, response=response, **details)
        self.violations = tuple(violations)


class PayloadTooLargeError(InvalidInputError):
    """The input is over the limit; the message has the size and the limit."""

    default_code = "PAYLOAD_TOO_LARGE"


class AuthenticationError(APIError, RuntimeError):
    """There is no API key, or the gateway does not accept it."""

    default_code = "UNAUTHORIZED"


class PermissionDeniedError(AuthenticationError):
    """The key, its account, or something on the way may not do this; a 403 that is not about which key it is."""

    default_code = "FORBIDDEN"


class NotFoundError(APIError):
    """The gateway knows no such job or endpoint, or knows it no longer."""

    default_code = "NOT_FOUND"


class ConflictError(APIError):
    """The job is in a state in which this can't be done."""

    default_code = "CONFLICT"


class RateLimitError(APIError, requests.exceptions.RetryError):
    """Too many requests, and the retries of the SDK did not outlast it."""

    default_code = "RATE_LIMITED"
    default_retryable = True


class ServerError(APIError):
    """The gateway, or a proxy before it, failed, and the retries of the SDK did not outlast it."""

    default_code = "INTERNAL"
    default_retryable = True


class TransportError(NovitaError, requests.ConnectionError):
    """No answer: refused, reset, unresolvable or unreachable."""

    default_code = "UNREACHABLE"
    default_retryable = True
    response = None
    request = None


class RequestTimeoutError(TransportError, requests.exceptions.ConnectTimeout, requests.exceptions.ReadTimeout):
    """One request got no answer in time."""

    default_code = "REQUEST_TIMEOUT"


class SubmitUncertainError(TransportError, requests.exceptions.ReadTimeout):
    """A submit may have been queued: its answer was lost, and the gateway does not promise to recognise a second one.

    Attributes:
        idempotency_key: The key that was sent.
    """

    default_code = "SUBMIT_UNCERTAIN"
    default_retryable = False

    def __init__(
        self,
        message: str = "",
        *,
        idempotency_key: str | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.idempotency_key = idempotency_key


class ProtocolError(NovitaError, requests.exceptions.JSONDecodeError):
    """An answer that does not follow the protocol: a proxy's HTML, truncated JSON, a missing field."""

    default_code = "BAD_REPLY"
    response = None
    request = None
    # What json's own error has. The document stays out of errors, because it may hold payloads.
    msg = "the answer does not follow the protocol"
    doc = ""
    pos = 0
    lineno = 1
    colno = 1


class WaitTimeoutError(NovitaError, TimeoutError):
    """The caller's patience ended before the job did. The job goes on, and can be waited for again."""

    default_code = "WAIT_TIMEOUT"
    default_retryable = True


class StreamRestartedError(NovitaError):
    """Another attempt at the job began its stream anew: the chunks that came are void, and it can be read again."""

    default_code = "STREAM_RESTARTED"
    default_retryable = True


class JobError(NovitaError):
    """The job ended without an output.

    Attributes:
        status: Its final state.
        output: What the worker posted beside the error, if anything.
    """

    default_code = "JOB_ENDED"

    def __init__(
        self,
        message: str = "",
        *,
        status: str = "",
        output: JSONValue = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.status = status
        self.output = output


class JobFailedError(JobError):
    """The worker reported an error.

    Attributes:
        error: The error as the worker sent it.
        remote_type: Name of the exception's class, where the worker told it: `ValueError`.
        remote_message: What the exception said.
        remote_traceback: The worker's traceback as text, where it sent one.
        violations: Every rule that a typed input or output breaks, where that is the reason.
    """

    default_code = "JOB_FAILED"

    def __init__(
        self,
        message: str = "",
        *,
        status: str = "FAILED",
        output: JSONValue = None,
        error: JSONValue = None,
        remote_type: str | None = None,
        remote_message: str = "",
        remote_traceback: str | None = None,
        violations: tuple[Violation, ...] = (),
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, status=status, output=output, **details)
        self.error = error
        self.remote_type = remote_type
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback
        self.violations = violations


class JobCancelledError(JobError):
    """Somebody cancelled the job."""

    default_code = "JOB_CANCELLED"


class JobTimedOutError(JobError):
    """The job ran longer than its limit, or waited longer than its time to live."""

    default_code = "JOB_TIMED_OUT"
    default_retryable = True


class UnreadableOutputError(JobError):
    """The job completed with an output that can't be read here; `data` has its bytes, `chunk` the number of a chunk."""

    default_code = "OUTPUT_UNREADABLE"

    chunk: int | None = None

    def __init__(self, message: str = "", *, data: bytes = b"", **details: Unpack[ErrorDetails]) -> None:
        super().__init__(message, status="COMPLETED", **details)
        self.data = data


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """One code, the HTTP status that stands for it (None where there is no single one), and its class."""

    code: str
    status: int | None
    error: type[NovitaError]


ERROR_TABLE: Final = (
    ErrorRow(code="INVALID_INPUT", status=400, error=InvalidInputError),
    ErrorRow(code="UNPROCESSABLE", status=422, error=InvalidInputError),
    ErrorRow(code="PAYLOAD_TOO_LARGE", status=413, error=PayloadTooLargeError),
    ErrorRow(code="UNAUTHORIZED", status=401, error=AuthenticationError),
    ErrorRow(code="FORBIDDEN", status=403, error=PermissionDeniedError),
    ErrorRow(code="NOT_FOUND", status=404, error=NotFoundError),
    ErrorRow(code="GONE", status=410, error=NotFoundError),
    ErrorRow(code="CONFLICT", status=409, error=ConflictError),
    ErrorRow(code="RATE_LIMITED", status=429, error=RateLimitError),
    ErrorRow(code="REFUSED", status=None, error=APIError),
    ErrorRow(code="INTERNAL", status=500, error=ServerError),
    ErrorRow(code="BAD_GATEWAY", status=502, error=ServerError),
    ErrorRow(code="UNAVAILABLE", status=503, error=ServerError),
    ErrorRow(code="GATEWAY_TIMEOUT", status=504, error=ServerError),
    ErrorRow(code="UNREACHABLE", status=None, error=TransportError),
    ErrorRow(code="REQUEST_TIMEOUT", status=None, error=RequestTimeoutError),
    ErrorRow(code="SUBMIT_UNCERTAIN", status=None, error=SubmitUncertainError),
    ErrorRow(code="BAD_REPLY", status=None, error=ProtocolError),
    ErrorRow(code="WAIT_TIMEOUT", status=None, error=WaitTimeoutError),
    ErrorRow(code="STREAM_RESTARTED", status=None, error=StreamRestartedError),
    ErrorRow(code="JOB_ENDED", status=None, error=JobError),
    ErrorRow(code="JOB_FAILED", status=None, error=JobFailedError),
    ErrorRow(code="JOB_CANCELLED", status=None, error=JobCancelledError),
    ErrorRow(code="JOB_TIMED_OUT", status=None, error=JobTimedOutError),
    ErrorRow(code="OUTPUT_UNREADABLE", status=None, error=UnreadableOutputError),
)
"""Total in both directions: every class below `NovitaError` has a row, and so has every HTTP status from 300 up
(`row_of_status`)."""

_BY_STATUS: Final = {row.status: row for row in ERROR_TABLE if row.status is not None}
_OTHER_REFUSAL: Final = next(row for row in ERROR_TABLE if row.error is APIError)


def row_of_status(status: int) -> ErrorRow:
    """The row for an HTTP status; one without a row of its own counts as 500 from 500 up, else as REFUSED."""
    return _BY_STATUS.get(status) or (_BY_STATUS[500] if status >= 500 else _OTHER_REFUSAL)
