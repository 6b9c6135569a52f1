"""What the tests of every part share: a clean environment, and a real gateway on a real socket."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from novita_gateway import Gateway, serve_in_thread
from novita_sdk import Client
from tests.support.audit import watched
from tests.support.certificates import write_certificate
from tests.support.environment import OWN_VARIABLES
from tests.support.environment import plain_environment as environment_without_own
from tests.support.postgres_server import shared_server
from tests.support.repository import ROOT
from tests.support.waiting import Meanwhile, threads
from tests.support.world import WorkerRunner, connect, worker_runner

# The same examples in every run; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# A suite that was started in the background ignores SIGINT, and so would the processes of the tests that press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LAYERS = {
    "cli": "cli",
    "codegen": "codegen",
    "comfyui": "e2e",
    "examples": "e2e",
    "facade": "e2e",
    "files": "client",
    "gateway": "gateway",
    "ha": "ha",
    "integration": "e2e",
    "interop": "e2e",
    "packaging": "project",
    "readme": "project",
    "sdk": "client",
    "testing": "e2e",
    "typed": "e2e",
    "typing": "project",
    "uploads": "client",
    "wire": "core",
    "worker": "worker",
}
"""The layer of each folder's tests, where their module or class names no other."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only the core is asked for, modules that can have no test of it are not imported: that takes longer."""
    if config.getoption("markexpr") != "core" or not collection_path.match("test_*.py"):
        return None
    folder = collection_path.relative_to(ROOT / "tests").parts[0]
    if LAYERS.get(folder) == "core":
        return None
    text = collection_path.read_text("utf-8")
    # The stores that tests choose from have their layers by themselves.
    return None if "mark.core" in text or "tests.support.stores" in text else True


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their layer
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        named = {mark.name for mark in item.iter_markers()} & {*LAYERS.values(), "core"}
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if not named and folder in LAYERS:
            item.add_marker(LAYERS[folder])
        elif len(named) != 1:
            raise pytest.UsageError(f"{item.nodeid} is of {len(named)} layers and must be of one; see LAYERS")


FORBIDDEN = ("socket.bind", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.posix_spawn")


@pytest.fixture(autouse=True)
def pure_core(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test of the core opens no connection and starts no process."""
    if request.node.get_closest_marker("core") is None:
        yield
        return
    with watched(FORBIDDEN) as events:
        yield
    assert events == [], "a test of the core does no I/O; give it another layer"


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
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a PostgreSQL server, one for all processes of the run; tests use schemas of their own."""
    base = tmp_path_factory.getbasetemp()
    with shared_server(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) as dsn:
        yield dsn


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    """A client of that gateway."""
    with connect(gateway) as client:
        yield client


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """The environment for child processes: this one without what a developer may have set."""
    return environment_without_own()


@pytest.fixture(scope="session")
def run_worker(
    gateway: Gateway, plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> WorkerRunner:
    """Runs real worker processes, against the session's gateway where no other is named."""
    return worker_runner(gateway, plain_environment, lambda: tmp_path_factory.mktemp("worker"))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    return write_certificate(tmp_path / "gateway.pem")


@pytest.fixture
def meanwhile() -> Iterator[Meanwhile]:
    """Runs a function in a thread; its failure fails the test."""
    with threads() as start:
        yield start
