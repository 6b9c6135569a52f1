"""Options that several commands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from novita_sdk import Policy, SubmitOptions

__all__ = [
    "Decorator",
    "endpoint_argument",
    "file_option",
    "job_argument",
    "parse_duration",
    "plain_progress_options",
    "progress_options",
    "stacked",
    "submit_options",
    "wait_options",
    "writable_option",
]

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}

endpoint_argument: Final[Decorator] = click.argument("endpoint")
job_argument: Final[Decorator] = click.argument("job")


def stacked(*decorators: Decorator) -> Decorator:
    """One decorator out of several; the help lists their options in this order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _make_progress_options(default: str, help: str) -> Decorator:
    return stacked(
        click.option(
            "--progress",
            type=click.Choice(["auto", "tty", "plain", "quiet"]),
            default=default,
            show_default=True,
            help=help,
        ),
        click.option("-q", "--quiet", is_flag=True, help="The same as --progress quiet."),
    )


progress_options: Final = _make_progress_options(
    "auto", "What stderr shows: a spinner, lines, or nothing; auto takes the spinner on a terminal."
)
"""Adds --progress and -q, which the command gets as `progress` and `quiet`."""

plain_progress_options: Final = _make_progress_options(
    "plain", "What stderr shows: lines, a spinner, or nothing. What the worker prints would run into a spinner."
)
"""The same, for a command that shares the terminal with a worker."""


def parse_duration(text: str) -> float:
    """Reads 90s, 1.5m, 250ms, 2h, or plain seconds; gives seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a duration such as 90s, 1.5m or 250ms")
    return float(match.group(1)) * _SECONDS[match.group(2)]


def writable_option(*names: str, help: str) -> Decorator:
    """An option for a file to write; a folder that isn't there is refused before anything is sent."""
    kind = click.Path(dir_okay=False, writable=True, path_type=Path)
    return click.option(*names, type=kind, callback=_check_folder, metavar="FILE", help=help)


def _check_folder(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not value.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(value.parent)!r}", ctx, param)
    return value


file_option: Final = writable_option("-o", "file", help="Write the data to FILE instead of stdout.")
"""Adds -o, which the command gets as `file`."""


_SUBMIT_OPTIONS: Final = stacked(
    click.option("--webhook", metavar="URL", help="Called with the final status, where the gateway offers that."),
    click.option(
        "--execution-timeout", type=parse_duration, metavar="DURATION", help="Longest time that one attempt may run."
    ),
    click.option("--ttl", type=parse_duration, metavar="DURATION", help="Longest time from submit to end."),
    click.option("--low-priority", is_flag=True, help="Take the job after all others."),
    click.option("--check", is_flag=True, help="Refuse an input that breaks the schema of the endpoint's worker."),
)


def submit_options(key_help: str) -> Decorator:
    """Adds the options of a submit, which the command gets as `options`: keyword arguments of the client's calls."""
    add = stacked(_SUBMIT_OPTIONS, click.option("--idempotency-key", metavar="KEY", help=key_help))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(
            *,
            webhook: str | None,
            execution_timeout: float | None,
            ttl: float | None,
            low_priority: bool,
            check: bool,
            idempotency_key: str | None,
            **others: object,
        ) -> None:
            policy: Policy = {}
            if execution_timeout is not None:
                policy["executionTimeout"] = round(execution_timeout * 1000)
            if ttl is not None:
                policy["ttl"] = round(ttl * 1000)
            options: SubmitOptions = {
                "webhook": webhook,
                "policy": policy or None,
                "low_priority": low_priority or None,
                "check": check,
                "idempotency_key": idempotency_key,
            }
            command(options=options, **others)

        return add(run)

    return decorate


def wait_options(no_wait_help: str) -> Decorator:
    """Adds --wait and --no-wait, which the command gets as `wait` (seconds, None for without end) and `no_wait`."""
    add = stacked(
        click.option(
            "--wait",
            type=parse_duration,
            metavar="DURATION",
            help="Wait at most this long (90s, 10m, 2h), then exit with 124; the job goes on. Default: no limit.",
        ),
        click.option("--no-wait", is_flag=True, help=no_wait_help),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*, wait: float | None, no_wait: bool, **options: object) -> None:
            if no_wait and wait is not None:
                raise click.UsageError("--wait and --no-wait exclude each other")
            command(wait=wait, no_wait=no_wait, **options)

        return add(run)

    return decorate
