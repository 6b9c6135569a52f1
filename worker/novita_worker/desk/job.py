"""One job on the desk."""

from __future__ import annotations

from enum import Enum

from novita_worker.desk.actions import TakenJob
from novita_worker.desk.outbox import Outbox

__all__ = ["DeskJob", "Phase"]


class Phase(Enum):
    """How far a job is in this worker."""

    HELD = 1
    RUNNING = 2
    ENDED = 3


class DeskJob:
    """One job, from its take until its last post is answered."""

    __slots__ = ("again", "deadline", "failed", "id", "muted", "outbox", "phase", "prepared", "stuck", "taken")

    def __init__(self, taken: TakenJob, progress_interval: float) -> None:
        self.id = taken.id
        self.taken = taken
        self.outbox = Outbox(taken.id, progress_interval, taken.take)
        self.phase = Phase.HELD
        self.prepared = False
        self.deadline: float | None = None
        self.muted = False
        """Whether what the handler still says is of no interest."""
        self.failed = False
        """Whether a result was refused already."""
        self.stuck = False
        """Whether the handler did not react to its cancellation in time."""
        self.again: TakenJob | None = None
        """The next attempt, which came while the handler of a given-up one still runs; it begins when that ends."""
