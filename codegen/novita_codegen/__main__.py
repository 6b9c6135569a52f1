"""`python -m novita_codegen generate PROTO_DIR --out DIR [--check]`, and `descriptors PROTO_DIR --out FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from novita_codegen import GenerateError, descriptors, generate


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 where something is stale or a proto is wrong."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "descriptors":
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_bytes(descriptors(options.proto_dir))
            return 0
        return _generate(options.proto_dir, options.out, check=options.check)
    except GenerateError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line speaks
        return 1


def _generate(proto_dir: Path, out: Path, *, check: bool) -> int:
    changes = generate(proto_dir, out, check=check)
    for change in changes:
        print(f"{change.kind if check else change.done}: {change.path}", file=sys.stderr)  # noqa: T201
    if check and changes:
        print(f"{out} is not up to date with {proto_dir}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="novita_codegen", description="Compiles protos.")
    commands = parser.add_subparsers(required=True, dest="command")
    python = commands.add_parser("generate", help="write the Python of all protos in a directory")
    python.add_argument("--out", type=Path, required=True, help="the source root that the packages go to")
    python.add_argument("--check", action="store_true", help="write nothing; name the files that are not up to date")
    binary = commands.add_parser("descriptors", help="write one FileDescriptorSet of all protos in a directory")
    binary.add_argument("--out", type=Path, required=True, help="the file to write")
    for command in (python, binary):
        command.add_argument("proto_dir", type=Path, help="the root that imports in the protos are relative to")
    return parser


if __name__ == "__main__":
    sys.exit(main())
