"""The store for tests: everything is in memory and goes with the process."""

from __future__ import annotations

from novita_gateway._clock import Clock
from novita_gateway.board.limits import Limits
from novita_gateway.store.board_store import BoardStore
from novita_gateway.store.journal import MemoryJournal

__all__ = ["MemoryStore"]


class MemoryStore(BoardStore):
    """Keeps jobs in memory.

    Args:
        limits: Leases, attempts, retention.
        clock: Tells the time.
    """

    def __init__(self, *, limits: Limits | None = None, clock: Clock | None = None) -> None:
        super().__init__(MemoryJournal(), limits=limits, clock=clock)
