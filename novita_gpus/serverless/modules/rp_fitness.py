"""Fitness checks: what must hold before a worker takes its first job."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["clear_fitness_checks", "register_fitness_check", "run_fitness_checks"]

CheckT = TypeVar("CheckT", bound=Callable[[], object])

_log: Final = logging.getLogger("novita_worker")
checks: Final[list[Callable[[], object]]] = []
"""In the order in which they were registered."""


def register_fitness_check(func: CheckT) -> CheckT:
    """Has a function called before the first job is taken, as a decorator; a failed check ends the worker with code 1.

    Args:
        func: A plain or an async function without arguments; fails by raising.
    """
    checks.append(func)
    return func


def clear_fitness_checks() -> None:
    """Forgets all checks."""
    checks.clear()


async def run_fitness_checks() -> None:
    """Calls the checks, one after the other in the order in which they were registered.

    Raises:
        RuntimeError: One failed; names it.
    """
    for check in checks:
        name = getattr(check, "__name__", type(check).__name__)
        try:
            outcome = check()
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as error:
            raise RuntimeError(f"the fitness check {name} failed: {type(error).__name__}: {error}") from error
        _log.info("the fitness check %s passed", name)
