"""Both clients behind one surface, a real gateway whose worker is the test, and a gateway that follows a script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from novita_gateway import Gateway
from novita_sdk import Endpoint
from tests.support.hand_worker import HandWorker
from tests.support.scripted_gateway import ScriptedGateway, Stage, staged
from tests.support.twin import ClientMaker, clients


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[ClientMaker]:
    """Makes a client of either kind; the arguments are the constructor's."""
    with clients(request.param) as make:
        yield make


@pytest.fixture
def endpoint_name(request: pytest.FixtureRequest) -> str:
    """An endpoint of the test's own on the shared gateway."""
    return f"ep-{abs(hash(request.node.nodeid))}"


@pytest.fixture
def worker(gateway: Gateway, endpoint_name: str) -> Iterator[HandWorker]:
    hand = HandWorker(gateway.worker_env(endpoint_name))
    with hand.session:
        yield hand


@pytest.fixture
def endpoint(gateway: Gateway, endpoint_name: str, make_client: ClientMaker) -> Endpoint:
    """An endpoint of the real gateway, through either client."""
    return make_client(api_key=gateway.api_key, base_url=gateway.url).endpoint(endpoint_name)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The server of every script."""
    with staged() as stage:
        yield stage


@pytest.fixture
def scripted(stage: Stage) -> ScriptedGateway:
    """A gateway that follows the test's script."""
    return stage.play()
