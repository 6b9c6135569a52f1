"""What the wheel and the source distribution hold, and what they say of themselves."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from trove_classifiers import classifiers

from tests.support.repository import ROOT

pytestmark = pytest.mark.sources

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = {
    PurePosixPath(path).name: ROOT / path for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both; the wheel is built from the source distribution, as an installer would."""
    folder = tmp_path_factory.mktemp("dist")
    command: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> dict[str, bytes]:
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def info(wheel: dict[str, bytes]) -> dict[str, bytes]:
    """The files of `.dist-info`, by their path in it."""
    return {name.partition("/")[2]: data for name, data in wheel.items() if ".dist-info/" in name}


@pytest.fixture(scope="module")
def metadata(info: dict[str, bytes]) -> Message:
    return BytesParser().parsebytes(info["METADATA"])


def tracked(folder: Path) -> set[str]:
    """Files in git, or about to be, relative to the folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    return {name for name in listing.split("\0") if name and (folder / name).is_file()}


def test_the_wheel_has_the_packages_whole_and_nothing_else(wheel: dict[str, bytes]) -> None:
    wanted = {f"{package}/{name}" for package, folder in PACKAGES.items() for name in tracked(folder)}
    wanted |= {f"novita_protocol/v1/{path.name}" for path in (ROOT / "proto/novita_protocol/v1").iterdir()}
    wanted |= {f"novita_cli/_templates/{name}" for name in tracked(ROOT / "examples")}
    assert {name for name in wheel if ".dist-info/" not in name} == wanted


def test_every_package_is_typed_and_none_has_a_name_that_users_have(wheel: dict[str, bytes]) -> None:
    assert {name.partition("/")[0] for name in wheel if ".dist-info/" not in name} == PACKAGES.keys()
    assert all(package.startswith("novita_") for package in PACKAGES)
    assert all(f"{package}/py.typed" in wheel for package in PACKAGES)


def test_the_wheel_runs_anywhere_and_brings_its_command_and_licence(info: dict[str, bytes]) -> None:
    assert b"Tag: py3-none-any" in info["WHEEL"]
    assert b"novita-gpus = novita_cli.__main__:main" in info["entry_points.txt"]
    assert info["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_metadata_is_valid_and_complete(info: dict[str, bytes], metadata: Message) -> None:
    checked = Metadata.from_email(info["METADATA"], validate=True)
    assert (checked.name, checked.license_expression) == ("novita-gpus", "MIT")
    assert str(checked.requires_python) == ">=3.11"
    assert checked.description_content_type == "text/markdown"
    assert (checked.description or "").strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert set(checked.classifiers or ()) <= classifiers
    assert "Typing :: Typed" in (checked.classifiers or ())
    assert set(metadata.get_all("Provides-Extra", [])) == PROJECT["project"]["optional-dependencies"].keys()


def test_the_base_install_is_small_and_nothing_keeps_users_from_newer_versions(metadata: Message) -> None:
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    base = {requirement.name for requirement in requirements if "extra ==" not in str(requirement.marker)}
    assert base == {"aiohttp", "boto3", "msgspec", "protobuf", "requests"}
    capped = {each.name for each in requirements if any(rule.operator not in {">=", ">"} for rule in each.specifier)}
    assert capped <= {"mypy-protobuf"}, "docs/dependencies.md says why that one is"


def test_the_source_distribution_is_the_repository(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == {*tracked(ROOT), "PKG-INFO"}
