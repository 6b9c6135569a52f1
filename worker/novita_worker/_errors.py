"""Errors of the worker runtime."""

from __future__ import annotations

__all__ = ["ConfigError", "JobCancelled"]


class ConfigError(ValueError):
    """`start()` was called in a way that can't work, or the environment can't; the message says what to change."""


class JobCancelled(BaseException):
    """The job is to end: it was stopped, ran out of time, or its worker shuts down.

    A BaseException, so that a handler's `except Exception` does not swallow it.
    """
