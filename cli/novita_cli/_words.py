"""The SDK's messages in the words of a command line, where they speak of Python."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["in_options"]

_WORDS: Final = (
    (re.compile(r"\b(?:the )?argument (api_key|base_url)\b"), lambda found: _option(found[1])),
    (re.compile(r"\bapi_key=…"), lambda _: "--api-key KEY"),
    (re.compile(r"\bbase_url=…"), lambda _: "--base-url URL"),
    (re.compile(r"\b(idempotency_key|manifest)=('[^']*'|…)"), lambda found: f"{_option(found[1])} {found[2]}"),
    (re.compile(r"\bpolicy\.executionTimeout\b"), lambda _: "--execution-timeout"),
    (re.compile(r"\bpolicy\.ttl\b"), lambda _: "--ttl"),
    (re.compile(r"\b(idempotency_key|low_priority)\b"), lambda found: _option(found[1])),
    (re.compile(r"\bstream\(start=(\d+)\)"), lambda found: f"novita-gpus stream … --start {found[1]}"),
    (re.compile(r", or pass it as run\(input=…\)"), lambda _: ""),
)


def in_options(message: str) -> str:
    """The message with options in the place of arguments."""
    for pattern, word in _WORDS:
        message = pattern.sub(word, message)
    return message


def _option(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"
