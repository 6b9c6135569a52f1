"""The limits on what a worker fetches from URLs that strangers name."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from novita_sdk._environment import variables
from novita_sdk.storage.places import FILES_URL_VARIABLE

GIB: Final = 1024**3

ALLOW_HOSTS_VARIABLE: Final = "NOVITA_FETCH_ALLOW_HOSTS"
"""Where a worker names hosts that may be private, beside its gateway's and its bucket's."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# All of IPv6 that is routed; `is_global` also holds for retired forms, some of which wrap an IPv4 address.
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """What a worker fetches on behalf of a stranger.

    Attributes:
        max_bytes: Largest file.
        max_seconds: Longest time for one file, retries included.
        max_redirects: Most redirects; each target is checked like the first address.
        allow_hosts: Hosts, as ``host`` or ``host:port``, that may be private: the gateway and the bucket of the worker.
        allow_private: Whether every host may be private, loopback or link-local.
    """

    max_bytes: int = 4 * GIB
    max_seconds: float = 600.0
    max_redirects: int = 3
    allow_hosts: frozenset[str] = frozenset()
    allow_private: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> FetchPolicy:
        """A worker's policy: strangers' URLs are public ones, its own gateway and bucket may be anywhere.

        Reads NOVITA_FILES_URL, BUCKET_ENDPOINT_URL and, for hosts beside these, NOVITA_FETCH_ALLOW_HOSTS (with commas).
        """
        environment = variables() if environment is None else environment
        hosts = {host.strip().lower() for host in environment.get(ALLOW_HOSTS_VARIABLE, "").split(",")}
        for name in (FILES_URL_VARIABLE, "BUCKET_ENDPOINT_URL"):
            parts = urlsplit(environment.get(name, ""))
            if parts.hostname:
                port = parts.port or {"https": 443}.get(parts.scheme, 80)
                hosts.add(f"{parts.hostname}:{port}")
        return cls(allow_hosts=frozenset(hosts - {""}))

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether a connection to `address`, which `host` resolved to, may be made."""
        if self.allow_private or not {host.lower(), f"{host.lower()}:{port}"}.isdisjoint(self.allow_hosts):
            return True
        return is_public(address)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is None and ip not in _GLOBAL_UNICAST:
            return False
        ip = wrapped or ip
    return ip.is_global and not ip.is_multicast
