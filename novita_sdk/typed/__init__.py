"""Typed contracts: what reads, checks and writes the JSON of messages, dataclasses, TypedDicts and pydantic models."""

from __future__ import annotations

from novita_sdk.typed._adapters import Adapter, find_adapter
from novita_sdk.typed._violations import ContractError, InputError, OutputError, Violation

__all__ = ["Adapter", "ContractError", "InputError", "OutputError", "Violation", "find_adapter"]
