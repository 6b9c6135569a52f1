"""The order of the sources: one subject a module, of a size to be read, and no circles between them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate
from pathlib import Path

import grimp
import pytest

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
PACKAGES = {Path(path).name: ROOT / path for path in SETTINGS["hatch"]["build"]["targets"]["wheel"]["packages"]}
WRITTEN = {name: path for name, path in PACKAGES.items() if name != "novita_protocol"}
"""The packages that are not generated."""

MOST_LINES = 400
LONGER = {"tests/gateway/test_store_machine.py"}
"""Longer for now: the model of a whole store."""
MOST_MODULES = 25
QUESTIONS = ("What", "Which", "Where", "How", "When")
IMPORT_ALONE = """
import importlib, os, sys, traceback

for name in sys.argv[1:]:
    if (child := os.fork()) == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {traceback.format_exception_only(error)[-1].strip()}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
"""Imports each module in a process that has imported none of ours before."""

of_each_package = pytest.mark.parametrize("package", WRITTEN)


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def module_name(path: Path, package: Path) -> str:
    return ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import of the packages that is made when they run, also those inside functions."""
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)


def packages_of(module: str) -> set[str]:
    """The packages that a module is in, with itself: all of them run when it is imported."""
    return set(accumulate(module.split("."), "{}.{}".format))


def imports(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """By module, the modules that it makes run."""
    return {
        module: {
            run
            for target in graph.find_modules_directly_imported_by(module)
            for run in packages_of(target) - packages_of(module) | {target}
        }
        for module in graph.modules
    }


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, if there are any; the first is the last too."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


@of_each_package
def test_a_modules_first_line_says_what_it_is(package: str) -> None:
    first = {path: ast.get_docstring(ast.parse(path.read_bytes())) or "" for path in sources(WRITTEN[package])}
    assert not [f"{path.relative_to(ROOT)}: {text}" for path, text in first.items() if text.startswith(QUESTIONS)]


@pytest.mark.parametrize("folder", [*WRITTEN, "tests", "tools", "bench"])
def test_no_file_is_too_long_to_be_read(folder: str) -> None:
    paths = [str(path.relative_to(ROOT)) for path in sources(WRITTEN.get(folder, ROOT / folder))]
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path for path, length in lengths.items() if length > MOST_LINES} <= LONGER


@of_each_package
def test_no_folder_holds_too_many_modules(package: str) -> None:
    folders = [path.parent for path in sources(WRITTEN[package])]
    assert not [str(folder.relative_to(ROOT)) for folder in set(folders) if folders.count(folder) > MOST_MODULES]


def test_no_module_is_in_a_circle_of_imports(graph: grimp.ImportGraph) -> None:
    assert circle(imports(graph)) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        pytest.param("novita_cli._json", "novita_cli._session", id="direct"),
        pytest.param("novita_sdk.wire.payload", "novita_worker._start", id="across packages"),
        pytest.param("novita_sdk.rpc", "novita_sdk.typed._fields", id="through the module of a package"),
    ],
)
def test_a_circle_of_imports_is_seen(graph: grimp.ImportGraph, importer: str, imported: str) -> None:
    graph.add_import(importer=importer, imported=imported)
    try:
        assert {importer} < set(circle(imports(graph)))
    finally:
        graph.remove_import(importer=importer, imported=imported)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@of_each_package
def test_every_module_can_be_imported_first(package: str) -> None:
    names = [module_name(path, WRITTEN[package]) for path in sources(WRITTEN[package])]
    command = [sys.executable, "-c", IMPORT_ALONE, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == ""
