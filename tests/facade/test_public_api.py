"""The public import paths and the signatures behind them, as they are recorded in `public_api.json`.

A change that is meant is recorded by running this file: `python tests/facade/test_public_api.py`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path

RECORDED = Path(__file__).with_name("public_api.json")
MODULES = (
    "novita_codegen",
    "novita_gateway",
    "novita_gpus",
    "novita_gpus.client",
    "novita_gpus.endpoint",
    "novita_gpus.endpoint.asyncio",
    "novita_gpus.endpoint.runner",
    "novita_gpus.error",
    "novita_gpus.serverless",
    "novita_gpus.serverless.modules",
    "novita_gpus.serverless.modules.rp_fitness",
    "novita_gpus.serverless.modules.rp_logger",
    "novita_gpus.serverless.modules.rp_progress",
    "novita_gpus.serverless.utils",
    "novita_gpus.serverless.utils.rp_cleanup",
    "novita_gpus.serverless.utils.rp_cuda",
    "novita_gpus.serverless.utils.rp_debugger",
    "novita_gpus.serverless.utils.rp_download",
    "novita_gpus.serverless.utils.rp_upload",
    "novita_gpus.serverless.utils.rp_validator",
    "novita_sdk",
    "novita_sdk.errors",
    "novita_sdk.files",
    "novita_sdk.models",
    "novita_sdk.rpc",
    "novita_sdk.tracing",
    "novita_sdk.typed",
    "novita_sdk.uploads",
    "novita_sdk.webhooks",
    "novita_testing",
    "novita_worker",
    "novita_worker.testing",
)
AMBIENT = {"novita_gpus.api_key", "novita_gpus.endpoint_url_base"}
"""What is read from the environment."""


def parameters(function: object) -> str:
    """Names, kinds and defaults of a callable's parameters; annotations are mypy's business."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]  # what is no callable is told by the TypeError
    except (TypeError, ValueError):
        return "…"
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return re.sub(r"<function (\w+) at 0x\w+>", r"\1", text)


def is_own(kind: type) -> bool:
    """Whether a class is written here, and not generated or inherited from a library."""
    return kind.__module__.startswith("novita_") and not kind.__module__.startswith("novita_protocol")


def members(kind: type) -> dict[str, str]:
    """The public members of a class, its own and those of its bases here."""
    found: dict[str, str] = {}
    for base in reversed([base for base in kind.__mro__ if is_own(base)]):
        for name, value in vars(base).items():
            if name.startswith("_") and (name != "__init__" or getattr(kind, "_is_protocol", False)):
                continue
            plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            found[name] = parameters(plain) if inspect.isfunction(plain) else "…"
    return dict(sorted(found.items()))


def describe(value: object) -> object:
    """What is recorded of one public name."""
    if inspect.isclass(value):
        return members(value) if is_own(value) else "class"
    return parameters(value) if inspect.isfunction(value) else "value"


def public_api() -> dict[str, dict[str, object]]:
    """By module and name: a function's parameters, a class's members."""
    api: dict[str, dict[str, object]] = {}
    for module in MODULES:
        loaded = importlib.import_module(module)
        names = [name for name in loaded.__all__ if f"{module}.{name}" not in AMBIENT]
        api[module] = {name: describe(getattr(loaded, name)) for name in sorted(names)}
    return api


def test_public_api_is_as_recorded() -> None:
    assert public_api() == json.loads(RECORDED.read_text(encoding="utf-8"))


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(public_api(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
