"""`novita-gpus` and `python -m novita_cli`."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Runs the command line; says what to install where its libraries are missing.

    The first Ctrl-C is a KeyboardInterrupt wherever it comes, also while modules load; the second ends the process.
    """
    try:
        signal.signal(signal.SIGINT, _interrupt)
        _open_missing_streams()
        _run()
    except KeyboardInterrupt:
        print("novita-gpus: interrupted", file=sys.stderr)  # noqa: T201 - click may not be there yet
        _quit()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            _quit()
        raise


def _open_missing_streams() -> None:
    """A shell's `2>&-` leaves no stream at all, which no library expects."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _run() -> None:
    try:
        import click  # noqa: F401 - only to tell whether the extra is installed
        import rich  # noqa: F401 - the same
    except ModuleNotFoundError as error:
        print(  # noqa: T201 - there is no click to print with
            f"novita-gpus: the command line needs {error.name}: pip install 'novita-gpus[cli]'", file=sys.stderr
        )
        sys.exit(2)
    from novita_cli._app import app

    app(prog_name="novita-gpus")


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    raise KeyboardInterrupt


def _quit() -> NoReturn:
    """Ends at once: the interpreter's own end could be interrupted again, with another exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
