"""`python -m novita_codegen generate PROTO_DIR --out DIR [--check]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from novita_codegen import GenerateError, generate


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 where something is stale or a proto is wrong."""
    parser = argparse.ArgumentParser(prog="novita_codegen", description="Compiles protos to Python.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("generate", help="write the Python of all protos in a directory")
    command.add_argument("proto_dir", type=Path, help="the root that imports in the protos are relative to")
    command.add_argument("--out", type=Path, required=True, help="a directory for generated files alone")
    command.add_argument("--check", action="store_true", help="write nothing; name the files that are not up to date")
    options = parser.parse_args(arguments)
    try:
        changes = generate(options.proto_dir, options.out, check=options.check)
    except GenerateError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line speaks
        return 1
    for change in changes:
        print(f"{change.kind}: {change.path}", file=sys.stderr)  # noqa: T201
    if options.check and changes:
        print(f"{options.out} is not up to date with {options.proto_dir}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
