"""The part that commands share which talk to a gateway: options, client, and where data goes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from novita_cli._display import Display, ProgressMode
from novita_cli._failures import CommandError
from novita_cli._json import compact, pretty
from novita_cli._options import progress_options, stacked
from novita_cli._retries import retries_shown
from novita_cli._stdout import write_stdout
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import Client, Job

__all__ = ["AS_JSON", "Session", "session_options"]

AS_JSON = "novita_cli.as_json"
"""Key of click's context under which the error report finds --json."""

_CLIENT_OPTIONS: Final = stacked(
    click.option("--api-key", metavar="KEY", help="Default: $NOVITA_API_KEY, which other users can't see."),
    click.option("--base-url", metavar="URL", help="The gateway. Default: $NOVITA_ENDPOINT_BASE_URL."),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help='One line of JSON on stdout, for errors too: {"error": {"code", "message", "job_id", …}}.',
    ),
    progress_options,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The shared options of one command.

    Attributes:
        api_key: As given; None leaves it to the environment.
        base_url: As given; None leaves it to the environment.
        as_json: Whether stdout carries JSON alone, errors included.
        mode: How progress is shown.
    """

    api_key: str | None = field(repr=False)
    base_url: str | None
    as_json: bool
    mode: ProgressMode

    def client(self) -> Client:
        """A client for the gateway; close it.

        Raises:
            NovitaError: The key or the URL can't be right.
        """
        from novita_sdk import Client

        return Client(api_key=self.api_key, base_url=self.base_url)

    @contextmanager
    def job(self, endpoint: str, job_id: str) -> Iterator[Job]:
        """A handle on a job, with a client that is closed at the end."""
        with self.client() as client:
            yield client.endpoint(endpoint).job(job_id)

    def display(self, *, plain: bool = False) -> Display:
        """What shows progress; enter it.

        Args:
            plain: No spinner, whatever the terminal could show.
        """
        return Display(ProgressMode.PLAIN if plain and self.mode is not ProgressMode.QUIET else self.mode)

    def emit(self, value: JSONValue, *, file: Path | None = None) -> None:
        """Writes data: one line with --json, else indented.

        Args:
            value: The data.
            file: Where to, in place of stdout.

        Raises:
            CommandError: The file can't be written.
        """
        _write(compact(value) if self.as_json else pretty(value), file)

    def emit_word(self, word: str, value: JSONValue, *, file: Path | None = None) -> None:
        """Writes a value of which a person or a shell wants one word: the value with --json, else the word."""
        _write(compact(value) if self.as_json else word.encode(), file)

    def emit_answer(self, answer: object) -> None:
        """Writes what the gateway says to a change of a job: all of it with --json, else the job's state."""
        match answer:
            case {"status": str(status)}:
                self.emit_word(status, answer)
            case _:
                self.emit_word(compact(answer).decode(), answer)


def session_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the shared options; the command gets a `session` in their place."""

    @functools.wraps(command)
    def run(
        *, api_key: str | None, base_url: str | None, as_json: bool, progress: str, quiet: bool, **options: object
    ) -> None:
        click.get_current_context().meta[AS_JSON] = as_json
        mode = ProgressMode.QUIET if quiet else ProgressMode(progress)
        with retries_shown(mode):
            command(session=Session(api_key=api_key, base_url=base_url, as_json=as_json, mode=mode), **options)

    return _CLIENT_OPTIONS(run)


def _write(data: bytes, file: Path | None) -> None:
    if file is None:
        write_stdout(data)
        return
    try:
        file.write_bytes(data + b"\n")
    except OSError as error:
        raise CommandError(f"can't write {str(file)!r}: {error.strerror}", reason="FILE") from None
