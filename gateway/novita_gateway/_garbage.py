"""The garbage collector beside very many rows, which are in no cycles: looking for some holds everything up."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["collecting_in_short", "many_rows_coming"]

MANY: Final = 50_000
"""Rows that are worth it."""

LONG: Final = 0.01
"""Seconds after which a collection was too long."""


@contextmanager
def many_rows_coming() -> Iterator[list[int]]:
    """Collects nothing meanwhile; with many rows, what there is in the end is never looked at again.

    Yields:
        A list for the numbers of rows that came.
    """
    counts: list[int] = []
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield counts
        if sum(counts) >= MANY:
            gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def collecting_in_short() -> Iterator[None]:
    """For a program that is a gateway: what a collection took too long for and found alive is never looked at again."""
    begin = 0.0

    def look(phase: str, _: object) -> None:
        nonlocal begin
        if phase == "start":
            begin = time.perf_counter()
        elif time.perf_counter() - begin > LONG:
            gc.freeze()

    gc.callbacks.append(look)
    try:
        yield
    finally:
        gc.callbacks.remove(look)
