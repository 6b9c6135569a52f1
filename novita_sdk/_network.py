"""The way to a gateway that the environment names: proxies and certificates, the same for clients and workers."""

from __future__ import annotations

import os
from typing import Final
from urllib.request import getproxies

from novita_sdk.wire.hosts import is_loopback

__all__ = ["BUNDLES", "certificates", "environment_proxy"]

BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The variables of requests, curl and OpenSSL."""


def certificates() -> str | None:
    """The file or folder of certificates that the environment names, in the variables of requests, curl and OpenSSL."""
    return next(filter(None, (os.environ.get(name, "").strip() for name in BUNDLES)), None)


def environment_proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL, with its scheme; None where it is asked without one."""
    if is_loopback(url) or not getproxies():
        return None
    from requests.utils import get_environ_proxies, select_proxy  # late, because few have a proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    return None if not proxy else proxy if "://" in proxy else f"http://{proxy}"
