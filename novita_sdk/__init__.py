"""The client of Novita's Async Serverless Endpoints.

>>> with Client() as client:
...     job = client.endpoint("my-endpoint").run({"prompt": "a red apple on a table"})
...     print(job.output(timeout=300))

`AsyncClient` has the same names for asynchronous code. Each name loads what it needs when it is first touched, and
nothing that sends is loaded before something is sent.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from novita_sdk._version import __version__

if TYPE_CHECKING:
    from novita_sdk._hooks import RequestEvent, ResponseEvent
    from novita_sdk.client.async_client import AsyncClient
    from novita_sdk.client.async_endpoint import AsyncEndpoint
    from novita_sdk.client.async_job import AsyncJob
    from novita_sdk.client.client import Client
    from novita_sdk.client.endpoint import Endpoint
    from novita_sdk.client.job import Job
    from novita_sdk.errors import (
        APIError,
        AuthenticationError,
        ConflictError,
        InvalidInputError,
        JobCancelledError,
        JobError,
        JobFailedError,
        JobTimedOutError,
        NotFoundError,
        NovitaError,
        PayloadTooLargeError,
        PermissionDeniedError,
        ProtocolError,
        RateLimitError,
        RequestTimeoutError,
        ServerError,
        StreamRestartedError,
        SubmitUncertainError,
        TransportError,
        UnreadableOutputError,
        WaitTimeoutError,
    )
    from novita_sdk.flows.job_info import JobInfo
    from novita_sdk.flows.options import Policy, RunOptions, SubmitOptions
    from novita_sdk.wire.payload import JSONValue

__all__ = [
    "APIError",
    "AsyncClient",
    "AsyncEndpoint",
    "AsyncJob",
    "AuthenticationError",
    "Client",
    "ConflictError",
    "Endpoint",
    "InvalidInputError",
    "JSONValue",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobInfo",
    "JobTimedOutError",
    "NotFoundError",
    "NovitaError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Policy",
    "ProtocolError",
    "RateLimitError",
    "RequestEvent",
    "RequestTimeoutError",
    "ResponseEvent",
    "RunOptions",
    "ServerError",
    "StreamRestartedError",
    "SubmitOptions",
    "SubmitUncertainError",
    "TransportError",
    "UnreadableOutputError",
    "WaitTimeoutError",
    "__version__",
]

_HOMES = {
    "AsyncClient": "novita_sdk.client.async_client",
    "AsyncEndpoint": "novita_sdk.client.async_endpoint",
    "AsyncJob": "novita_sdk.client.async_job",
    "Client": "novita_sdk.client.client",
    "Endpoint": "novita_sdk.client.endpoint",
    "JSONValue": "novita_sdk.wire.payload",
    "Job": "novita_sdk.client.job",
    "JobInfo": "novita_sdk.flows.job_info",
    "Policy": "novita_sdk.flows.options",
    "RequestEvent": "novita_sdk._hooks",
    "ResponseEvent": "novita_sdk._hooks",
    "RunOptions": "novita_sdk.flows.options",
    "SubmitOptions": "novita_sdk.flows.options",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "novita_sdk.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
