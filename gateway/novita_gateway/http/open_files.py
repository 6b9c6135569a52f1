"""The system's limit of open files: raised for a program, and what it leaves for connections."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Final

__all__ = ["raise_limit", "room_for_connections"]

ENOUGH: Final = 1 << 16
"""Open files that a gateway asks for."""

KEPT_FREE: Final = 4
"""The part of what is left that connections don't take, a quarter: the job file, uploads and webhooks need some too."""


def raise_limit() -> None:
    """Raises this process's limit as far as it is allowed to, and needed."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # a system may allow less than its hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def room_for_connections() -> int | None:
    """How many connections may be open beside the files that are open now; None where the system sets no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    try:
        left = soft - sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:  # not on every system, and not where the limit is reached
        left = soft
    return max(1, left - left // KEPT_FREE)
