"""runpod's client classes by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_gpus._names import find

if TYPE_CHECKING:
    from novita_gpus.client import Endpoint, Job
    from novita_gpus.endpoint.asyncio.asyncio_runner import Endpoint as AsyncioEndpoint
    from novita_gpus.endpoint.asyncio.asyncio_runner import Job as AsyncioJob

__all__ = ["AsyncioEndpoint", "AsyncioJob", "Endpoint", "Job"]

_HOMES = {
    "AsyncioEndpoint": "novita_gpus.endpoint.asyncio.asyncio_runner:Endpoint",
    "AsyncioJob": "novita_gpus.endpoint.asyncio.asyncio_runner:Job",
    "Endpoint": "novita_gpus.client:Endpoint",
    "Job": "novita_gpus.client:Job",
    "asyncio": "novita_gpus.endpoint.asyncio",
    "runner": "novita_gpus.endpoint.runner",
}


def __getattr__(name: str) -> object:
    return find(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
