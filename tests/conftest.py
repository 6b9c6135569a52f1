"""What the tests of every part share: a clean environment, and a real gateway on a real socket."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from novita_gateway import Gateway, serve_in_thread

OWN_VARIABLES = ("NOVITA_", "RUNPOD_", "BUCKET_", "AWS_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's reaches a test."""
    for name in list(os.environ):
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """A gateway with an in-memory store; tests use endpoints of their own."""
    with serve_in_thread() as running:
        yield running


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """The environment for child processes: this one without variables that the SDK reads."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
