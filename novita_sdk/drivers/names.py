"""Host names, looked up in threads of the package's own."""

from __future__ import annotations

import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver, ThreadedResolver

from novita_sdk.threads import Threads

__all__ = ["OwnThreadsResolver", "make_resolver"]

_THREADS: Final = Threads("novita-names", 8)
_AS_NUMBERS: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


def make_resolver() -> AbstractResolver | None:
    """What looks up names; None where aiohttp's own does so without a thread."""
    return OwnThreadsResolver() if DefaultResolver is ThreadedResolver else None


class OwnThreadsResolver(AbstractResolver):
    """aiohttp's would ask in the loop's default executor, where a lookup waits behind the threads of the user."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name."""
        return await _THREADS.run(_look_up, host, port, family)

    async def close(self) -> None:
        """Holds nothing."""


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    results = []
    for kind, _, proto, _, address in found:
        # Beside the address it names the interface of a link-local one.
        numbers, _ = socket.getnameinfo(address, _AS_NUMBERS)
        results.append(
            ResolveResult(hostname=host, host=numbers, port=int(address[1]), family=kind, proto=proto, flags=flags)
        )
    return results
