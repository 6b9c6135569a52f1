"""The Python that runs this program. A program that is frozen, or that embeds Python, is its own `sys.executable`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["interpreter", "is_frozen"]

_NAME: Final = re.compile(r"(?:python|pypy|graalpy)w?[\d.]*[a-z]{0,2}(?:\.exe)?", re.IGNORECASE)


def interpreter() -> str | None:
    """A Python with this program's packages that can be started with `-c` or `-m`; None where there is none.

    To start anything else would start the program itself once more.
    """
    return None if is_frozen() else next(filter(_is_python, _candidates()), None)


def is_frozen() -> bool:
    """Whether PyInstaller, cx_Freeze, PyOxidizer or Nuitka made one file of program and interpreter."""
    compiled = getattr(sys.modules.get("__main__"), "__compiled__", None)  # Nuitka's; it may leave Python outside
    standalone = getattr(compiled, "standalone", compiled is not None)
    return bool(getattr(sys, "frozen", False) or getattr(sys, "oxidized", False) or standalone)


def _candidates() -> Iterator[str]:
    """What may be that Python, the likeliest first."""
    yield sys.executable or ""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for prefix in map(Path, (sys.prefix, sys.base_prefix)):
        yield from map(str, (prefix / "bin" / version, prefix / "bin" / "python3", prefix / "python.exe"))


def _is_python(path: str) -> bool:
    return bool(_NAME.fullmatch(Path(path).name)) and os.access(path, os.X_OK)
