"""Typed contracts: what reads, checks and writes the JSON of messages, dataclasses, TypedDicts and pydantic models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novita_sdk.typed._adapters import Adapter, find_adapter
from novita_sdk.typed._annotations import HandlerTypeError
from novita_sdk.typed._checked import TypedHandler
from novita_sdk.typed._endpoint_schema import InputCheck, describe, input_check
from novita_sdk.typed._handlers import read_handler
from novita_sdk.typed._service import Call, ServiceWorker, call
from novita_sdk.typed._violations import ContractError, InputError, OutputError, Violation

if TYPE_CHECKING:
    from novita_sdk.client.async_typed_job import AsyncJobStream, AsyncTypedJob
    from novita_sdk.client.typed_job import JobStream, TypedJob

__all__ = [
    "Adapter",
    "AsyncJobStream",
    "AsyncTypedJob",
    "Call",
    "ContractError",
    "HandlerTypeError",
    "InputCheck",
    "InputError",
    "JobStream",
    "OutputError",
    "ServiceWorker",
    "TypedHandler",
    "TypedJob",
    "Violation",
    "call",
    "describe",
    "find_adapter",
    "input_check",
    "read_handler",
]

_MODULES = {
    "AsyncJobStream": "novita_sdk.client.async_typed_job",
    "AsyncTypedJob": "novita_sdk.client.async_typed_job",
    "JobStream": "novita_sdk.client.typed_job",
    "TypedJob": "novita_sdk.client.typed_job",
}


def __getattr__(name: str) -> object:
    """Lends the jobs of the client, which stand above the types that they use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
