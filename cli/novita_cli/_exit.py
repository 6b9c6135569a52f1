"""What the exit codes mean."""

from __future__ import annotations

import enum

__all__ = ["ExitCode"]


class ExitCode(enum.IntEnum):
    """Exit codes of every command; 2 (bad usage) is click's own."""

    OK = 0
    FAILED = 1
    """The job failed, or something else went wrong."""
    USAGE = 2
    UNREACHABLE = 3
    """No connection, or the API key was refused."""
    CANCELLED = 4
    WAIT_TIMED_OUT = 124
    """The wait ran out; the job goes on. As timeout(1) has it."""
    INTERRUPTED = 130
    """Ctrl-C."""
