"""What a method of a service is, and who can call one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from google.protobuf.message import Message

__all__ = ["AsyncCaller", "Method", "SyncCaller"]

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
RequestT_co = TypeVar("RequestT_co", bound=Message, covariant=True)
ResponseT_co = TypeVar("ResponseT_co", bound=Message, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[RequestT_co, ResponseT_co]):
    """One row of a service's method table, as its proto has it.

    Attributes:
        service: Full name of the service: `novita_protocol.v1.JobsService`.
        name: Name in the proto: `GetStatus`.
        request: Message type that goes in.
        response: Message type that comes out; with `server_streaming`, any number of them.
        verb: HTTP verb of the `google.api.http` binding; empty without one.
        path: Path template of the binding, relative to the base URL: `/{endpoint}/status/{id}`.
        body: Field of the request that is the HTTP body; `*` for all that the path leaves over, empty for no body.
        response_body: Field of the response that is the HTTP body; empty for the whole message.
        idempotency: What `idempotency_level` says of calling it twice.
        server_streaming: The method returns a stream.
    """

    service: str
    name: str
    request: type[RequestT_co]
    response: type[ResponseT_co]
    verb: str = ""
    path: str = ""
    body: str = ""
    response_body: str = ""
    idempotency: Literal["unknown", "no_side_effects", "idempotent"] = "unknown"
    server_streaming: bool = False


class SyncCaller(Protocol):
    """Carries a call out and returns when it is answered."""

    def call(
        self, method: Method[RequestT, ResponseT], request: RequestT, *, timeout: float | None = None
    ) -> ResponseT:
        """Calls a method; `timeout` is in seconds, None for the caller's own default."""
        ...


class AsyncCaller(Protocol):
    """Carries a call out without blocking the event loop."""

    async def call(
        self, method: Method[RequestT, ResponseT], request: RequestT, *, timeout: float | None = None
    ) -> ResponseT:
        """Calls a method; `timeout` is in seconds, None for the caller's own default."""
        ...
