"""All names of the published package exist, with its signatures."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import novita_gpus
from novita_sdk.flows.options import MISSING

pytestmark = pytest.mark.core

PUBLISHED = json.loads((Path(__file__).parent / "published_api.json").read_text())
"""Recorded from the package `novita-gpus` 0.0.1."""

CALLABLES = [
    (f"{name}.{method}" if method else name, parameters)
    for name, entry in PUBLISHED.items()
    for method, parameters in (
        entry["methods"].items() if entry["kind"] == "class" else [(None, entry.get("parameters"))]
    )
    if parameters is not None
]


def lookup(dotted: str) -> Callable[..., object]:
    found: Any = novita_gpus
    for part in dotted.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return] # what getattr finds has no type


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_name_is_there(name: str) -> None:
    assert name in novita_gpus.__all__
    assert name in dir(novita_gpus)
    assert hasattr(novita_gpus, name)


@pytest.mark.parametrize(("name", "published"), CALLABLES, ids=[name for name, _ in CALLABLES])
def test_every_published_call_is_accepted(name: str, published: list[dict[str, Any]]) -> None:
    """The published parameters come first, by the same name, with the same defaults; more may follow by keyword."""
    ours = list(inspect.signature(lookup(name)).parameters.values())
    for position, parameter in enumerate(published):
        mine = ours[position]
        assert mine.name == parameter["name"]
        assert mine.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if "default" in parameter:
            assert mine.default == parameter["default"]
        else:
            # Where it can be given by another name, a call without it is refused all the same.
            assert mine.default in (inspect.Parameter.empty, MISSING)
    for more in ours[len(published) :]:
        is_keyword = more.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
        assert is_keyword or more.default is not inspect.Parameter.empty


def test_published_attributes_are_there() -> None:
    client = novita_gpus.HTTPClient("key", "http://127.0.0.1:1/v1/")
    job = novita_gpus.Job("ep", "j1", client)
    endpoint = novita_gpus.Endpoint("ep", api_key="key")
    for name, instance in (("Endpoint", endpoint), ("Job", job), ("HTTPClient", client)):
        for attribute in PUBLISHED[name]["attributes"]:
            assert hasattr(instance, attribute)
    assert (job.endpoint_id, job.job_id, endpoint.endpoint_id) == ("ep", "j1", "ep")
    assert client.endpoint_url_base == "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda endpoint: endpoint.run(), r"run\(\) got no input"),
        (lambda endpoint: endpoint.run({}, input={}), r"run\(\) got two inputs"),
        (lambda endpoint: endpoint.run({}, polciy={}), r"no option 'polciy'; did you mean policy\?"),
        (lambda endpoint: endpoint.run_sync(request_input={}, webhok="x"), r"did you mean webhook\?"),
    ],
)
def test_a_call_that_is_none_is_refused(call: Callable[[Any], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call(novita_gpus.Endpoint("ep", api_key="key", endpoint_url_base="http://127.0.0.1:9/v1"))
