"""The specification of a handler: a user's callable as something the runtime can run.

`HandlerSpec` is the one thing the runtime knows of a handler: how to call it with a job and its context, what kind of
result comes back, and how its values become JSON.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from novita_sdk.wire.payload import JSONValue, dump
from novita_worker._errors import ConfigError
from novita_worker._errors import describe as error_text
from novita_worker.handlers.context import JobContext

if TYPE_CHECKING:
    from novita_sdk.models import EndpointSchema
    from novita_sdk.typed import TypedHandler

__all__ = ["Handler", "HandlerKind", "HandlerSpec", "inspect_handler"]

Handler: TypeAlias = Callable[..., JSONValue]
"""`handler(job)`, `handler(job, context)` or `handler(context)`; sync, async, a generator or an async generator."""

_CONTEXT_NAMES: Final = frozenset({"context", "ctx"})
_BAD_FILES: Final = frozenset({"INVALID", "NOT_FOUND", "EXPIRED", "REFUSED", "TOO_LARGE"})
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class HandlerKind(Enum):
    """What a call of the handler gives."""

    SYNC = "sync"
    ASYNC = "async"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"

    @property
    def is_stream(self) -> bool:
        """Whether the output comes in chunks."""
        return self in (HandlerKind.GENERATOR, HandlerKind.ASYNC_GENERATOR)

    @property
    def is_async(self) -> bool:
        """Whether the handler runs on an event loop."""
        return self in (HandlerKind.ASYNC, HandlerKind.ASYNC_GENERATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerSpec:
    """A handler that was found fit to run.

    Attributes:
        name: What errors and logs call it.
        kind: What a call gives.
        call: Calls it with the job and its context.
        dump: Writes an output, or one chunk of it, as JSON; the second argument is what errors call the value.
        describe: Makes the schema of input and output, for the gateway to publish; None where there is none.
    """

    name: str
    kind: HandlerKind
    call: Callable[[dict[str, JSONValue], JobContext], object]
    dump: Callable[[JSONValue, str], bytes] = dump
    describe: Callable[[], EndpointSchema] | None = None


def inspect_handler(handler: object, *, lenient: bool = False) -> HandlerSpec:
    """Checks a handler before any job is taken for it.

    Args:
        handler: A function, an object that can be called, or an instance of a generated worker class.
        lenient: Whether a typed handler's input may have members that its type doesn't know.

    Raises:
        ConfigError: It is not callable, can't be called with a job, or has annotations that can't work.
    """
    # Here, because they load protobuf, which importing the worker must not.
    from novita_sdk.typed import HandlerTypeError, read_handler

    try:
        typed = read_handler(handler, context_type=JobContext, lenient=lenient, open_file=_open_input)
    except (HandlerTypeError, ModuleNotFoundError) as error:
        raise ConfigError(str(error)) from None
    if typed is not None:
        return HandlerSpec(
            name=typed.name,
            kind=_kind(typed.function),
            call=typed.call,
            dump=typed.dump,
            describe=lambda: _describe(typed, lenient=lenient),
        )
    if not callable(handler):
        raise ConfigError(f"the handler must be a function that takes a job, not {type(handler).__name__}")
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    if inspect.isclass(handler):
        raise ConfigError(f"the handler {name} is a class; pass a function or an instance with __call__")
    return HandlerSpec(name=name, kind=_kind(handler), call=_adapt(handler, name))


def _describe(typed: TypedHandler, *, lenient: bool) -> EndpointSchema:
    from novita_sdk.typed import describe

    try:
        return describe(typed, lenient=lenient)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001  a type's own code; in a task it would end the I/O loop
        raise RuntimeError(error_text(error)) from None


def _open_input(context: JobContext, file: JSONValue) -> Path:
    """The path of a file that stands in a `Path` field; a ValueError where the input is to blame."""
    from novita_sdk.files import FileError

    # The job may end while its files are fetched in a thread.
    context.checkpoint()
    try:
        return context.open(file)
    except FileError as error:
        if error.code in _BAD_FILES:
            raise ValueError(f"can't be opened: {error}") from error
        raise


def _kind(handler: Callable[..., object]) -> HandlerKind:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = handler if inspect.isroutine(handler) else type(handler).__call__
    if inspect.isasyncgenfunction(function):
        return HandlerKind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(function):
        return HandlerKind.GENERATOR
    return HandlerKind.ASYNC if inspect.iscoroutinefunction(function) else HandlerKind.SYNC


def _adapt(handler: Callable[..., object], name: str) -> Callable[[dict[str, JSONValue], JobContext], object]:
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):  # a builtin that doesn't tell
        return lambda job, _: handler(job)
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    required = [parameter for parameter in positional if parameter.default is inspect.Parameter.empty]
    keywords = [
        parameter.name
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is inspect.Parameter.empty
    ]
    takes_any = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    if not positional and not takes_any:
        raise ConfigError(f"the handler {name} takes no argument; it is called with the job: def {name}(job)")
    if len(required) > 2 or keywords:
        raise ConfigError(
            f"the handler {name} has required arguments beyond the job and its context; "
            f"write def {name}(job) or def {name}(job, context)"
        )
    if len(required) == 2 or (len(positional) > 1 and _is_context(positional[1])):
        return handler
    if positional and _is_context(positional[0]):
        return lambda _, context: handler(context)
    return lambda job, _: handler(job)


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return parameter.name in _CONTEXT_NAMES
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.rpartition(".")[2] == JobContext.__name__
