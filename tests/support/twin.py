"""Both clients behind one surface: the async one is driven so that the tests of the sync one run over it too."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Literal, Protocol, cast

from novita_sdk import AsyncClient, AsyncEndpoint, AsyncJob, Client
from novita_sdk._hooks import RequestHook, ResponseHook
from tests.support.scripted_gateway import ScriptedGateway


class Twin:
    """An async object with a synchronous face, so that one test runs over both clients."""

    def __init__(self, target: object, runner: asyncio.Runner) -> None:
        self._target, self._runner = target, runner

    def __repr__(self) -> str:
        return repr(self._target)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._call(value) if inspect.isroutine(value) else value

    def _call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            async def inside() -> object:
                result = function(*map(_unwrap, args), **kwargs)
                return await result if inspect.isawaitable(result) else result

            result = self._runner.run(inside(), context=copy_context())
            return self._iterate(result) if inspect.isasyncgen(result) else self._wrap(result)

        return call

    def _iterate(self, values: AsyncGenerator[object, Any]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._wrap(self._runner.run(anext(values)))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(values.aclose())

    def _wrap(self, value: object) -> Any:
        is_ours = isinstance(value, (AsyncClient, AsyncEndpoint, AsyncJob))
        return Twin(value, self._runner) if is_ours else value


def _unwrap(value: Any) -> Any:
    if isinstance(value, list):
        return [_unwrap(item) for item in value]
    return value._target if isinstance(value, Twin) else value


class ClientMaker(Protocol):
    """Makes a client of the kind that the test runs over; the arguments are the constructor's."""

    def __call__(
        self,
        *,
        api_key: str | None = "test-key",
        base_url: str | None = None,
        timeout: float = 10.0,
        retry_budget: float = 5.0,
        max_connections: int = 32,
        on_request: Sequence[RequestHook] = (),
        on_response: Sequence[ResponseHook] = (),
    ) -> Client: ...


@contextmanager
def clients(kind: Literal["sync", "async"]) -> Iterator[ClientMaker]:
    """Makes clients, which are closed at the end of the block."""
    made: list[Client] = []
    with asyncio.Runner() as runner:

        def make(*, api_key: str | None = "test-key", **arguments: Any) -> Client:
            if kind == "sync":
                client = Client(api_key=api_key, **arguments)
            else:
                # It has the surface of the sync one, which is the point of it.
                client = cast("Client", Twin(AsyncClient(api_key=api_key, **arguments), runner))
            made.append(client)
            return client

        yield make
        for client in made:
            client.close()


def client_of(
    scripted: ScriptedGateway,
    make_client: ClientMaker,
    *,
    timeout: float = 10.0,
    on_request: Sequence[RequestHook] = (),
) -> Client:
    """A client of that gateway that does not try for long."""
    return make_client(base_url=scripted.url, retry_budget=0.3, timeout=timeout, on_request=on_request)
