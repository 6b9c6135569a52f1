"""The client, for asynchronous code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from novita_sdk._settings import resolve
from novita_sdk.client.async_endpoint import AsyncEndpoint
from novita_sdk.client.connection import AsyncConnection

if TYPE_CHECKING:
    import aiohttp
    from google.protobuf.message import Message

    from novita_sdk._hooks import RequestHook, ResponseHook
    from novita_sdk.client.async_job import AsyncJob
    from novita_sdk.drivers.aio import AsyncDriver
    from novita_sdk.rpc import Method

    RequestT = TypeVar("RequestT", bound=Message)
    ResponseT = TypeVar("ResponseT", bound=Message)

__all__ = ["AsyncClient"]


class AsyncClient:
    """Talks to one gateway. Safe for any number of event loops, in any threads; connections are reused.

    Use it as an async context manager, or `await close()`. Making one is cheap: what it needs to send is loaded when
    something is sent, and each event loop has connections of its own. It can be pickled and copied: its settings are,
    the API key among them, and no connection.

    Args:
        api_key: Left out, `NOVITA_API_KEY`.
        base_url: The gateway, up to and including the API version; left out, `NOVITA_ENDPOINT_BASE_URL`, then the
            platform.
        timeout: Seconds without a byte before one request counts as lost.
        retry_budget: Seconds for the retries of one call. Waits have their own timeouts.
        max_connections: Connections that may be open at the same time.
        session: An `aiohttp.ClientSession` of your own, for proxies, certificates or connectors. It is used as it is
            and left open.
        on_request: Called before each request.
        on_response: Called after each request.

    Raises:
        AuthenticationError: There is no API key.
        InvalidInputError: The base URL is none.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 10.0,
        retry_budget: float = 5.0,
        max_connections: int = 32,
        session: aiohttp.ClientSession | None = None,
        on_request: Sequence[RequestHook] = (),
        on_response: Sequence[ResponseHook] = (),
    ) -> None:
        self._settings = resolve(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            retry_budget=retry_budget,
            max_connections=max_connections,
            on_request=on_request,
            on_response=on_response,
        )
        self._connection = AsyncConnection(self._settings, session)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def base_url(self) -> str:
        """The gateway's URL, without a trailing slash."""
        return self._settings.base_url

    def endpoint(self, endpoint_id: str) -> AsyncEndpoint:
        """An endpoint by its name; sends nothing.

        Raises:
            InvalidInputError: The name can't stand in a URL.
        """
        return AsyncEndpoint(endpoint_id, self)

    async def call(
        self, method: Method[RequestT, ResponseT], request: RequestT, *, timeout: float | None = None
    ) -> ResponseT:
        """Calls any method of a generated table with its messages; `JobsServiceAsync(client)` does it by name.

        Args:
            method: From `novita_sdk.rpc`.
            request: The method's request message.
            timeout: Seconds without a byte before one request counts as lost; None for the client's.

        Raises:
            NovitaError: See `docs/errors.md`.
        """
        driver = self._open()
        return await driver.run(driver.flows.call(method, request, timeout))

    def as_completed(self, jobs: Iterable[AsyncJob], *, timeout: float | None = None) -> AsyncIterator[AsyncJob]:
        """Waits for many jobs at once and yields each as it ends, however it ends. They share the client's connections.

        Args:
            jobs: Jobs of this client's gateway.
            timeout: Seconds for all of them; None waits without end.

        Raises:
            WaitTimeoutError: The timeout is over; names the first job that is found not to have ended.
            NovitaError: As `AsyncJob.wait` raises.
        """
        driver = self._open()
        from novita_sdk.batches.tasks import wait_for_all

        return wait_for_all(driver, list(jobs), timeout)

    async def close(self) -> None:
        """Closes the connections. A later call opens new ones."""
        await self._connection.close()

    def _open(self) -> AsyncDriver:
        """The driver, made at the first call."""
        return self._connection.open()
