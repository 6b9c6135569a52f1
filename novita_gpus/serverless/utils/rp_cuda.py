"""Whether there is a GPU, without loading torch."""

from __future__ import annotations

import subprocess

__all__ = ["is_available"]

_SECONDS = 30
"""A driver that hangs would otherwise hold the worker's start up for ever."""


def is_available() -> bool:
    """Whether `nvidia-smi` lists a GPU."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],  # noqa: S607 - it is wherever the driver was installed
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return "GPU" in listed.stdout
