"""runpod's `serverless` by its names: what a worker that was written for `runpod` calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_gpus._names import find
from novita_sdk._version import __version__ as runpod_version

if TYPE_CHECKING:
    from novita_gpus.serverless import modules, utils
    from novita_gpus.serverless._start import start
    from novita_gpus.serverless.modules.rp_fitness import register_fitness_check
    from novita_worker import progress_update

__all__ = ["modules", "progress_update", "register_fitness_check", "runpod_version", "start", "utils"]

_HOMES = {
    "modules": "novita_gpus.serverless.modules",
    "progress_update": "novita_worker:progress_update",
    "register_fitness_check": "novita_gpus.serverless.modules.rp_fitness:register_fitness_check",
    "start": "novita_gpus.serverless._start:start",
    "utils": "novita_gpus.serverless.utils",
}


def __getattr__(name: str) -> object:
    return find(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
