"""Two S3 servers that know nothing of each other, and a proxy that breaks connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.breaking_proxy import Proxy, run_proxy
from tests.support.s3 import S3Server, moto, name_bucket, rclone


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3Server]:
    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def proxy(server: S3Server) -> Iterator[Proxy]:
    with run_proxy(server.url) as running:
        yield running


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working directory of the test's own."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def bucket_env(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with its bucket named in the environment."""
    name_bucket(monkeypatch, server)
    return server
