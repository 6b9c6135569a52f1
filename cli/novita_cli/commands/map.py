"""`novita-gpus map`: a job for each line of a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from novita_cli._display import ProgressMode
from novita_cli._failures import CommandError, Interrupted, error_document
from novita_cli._input import InputLines, open_lines
from novita_cli._json import compact
from novita_cli._options import endpoint_argument, file_option, parse_duration, submit_options, writable_option
from novita_cli._session import Session, session_options
from novita_cli._stdout import write_stdout
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import SubmitOptions

__all__ = ["command"]


@click.command("map")
@endpoint_argument
@click.argument("inputs", metavar="FILE.jsonl")
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=16, show_default=True, help="Jobs under way at once."
)
@writable_option(
    "--manifest", help="Record the batch: the same command again goes on where it was, and pays for nothing twice."
)
@click.option("--wait", type=parse_duration, metavar="DURATION", help="Longest wait for each job. Default: no limit.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first job that fails.")
@file_option
@submit_options("The same lines under the same key are the same jobs.")
@session_options
def command(
    session: Session,
    endpoint: str,
    inputs: str,
    concurrency: int,
    manifest: Path | None,
    wait: float | None,
    fail_fast: bool,
    file: Path | None,
    options: SubmitOptions,
) -> None:
    """Run a job on ENDPOINT for each line of a file.

    FILE.jsonl has a JSON object a line; - is standard input. One line is printed for each job. The lines come in the
    order of the inputs: {"line": 1, "output": …}, or {"line": 2, "error": {…}} for a job without an output; the exit
    code is 1 if there is one. What concerns all jobs, such as a refused key, ends the batch.
    """
    with session.client() as client, open_lines(inputs) as lines, _sink(file) as write:
        tally = _Tally(total=len(lines), show=_reporter(session.mode))
        batch = _Numbered(lines)
        outputs = client.endpoint(endpoint).map(
            batch,
            concurrency=concurrency,
            return_exceptions=True,
            timeout=wait,
            manifest=manifest,
            progress=session.mode.resolved is ProgressMode.TTY,
            **options,
        )
        try:
            for output in outputs:
                line = batch.pending.popleft()
                error = _failure_of(output, fail_fast=fail_fast)
                tally.add(line, error)
                write(compact({"line": line, **({"error": error} if error else {"output": output})}))
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted after {tally}; {_way_back(manifest)}") from None
    if tally.failed:
        raise CommandError(f"{tally}", reason="JOBS_FAILED")


class _Numbered:
    """The inputs of a batch, and the numbers of the lines that are under way."""

    def __init__(self, lines: InputLines) -> None:
        self._lines = lines
        self.pending: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[JSONValue]:
        for number, value in self._lines.numbered():
            self.pending.append(number)
            yield value


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Counts jobs, and says so every tenth of the way."""

    total: int
    show: Callable[[str], None] = field(repr=False)
    done: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"{self.done} of {self.total} jobs, {self.failed} without an output"

    def add(self, line: int, error: dict[str, JSONValue] | None) -> None:
        """Counts a job."""
        self.done += 1
        if error:
            self.failed += 1
            self.show(f"line {line}: {error['message']}")
        if self.done * 10 // self.total > (self.done - 1) * 10 // self.total:
            self.show(str(self))


def _failure_of(output: object, *, fail_fast: bool) -> dict[str, JSONValue] | None:
    """The error object of one job; raises what is no matter of one job."""
    from novita_sdk.errors import InvalidInputError, JobError, WaitTimeoutError

    if not isinstance(output, Exception):
        return None
    if fail_fast or not isinstance(output, (JobError, InvalidInputError, WaitTimeoutError)):
        raise output
    return error_document(output)


def _reporter(mode: ProgressMode) -> Callable[[str], None]:
    """What shows lines; a terminal has the bar."""
    if mode.resolved is ProgressMode.PLAIN:
        return lambda text: click.echo(text, err=True)
    return lambda _: None


def _way_back(manifest: Path | None) -> str:
    if manifest is None:
        return "jobs under way go on; with --manifest FILE the same command would come back to them"
    return "jobs under way go on, and the same command comes back to them"


@contextmanager
def _sink(file: Path | None) -> Iterator[Callable[[bytes], None]]:
    """Writes lines to a file, or to stdout."""
    if file is None:
        yield write_stdout
        return
    with _write_errors_of(file):
        opened = file.open("wb", buffering=0)
    with opened:
        yield lambda data: _write(file, opened, data + b"\n")


def _write(name: Path, file: FileIO, data: bytes) -> None:
    with _write_errors_of(name):
        while data:
            data = data[file.write(data) :]


@contextmanager
def _write_errors_of(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"can't write {str(file)!r}: {error.strerror}", reason="FILE") from None
