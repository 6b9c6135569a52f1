"""What a person sees on stderr while a job runs. stdout is for data alone."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Self

from rich.console import Console

from novita_sdk.wire.payload import JSONValue

__all__ = ["Display"]

_MAX_PROGRESS = 200
"""Characters of a progress value that are shown."""


class Display:
    """One line per change of state or progress; on a terminal a spinner shows the latest one and the time.

    Args:
        label: What the lines are about, such as a job id.
        quiet: Show nothing.
    """

    def __init__(self, label: str, *, quiet: bool = False) -> None:
        self._label = label
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._status = self._console.status("")
        self._started = time.monotonic()
        self._last = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._status.stop()

    def show(self, status: str, progress: JSONValue = None) -> None:
        """Shows a state and the latest progress, once for each change."""
        text = f"{status} {_brief(progress)}".rstrip()
        if text == self._last:
            return
        self._last = text
        elapsed = time.monotonic() - self._started
        self._status.update(f"{self._label} {text}")
        self._console.print(f"{elapsed:6.2f}s  {self._label}  {text}", markup=False)

    def say(self, text: str) -> None:
        """Shows a line of its own."""
        self._console.print(text, markup=False)


def _brief(progress: JSONValue) -> str:
    """Progress in few words: the message where there is one, else its JSON."""
    if progress is None:
        return ""
    text = progress if isinstance(progress, str) else json.dumps(progress, ensure_ascii=False)
    if isinstance(progress, dict) and isinstance(progress.get("message"), str):
        fraction = progress.get("fraction")
        percent = f"{fraction:.0%} " if isinstance(fraction, (int, float)) else ""
        text = f"{percent}{progress['message']}"
    return text if len(text) <= _MAX_PROGRESS else text[: _MAX_PROGRESS - 1] + "…"
