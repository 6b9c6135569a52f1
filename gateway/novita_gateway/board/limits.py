"""The board's limits: leases, attempts and how long jobs are kept."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how often. All times are milliseconds."""

    lease: int = 60_000
    """Silence after which a worker loses its jobs."""
    max_attempts: int = 3
    """Times a job is offered before lost leases make it FAILED."""
    retention: int = 6 * 3_600_000
    """How long a final job is kept."""
    ttl: int = 24 * 3_600_000
    """From the submit to a final state, where the job's policy does not say."""
    execution_timeout: int | None = None
    """For one attempt, where the job's policy does not say."""
    worker_memory: int = 120_000
    """How long an idle worker that does not call is still counted."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 1:
                raise ValueError(f"{field.name} must be at least 1, not {value}")
