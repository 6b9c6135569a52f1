"""Typed contracts: what reads, checks and writes the JSON of messages, dataclasses, TypedDicts and pydantic models."""

from __future__ import annotations

from novita_sdk.client.typed_job import AsyncJobStream, AsyncTypedJob, JobStream, TypedJob
from novita_sdk.typed._adapters import Adapter, find_adapter
from novita_sdk.typed._annotations import HandlerTypeError
from novita_sdk.typed._checked import TypedHandler
from novita_sdk.typed._endpoint_schema import InputCheck, describe, input_check
from novita_sdk.typed._handlers import read_handler
from novita_sdk.typed._service import Call, ServiceWorker, call
from novita_sdk.typed._violations import ContractError, InputError, OutputError, Violation

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
