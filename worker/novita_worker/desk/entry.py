"""What the desk knows of one job."""

from __future__ import annotations

from enum import Enum

from novita_worker.desk.actions import TakenJob
from novita_worker.desk.outbox import Outbox

__all__ = ["Entry", "Phase"]


class Phase(Enum):
    """How far a job is in this worker."""

    HELD = 1
    RUNNING = 2
    ENDED = 3


class Entry:
    """One job, from its take until its last post is answered."""

    __slots__ = ("again", "deadline", "failed", "job", "muted", "outbox", "phase", "prepared", "stuck")

    def __init__(self, job: TakenJob, progress_interval: float) -> None:
        self.job = job
        self.outbox = Outbox(job.id, progress_interval)
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
