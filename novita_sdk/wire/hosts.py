"""The hosts in URLs: this machine's own, and proxies as they may be shown."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_loopback", "without_password"]


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine alone. No proxy reaches that, so none is asked for it, as Go's clients do."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_password(url: str) -> str:
    """A proxy's URL for people: scheme, host and port. Also of one without a scheme, as environments have them."""
    scheme, found, rest = url.rpartition("://")
    return f"{scheme}{found}{rest.split('/')[0].rpartition('@')[2]}"
