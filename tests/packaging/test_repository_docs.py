"""What CONTRIBUTING.md, SECURITY.md and the pages of the architecture say of files, commands and imports is so."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DECISIONS = ROOT / "docs" / "decisions"
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ARCHITECTURE, *sorted(DECISIONS.glob("*.md"))]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
PACKAGES = {path.name: path for path in map(Path, SETTINGS["hatch"]["build"]["targets"]["wheel"]["packages"])}
"""Import names, and their folders from the root."""

PATH = re.compile(r"\.?\w[\w.-]*(/[\w.-]+)*/?")
SUFFIXES = {".json", ".md", ".proto", ".py", ".pyi", ".sql", ".toml", ".txt", ".yaml", ".yml"}
OTHERS = ("google/", "buf/validate/")
"""Paths of protos that are not ours."""


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def tracked() -> frozenset[str]:
    """Files in git, or about to be, and their folders."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = {Path(name) for name in names if name and (ROOT / name).exists()}
    return frozenset(str(path) for file in files for path in (file, *file.parents))


def paths_in(text: str) -> Iterator[str]:
    """What stands in backticks and is meant as a path of the repository."""
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        if PATH.fullmatch(span) and not span.startswith(OTHERS) and ("/" in span or Path(span).suffix in SUFFIXES):
            yield span


def exists(path: str) -> bool:
    """Whether it is there: from the root, from a package, or, without a folder, anywhere."""
    name = path.rstrip("/")
    if "/" not in path:
        return any(Path(file).name == name for file in tracked())
    return any(str(base / name) in tracked() for base in (Path(), *PACKAGES.values()))


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_path_is_there(page: Path) -> None:
    assert [path for path in paths_in(read(page)) if not exists(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", read(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.+)$", read(file), re.MULTILINE) if anchor else []
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target


def test_every_command_is_one_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", read(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z-]+)", read(page))) <= targets, page.name


def test_every_decision_is_in_the_list_and_has_the_same_parts() -> None:
    pages = {page.name: read(page) for page in DECISIONS.glob("*.md")}
    listed = re.findall(r"^\| \[[^\]]+\]\(([^)]+)\)", pages.pop("README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(pages)
    for name, text in pages.items():
        parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Alternatives", "Consequences", "How it is held"], name
        assert [path for path in paths_in(text.rpartition("## How it is held")[2]) if path.startswith("tests/")], name
        assert len(text.splitlines()) <= 60, name


# The table of folders


def folders() -> dict[str, Path]:
    """The folders of the packages that hold modules, by import name."""
    found = {}
    for name, path in PACKAGES.items():
        for folder in sorted({module.parent for module in (ROOT / path).rglob("*.py")}):
            found[".".join((name, *folder.relative_to(ROOT / path).parts))] = folder.relative_to(ROOT)
    return {name: path for name, path in found.items() if not name.startswith("novita_protocol.")}


def rows() -> dict[str, tuple[str, str, str]]:
    """What the table says of each folder: what it is, what it imports, where its tests are."""
    section = re.split(r"^## ", read(ARCHITECTURE), flags=re.MULTILINE)
    (table,) = [part for part in section if part.startswith("Folders\n")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {cell[0].strip("`/"): (cell[1], cell[2], cell[3]) for cell in cells[2:]}


def owner(module: str, names: Mapping[str, Path]) -> str | None:
    """The folder that a module stands in, by import name."""
    while module and module not in names:
        module = module.rpartition(".")[0]
    return module or None


def imports(folder: Path) -> Iterator[str]:
    """Whatever the folder's modules import, wherever in a module, with the imported names as if they were modules."""
    for module in (ROOT / folder).glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(name: str, names: Mapping[str, Path]) -> set[str]:
    """As the table has it: wings of the same package as `wing/`, else the package, also for the modules beside them."""
    own = name.partition(".")[0]
    found = {owner(module, names) for module in imports(names[name])} - {None, name}
    wings = {
        f"{other.partition('.')[2].replace('.', '/')}/" for other in found if other and other.startswith(f"{own}.")
    }
    return wings | {other.partition(".")[0] for other in found if other and not other.startswith(f"{own}.")}


def test_the_table_names_every_folder_with_modules() -> None:
    assert sorted(map(str, folders().values())) == sorted(rows())


@pytest.mark.parametrize(("name", "path"), folders().items(), ids=str)
def test_the_table_says_what_a_folder_imports(name: str, path: Path) -> None:
    said = set(re.findall(r"`([^`]+)`", rows()[str(path)][1]))
    assert imported(name, folders()) == said, f"docs/architecture.md on {path}/"


def test_the_table_says_what_is_in_a_folder_and_where_its_tests_are() -> None:
    for path, (what, _, tests) in rows().items():
        assert what, path
        assert [where for where in paths_in(tests) if where.startswith("tests/")], path
