"""runpod's exceptions by their names: the classes that are raised here."""

from __future__ import annotations

from novita_gpus._names import find
from novita_sdk.errors import AuthenticationError
from novita_sdk.errors import NovitaError as RunPodError

__all__ = ["AuthenticationError", "RunPodError"]


def __getattr__(name: str) -> object:
    return find(__name__, name, {})
