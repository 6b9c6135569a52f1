"""runpod's `serverless.modules`: those that workers import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_gpus._names import find

if TYPE_CHECKING:
    from novita_gpus.serverless.modules import rp_fitness, rp_logger, rp_progress

__all__ = ["rp_fitness", "rp_logger", "rp_progress"]


def __getattr__(name: str) -> object:
    return find(__name__, name, {module: f"{__name__}.{module}" for module in __all__})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
