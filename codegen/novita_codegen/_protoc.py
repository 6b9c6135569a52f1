"""Runs protoc, the one of grpcio-tools, with its plugins as modules of this very interpreter."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from novita_sdk._interpreter import interpreter

_PLUGINS = {
    "protoc-gen-mypy": "-c 'from mypy_protobuf.main import main; main()'",
    "protoc-gen-mypy_grpc": "-c 'from mypy_protobuf.main import grpc; grpc()'",
    "protoc-gen-novita": "-m novita_codegen.plugin",
}

NO_EDITIONS = (
    'editions are not supported, because the stubs for type checkers are not; write syntax = "proto3"; in its place'
)


class GenerateError(ValueError):
    """The protos don't compile, or the output directory is not one for generated files.

    For a proto error the text is protoc's own: one `file:line:column: message` per line.
    """


def run_protoc(include: Path, known_files: Path, files: Sequence[str], options: Sequence[str], scratch: Path) -> None:
    """Compiles `files` (relative to `include`) with the given output options.

    Args:
        include: The root of the protos.
        known_files: A FileDescriptorSet with imports that need not be on disk.
        files: Paths relative to `include`.
        options: protoc's options: `--python_out=…`, `--mypy_out=…`.
        scratch: A directory for the plugins' start scripts.

    Raises:
        GenerateError: protoc refused, and the text is its own; or there is no Python to run it with.
    """
    python = interpreter()
    if python is None:
        raise GenerateError("there is no Python beside this program that could run protoc; run `novita-gpus` with one")
    command = [python, "-P", "-m", "grpc_tools.protoc", f"-I{include}", f"--descriptor_set_in={known_files}"]
    command += [f"--plugin={name}={path}" for name, path in _start_scripts(python, scratch).items()]
    outcome = subprocess.run([*command, *options, *files], capture_output=True, text=True, check=False)  # noqa: S603
    if outcome.returncode != 0:
        raise GenerateError(_errors(outcome.stderr, include) or f"protoc ended with status {outcome.returncode}")


def _errors(text: str, include: Path) -> str:
    """What protoc found wrong, without its log and the names of plugins; in all versions relative to `include`."""
    text = re.sub(r"^(?:[IW]\d{4} |WARNING: All log).*\n|--\w+_out: ?", "", text, flags=re.MULTILINE)
    # protoc's own word would send the user to the editions that it knows, which the other plugins don't.
    text = re.sub(
        r"Edition (\S+) is later than the maximum supported edition \S+$",
        lambda found: f"edition {found[1]}: {NO_EDITIONS}",
        text,
        flags=re.MULTILINE,
    )
    return text.replace(f"{include}{os.sep}", "").strip()


def _start_scripts(python: str, folder: Path) -> dict[str, Path]:
    """Writes one executable per plugin, because protoc takes a path and no arguments."""
    scripts = {}
    for name, arguments in _PLUGINS.items():
        if os.name == "nt":
            path = folder / f"{name}.bat"
            path.write_text(f'@"{python}" -P {arguments}\n'.replace("'", '"'), encoding="utf-8")
        else:
            path = folder / name
            path.write_text(f"#!/bin/sh\nexec {shlex.quote(python)} -P {arguments}\n", encoding="utf-8")
            path.chmod(0o700)
        scripts[name] = path
    return scripts
