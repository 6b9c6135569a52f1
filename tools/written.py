"""Files that are written from others: put in order, written or compared."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


def write_or_check(files: Mapping[Path, str], arguments: list[str], *, sources: str) -> int:
    """Writes the files, or with `--check` tells which are not up to date; the exit code."""
    if arguments != ["--check"]:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        return 0
    differences = [difference for path, text in files.items() if (difference := compare(path, text))]
    if differences:
        print("\n".join(differences), f"Run `make generate`; changes go into {sources}.", sep="\n")
    return 1 if differences else 0


def tidy(text: str, path: Path) -> str:
    """The text with the imports that it uses, in order, and formatted: names of another length break other lines."""
    for command in (["check", "--quiet", "--select", "I,F401", "--fix-only"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"],
            input=text,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
            cwd=ROOT,
        )
        text = done.stdout
    return text


def compare(path: Path, text: str) -> str:
    """The difference between a file and what should be in it; empty where there is none."""
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(there.splitlines(), text.splitlines(), str(path), "as generated", lineterm="")
    return "\n".join(lines) if there != text else ""
