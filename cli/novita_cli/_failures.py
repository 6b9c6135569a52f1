"""The end of a command that failed: its message and its exit code."""

from __future__ import annotations

import enum
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from novita_cli._json import compact
from novita_cli._words import in_options
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import NovitaError

__all__ = ["CommandError", "ExitCode", "Interrupted", "error_document", "exit_code_of", "report"]


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


class CommandError(click.ClickException):
    """Ends a command with a message and an exit code.

    Args:
        message: What happened and what to do next.
        code: The exit code.
        reason: Machine-readable.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED, *, reason: str = "FAILED") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what is to be said about it.

    Args:
        message: What goes on, and how to come back to it.
        job_id: The job it is about, where there is one.
    """

    def __init__(self, message: str, job_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id


def report(error: BaseException, *, as_json: bool) -> ExitCode:
    """Says on stderr what happened; on stdout too, as a JSON object, where the command was told `--json`.

    Raises:
        BaseException: The error itself, if it is a defect rather than something to report.
    """
    details: dict[str, JSONValue] = {}
    match error:
        case KeyboardInterrupt() | click.Abort():
            code, reason, message = ExitCode.INTERRUPTED, "INTERRUPTED", str(error) or "interrupted"
            details["job_id"] = error.job_id if isinstance(error, Interrupted) else None
        case CommandError():
            code, reason, message = error.code, error.reason, error.message
        case click.ClickException():
            code, reason, message = ExitCode(error.exit_code), "USAGE", error.format_message()
        case _:
            # Loaded here alone, because after a Ctrl-C a module may be half loaded.
            from novita_sdk.errors import JobFailedError, NovitaError

            if not isinstance(error, NovitaError):
                raise error
            code, reason, message = exit_code_of(type(error)), error.code, _describe(error)
            details = _details(error)
            if isinstance(error, JobFailedError) and error.remote_traceback:
                click.echo(_harmless(error.remote_traceback.rstrip()), err=True)
    if isinstance(error, click.UsageError):
        error.show()
    else:
        click.echo(f"novita-gpus: {_harmless(message)}", err=True)
    if as_json:
        with suppress(OSError):  # perhaps the very failure that is reported
            click.echo(compact({"error": _document(reason, message, details)}))
    return code


def exit_code_of(error: type[BaseException]) -> ExitCode:
    """The exit code for an error of the SDK; one without a row of its own has that of its base."""
    from novita_sdk import errors

    table = {
        errors.InvalidInputError: ExitCode.USAGE,
        errors.PermissionDeniedError: ExitCode.FAILED,
        errors.AuthenticationError: ExitCode.UNREACHABLE,
        errors.TransportError: ExitCode.UNREACHABLE,
        errors.JobCancelledError: ExitCode.CANCELLED,
        errors.WaitTimeoutError: ExitCode.WAIT_TIMED_OUT,
        errors.NovitaError: ExitCode.FAILED,
    }
    return next(table[base] for base in error.__mro__ if base in table)


def error_document(error: NovitaError) -> dict[str, JSONValue]:
    """An error of the SDK as JSON: `code`, `message`, `job_id`, `type`, and what else it knows."""
    return _document(error.code, _describe(error), _details(error))


def _harmless(text: str) -> str:
    """Without what moves a terminal's cursor, for parts of it are a worker's or a gateway's words."""
    return "".join(character if character.isprintable() or character in "\n\t" else " " for character in text)


def _document(code: str, message: str, details: dict[str, JSONValue]) -> dict[str, JSONValue]:
    return {"code": code, "message": message, "job_id": None, **details}


def _details(error: NovitaError) -> dict[str, JSONValue]:
    """What scripts ask of an error: always its job and its class, and the rest where there is some."""
    from novita_sdk import errors

    details: dict[str, JSONValue] = {"job_id": error.job_id, "type": type(error).__name__}
    if isinstance(error, errors.APIError):
        details |= {"status": error.status, "reason": error.reason}
    if isinstance(error, errors.JobFailedError):
        details["remote_type"] = error.remote_type
    if isinstance(error, (errors.JobFailedError, errors.InvalidInputError)):
        details["violations"] = [violation.to_json() for violation in error.violations]
    return {name: value for name, value in details.items() if value or name in {"job_id", "type"}}


def _describe(error: Exception) -> str:
    """The message in the words of a command line, where the SDK's own speaks of Python."""
    from novita_sdk import errors

    if isinstance(error, errors.JobFailedError):
        kind = (error.remote_type or "").rpartition(".")[2]
        text = f"{kind}: {error.remote_message}" if kind else error.remote_message
        return f"job {error.job_id} failed: {text}" if error.job_id else str(error)
    text = in_options(str(error))
    if isinstance(error, errors.AuthenticationError) and error.status is None:
        return f"{text} `novita-gpus dev` and `novita-gpus gateway` need none."
    return text
