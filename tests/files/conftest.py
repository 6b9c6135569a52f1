from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.file_servers import Blobs, Site, serve_blobs, serve_site


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server whose answers the test chooses."""
    with serve_site() as site:
        yield site


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Blobs]:
    """A file store behind signed links."""
    with serve_blobs(tmp_path / "blobs") as blobs:
        yield blobs
