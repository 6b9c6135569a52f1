"""HTTP sessions that connect only where a policy lets them.

The check sits where the connection is made: a name is resolved once, and the connection goes to an address that was
checked. A second look-up, a redirect or an odd spelling of an address gives nobody a way around it.
"""

from __future__ import annotations

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from novita_sdk.files._errors import FileError
from novita_sdk.files._policy import FetchPolicy


def guarded_session(policy: FetchPolicy) -> requests.Session:
    """A session under a policy. It ignores proxies and credentials of the environment."""
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = policy.max_redirects
    for scheme in ("http://", "https://"):
        session.mount(scheme, _GuardedAdapter(policy))
    return session


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = policy
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        policy = self._policy

        class GuardedHTTP(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(self, policy)

        class GuardedHTTPS(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(self, policy)

        class HTTPPool(HTTPConnectionPool):
            ConnectionCls = GuardedHTTP

        class HTTPSPool(HTTPSConnectionPool):
            ConnectionCls = GuardedHTTPS

        self.poolmanager.pool_classes_by_scheme = {"http": HTTPPool, "https": HTTPSPool}


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
            f"{host} is at {addresses[0]}, which is not a public address; it is not fetched from", code="REFUSED"
        )
    try:
        return create_connection((allowed[0], port), connection.timeout, socket_options=connection.socket_options)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"{host} did not answer in time") from error
    except OSError as error:
        raise NewConnectionError(connection, f"{host} can't be reached: {error}") from error
