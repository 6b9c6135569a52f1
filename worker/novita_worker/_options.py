# Generated from _config.py by tools/worker_options.py. Change that file, then run `make generate`.
"""The keywords of a worker, for type checkers and editors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypedDict

__all__ = ["WorkerOptions"]


class WorkerOptions(TypedDict, total=False):
    """The fields of `WorkerConfig` beside the handler; `parse_config` holds each to the field's type."""

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
