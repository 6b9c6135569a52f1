"""The address that links have: the gateway's as their reader knows it, which behind a proxy is not its own."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from novita_gateway._errors import BadRequestError

__all__ = ["LOOPBACK", "PublicUrl"]

LOOPBACK: Final = ("127.0.0.0/8", "::1")
"""Whoever is on this machine."""

_HOST: Final = re.compile(r"([A-Za-z0-9_]([A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_VERSION: Final = re.compile(r"/v[12]$")


class PublicUrl:
    """Finds the address.

    Args:
        url: The address itself, such as `https://gateway.example.com` or `https://example.com/gpu`, with or without
            `/v1`; left out, each request tells it.
        trusted_proxies: Addresses or networks whose `X-Forwarded-Proto` and `X-Forwarded-Host` count.

    Raises:
        ValueError: One of them can't be one.
    """

    def __init__(self, url: str | None, trusted_proxies: Iterable[str]) -> None:
        self._url = None if url is None else _checked(url)
        self._trusted = [_network(proxy) for proxy in trusted_proxies]

    def __str__(self) -> str:
        return self._url or ""

    def of(self, request: web.BaseRequest) -> str:
        """The address for whoever sent this request, without a version or a slash at its end.

        Raises:
            BadRequestError: The request, or the proxy, names a host or scheme that can't be one.
        """
        if self._url is not None:
            return self._url
        scheme, host = request.scheme, request.headers.get("Host") or _own(request)
        if self._is_trusted(request.remote):
            scheme = _last(request, "X-Forwarded-Proto") or scheme
            host = _last(request, "X-Forwarded-Host") or host
        if scheme not in {"http", "https"}:
            raise BadRequestError(f"X-Forwarded-Proto must be http or https, not {scheme[:40]!r}")
        if not _HOST.fullmatch(host):
            raise BadRequestError(
                f"{host[:100]!r} can't be the host of this gateway, so that no link can be made of it"
            )
        return f"{scheme}://{host}"

    def _is_trusted(self, peer: str | None) -> bool:
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:  # a socket that has none
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._trusted)


def _checked(url: str) -> str:
    parts = urlsplit(url)  # a ValueError of its own for some
    has_more = parts.query or parts.fragment or parts.username is not None or parts.password is not None
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(parts.netloc) or has_more:
        raise ValueError(f"public_url must be such as https://gateway.example.com, not {url!r}")
    return _VERSION.sub("", url.rstrip("/"))


def _network(proxy: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(proxy, strict=False)
    except ValueError:
        raise ValueError(f"a trusted proxy must be an address or a network such as 10.0.0.0/8, not {proxy!r}") from None


def _last(request: web.BaseRequest, name: str) -> str:
    """What the proxy next to the gateway said; what stands before may be anybody's."""
    values = request.headers.getall(name, [])
    return values[-1].rpartition(",")[2].strip() if values else ""


def _own(request: web.BaseRequest) -> str:
    """For a request of HTTP/1.0, which may name no host."""
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
