"""The states of a job, as the wire spells them."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CANCELLED",
    "COMPLETED",
    "FAILED",
    "FINAL",
    "IN_PROGRESS",
    "IN_QUEUE",
    "PENDING",
    "RUNNING",
    "TIMED_OUT",
    "is_final",
]

PENDING: Final = "PENDING"
IN_QUEUE: Final = "IN_QUEUE"
IN_PROGRESS: Final = "IN_PROGRESS"
RUNNING: Final = "RUNNING"
COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"
CANCELLED: Final = "CANCELLED"
TIMED_OUT: Final = "TIMED_OUT"

FINAL: Final = frozenset({COMPLETED, FAILED, CANCELLED, TIMED_OUT})


def is_final(status: str) -> bool:
    """Whether a job in this state never changes again. A state this version doesn't know is not final."""
    return status in FINAL
