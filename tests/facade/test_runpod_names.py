"""The names of runpod 1.12.0 are here with their signatures, or it is said what there is in their place."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from novita_gpus._names import ABSENT
from novita_sdk.flows.options import MISSING

RECORDED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "runpod_api.json").read_text())
"""What `tests/interop/peers/names.py` prints where runpod 1.12.0 is installed."""

NAMES = [(module.replace("runpod", "novita_gpus", 1), name) for module, names in RECORDED.items() for name in names]
PRESENT = [
    (module, name) for module, name in NAMES if not {module, f"{module}.{name}"} & ABSENT.keys()
]  # a module that is absent takes its names along
OTHER_DEFAULTS = {("Endpoint.run_sync", "timeout"): (86400, None)}
"""The published default and ours: a day, and no end."""


def calls() -> list[tuple[str, str, str | None, list[dict[str, Any]]]]:
    """Module, name, method and published parameters of all that can be called."""
    found: list[tuple[str, str, str | None, list[dict[str, Any]]]] = []
    for module, name in PRESENT:
        entry = RECORDED[module.replace("novita_gpus", "runpod", 1)][name]
        if isinstance(entry, dict):
            found += [(module, name, method, parameters) for method, parameters in entry.items()]
        elif entry is not None:
            found.append((module, name, None, entry))
    return found


def test_the_record_is_one_of_many_names() -> None:
    assert len(NAMES) > 60
    assert len(calls()) > 60


@pytest.mark.parametrize(("module", "name"), PRESENT, ids=[".".join(pair) for pair in PRESENT])
def test_a_name_is_there(module: str, name: str) -> None:
    loaded = importlib.import_module(module)
    assert hasattr(loaded, name)
    assert name in dir(loaded)


@pytest.mark.parametrize(
    ("module", "name", "method", "published"),
    calls(),
    ids=[".".join(filter(None, call[:3])) for call in calls()],
)
def test_every_call_is_accepted(module: str, name: str, method: str | None, published: list[dict[str, Any]]) -> None:
    """The published parameters come first, by the same name, with the same defaults; others may be left out."""
    target = getattr(importlib.import_module(module), name)
    function = target if method is None else getattr(target, method)
    ours = list(inspect.signature(function).parameters.values())
    for mine, parameter in zip(ours, published, strict=False):
        assert (mine.name, mine.kind.name) == (parameter["name"], parameter["kind"])
        if "default" in parameter:
            expected = OTHER_DEFAULTS.get((f"{name}.{method}", mine.name), (parameter["default"], parameter["default"]))
            assert (parameter["default"], mine.default) == expected
    assert len(ours) >= len(published)
    for more in ours[len(published) :]:
        is_variable = more.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        assert is_variable or more.default is not inspect.Parameter.empty
    required = {mine.name for mine in ours if mine.default is inspect.Parameter.empty or mine.default is MISSING}
    assert {parameter["name"] for parameter in published if "default" in parameter}.isdisjoint(required)


@pytest.mark.parametrize("dotted", ABSENT)
def test_an_absent_name_says_what_to_use(dotted: str) -> None:
    module, _, name = dotted.rpartition(".")
    with pytest.raises(AttributeError, match="has no attribute") as refused:
        getattr(importlib.import_module(module), name)
    assert str(refused.value).endswith(ABSENT[dotted])


def test_what_is_absent_is_one_of_the_published_names() -> None:
    published = {f"{module}.{name}" for module, name in NAMES} | {module for module, _ in NAMES}
    assert published >= ABSENT.keys()


def test_every_module_lists_what_it_has() -> None:
    for module in {module for module, _ in PRESENT}:
        loaded = importlib.import_module(module)
        assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
