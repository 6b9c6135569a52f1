"""Errors of the worker runtime."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

__all__ = ["ConfigError", "JobCancelled", "describe", "log_failure", "quoted", "type_name"]


class ConfigError(ValueError):
    """`start()` was called in a way that can't work, or the environment can't; the message says what to change."""


class JobCancelled(BaseException):
    """The job is to end: it was stopped, ran out of time, or its worker shuts down.

    A BaseException, so that a handler's `except Exception` does not swallow it.
    """


def describe(error: BaseException) -> str:
    """The error's type and message, whatever its own code does."""
    shown = quoted(lambda: "".join(traceback.format_exception_only(error)).strip(), "")
    return shown or f"{type_name(error)}: {quoted(lambda: str(error))}"


def quoted(read: Callable[[], str], otherwise: str | None = None) -> str:
    """Text that code of the user makes, such as the `__str__` of an exception.

    Args:
        read: Makes it.
        otherwise: What stands for it if that fails; by default, what went wrong.
    """
    try:
        # Of a subclass, whose methods are the user's too, the plain text.
        return str.__str__(read())
    except BaseException as error:  # noqa: BLE001  also one that says that the process is to end, which it can't mean
        return f"<not shown: that raised {type_name(error)}>" if otherwise is None else otherwise


def type_name(error: BaseException) -> str:
    """The name of the error's class, also where its metaclass has one of its own."""
    return str(type.__dict__["__name__"].__get__(type(error)))


def log_failure(log: logging.Logger, text: str, error: BaseException) -> None:
    """Logs an error of the user's code, with its traceback where that can be shown."""
    try:
        log.error(text, exc_info=error)
    except BaseException:  # noqa: BLE001  code of the exception's own
        log.error("%s: %s", text, describe(error))
