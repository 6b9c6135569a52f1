"""Files as values: passed as inputs and returned as outputs, moved beside the job and checked on arrival.

>>> endpoint.run({"image": File.from_path("in.png")})
>>> for image in job.output()["images"]:
...     image.download("out")

In JSON a file is the object ``{"url", "name", "mediaType", "size", "sha256"}`` of ``novita_protocol.v1.File``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_sdk.files._cache import ContentFolder
from novita_sdk.files._errors import FileError
from novita_sdk.files._file import File, LocalFile, revive, with_members
from novita_sdk.files._job_files import JobFiles, default_cache
from novita_sdk.files._offload import fetch_offloaded, offload, offloaded
from novita_sdk.files._policy import FetchPolicy
from novita_sdk.files._progress import progress_bar
from novita_sdk.files._stores import (
    BucketStore,
    FileStore,
    GatewayStore,
    OncePerContent,
    client_store,
    has_local_files,
    send_files,
    worker_store,
)

if TYPE_CHECKING:
    from novita_gateway.files.linked_store import LinkedStore, LinkSigner, StoredFile

__all__ = [
    "BucketStore",
    "ContentFolder",
    "FetchPolicy",
    "File",
    "FileError",
    "FileStore",
    "GatewayStore",
    "JobFiles",
    "LinkSigner",
    "LinkedStore",
    "LocalFile",
    "OncePerContent",
    "StoredFile",
    "client_store",
    "default_cache",
    "fetch_offloaded",
    "has_local_files",
    "offload",
    "offloaded",
    "progress_bar",
    "revive",
    "send_files",
    "with_members",
    "worker_store",
]

_LENT = {"LinkSigner", "LinkedStore", "StoredFile"}


def __getattr__(name: str) -> object:
    """Lends the names of the gateway's side of a `GatewayStore`, which the SDK itself does not need."""
    if name not in _LENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("novita_gateway.files.linked_store"), name)
