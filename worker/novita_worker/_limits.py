"""What bounds a worker."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds a worker. Times are seconds; None has no limit.

    Attributes:
        concurrency: Jobs that run at once, until the modifier says another number.
        prefetch: Jobs held ready while others run.
        prepares: Whether a held job is prepared while the only running one goes on.
        scaling: Whether there is a modifier to ask.
        max_jobs: Jobs after which the worker recycles itself.
        max_undelivered: Results that may wait for delivery before taking pauses.
        progress_interval: Least time between two progress posts of a job.
        shutdown_timeout: Longest time that running jobs get to end by themselves at shutdown.
        cancel_timeout: Longest time that a cancelled handler gets to end.
        flush_timeout: Longest time that the last results get to be delivered.
        scale_interval: How often the modifier is asked while all slots are in use.
    """

    concurrency: int = 1
    prefetch: int = 0
    prepares: bool = False
    scaling: bool = False
    max_jobs: int | None = None
    max_undelivered: int = 256
    progress_interval: float = 0.2
    shutdown_timeout: float | None = 120.0
    cancel_timeout: float = 5.0
    flush_timeout: float = 30.0
    scale_interval: float = 1.0
