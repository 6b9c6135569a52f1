"""The driver over `requests`, in the caller's thread."""

from __future__ import annotations

import enum
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from ssl import SSLCertVerificationError
from typing import Final, Never, TypeVar, assert_never

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from novita_sdk import errors
from novita_sdk._hooks import RequestEvent
from novita_sdk._settings import Settings
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
from novita_sdk.drivers.timed_sockets import TimedAdapter, TimedSession, patience
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
from novita_sdk.wire.bodies import Body, BodyError
from novita_sdk.wire.hosts import is_loopback
from novita_sdk.wire.retry import FailureKind

__all__ = ["LATER", "Later", "SyncDriver", "advance"]

T = TypeVar("T")
EmitT = TypeVar("EmitT")

_PIECE: Final = 64 * 1024

_drivers: Final[weakref.WeakSet[SyncDriver]] = weakref.WeakSet()


class Later(enum.Enum):
    """The word for a step that is put off; who says so goes on with the flow when the step has an outcome."""

    LATER = enum.auto()


LATER: Final = Later.LATER


def advance(
    flow: Generator[Step | Emit[EmitT], Outcome, T],
    perform: Callable[[Step], Outcome | Later],
    outcome: Outcome = None,
) -> Emit[EmitT] | End[T] | Later:
    """Carries out the steps of a flow or feed until it emits, ends, or has to wait.

    Args:
        flow: At its beginning, at an `Emit`, or at a step that was put off.
        perform: Carries out one step.
        outcome: What the step that was put off came to; else None.
    """
    try:
        step = flow.send(outcome)
        while not isinstance(step, Emit):
            try:
                result = perform(step)
            except BaseException as error:  # noqa: BLE001 - the flow may have something to say about any of them
                step = flow.throw(error)
            else:
                if result is LATER:
                    return LATER
                step = flow.send(result)
    except StopIteration as stop:
        return End(stop.value)
    return step


class SyncDriver:
    """The flows of one client, and what carries out their steps. Safe for any number of threads.

    Args:
        settings: The client's.
        session: The caller's own session, which is left open; None for one of the driver's own.
    """

    def __init__(self, settings: Settings, session: requests.Session | None) -> None:
        self._proxy = proxy_of(settings.base_url, session)
        self.flows = make_flows(settings, self._proxy)
        self.max_connections = settings.max_connections
        self.is_inherited = False
        """The process was forked since; sockets and locks belong to the parent."""
        self._auth = _Bearer(settings.api_key)
        self._observer = Observer(settings.on_request, settings.on_response)
        self._owns_session = session is None
        self._session = _make_session(settings) if session is None else session
        self._places = threading.BoundedSemaphore(self.flows.waiting.max_parked)
        # The pool has as many connections, but there a caller's deadline would not count.
        self._connections = threading.BoundedSemaphore(settings.max_connections if self._owns_session else UNLIMITED)
        self._parents: list[object] = []
        _watch_forks()
        _drivers.add(self)

    @property
    def session(self) -> requests.Session:
        """The session in use."""
        return self._session

    def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its result."""
        news: Emit[Never] | End[T] | Later = advance(flow, self.perform)
        if not isinstance(news, End):
            raise TypeError("a flow emits nothing, and no step is put off here")
        return news.value

    def iterate(self, feed: Feed[T]) -> Iterator[T]:
        """Runs a feed and yields what it emits."""
        try:
            while isinstance(news := advance(feed, self.perform), Emit):
                yield news.value
        finally:
            feed.close()

    def send(self, step: Send) -> Reply | Broken:
        """Sends one request."""
        event = self._observer.before(step)
        begin = time.perf_counter()
        current = Patience(step, time.monotonic)
        outcome: Reply | Broken
        if not self._connections.acquire(timeout=step.within):
            outcome = Broken(kind=FailureKind.UNSENT, reason="no connection became free in time", timed_out=True)
        else:
            token = patience.set(current)
            try:
                with self._request(event, step) as response:
                    outcome = _read(response, current)
            except ValueError as error:  # a URL, or a header of a hook, that nothing can be sent with
                where = f"{event.url!r} can't be called{via(self._proxy)}"
                raise errors.InvalidInputError(f"{where}: {root_of(error)}.") from error
            except (requests.RequestException, HTTPError, TimeoutError) as error:
                outcome = _broken(error)
            finally:
                patience.reset(token)
                self._connections.release()
        self._observer.after(event, outcome, begin)
        return outcome

    def close(self) -> None:
        """Closes the connections, but not those of the caller's own session."""
        if self._owns_session:
            self._session.close()

    def inherit(self) -> None:
        """Called in a forked child: leaves the parent's connections alone."""
        self.is_inherited = True
        for adapter in self._session.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                # Letting the parent's pools go would close them.
                self._parents.append((adapter.poolmanager, adapter.proxy_manager))
                adapter.proxy_manager = {}
                size = vars(adapter)
                adapter.init_poolmanager(size["_pool_connections"], size["_pool_maxsize"], block=size["_pool_block"])

    def _request(self, event: RequestEvent, step: Send) -> requests.Response:
        timeout = (min(CONNECT_TIMEOUT, step.timeout), step.timeout)
        verb, url, body = event.verb, event.url, step.request.body
        # A redirect would turn a POST into a GET, or drop the key.
        if not self._owns_session:
            return self._session.request(
                verb,
                url,
                data=body,
                headers=event.headers,
                auth=self._auth,
                timeout=timeout,
                allow_redirects=False,
                stream=True,
            )
        # The same but for what only a caller's session adds to a request, at two thirds of the cost.
        request = requests.PreparedRequest()
        request.prepare(verb, url, {**self._session.headers, **event.headers}, data=body, auth=self._auth)
        return self._session.send(request, timeout=timeout, allow_redirects=False, stream=True)

    def perform(self, step: Step) -> Outcome:
        """Carries out one step, in the caller's thread."""
        match step:
            case Send():
                try:
                    return self.send(step)
                finally:
                    if step.is_parked:
                        self._places.release()
            case Sleep():
                time.sleep(step.seconds)
                return None
            case Turn():
                return Done(self._places.acquire(timeout=step.seconds))
            case Work():
                return Done(step.function())
            case Log():
                log(step)
                return None
            case _:
                assert_never(step)


class _Bearer(AuthBase):
    """Sets the key where no ~/.netrc can override it."""

    def __init__(self, api_key: str) -> None:
        self._value = f"Bearer {api_key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def _make_session(settings: Settings) -> requests.Session:
    session = TimedSession()
    adapter = TimedAdapter(pool_maxsize=settings.max_connections, pool_block=True)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    # The API has no cookies, and the jar is what threads would share.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Proxies and certificates of the environment; a session that trusts it would search all of it at every request.
    found = session.merge_environment_settings(settings.base_url, {}, None, None, None)
    session.proxies = {} if is_loopback(settings.base_url) else found["proxies"]
    session.verify, session.trust_env = certificates() or True, False
    return session


def _read(response: requests.Response, current: Patience) -> Reply | Broken:
    """Reads an answer to its end, or as far as it may go."""
    headers = {key.lower(): value for key, value in response.headers.items()}
    if getattr(response, "_content_consumed", False):  # by a session of the caller's own, for a redirect
        return Reply(status=response.status_code, headers=headers, body=response.content)
    body = None
    try:
        body = Body(headers.get("content-encoding", ""))
        while piece := _next_piece(response):
            body.feed(piece)
            if current.left() < 0:
                raise TimeoutError(str(current))
        return Reply(status=response.status_code, headers=headers, body=body.end())
    except BodyError as error:
        return unread(response.status_code, headers, body, error)


def _next_piece(response: requests.Response) -> bytes:
    # What has come, where urllib3 can tell; a session of the caller's own waits for all of it, byte by byte.
    read = getattr(response.raw, "read1", response.raw.read)
    return bytes(read(_PIECE, decode_content=False))


def _broken(error: requests.RequestException | HTTPError | TimeoutError) -> Broken:
    root = root_of(error)
    outer = error.args[0] if error.args else None
    cause = outer.reason if isinstance(outer, MaxRetryError) else outer
    is_unsent = isinstance(cause, (NewConnectionError, ConnectTimeoutError, ProxyError)) or isinstance(
        root, SSLCertVerificationError
    )
    return Broken(
        kind=FailureKind.UNSENT if is_unsent else FailureKind.LOST,
        reason=str(root) or type(root).__name__,
        timed_out=isinstance(error, (requests.Timeout, ReadTimeoutError, TimeoutError)),
    )


@cache
def _watch_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_inherit_all)


def _inherit_all() -> None:
    for driver in list(_drivers):
        driver.inherit()
