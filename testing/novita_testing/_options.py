"""The keywords of a test's gateway and worker, for type checkers and editors."""

from __future__ import annotations

from novita_gateway import Clock, Faults, Limits
from novita_worker._options import WorkerOptions

__all__ = ["EmbeddedOptions", "WorkerOptions"]


class EmbeddedOptions(WorkerOptions, total=False):
    """The keywords of `novita_testing.embedded`."""

    endpoint: str
    limits: Limits | None
    clock: Clock | None
    faults: Faults | None
