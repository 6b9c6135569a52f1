"""Prints the public names of the installed `runpod`, with the signatures behind them, as JSON. Needs nothing else.

The names of a module are those that it defines itself or lists in `__all__`; of a class, those that users call.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from types import ModuleType

MODULES = (
    "runpod",
    "runpod.endpoint",
    "runpod.endpoint.asyncio",
    "runpod.endpoint.asyncio.asyncio_runner",
    "runpod.endpoint.runner",
    "runpod.error",
    "runpod.serverless",
    "runpod.serverless.modules.rp_fitness",
    "runpod.serverless.modules.rp_logger",
    "runpod.serverless.modules.rp_progress",
    "runpod.serverless.utils",
    "runpod.serverless.utils.rp_cleanup",
    "runpod.serverless.utils.rp_cuda",
    "runpod.serverless.utils.rp_debugger",
    "runpod.serverless.utils.rp_download",
    "runpod.serverless.utils.rp_model_cache",
    "runpod.serverless.utils.rp_upload",
    "runpod.serverless.utils.rp_validator",
    "runpod.serverless.utils.rp_volume_cache",
)
"""What its documentation and public workers import."""


def parameters(function: object) -> list[dict[str, object]]:
    """Names, kinds and defaults; a default that is no JSON is told as text."""
    found: list[dict[str, object]] = []
    for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]  # a callable
        entry: dict[str, object] = {"name": parameter.name, "kind": parameter.kind.name}
        if parameter.default is not parameter.empty:
            entry["default"] = parameter.default
        found.append(entry)
    return found


def describe(value: object) -> object:
    """A function's parameters, a class's methods, or null for a value. Exceptions are only caught by users."""
    if inspect.isclass(value) and issubclass(value, Exception):
        return {}
    if inspect.isclass(value):
        return {
            name: parameters(method)
            for name, method in sorted(vars(value).items())
            if inspect.isfunction(method) and (not name.startswith("_") or name in {"__init__", "__call__"})
        }
    return parameters(value) if inspect.isfunction(value) else None


def is_public(module: ModuleType, name: str, value: object) -> bool:
    if name in getattr(module, "__all__", ()):
        return True
    own = getattr(value, "__module__", None) == module.__name__
    return own and not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value))


def names() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for dotted in MODULES:
        module = importlib.import_module(dotted)
        public = {name: value for name, value in vars(module).items() if is_public(module, name, value)}
        found[dotted] = {name: describe(value) for name, value in sorted(public.items())}
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(names(), indent=1) + "\n")
