"""How much memory this process has."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["resident_mb"]

_STATM = Path("/proc/self/statm")


def resident_mb() -> float:
    """Resident memory in MiB; where the system doesn't tell, the most it ever was."""
    try:
        pages = int(_STATM.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
