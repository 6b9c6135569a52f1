"""The worker runtime: takes jobs, runs a handler on them, and sees that every result arrives."""

from __future__ import annotations

from novita_worker._context import JobContext, progress_update
from novita_worker._errors import ConfigError, JobCancelled
from novita_worker._start import start

__all__ = ["ConfigError", "JobCancelled", "JobContext", "progress_update", "start"]
