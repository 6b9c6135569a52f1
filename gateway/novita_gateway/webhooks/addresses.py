"""The addresses that a webhook may reach: public ones, unless its operator says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from novita_gateway._errors import BadRequestError
from novita_sdk.drivers.names import OwnThreadsResolver

__all__ = ["PublicResolver", "check_webhook", "is_public"]

MAX_URL: Final = 2048

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Its last 32 bits are the IPv4 address that is reached."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


_UNLESS: Final = "unless it was started with --allow-private-webhooks (allow_private_webhooks=True)"


def check_webhook(url: str, *, allow_private: bool) -> None:
    """Refuses a webhook that can't or must not be called.

    Names are looked up when they are called, by `PublicResolver`; here only an address in the URL itself is judged.

    Raises:
        BadRequestError: It is not an HTTP URL, or names a private address.
    """
    try:
        parsed = URL(url)
        host = parsed.host or ""
        host.encode("idna")  # as a look-up will; it refuses empty and long labels
    except ValueError:
        parsed, host = URL(), ""
    if parsed.scheme not in {"http", "https"} or not host or len(url) > MAX_URL:
        raise BadRequestError(f"webhook {url[:100]!r} is not an http or https URL of at most {MAX_URL} characters")
    if parsed.user is not None or parsed.password is not None:
        raise BadRequestError("the webhook URL holds a user name; verify the signature instead")
    if not allow_private and _is_private_literal(host):
        raise BadRequestError(f"webhook host {host!r} is a private address, which this gateway does not call {_UNLESS}")


class PublicResolver(AbstractResolver):
    """Looks names up, and gives out public addresses alone; so what was checked is what is connected to."""

    def __init__(self) -> None:
        self._resolver = OwnThreadsResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolves a name; raises OSError where no address of it is public."""
        results = [result for result in await self._resolver.resolve(host, port, family) if is_public(result["host"])]
        if not results:
            raise OSError(f"{host} has no public address, and no other is called {_UNLESS}")
        return results

    async def close(self) -> None:
        """Does nothing."""
        await self._resolver.close()


def _is_private_literal(host: str) -> bool:
    host = host.removesuffix(".")
    try:
        return not is_public(host)
    except ValueError:
        pass
    try:  # the short, octal, hexadecimal and decimal spellings, which a connection understands as well
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return host == "localhost" or host.endswith(".localhost")
