"""`novita-gpus` and `python -m novita_cli`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line; says what to install where its libraries are missing."""
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


if __name__ == "__main__":
    main()
