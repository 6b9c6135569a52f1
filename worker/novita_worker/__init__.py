"""The worker runtime: takes jobs, runs a handler on them, and sees that every result arrives."""

from __future__ import annotations

from novita_worker._errors import ConfigError, JobCancelled
from novita_worker._start import start
from novita_worker.handlers.context import JobContext, progress_update

__all__ = ["ConfigError", "JobCancelled", "JobContext", "progress_update", "start"]
