"""The lines and the spinner that a person sees on stderr while a job runs. stdout is for data alone."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from enum import Enum
from types import TracebackType
from typing import Self

import click

from novita_sdk.wire.payload import JSONValue

__all__ = ["Display", "ProgressMode"]

_MAX_PROGRESS = 200
"""Characters of a progress value that are shown."""


class ProgressMode(Enum):
    """How progress is shown."""

    AUTO = "auto"
    """A spinner on a terminal, else lines."""
    TTY = "tty"
    PLAIN = "plain"
    QUIET = "quiet"

    @property
    def resolved(self) -> ProgressMode:
        """The mode for the stderr of this process, which is not AUTO."""
        if self is not ProgressMode.AUTO:
            return self
        is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
        return ProgressMode.TTY if is_terminal else ProgressMode.PLAIN


class Display:
    """One line per change; on a terminal one line per change of state, and a spinner with the progress and the time.

    Args:
        mode: How.
    """

    def __init__(self, mode: ProgressMode) -> None:
        self._mode = mode.resolved
        self._spinner: _Spinner | None = None
        self._exit = ExitStack()
        self._started = time.monotonic()
        self._last = ("", "")

    def __enter__(self) -> Self:
        if self._mode is ProgressMode.TTY:
            self._spinner = self._exit.enter_context(_Spinner())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._spinner = None
        self._exit.close()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is shown, so that nothing needs to be asked for."""
        return self._mode is ProgressMode.QUIET

    def show(self, status: str, progress: JSONValue = None) -> None:
        """Shows a state and the latest progress, once for each change."""
        now = (status, _brief(progress))
        if now == self._last or self.is_quiet:
            return
        text = f"{status} {now[1]}".rstrip()
        if self._spinner is not None:
            self._spinner.update(text)
        if self._spinner is None or status != self._last[0]:
            self.say(f"{time.monotonic() - self._started:6.2f}s  {text if self._spinner is None else status}")
        self._last = now

    def say(self, text: str) -> None:
        """Shows lines of their own."""
        if self._spinner is not None:
            self._spinner.say(text)
        elif not self.is_quiet:
            click.echo(text, err=True)


class _Spinner:
    """A spinner on stderr with a text and the time since it began; it is gone when it ends."""

    def __init__(self) -> None:
        # Loaded here alone: the help and the commands without a display need no rich.
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, force_terminal=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, text: str) -> None:
        """Changes the text."""
        self._progress.update(self._task, description=text)

    def say(self, text: str) -> None:
        """Prints lines above the spinner."""
        self._console.print(text, markup=False)


def _brief(progress: object) -> str:
    """Progress in few words: the message where there is one, else its JSON."""
    if progress is None:
        return ""
    match progress:
        case str(text):
            pass
        case {"message": str(message), "fraction": int() | float() as fraction}:
            text = f"{fraction:.0%} {message}"
        case {"message": str(text)}:
            pass
        case _:
            text = json.dumps(progress, ensure_ascii=False)
    text = text if len(text) <= _MAX_PROGRESS else text[: _MAX_PROGRESS - 1] + "…"
    # A worker's text must not move the cursor or pretend to be another line.
    return "".join(character if character.isprintable() else " " for character in text)
