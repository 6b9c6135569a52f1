"""The sockets of an aiohttp session, so that nothing of it is left when its loop is closed.

A request that is cancelled over TLS leaves a connection behind that waits for the other side's goodbye. No session
knows it any longer, and a loop that is closed over it complains (asyncio) or fails, late (uvloop).
"""

from __future__ import annotations

import asyncio
import socket
import weakref
from contextlib import suppress
from typing import Final

__all__ = ["AddrInfo", "Sockets"]

PATIENCE: Final = 1.0
"""Seconds in which a loop closes what was cut off; it needs a turn or two."""
TURN: Final = 0.001

AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]
"""As `socket.getaddrinfo` gives it."""


class Sockets:
    """Makes the sockets of one session, and cuts off those that are still open when it has been closed."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def make(self, address: AddrInfo) -> socket.socket:
        """A `socket_factory` of `aiohttp.TCPConnector`."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        self._made.add(made)
        return made

    async def cut_off(self) -> None:
        """Ends every connection that is still open, and waits until the loop has seen it."""
        for each in self._open():
            with suppress(OSError):  # it has no other side any more
                each.shutdown(socket.SHUT_RDWR)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._open():  # noqa: ASYNC110  a socket tells nobody that it was closed
                    await asyncio.sleep(TURN)

    def _open(self) -> list[socket.socket]:
        return [each for each in self._made if each.fileno() != -1]
