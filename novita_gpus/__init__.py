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

`import novita_gpus as runpod` is the import of code that was written for `runpod`: see `docs/migration.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_sdk._version import __version__

if TYPE_CHECKING:
    from novita_gpus import endpoint, error, serverless
    from novita_gpus.client import Endpoint, HTTPClient, Job
    from novita_gpus.endpoint import AsyncioEndpoint, AsyncioJob
    from novita_gpus.serverless.modules.rp_logger import RunPodLogger
    from novita_sdk.uploads import upload_bytes, upload_file, upload_image, upload_images
    from novita_worker import JobContext, progress_update, start

    api_key: str | None
    endpoint_url_base: str

__all__ = [
    "AsyncioEndpoint",
    "AsyncioJob",
    "Endpoint",
    "HTTPClient",
    "Job",
    "JobContext",
    "RunPodLogger",
    "__version__",
    "api_key",
    "endpoint",
    "endpoint_url_base",
    "error",
    "progress_update",
    "serverless",
    "start",
    "upload_bytes",
    "upload_file",
    "upload_image",
    "upload_images",
]

_HOMES = {
    "AsyncioEndpoint": "novita_gpus.endpoint.asyncio.asyncio_runner:Endpoint",
    "AsyncioJob": "novita_gpus.endpoint.asyncio.asyncio_runner:Job",
    "Endpoint": "novita_gpus.client:Endpoint",
    "HTTPClient": "novita_gpus.client:HTTPClient",
    "Job": "novita_gpus.client:Job",
    "JobContext": "novita_worker:JobContext",
    "RunPodLogger": "novita_gpus.serverless.modules.rp_logger:RunPodLogger",
    "endpoint": "novita_gpus.endpoint",
    "error": "novita_gpus.error",
    "progress_update": "novita_worker:progress_update",
    "serverless": "novita_gpus.serverless",
    "start": "novita_worker:start",
    "upload_bytes": "novita_sdk.uploads:upload_bytes",
    "upload_file": "novita_sdk.uploads:upload_file",
    "upload_image": "novita_sdk.uploads:upload_image",
    "upload_images": "novita_sdk.uploads:upload_images",
}


def __getattr__(name: str) -> object:
    if name in {"api_key", "endpoint_url_base"}:
        # Never stored: the environment counts at the moment of use.
        from novita_sdk import _settings

        return _settings.api_key() if name == "api_key" else _settings.base_url()
    from novita_gpus._names import find

    return find(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
