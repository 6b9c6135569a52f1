"""The fixture `novita_endpoint`. Put `pytest_plugins = ["novita_testing.pytest_plugin"]` into your `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from novita_sdk import Endpoint
from novita_worker._handler import Handler

__all__ = ["StartEndpoint", "novita_endpoint"]


class StartEndpoint(Protocol):
    """What the fixture is: call it with a handler and the options of `embedded`."""

    def __call__(self, handler: Handler, **options: Any) -> Endpoint:
        """Serves the handler until the test ends."""
        ...


@pytest.fixture
def novita_endpoint() -> Iterator[StartEndpoint]:
    """Serves handlers on gateways of their own, for one test."""
    from novita_testing._embedded import embedded

    with ExitStack() as stack:

        def start(handler: Handler, **options: Any) -> Endpoint:
            return stack.enter_context(embedded(handler, **options))

        yield start
