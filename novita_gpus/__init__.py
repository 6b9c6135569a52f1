"""The published names of the `novita-gpus` package, bound to the packages that do the work.

Client:

    import novita_gpus

    novita_gpus.api_key = "…"
    job = novita_gpus.Endpoint("my-endpoint").run({"prompt": "hello"})
    print(job.output(timeout=60))

Worker:

    import novita_gpus

    def handler(job):
        return {"echo": job["input"]}

    novita_gpus.start({"handler": handler})

`api_key` and `endpoint_url_base` are read from `NOVITA_API_KEY` and `NOVITA_ENDPOINT_BASE_URL` when they are used,
unless they were assigned. Each name loads what it needs when it is first touched, so importing this package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from novita_sdk._version import __version__

if TYPE_CHECKING:
    from novita_gpus.client import Endpoint, HTTPClient, Job
    from novita_sdk.uploads import upload_bytes, upload_file, upload_image, upload_images
    from novita_worker import JobContext, progress_update, start

    api_key: str | None
    endpoint_url_base: str

__all__ = [
    "Endpoint",
    "HTTPClient",
    "Job",
    "JobContext",
    "__version__",
    "api_key",
    "endpoint_url_base",
    "progress_update",
    "start",
    "upload_bytes",
    "upload_file",
    "upload_image",
    "upload_images",
]

_HOMES = {
    "Endpoint": "novita_gpus.client",
    "HTTPClient": "novita_gpus.client",
    "Job": "novita_gpus.client",
    "JobContext": "novita_worker",
    "progress_update": "novita_worker",
    "start": "novita_worker",
    "upload_bytes": "novita_sdk.uploads",
    "upload_file": "novita_sdk.uploads",
    "upload_image": "novita_sdk.uploads",
    "upload_images": "novita_sdk.uploads",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in {"api_key", "endpoint_url_base"}:
        # Never stored: the environment counts at the moment of use.
        from novita_sdk import _settings

        return _settings.api_key() if name == "api_key" else _settings.base_url()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
