"""Input, output and progress keep every JSON value exactly, from client through gateway and worker and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novita_gateway import Gateway
from novita_sdk import Client, Endpoint
from tests.support.world import WorkerRunner

ENDPOINT = "echo"

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([2**53 + 1, 1125899906842624123, 2**63, 2**64, 2**64 + 1, -(2**63) - 1, 10**300, 0, -0.0, 1.0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=25
)


def nested(depth: int) -> Any:
    value: Any = {}
    for level in range(depth):
        value = [value] if level % 2 else {"é": value}
    return value


def exact(value: Any) -> str:
    """A form in which 1 and 1.0, -0.0 and 0.0, and objects of another key order, differ."""
    return json.dumps(value)


@pytest.fixture(scope="module")
def endpoint(gateway: Gateway, run_worker: WorkerRunner) -> Iterator[Endpoint]:
    with (
        run_worker(Path(__file__).parent / "echo_worker.py", ENDPOINT),
        Client(api_key=gateway.api_key, base_url=gateway.url) as client,
    ):
        yield client.endpoint(ENDPOINT)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
def test_input_and_output_are_exact(endpoint: Endpoint, value: Any) -> None:
    assert exact(endpoint.run({"value": value}).output(timeout=60)) == exact(value)


@pytest.mark.parametrize(
    "value",
    [nested(200), "x" * (4 * 1024 * 1024 - 100), "é" * 1_000_000, {"z": 1, "a": 2, "": None}, {}, [], None],
    ids=["200 deep", "4 MiB", "2 MB of UTF-8", "key order", "empty object", "empty array", "null"],
)
def test_extremes_are_exact(endpoint: Endpoint, value: Any) -> None:
    assert exact(endpoint.run({"value": value}).output(timeout=60)) == exact(value)


def test_an_empty_object_as_the_whole_output_is_kept(endpoint: Endpoint) -> None:
    job = endpoint.run({"value": {}})
    assert job.wait(timeout=60).status == "COMPLETED"
    assert job.output() == {}


@pytest.mark.parametrize(
    "value", [{"seed": 2**64 + 1, "cfg": 7.0, "z": None, "a": {}}, [1, 1.0], "é☃", 0, {"status": "COMPLETED"}]
)
def test_progress_is_exact(endpoint: Endpoint, value: Any) -> None:
    job = endpoint.run({"report": 0.4, "value": value})
    seen = [exact(update.progress) for update in job.updates(timeout=60) if update.progress is not None]
    assert seen == [exact(value)]
    assert exact(job.output()) == exact({"value": value})
