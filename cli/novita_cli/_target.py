"""FILE[:HANDLER], the way a worker's code is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from novita_cli._options import Decorator

__all__ = ["Target", "parse_target", "target_argument"]


@dataclass(frozen=True, slots=True)
class Target:
    """A worker's file and, where it does not start itself, the handler in it."""

    file: Path
    handler: str | None

    def __str__(self) -> str:
        return f"{self.file}:{self.handler}" if self.handler else str(self.file)


def parse_target(text: str) -> Target:
    """Splits at the last colon, so that a drive letter stays with its path, and refuses a file that isn't there."""
    file, colon, handler = text.rpartition(":")
    if not colon or not handler.isidentifier():
        file, handler = text, ""
    path = Path(file)
    if not path.is_file():
        raise click.BadParameter(f"there is no file {file!r} here")
    return Target(path, handler or None)


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


target_argument: Final[Decorator] = click.argument(
    "target", type=parse_target, metavar="FILE[:HANDLER]", shell_complete=_complete
)
