"""Data on stdout."""

from __future__ import annotations

import os
import sys

import click

from novita_cli._failures import CommandError

__all__ = ["write_stdout"]


def write_stdout(data: bytes | str) -> None:
    """Writes a line, and waits until it is out.

    Raises:
        CommandError: It can't be written, as on a full disk.
    """
    try:
        click.echo(data)
    except BrokenPipeError:  # nobody reads on, which click ends quietly
        raise
    except OSError as error:
        # What is left in the buffer would fail again when the interpreter ends, with another exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError(f"can't write to standard output: {error.strerror}", reason="FILE") from None
