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
    "KNOWN",
    "PENDING",
    "RUNNING",
    "TIMED_OUT",
    "find_state",
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

KNOWN: Final = (PENDING, IN_QUEUE, IN_PROGRESS, COMPLETED, FAILED, CANCELLED, TIMED_OUT)
"""Those that a job may be asked for; RUNNING stood in the platform's documents once, and no job has it."""

FINAL: Final = frozenset({COMPLETED, FAILED, CANCELLED, TIMED_OUT})


def is_final(status: str) -> bool:
    """Whether a job in this state never changes again. A state this version doesn't know is not final."""
    return status in FINAL


def find_state(word: str) -> str | None:
    """The state that a word means, whatever its case and joints: `failed`, `timed out`; None where it means none."""
    plain = "_".join(word.replace("-", " ").replace("_", " ").split()).upper()
    return plain if plain in KNOWN else None
