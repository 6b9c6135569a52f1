"""Reports of a job that no gateway knows."""

from __future__ import annotations

from novita_worker import JobContext


class Unsent:
    """Reports nothing to nobody."""

    def progress(self, context: JobContext) -> None: ...
