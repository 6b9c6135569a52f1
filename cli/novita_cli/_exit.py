"""What the exit codes mean, and which error ends in which."""

from __future__ import annotations

import enum

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(enum.IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    """The job failed, or something else went wrong."""
    USAGE = 2
    """Wrong arguments, or an input that was refused; nothing was queued."""
    UNREACHABLE = 3
    """No connection, or the API key was refused."""
    CANCELLED = 4
    WAIT_TIMED_OUT = 124
    """The wait ran out; the job goes on. As timeout(1) has it."""
    INTERRUPTED = 130
    """Ctrl-C."""


def exit_code_of(error: type[BaseException]) -> ExitCode:
    """The exit code for an error of the SDK; one without a row of its own has that of its base."""
    from novita_sdk import errors

    table = {
        errors.InvalidInputError: ExitCode.USAGE,
        errors.AuthenticationError: ExitCode.UNREACHABLE,
        errors.TransportError: ExitCode.UNREACHABLE,
        errors.JobCancelledError: ExitCode.CANCELLED,
        errors.WaitTimeoutError: ExitCode.WAIT_TIMED_OUT,
        errors.NovitaError: ExitCode.FAILED,
    }
    return next(table[base] for base in error.__mro__ if base in table)
