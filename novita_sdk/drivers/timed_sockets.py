"""Connections of `requests` that keep to the deadline of a request, its headers included.

`requests` has timeouts of sockets alone, and each starts anew with every byte. Here the socket's is set before every
read to what is left of the request's patience.
"""

from __future__ import annotations

import http.client
import io
import socket
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager

from novita_sdk.drivers.patience import Patience

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["TimedAdapter", "TimedSession", "patience"]

patience: ContextVar[Patience | None] = ContextVar("novita_patience", default=None)
"""That of the request which this thread sends."""


class TimedAdapter(HTTPAdapter):
    """Sends under the `patience` of the context."""

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002  requests' own signature
        **pool_kwargs: object,
    ) -> None:
        """As the base does, with connections that keep deadlines."""
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: object) -> ProxyManager:
        """As the base does, with connections that keep deadlines."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class TimedSession(requests.Session):
    """Leaves redirects of what is sent here alone: `requests` reads the body of each one whole, whatever its size."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, so that nothing is followed."""
        return super().get_redirect_target(resp) if patience.get() is None else None


class _TimedFile(io.RawIOBase):
    """What a response reads from: the socket's own file, under a deadline."""

    def __init__(self, connected: socket.socket, file: io.RawIOBase, patience: Patience) -> None:
        self._socket = connected
        self._timeout = connected.gettimeout()
        self._file = file
        self._patience = patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = self._patience.left()
        if left <= 0:
            raise TimeoutError(str(self._patience))
        self._socket.settimeout(left)
        try:
            count = self._file.readinto(buffer)
        except TimeoutError as error:
            error.args = (str(self._patience),)
            raise
        finally:
            # For the next request on this connection; some versions of urllib3 send that under what they find here.
            if self._socket.fileno() >= 0:
                self._socket.settimeout(self._timeout)
        self._patience.received(count or 0)
        return count

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        current = patience.get()
        if current is not None:
            current.begin()
            self.fp = io.BufferedReader(_TimedFile(sock, self.fp.detach(), current))


class _TimedHTTP(HTTPConnection):
    response_class = _TimedResponse


class _TimedHTTPS(HTTPSConnection):
    response_class = _TimedResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _TimedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedHTTPS


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}
