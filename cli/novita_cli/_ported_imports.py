"""The imports of a Python file that was written for `runpod`, changed, and what in it has no counterpart."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Final

__all__ = ["PACKAGE", "Note", "ported_imports", "variable_note"]

PACKAGE: Final = "runpod"
OURS: Final = "novita_gpus"

_FROM: Final = re.compile(rb"from(\s|\\\r?\n)+(?=runpod\b)")
_DOTTED: Final = re.compile(r"runpod(\.\w+)*")
_VARIABLE: Final = re.compile(r"RUNPOD_[A-Z_]+")
_SAME: Final = ("POD_ID", "POD_HOSTNAME", "LOG_LEVEL", "PING_INTERVAL", "AI_API_KEY", "ENDPOINT_BASE_URL", "API_KEY")
"""Variables that differ in their first word alone; those that begin with `WEBHOOK_` are more of them."""


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something that could not be mapped.

    Attributes:
        line: Where, from 1.
        text: What, and what to do.
    """

    line: int
    text: str


def ported_imports(source: bytes) -> tuple[bytes, list[Note]]:
    """Changes the imports of `runpod` in a file, and nothing else in it.

    Returns:
        The file as it is to be, and what in it could not be mapped, by line.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        # Of an error in the encoding there is no line.
        line = getattr(error, "lineno", None) or 1
        return source, [Note(line, f"this Python can't read the file ({error}): it is left as it is")]
    data = text.encode()
    for start, end, replacement in sorted(_edits(tree, data), reverse=True):
        data = data[:start] + replacement.encode() + data[end:]
    return data.decode().encode(encoding), sorted(set(_notes(tree)))


def _edits(tree: ast.AST, data: bytes) -> Iterator[tuple[int, int, str]]:
    """Where bytes are replaced, and by what."""
    starts = [0]
    for row in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in filter(lambda alias: _is_theirs(alias.name), node.names):
                start = starts[alias.lineno - 1] + alias.col_offset
                # Its modules load when they are used, so the package is enough where that is what gets a name.
                module = OURS if alias.asname is None else _ours(alias.name)
                yield start, _end(alias, starts), f"{module} as {alias.asname or PACKAGE}"
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and _is_theirs(node.module):
            match = _FROM.match(data, starts[node.lineno - 1] + node.col_offset)
            if match is not None:
                yield match.end(), match.end() + len(PACKAGE), OURS


def _end(alias: ast.alias, starts: list[int]) -> int:
    if alias.end_lineno is None or alias.end_col_offset is None:
        raise ValueError("ast told no end, which it does of what it has parsed itself")
    return starts[alias.end_lineno - 1] + alias.end_col_offset


def _notes(tree: ast.AST) -> Iterator[Note]:
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in filter(lambda alias: _is_theirs(alias.name), node.names):
                bound[alias.asname or PACKAGE] = alias.name if alias.asname else PACKAGE
                yield from _note_of(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and _is_theirs(node.module):
            for alias in node.names:
                if alias.name != "*":
                    bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                    yield from _note_of(f"{node.module}.{alias.name}", alias.lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from _attribute_note(node, bound)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _text_notes(node.value, node.lineno)


def _attribute_note(node: ast.Attribute, bound: Mapping[str, str]) -> Iterator[Note]:
    parts: list[str] = []
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    if isinstance(value, ast.Name) and value.id in bound:
        yield from _note_of(".".join([bound[value.id], *reversed(parts)]), node.lineno)


def _text_notes(text: str, line: int) -> Iterator[Note]:
    if _DOTTED.fullmatch(text):
        yield Note(line, f"the text {text!r} is left as it is; where it names the package, write {_ours(text)!r}")
    elif _VARIABLE.fullmatch(text):
        yield Note(line, variable_note(text))


def variable_note(name: str) -> str:
    """What there is in place of an environment variable of runpod's."""
    short = name.removeprefix("RUNPOD_")
    if short in _SAME or short.startswith("WEBHOOK_"):
        return f"{name} is the other platform's variable; here it is NOVITA_{short}"
    return f"{name} is the other platform's variable, and has no counterpart"


def _note_of(dotted: str, line: int) -> Iterator[Note]:
    """A note where a name of theirs is none of ours."""
    # By name, for this looks at the package as the user's file will: nothing here is made of it.
    found: object = import_module(OURS)
    for name in dotted.split(".")[1:]:
        if not isinstance(found, ModuleType):
            return
        try:
            found = getattr(found, name)
        except AttributeError as error:
            yield Note(line, f"{dotted}: {error}")
            return


def _is_theirs(module: str | None) -> bool:
    return module is not None and (module == PACKAGE or module.startswith(f"{PACKAGE}."))


def _ours(dotted: str) -> str:
    return OURS + dotted.removeprefix(PACKAGE)
