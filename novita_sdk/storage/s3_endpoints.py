"""The address of an S3 endpoint: whose it is, and which region it stands for."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

DEFAULT_REGION = "us-east-1"

# Providers whose one address serves all regions.
_REGIONLESS = (".r2.cloudflarestorage.com", "storage.googleapis.com")
# Providers that put the region right before their domain.
_REGION_FIRST = (".digitaloceanspaces.com", ".linodeobjects.com", ".vultrobjects.com")


def host_of(endpoint_url: str) -> str:
    """The lower-case host name of an endpoint, empty where there is none."""
    return (urlsplit(endpoint_url).hostname or "").lower()


def is_aws(endpoint_url: str | None) -> bool:
    """Whether requests go to Amazon itself; no endpoint at all means that too."""
    return endpoint_url is None or host_of(endpoint_url).endswith((".amazonaws.com", ".amazonaws.com.cn"))


def region_of(endpoint_url: str) -> str:
    """The region that a request to this endpoint has to be signed for.

    Bucket names in front of the host are skipped. An address that says nothing (MinIO, a bare IP) gets
    `DEFAULT_REGION`, which such servers accept.
    """
    host = host_of(endpoint_url)
    if host.endswith(_REGIONLESS):
        return "auto"
    for domain in _REGION_FIRST:
        if host.endswith(domain):
            return host.removesuffix(domain).rpartition(".")[2]
    match = re.search(r"(?:^|\.)s3[.-](?:dualstack\.)?([a-z0-9-]+)\.[a-z0-9-]+\.[a-z]", host)
    return match[1] if match else DEFAULT_REGION
