"""A worker's folder that was written for `runpod`, copied with what names the package changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from novita_cli._ported_imports import Note, ported_imports, variable_note
from novita_sdk._version import __version__

__all__ = ["Ported", "port_folder"]

Porter: TypeAlias = Callable[[str], tuple[str, list[Note]]]

REQUIREMENT: Final = f"novita-gpus~={'.'.join(__version__.split('.')[:2])}"
"""Without a character that a shell takes for its own."""

_LEFT_OUT: Final = shutil.ignore_patterns(
    ".git", "__pycache__", "*.pyc", ".venv", "venv", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache"
)
_LARGEST: Final = 2 * 1024 * 1024
"""Bytes of a file that is looked into; what is larger is no code."""

_PINS: Final = r"[~=!<>]=?[^\s\"';,&|#]+"
_RUNPOD: Final = rf"runpod(?:\[[^\]]*\])?(?:{_PINS}(?:,{_PINS})*)?"
_SPACED_PINS: Final = r"[~=!<>]=?\s*[^\s\"';,&|#]+"
_SPACED: Final = rf"runpod(?:\s*\[[^\]]*\])?(?:\s*{_SPACED_PINS}(?:\s*,\s*{_SPACED_PINS})*)?"
_LINE: Final = re.compile(rf"(\s*(?:-\s+)?[\"']?){_SPACED}([\"']?\s*(?:[;#].*)?)", re.IGNORECASE)
"""A requirement that has a line of its own."""
_QUOTED: Final = re.compile(rf"([\"']){_SPACED}(\s*(?:;[^\"']*)?[\"'])", re.IGNORECASE)
_WORD: Final = re.compile(rf"((?<![\w./@:-])){_RUNPOD}(?=[\s\"';&|]|$)()")
"""A requirement among the words of a command."""
_INSTALL: Final = re.compile(r"\b(?:pip[\d.]*[\s\"',]+install|uv\s+add|poetry\s+add)\b")
_VARIABLE: Final = re.compile(r"\bRUNPOD_[A-Z_]+\b")
_FLAG: Final = re.compile(r"--rp_\w+")
_FLAGS: Final = frozenset(
    {"--rp_api_concurrency", "--rp_api_host", "--rp_api_port", "--rp_debugger", "--rp_log_level", "--rp_serve_api"}
)
_OLD_PYTHON: Final = re.compile(r"\bpython:?-?(?:2|3\.(?:[0-9]|10))(?![\d])", re.IGNORECASE)
_MODULE: Final = re.compile(r"-m[\s\"',]+runpod\b")


@dataclass(slots=True)
class Ported:
    """What became of a folder.

    Attributes:
        changed: Files that differ from what was copied.
        notes: What could not be mapped, by file; both relative to the folder.
    """

    changed: list[Path] = field(default_factory=list)
    notes: dict[Path, list[Note]] = field(default_factory=dict)


def port_folder(source: Path, target: Path) -> Ported:
    """Copies a folder and changes what names `runpod` in the copy.

    Args:
        source: The worker; nothing in it is touched.
        target: Made here.

    Raises:
        OSError: Something could not be read or written.
    """
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=_LEFT_OUT)
    ported = Ported()
    for path in sorted(target.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        relative = path.relative_to(target)
        before = path.read_bytes()
        after, notes = _port(relative, before)
        if after != before:
            path.write_bytes(after)
            ported.changed.append(relative)
        if notes:
            ported.notes[relative] = notes
    return ported


def _port(path: Path, data: bytes) -> tuple[bytes, list[Note]]:
    if path.suffix == ".py":
        return ported_imports(data)
    if path.suffix == ".ipynb" and b"runpod" in data:
        return data, [Note(1, "a notebook is left as it is; its import would be: import novita_gpus as runpod")]
    porter = _porter(path)
    if porter is None:
        return data, []
    try:
        text, notes = porter(data.decode())
    except UnicodeDecodeError:
        return data, []
    return text.encode(), notes


def _porter(path: Path) -> Porter | None:
    name = path.name.lower()
    if path.suffix in {".txt", ".in"} and re.search("require|constraint", str(path).lower()):
        return _requirements
    if "dockerfile" in name or "containerfile" in name or path.suffix in {".sh", ".bash"}:
        return _commands
    if name in {"pyproject.toml", "setup.cfg", "pipfile"} or re.fullmatch(r"(environment|conda).*\.ya?ml", name):
        return _settings
    return _variables if name.startswith(".env") or path.suffix == ".env" else None


def _requirements(text: str) -> tuple[str, list[Note]]:
    return _each_line(text, lambda line: _replace(_LINE, line, whole=True), r"(?<![\w-])runpod(?![\w-])")


def _settings(text: str) -> tuple[str, list[Note]]:
    def port(line: str) -> str:
        return _replace(_LINE, _replace(_QUOTED, line), whole=True)

    return _each_line(text, port, r"(?<![\w./-])runpod(?![\w/-])")


def _commands(text: str) -> tuple[str, list[Note]]:
    """A Dockerfile or a script: what is installed, and what is started."""
    lines = text.splitlines(keepends=True)
    is_install = False
    notes: list[Note] = []
    for index, line in enumerate(lines):
        is_install |= _INSTALL.search(line) is not None
        if is_install:
            lines[index] = _replace(_WORD, line)
        is_install &= line.rstrip().endswith("\\")
        notes += (Note(index + 1, said) for said in _said_of(lines[index]))
    return "".join(lines), notes


def _said_of(line: str) -> Iterator[str]:
    if line.lstrip().startswith("#"):
        return
    if re.match(r"\s*FROM\s+\S*runpod/", line, re.IGNORECASE):
        yield "the image is built on one of runpod's, which may bring its package and a start script: look into it"
    if re.search(r"runpod-python|/runpod\.git", line):
        yield f"runpod is installed from its repository: install {REQUIREMENT} instead"
    if _MODULE.search(line):
        yield "a module of runpod's is started, which there is not here: start your own file, or novita-gpus dev FILE"
    if "runpod-volume" in line:
        yield "/runpod-volume is where the other platform mounts a volume; here your endpoint's settings say where"
    if _OLD_PYTHON.search(line):
        yield "novita-gpus needs Python 3.11 or newer"
    for flag in dict.fromkeys(_FLAG.findall(line)):
        if flag not in _FLAGS:
            yield f"the flag {flag} is not known here; your program finds it in sys.argv"
    for name in dict.fromkeys(_VARIABLE.findall(line)):
        yield variable_note(name)


def _variables(text: str) -> tuple[str, list[Note]]:
    rows = enumerate(text.splitlines(), 1)
    return text, [Note(number, variable_note(name)) for number, row in rows for name in _VARIABLE.findall(row)]


def _each_line(text: str, port: Callable[[str], str], left: str) -> tuple[str, list[Note]]:
    """Ports line by line; a line that still has a match of `left` gets a note."""
    lines = text.splitlines(keepends=True)
    notes: list[Note] = []
    for index, line in enumerate(lines):
        content = line.rstrip("\r\n")
        ported = port(content)
        lines[index] = ported + line[len(content) :]
        if re.search(left, ported.partition("#")[0], re.IGNORECASE):
            notes.append(Note(index + 1, f"runpod is named here in a way of its own: the package is {REQUIREMENT}"))
    return "".join(lines), notes


def _replace(pattern: re.Pattern[str], line: str, *, whole: bool = False) -> str:
    if whole and not pattern.fullmatch(line):
        return line
    return pattern.sub(rf"\1{REQUIREMENT}\2", line)
