"""The `generate` command: protos in, a directory of Python packages out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from novita_codegen._known import BUNDLED, known_files
from novita_codegen._model import serves_http
from novita_codegen._names import PROTOCOL, check_files, check_paths
from novita_codegen._protoc import GenerateError, run_protoc
from novita_codegen._tree import MARK, Change, apply, compare, marked

_INSTALLED = ("google/", f"{PROTOCOL}/")
"""Folders whose Python comes from installed packages; written beside a user's own code it would hide those."""


def generate(proto_dir: Path, out: Path, *, check: bool = False) -> list[Change]:
    """Compiles all protos under a directory.

    Args:
        proto_dir: The root that the imports in the protos are relative to.
        out: The source root that the packages go to; the user's own files may be in it beside them. What no proto asks
            for any more is removed from them.
        check: Write nothing.

    Returns:
        The files that were written or removed, or, with `check`, those that would be.

    Raises:
        GenerateError: A proto is wrong or would hide another package (with file, line and column), there is none, a
            file that was not generated is where one would go, or a file can't be written.
    """
    names = _protos(proto_dir)
    # Copies of installed protos are for editors; a folder with nothing else is the protocol's own.
    own = [name for name in names if not name.startswith(_INSTALLED)] or names
    check_paths(own)
    wanted = _compile(proto_dir.resolve(), names, own)
    wanted |= _package_files(wanted)
    if any(name.startswith(f"{PROTOCOL}/") for name in own):
        wanted[f"{PROTOCOL}/method.py"] = _support("method")
    changes = compare(wanted, out)
    if not check:
        apply(changes, wanted, out)
    return changes


def descriptors(proto_dir: Path) -> bytes:
    """Compiles all protos under a directory to one serialised FileDescriptorSet, with imports and comments.

    Raises:
        GenerateError: A proto is wrong, or there is none.
    """
    names = _protos(proto_dir)
    with TemporaryDirectory(prefix="novita-codegen-") as folder:
        scratch = Path(folder)
        known = scratch / "known.binpb"
        known.write_bytes(known_files(names).SerializeToString(deterministic=True))
        return _descriptors(proto_dir.resolve(), known, names, scratch).SerializeToString(deterministic=True)


def _protos(proto_dir: Path) -> list[str]:
    """The protos under a directory; what is in hidden folders, such as a virtual environment, is none of the user's."""
    paths = (path.relative_to(proto_dir) for path in proto_dir.rglob("*.proto"))
    names = sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    if not names:
        raise GenerateError(f"no .proto file in {proto_dir}")
    return names


def _compile(proto_dir: Path, names: list[str], own: list[str]) -> dict[str, bytes]:
    """The output of protoc and all plugins for the `own` ones among the protos, by relative path."""
    with TemporaryDirectory(prefix="novita-codegen-") as folder:
        scratch = Path(folder)
        result, known = scratch / "out", scratch / "known.binpb"
        result.mkdir()
        known.write_bytes(known_files(names).SerializeToString(deterministic=True))
        compiled = _descriptors(proto_dir, known, names, scratch).file
        check_files(file for file in compiled if file.name in own)
        bundled = [file.name for file in compiled if file.name in BUNDLED and file.name not in own]
        # One run with several plugins costs less than several runs; each plugin passes over what is not for it.
        outputs = {
            ("python", "mypy", "novita"): [*own, *bundled],
            ("grpc_python", "mypy_grpc"): [file.name for file in compiled if file.name in own and serves_http(file)],
        }
        for plugins, files in outputs.items():
            options = [f"--{name}_out={'quiet:' if name.startswith('mypy') else ''}{result}" for name in plugins]
            if files:
                run_protoc(proto_dir, known, files, options, scratch)
        return {path.relative_to(result).as_posix(): marked(path.read_bytes()) for path in result.rglob("*.py*")}


def _descriptors(proto_dir: Path, known: Path, names: list[str], scratch: Path) -> FileDescriptorSet:
    """The compiled files with all that they import."""
    result = scratch / "descriptors.binpb"
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={result}"]
    run_protoc(proto_dir, known, names, options, scratch)
    return FileDescriptorSet.FromString(result.read_bytes())


def _package_files(modules: Iterable[str]) -> dict[str, bytes]:
    """An `__init__.py` per folder, and `py.typed` in the topmost ones."""
    folders = {folder for module in modules for folder in PurePosixPath(module).parents if folder.name}
    files = {f"{folder}/__init__.py": f'"""{MARK}."""\n'.encode() for folder in folders}
    return files | {f"{folder}/py.typed": b"" for folder in folders if len(folder.parts) == 1}


def _support(name: str) -> bytes:
    """A module that all generated code imports; its source lives with the generator."""
    source = (Path(__file__).parent / "support" / f"{name}.py").read_text(encoding="utf-8")
    return f"# {MARK} from novita_codegen/support/{name}.py. Do not edit.\n{source}".encode()
