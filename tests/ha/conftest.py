"""Databases of their own for the tests, on the server of the run."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.stores import execute


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The DSN of an empty database, for one test."""
    with made(postgres) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def shared_database(postgres: str) -> Iterator[str]:
    """The DSN of an empty database, for the tests of a module."""
    with made(postgres) as dsn:
        yield dsn


@contextmanager
def made(server: str) -> Iterator[str]:
    name = f"ha_{secrets.token_hex(6)}"
    asyncio.run(execute(server, f"CREATE DATABASE {name}"))
    yield f"{server.rpartition('/')[0]}/{name}"
    asyncio.run(execute(server, f"DROP DATABASE {name} WITH (FORCE)"))
