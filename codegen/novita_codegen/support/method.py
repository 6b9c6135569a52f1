"""A method of a service, who can call it, and what carries it out on a server."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, ParamSpec, Protocol, TypeVar, cast

from google.protobuf.message import Message

if TYPE_CHECKING:
    from typing_extensions import deprecated
elif sys.version_info >= (3, 13):
    from warnings import deprecated
else:

    def deprecated(message: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
        """Marks a method that nobody should call any more; a call warns. As `warnings.deprecated` of Python 3.13."""

        def mark(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
            @functools.wraps(function)
            def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                return function(*args, **kwargs)

            return call

        return mark


__all__ = ["AsyncCaller", "BoundMethod", "Method", "SyncCaller", "bind", "deprecated"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
RequestT_co = TypeVar("RequestT_co", bound=Message, covariant=True)
ResponseT_co = TypeVar("ResponseT_co", bound=Message, covariant=True)
ContextT = TypeVar("ContextT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[RequestT_co, ResponseT_co]):
    """One row of a service's method table, as its proto has it.

    Attributes:
        service: Full name of the service: `novita_protocol.v1.JobsService`.
        name: Name in the proto: `GetStatus`.
        python_name: Name in Python: `get_status`; empty in a table that a generator before 1.1 wrote.
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
    python_name: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundMethod(Generic[ContextT]):
    """A method and what carries it out on a server.

    Attributes:
        method: Row of the method table.
        handler: Takes a message of the type `method.request` and what the server knows of the request beside it.
    """

    method: Method[Message, Message]
    handler: Callable[[Message, ContextT], Awaitable[Message]]


def bind(
    method: Method[RequestT, ResponseT], handler: Callable[[RequestT, ContextT], Awaitable[ResponseT]]
) -> BoundMethod[ContextT]:
    """Binds a method to a handler of its types."""
    # The types of one row are lost among rows of others; a server makes the request of `method.request` again.
    return BoundMethod(method=method, handler=cast("Callable[[Message, ContextT], Awaitable[Message]]", handler))
