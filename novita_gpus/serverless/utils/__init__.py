"""runpod's `serverless.utils` by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_gpus._names import find

if TYPE_CHECKING:
    from novita_gpus.serverless.utils import (
        rp_cleanup,
        rp_cuda,
        rp_debugger,
        rp_download,
        rp_upload,
        rp_validator,
    )
    from novita_gpus.serverless.utils.rp_download import download_files_from_urls
    from novita_gpus.serverless.utils.rp_upload import upload_file_to_bucket, upload_in_memory_object

__all__ = [
    "download_files_from_urls",
    "rp_cleanup",
    "rp_cuda",
    "rp_debugger",
    "rp_download",
    "rp_upload",
    "rp_validator",
    "upload_file_to_bucket",
    "upload_in_memory_object",
]

_HOMES = {
    "download_files_from_urls": f"{__name__}.rp_download:download_files_from_urls",
    "upload_file_to_bucket": f"{__name__}.rp_upload:upload_file_to_bucket",
    "upload_in_memory_object": f"{__name__}.rp_upload:upload_in_memory_object",
    **{module: f"{__name__}.{module}" for module in __all__ if module.startswith("rp_")},
}


def __getattr__(name: str) -> object:
    return find(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
