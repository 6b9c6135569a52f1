"""The driver over `aiohttp`, on the caller's event loop."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from pathlib import Path
from typing import Final, Never, TypeVar, assert_never

import aiohttp
from yarl import URL

from novita_sdk import errors
from novita_sdk._hooks import RequestEvent
from novita_sdk._settings import Settings
from novita_sdk._sockets import Sockets
from novita_sdk.drivers.names import make_resolver
from novita_sdk.drivers.patience import Patience
from novita_sdk.drivers.shared import (
    CONNECT_TIMEOUT,
    UNLIMITED,
    Observer,
    certificates,
    log,
    make_flows,
    proxy_of,
    root_of,
    unread,
    via,
)
from novita_sdk.flows.steps import (
    Broken,
    Done,
    Emit,
    End,
    Feed,
    Flow,
    Log,
    Outcome,
    Reply,
    Send,
    Sleep,
    Step,
    Turn,
    Work,
)
from novita_sdk.threads import FILE_THREADS
from novita_sdk.wire.bodies import Body, BodyError
from novita_sdk.wire.retry import FailureKind

__all__ = ["AsyncDriver"]

T = TypeVar("T")
EmitT = TypeVar("EmitT")

_UNSENT: Final = (aiohttp.ClientConnectorError, aiohttp.ClientSSLError, aiohttp.ConnectionTimeoutError)


class AsyncDriver:
    """The flows of one client, and what carries out their steps on one event loop.

    Args:
        settings: The client's.
        session: The caller's own session, which is left open; None for one of the driver's own.
    """

    def __init__(self, settings: Settings, session: aiohttp.ClientSession | None) -> None:
        self._proxy = None if session is not None else proxy_of(settings.base_url)
        self.flows = make_flows(settings, self._proxy)
        self.loop = asyncio.get_running_loop()
        self._authorization = f"Bearer {settings.api_key}"
        self._observer = Observer(settings.on_request, settings.on_response)
        self._owns_session = session is None
        # A session that trusts the environment goes to a thread twice at every request, to search it for proxies and
        # ~/.netrc for a password, beside which it refuses the key.
        self._sockets = Sockets()
        self._session = _make_session(settings, self._sockets) if session is None else session
        self._places = asyncio.BoundedSemaphore(self.flows.waiting.max_parked)
        # The connector has as many, but there the wait for one would count as a failure of the gateway.
        self._connections = asyncio.BoundedSemaphore(settings.max_connections if self._owns_session else UNLIMITED)

    async def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its result."""
        news: Emit[Never] | End[T] = await self._advance(flow)
        if not isinstance(news, End):
            raise TypeError("a flow emits nothing")
        return news.value

    async def iterate(self, feed: Feed[T]) -> AsyncIterator[T]:
        """Runs a feed and yields what it emits."""
        try:
            while isinstance(news := await self._advance(feed), Emit):
                yield news.value
        finally:
            feed.close()

    async def close(self) -> None:
        """Closes the connections, but not those of the caller's own session."""
        if self._owns_session:
            await self._session.close()
            await self._sockets.cut_off()

    def abandon(self) -> None:
        """Lets go of what an event loop left behind that runs no more."""
        if not self._owns_session:
            return
        closing = self._session.close()
        try:
            closing.send(None)  # to its end, for there is nothing that it could wait for
        except StopIteration:
            return
        closing.close()

    async def _advance(self, flow: Generator[Step | Emit[EmitT], Outcome, T]) -> Emit[EmitT] | End[T]:
        """Carries out the steps of a flow or feed until it emits or ends."""
        try:
            step = next(flow)
            while not isinstance(step, Emit):
                try:
                    outcome = await self._perform(step)
                except BaseException as error:  # noqa: BLE001 - the flow may have something to say about any of them
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as stop:
            return End(stop.value)
        return step

    async def _perform(self, step: Step) -> Outcome:
        match step:
            case Send():
                try:
                    return await self._send(step)
                finally:
                    if step.is_parked:
                        self._places.release()
            case Sleep():
                await asyncio.sleep(step.seconds)
                return None
            case Turn():
                return Done(await self._take_place(step.seconds))
            case Work():
                return Done(await FILE_THREADS.run(step.function))
            case Log():
                log(step)
                return None
            case _:
                assert_never(step)

    async def _take_place(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._places.acquire()
        except TimeoutError:
            return False

    async def _send(self, step: Send) -> Reply | Broken:
        event = self._observer.before(step)
        begin = time.perf_counter()
        patience = Patience(step, self.loop.time)
        outcome: Reply | Broken
        try:
            async with asyncio.timeout(step.within) as scope, self._connections:
                outcome = await self._exchange(event, step, patience, scope)
        except TimeoutError as error:
            # One of asyncio's own says nothing, not even that it is none of aiohttp's.
            reason = str(error) or f"no whole answer in {time.perf_counter() - begin:.3g} s"
            outcome = replace(_broken(error), reason=reason)
        except (aiohttp.ClientConnectionError, OSError) as error:  # a certificate's error is a ValueError as well
            outcome = _broken(error)
        except ValueError as error:  # a URL, or a header of a hook, that nothing can be sent with
            where = f"{event.url!r} can't be called{via(self._proxy)}"
            raise errors.InvalidInputError(f"{where}: {root_of(error)}.") from error
        except aiohttp.ClientError as error:
            outcome = _broken(error)
        self._observer.after(event, outcome, begin)
        return outcome

    async def _exchange(
        self, event: RequestEvent, step: Send, patience: Patience, scope: asyncio.Timeout
    ) -> Reply | Broken:
        """Sends one request and reads its answer; the scope is ended by what is left of its patience."""
        connect = min(CONNECT_TIMEOUT, step.timeout)
        if self._owns_session:
            # Else the time in which the caller's session waits for a free connection would count.
            patience.begin(connect)
            scope.reschedule(patience.deadline)
        async with self._session.request(
            event.verb,
            URL(event.url, encoded=True),
            data=step.request.body,
            headers={**event.headers, "Authorization": self._authorization},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=step.timeout),
            proxy=self._proxy,
            # A redirect would turn a POST into a GET, or drop the key.
            allow_redirects=False,
            # That would have no limit.
            auto_decompress=False,
        ) as response:
            patience.begin()
            scope.reschedule(patience.deadline)
            headers = {key.lower(): value for key, value in response.headers.items()}
            body = None
            try:
                body = Body(headers.get("content-encoding", ""))
                async for piece in response.content.iter_any():
                    body.feed(piece)
                    patience.received(len(piece))
                    scope.reschedule(patience.deadline)
                return Reply(status=response.status, headers=headers, body=body.end())
            except BodyError as error:
                response.close()
                return unread(response.status, headers, body, error)


def _make_session(settings: Settings, sockets: Sockets) -> aiohttp.ClientSession:
    context: ssl.SSLContext | bool = True
    if settings.base_url.startswith("https:") and (found := certificates()):
        is_folder = Path(found).is_dir()
        context = ssl.create_default_context(cafile=None if is_folder else found, capath=found if is_folder else None)
    connector = aiohttp.TCPConnector(
        limit=settings.max_connections, ssl=context, resolver=make_resolver(), socket_factory=sockets.make
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _broken(error: aiohttp.ClientError | OSError) -> Broken:
    root = root_of(error)
    return Broken(
        kind=FailureKind.UNSENT if isinstance(error, _UNSENT) else FailureKind.LOST,
        reason=str(root) or type(root).__name__,
        timed_out=isinstance(error, TimeoutError),
    )
