"""HTTP sessions that connect only where a policy lets them.

The check sits where the connection is made: a name is resolved once, and the connection goes to an address that was
checked. A second look-up, a redirect or an odd spelling of an address gives nobody a way around it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from novita_sdk.files._errors import FileError
from novita_sdk.files._policy import ALLOW_HOSTS_VARIABLE, FetchPolicy
from novita_sdk.wire.hosts import is_loopback


def no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The `auth` of sessions that no ~/.netrc may give a password to: a store refuses it beside a link or a key."""
    return request


class DirectSession(requests.Session):
    """A session that asks no proxy for this machine, and no ~/.netrc for a password."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = no_netrc

    # Any: they are the base's, and only go through.
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Sends a request; where it leads to this machine, as it is."""
        if is_loopback(request.url or ""):
            kwargs["proxies"] = {}
        return super().send(request, **kwargs)


class StepwiseSession(DirectSession):
    """A session that leaves redirects to the caller. `requests` reads the body of each one whole, whatever its size.

    Attributes:
        is_over: Whether connections were cut, so that what came may look whole and is not.
    """

    is_over = False

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, so that nothing is followed."""
        del resp
        return None

    def redirect_of(self, answer: requests.Response) -> str | None:
        """Where an answer redirects to."""
        return super().get_redirect_target(answer)


class GuardedSession(StepwiseSession):
    """A session under a policy, to be used as a context. It ignores proxies and credentials of the environment.

    When the policy's time is over, its connections are cut: a timeout of a socket starts anew with every byte, and a
    server that sends one now and then would hold a handshake or a header up for ever.
    """

    def __init__(self, policy: FetchPolicy) -> None:
        super().__init__()
        self.trust_env, self.auth = False, None
        self._lock = threading.Lock()
        self._handles: list[socket.socket] = []
        self._timer = threading.Timer(policy.max_seconds, self._cut)
        self._timer.daemon = True
        for scheme in ("http://", "https://"):
            self.mount(scheme, _GuardedAdapter(policy, self._watch))

    def __enter__(self) -> GuardedSession:
        self._timer.start()
        return self

    def close(self) -> None:
        """Ends all connections."""
        self._timer.cancel()
        super().close()
        with self._lock:
            while self._handles:
                self._handles.pop().close()

    def _watch(self, connection: socket.socket) -> None:
        # TLS takes the socket away from its object; a second handle of it still ends the connection.
        with self._lock:
            self._handles.append(connection.dup())
            is_over = self.is_over
        if is_over:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            for handle in self._handles:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, policy: FetchPolicy, watch: Callable[[socket.socket], None]) -> None:
        self._policy = policy
        self._watch = watch
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = self._pools()

    def _pools(self) -> dict[str, type[HTTPConnectionPool]]:
        def connect(connection: HTTPConnection) -> socket.socket:
            connected = _connect(connection, self._policy)
            self._watch(connected)
            return connected

        class GuardedHTTP(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return connect(self)

        class GuardedHTTPS(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return connect(self)

        class HTTPPool(HTTPConnectionPool):
            ConnectionCls = GuardedHTTP

        class HTTPSPool(HTTPSConnectionPool):
            ConnectionCls = GuardedHTTPS

        return {"http": HTTPPool, "https": HTTPSPool}


def _connect(connection: HTTPConnection, policy: FetchPolicy) -> socket.socket:
    host, port = connection.host.strip("[]"), connection.port or 80
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NewConnectionError(connection, f"{host} has no address: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    allowed = [address for address in addresses if policy.allows(host, port, address)]
    if not allowed:
        raise FileError(
            f"{host} is at {addresses[0]}, which is not a public address; it is not fetched from unless the worker's "
            f"{ALLOW_HOSTS_VARIABLE} names it (a host, or host:port)",
            code="REFUSED",
        )
    problem: OSError | None = None
    for address in allowed:
        try:
            return create_connection((address, port), connection.timeout, socket_options=connection.socket_options)
        except OSError as error:
            problem = error
    if isinstance(problem, TimeoutError):
        raise ConnectTimeoutError(connection, f"{host} did not answer in time") from problem
    raise NewConnectionError(connection, f"{host} can't be reached: {problem}") from problem
