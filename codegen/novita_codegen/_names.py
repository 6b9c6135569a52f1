"""Names in protos that have no place in Python: refused with file, line and column before anything is written."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from novita_codegen._parts import parts, place
from novita_codegen._protoc import NO_EDITIONS, GenerateError

__all__ = ["check_files", "check_paths", "module_path"]

PROTOCOL = "novita_protocol"

# Field numbers of descriptor.proto, as the paths of a SourceCodeInfo use them.
_PACKAGE, _EDITION = 2, 14


def module_path(name: str) -> str:
    """The path of a proto's module without its suffix: `a-b/c.proto` becomes `a_b/c`."""
    return name.removesuffix(".proto").replace("-", "_").replace(".", "/")


def check_paths(names: Sequence[str]) -> None:
    """Refuses paths that are no modules in Python, or the same one; some file systems don't tell `A` from `a`.

    Raises:
        GenerateError: Names the proto, and the other one.
    """
    taken: dict[str, tuple[str, str]] = {}
    for name in names:
        words = module_path(name).split("/")
        for part in words:
            if not part.isidentifier() or keyword.iskeyword(part):
                raise GenerateError(f"{name}:1:1: Python can't import a module or package named {part!r}; rename it")
        folders = ["/".join(words[:end]) for end in range(1, len(words))]
        for path in (*folders, f"{'/'.join(words)}_pb2"):
            same, other = taken.setdefault(path.casefold(), (path, name))
            if same != path:
                raise GenerateError(f"{name}:1:1: {path} differs from {same} of {other} in case alone; rename one")
            if other != name and path not in folders:
                raise GenerateError(f"{name}:1:1: would be a second {path}.py, beside {other}; rename one")
        # A package hides the module of the same name.
        for path in folders:
            if path in taken and taken[path][1] != name and module_path(taken[path][1]) + "_pb2" == path:
                raise GenerateError(f"{name}:1:1: the package {path} would hide the module of {taken[path][1]}")


def check_files(files: Iterable[FileDescriptorProto]) -> None:
    """Refuses what compiles and still is of no use in Python.

    Raises:
        GenerateError: A file is of an edition, hides a package that is needed, or has a class named as a keyword.
    """
    needed = _needed()
    for file in files:
        if file.syntax == "editions":
            raise GenerateError(f"{place(file, _EDITION)}: edition {_edition(file)}: {NO_EDITIONS}")
        top = module_path(file.name).partition("/")[0]
        if "/" in module_path(file.name) and (owner := needed.get(top)) is not None:
            raise GenerateError(
                f"{place(file, _PACKAGE)}: a package {top} would hide {owner}, which is imported under that name; "
                f"rename the proto's folder and package, as to my{top}/…"
            )
        for kind, full_name, path in parts(file):
            name = full_name.rpartition(".")[2]
            if kind in ("message", "enum") and keyword.iskeyword(name):
                raise GenerateError(
                    f"{place(file, *path)}: {name} is a word of Python's, so no code can name the {kind}; rename it"
                )


def _needed() -> dict[str, str]:
    """The packages that must not be hidden, and whose they are: Python's, ours, and those that ours need."""
    needed = dict.fromkeys(sys.stdlib_module_names, "Python's own module")
    distributions = {_normal("novita-gpus")}
    waiting = [("novita-gpus", True)]
    while waiting:
        name, with_extras = waiting.pop()
        for other in _requirements(name, with_extras=with_extras):
            if other not in distributions:
                distributions.add(other)
                waiting.append((other, False))
    for package, owners in metadata.packages_distributions().items():
        if owner := next((owner for owner in owners if _normal(owner) in distributions), None):
            needed.setdefault(package, f"the package of {owner}")
    for package in ("sdk", "worker", "gateway", "gpus", "codegen", "cli", "testing"):
        needed[f"novita_{package}"] = "the package of novita-gpus"
    needed.pop(PROTOCOL, None)  # its own protos are made with this too, and copies of them are not
    return needed


def _requirements(distribution: str, *, with_extras: bool) -> list[str]:
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    lines = [line for line in lines if with_extras or "extra ==" not in line]
    return [_normal(match[0]) for line in lines if (match := re.match(r"[\w.-]+", line))]


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _edition(file: FileDescriptorProto) -> str:
    """As the file writes it; older versions of protobuf know of none."""
    number = getattr(file, "edition", 0)
    return {1000: "2023", 1001: "2024"}.get(number, str(number))
