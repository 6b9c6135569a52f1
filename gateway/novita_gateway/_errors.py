"""The gateway's refusals, and the HTTP status and code that say so."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "AmbiguousBodyError",
    "BadRequestError",
    "ChunkMissingError",
    "ForbiddenError",
    "GatewayError",
    "JobNotFoundError",
    "KeyReusedError",
    "MethodNotAllowedError",
    "NotRetryableError",
    "RouteNotFoundError",
    "SchemaNotFoundError",
    "SlowSenderError",
    "StoreError",
    "TooLargeError",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnavailableError",
]


class GatewayError(Exception):
    """Base of everything that is answered with an `ApiError` body.

    Attributes:
        status: HTTP status.
        code: The machine-readable reason.
        job_id: The job it is about, if it is about one.
        headers: What HTTP wants said beside the status.
    """

    status = 500
    code = "INTERNAL"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, job_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id


class BadRequestError(GatewayError):
    """A parameter or the body is not what the contract says."""

    status = 400
    code = "BAD_REQUEST"


class AmbiguousBodyError(BadRequestError):
    """Nobody can say for sure where the body ends, so that nothing after it on this connection is read."""


class UnauthorizedError(GatewayError):
    """No key, or one that this gateway does not know."""

    status = 401
    code = "UNAUTHORIZED"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="novita-gateway"'})


class ForbiddenError(GatewayError):
    """A client's key on a worker's route, or a worker's token on a client's."""

    status = 403
    code = "FORBIDDEN"


class RouteNotFoundError(GatewayError):
    """No such path."""

    status = 404
    code = "ROUTE_NOT_FOUND"


class JobNotFoundError(GatewayError):
    """No such job on that endpoint; perhaps its retention is over."""

    status = 404
    code = "JOB_NOT_FOUND"

    def __init__(self, endpoint: str, job_id: str) -> None:
        super().__init__(
            f"endpoint {endpoint!r} has no job {job_id!r}; it was never submitted there, or its retention is over",
            job_id=job_id,
        )


class SchemaNotFoundError(GatewayError):
    """No worker of that endpoint has told its schema."""

    status = 404
    code = "SCHEMA_NOT_FOUND"

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"no worker of endpoint {endpoint!r} has told the types of its inputs and outputs")


class MethodNotAllowedError(GatewayError):
    """The path exists with other verbs."""

    status = 405
    code = "METHOD_NOT_ALLOWED"

    def __init__(self, path: str, verb: str, *allowed: str) -> None:
        super().__init__(f"{path[:200]!r} takes {' or '.join(allowed)}, not {verb[:20]}")
        self.headers = {"Allow": ", ".join(allowed)}


class SlowSenderError(GatewayError):
    """The body did not arrive in time."""

    status = 408
    code = "REQUEST_TIMEOUT"


class NotRetryableError(GatewayError):
    """Only FAILED and TIMED_OUT jobs can be retried."""

    status = 409
    code = "NOT_RETRYABLE"


class ChunkMissingError(GatewayError):
    """A chunk came, and one before it is not there: the stream would have a hole."""

    status = 409
    code = "CHUNK_MISSING"


class TooLargeError(GatewayError):
    """A body or payload over the limit."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"


class KeyReusedError(GatewayError):
    """An idempotency key came again with another request, so that neither answer would be right."""

    status = 422
    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, key: str, job_id: str) -> None:
        super().__init__(
            f"Idempotency-Key {key!r} belongs to job {job_id!r}, which was submitted with another input, webhook or "
            "policy; nothing was queued. Send a key of its own with every new job",
            job_id=job_id,
        )


class TooManyRequestsError(GatewayError):
    """Only made by fault injection; the gateway itself limits no rates."""

    status = 429
    code = "TOO_MANY_REQUESTS"
    headers = MappingProxyType({"Retry-After": "0"})


class UnavailableError(GatewayError):
    """Not now; the request may be sent again."""

    status = 503
    code = "UNAVAILABLE"
    headers = MappingProxyType({"Retry-After": "0"})


class StoreError(UnavailableError):
    """The store could not write; whether the request took effect is not known."""

    code = "STORE_UNAVAILABLE"
    headers = MappingProxyType({"Retry-After": "1"})
