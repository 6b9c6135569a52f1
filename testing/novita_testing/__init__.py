"""Tests of your own handlers and clients: gateway and worker in this process, nothing deployed.

>>> with embedded(handler) as endpoint:
...     assert endpoint.run_sync({"prompt": "hi"}) == {"echo": "hi"}

For pytest, put `pytest_plugins = ["novita_testing.pytest_plugin"]` into `conftest.py` and take the fixture
`novita_endpoint`.
"""

from __future__ import annotations

from novita_gateway import Faults, Limits, ManualClock
from novita_testing._embedded import embedded

__all__ = ["Faults", "Limits", "ManualClock", "embedded"]
