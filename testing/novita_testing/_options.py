"""What a test can say about its gateway and worker, for type checkers and editors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypedDict

from novita_gateway import Clock, Faults, Limits

__all__ = ["EmbeddedOptions", "WorkerOptions"]


class WorkerOptions(TypedDict, total=False):
    """The fields of `novita_worker.WorkerConfig` beside the handler."""

    concurrency: int
    concurrency_modifier: Callable[[int], int] | None
    refresh_worker: bool
    return_aggregate_stream: bool
    prefetch: int
    progress_interval: float
    shutdown_timeout: float | None
    spool_dir: str | os.PathLike[str] | None
    setup: Callable[[], object] | None
    teardown: Callable[[], object] | None
    max_jobs: int | None
    max_rss_mb: float | None
    job_timeout: float | None
    offload: str
    own_loop: bool
    unknown_fields: str


class EmbeddedOptions(WorkerOptions, total=False):
    """The keywords of `novita_testing.embedded`."""

    endpoint: str
    limits: Limits | None
    clock: Clock | None
    faults: Faults | None
