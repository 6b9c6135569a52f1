"""Compiles protos to Python: messages, gRPC stubs, and the method tables and typed stubs of `protoc-gen-novita`."""

from __future__ import annotations

from novita_codegen._breaking import breaking_changes
from novita_codegen._change import BreakingChange
from novita_codegen._generate import descriptors, generate
from novita_codegen._protoc import GenerateError
from novita_codegen._tree import Change

__all__ = ["BreakingChange", "Change", "GenerateError", "breaking_changes", "descriptors", "generate"]
