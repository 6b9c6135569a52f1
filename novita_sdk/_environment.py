"""The environment variables of a worker: its process's, or those of a context where workers share a process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

__all__ = ["set_variables", "variables"]

_own: ContextVar[Mapping[str, str]] = ContextVar("novita_variables", default=MappingProxyType({}))


def set_variables(own: Mapping[str, str]) -> None:
    """Puts variables over those of the process, for this context and its copies."""
    _own.set(own)


def variables() -> Mapping[str, str]:
    """The variables that count here and now."""
    own = _own.get()
    return {**os.environ, **own} if own else os.environ
