"""The resident memory of this process."""

from __future__ import annotations

import os
import sys
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

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere
