"""The fixture `novita_endpoint`. Put `pytest_plugins = ["novita_testing.pytest_plugin"]` into your `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest

if TYPE_CHECKING:
    from novita_sdk import Endpoint
    from novita_testing._options import EmbeddedOptions
    from novita_worker.handlers.spec import Handler

__all__ = ["StartEndpoint", "novita_endpoint"]


class StartEndpoint(Protocol):
    """What the fixture is: call it with a handler and the options of `embedded`."""

    def __call__(self, handler: Handler, **options: Unpack[EmbeddedOptions]) -> Endpoint:
        """Serves the handler until the test ends."""
        ...


@pytest.fixture
def novita_endpoint() -> Iterator[StartEndpoint]:
    """Serves handlers for the length of a test: `novita_endpoint(handler)` returns an endpoint."""
    from novita_testing._embedded import embedded

    with ExitStack() as stack:

        def start(handler: Handler, **options: Unpack[EmbeddedOptions]) -> Endpoint:
            return stack.enter_context(embedded(handler, **options))

        yield start
