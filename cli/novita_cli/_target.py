"""FILE[:HANDLER], the way a worker's code is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

__all__ = ["Target", "TargetType"]


@dataclass(frozen=True, slots=True)
class Target:
    """A worker's file and, where it does not start itself, the handler in it."""

    file: Path
    handler: str | None

    def __str__(self) -> str:
        return f"{self.file}:{self.handler}" if self.handler else str(self.file)


class TargetType(click.ParamType[Target]):
    """Parses FILE[:HANDLER] and refuses a file that isn't there."""

    name = "FILE[:HANDLER]"

    def convert(self, value: str | Target, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """Splits at the last colon, so that a drive letter stays with its path."""
        if isinstance(value, Target):
            return value
        file, colon, handler = value.rpartition(":")
        if not colon or not handler.isidentifier():
            file, handler = value, ""
        path = Path(file)
        if not path.is_file():
            self.fail(f"there is no file {file!r} here", param, ctx)
        return Target(path, handler or None)
