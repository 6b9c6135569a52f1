"""Errors of the worker runtime."""

from __future__ import annotations

import traceback

__all__ = ["ConfigError", "JobCancelled", "describe"]


class ConfigError(ValueError):
    """`start()` was called in a way that can't work, or the environment can't; the message says what to change."""


class JobCancelled(BaseException):
    """The job is to end: it was stopped, ran out of time, or its worker shuts down.

    A BaseException, so that a handler's `except Exception` does not swallow it.
    """


def describe(error: BaseException) -> str:
    """The error's type and message, also where its own `__str__` fails."""
    return "".join(traceback.format_exception_only(error)).strip()
