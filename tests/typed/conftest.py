from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from novita_codegen import generate
from novita_gateway import Gateway
from novita_sdk import Client
from tests.support.protos import ALBUM, KINDS, OLD, SHOP, write_protos
from tests.support.repository import ROOT
from tests.support.typed_workers import Serve, typed_workers


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source root with the code of the protos above, importable."""
    folder = tmp_path_factory.mktemp("typed")
    protos = {"kinds/v1/kinds.proto": KINDS, "shop/v1/shop.proto": SHOP}
    protos |= {"album/v1/album.proto": ALBUM, "old/v1/old.proto": OLD}
    write_protos(folder / "proto", protos)
    generate(folder / "proto", folder / "out")
    sys.path.insert(0, str(folder / "out"))
    return folder / "out"


@pytest.fixture(scope="session")
def kinds(generated: Path) -> ModuleType:
    return importlib.import_module("kinds.v1.kinds_pb2")


@pytest.fixture(scope="session")
def shop(generated: Path) -> ModuleType:
    return importlib.import_module("shop.v1.shop_pb2")


@pytest.fixture(scope="session")
def album(generated: Path) -> ModuleType:
    return importlib.import_module("album.v1.album_pb2")


@pytest.fixture(scope="session")
def old(generated: Path) -> ModuleType:
    return importlib.import_module("old.v1.old_pb2")


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture
def serve(
    gateway: Gateway, client: Client, plain_environment: dict[str, str], generated: Path, tmp_path: Path
) -> Iterator[Serve]:
    """Starts a worker of `typed_worker.py` and returns its endpoint."""
    with typed_workers(gateway, client, generated, tmp_path, plain_environment) as start:
        yield start
