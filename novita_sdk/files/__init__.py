"""Files as values: passed as inputs and returned as outputs, moved beside the job and checked on arrival.

>>> endpoint.run({"image": File.from_path("in.png")})
>>> for image in job.output()["images"]:
...     image.download("out")

In JSON a file is the object ``{"url", "name", "mediaType", "size", "sha256"}`` of ``novita_protocol.v1.File``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novita_gateway.files.linked_store import LinkedStore, LinkSigner, StoredFile
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

_MODULES = {
    "BucketStore": "novita_sdk.files._stores",
    "ContentFolder": "novita_sdk.files._cache",
    "FetchPolicy": "novita_sdk.files._policy",
    "File": "novita_sdk.files._file",
    "FileError": "novita_sdk.files._errors",
    "FileStore": "novita_sdk.files._stores",
    "GatewayStore": "novita_sdk.files._stores",
    "JobFiles": "novita_sdk.files._job_files",
    "LocalFile": "novita_sdk.files._file",
    "OncePerContent": "novita_sdk.files._stores",
    "client_store": "novita_sdk.files._stores",
    "default_cache": "novita_sdk.files._job_files",
    "fetch_offloaded": "novita_sdk.files._offload",
    "has_local_files": "novita_sdk.files._stores",
    "offload": "novita_sdk.files._offload",
    "offloaded": "novita_sdk.files._offload",
    "progress_bar": "novita_sdk.files._progress",
    "revive": "novita_sdk.files._file",
    "send_files": "novita_sdk.files._stores",
    "with_members": "novita_sdk.files._file",
    "worker_store": "novita_sdk.files._stores",
    # The other side of a `GatewayStore`, which the SDK itself does not need.
    "LinkSigner": "novita_gateway.files.linked_store",
    "LinkedStore": "novita_gateway.files.linked_store",
    "StoredFile": "novita_gateway.files.linked_store",
}


def __getattr__(name: str) -> object:
    """Loads a public name at its first use: every call of a client looks for files in it, and few find some."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
