"""The annotations of a handler, read as types."""

from __future__ import annotations

import enum
import functools
import inspect
from collections import abc
from collections.abc import Callable
from typing import Any, Final, get_args, get_origin, is_typeddict

from novita_sdk.typed._adapters import Adapter, find_adapter

__all__ = [
    "UNRESOLVED",
    "FunctionKind",
    "HandlerTypeError",
    "adapter_of",
    "is_plain_job",
    "kind_of",
    "output_of",
    "resolve",
    "unwrap",
]

UNRESOLVED: Final = object()
"""An annotation whose name is not known at run time."""

_STREAMS: Final = (abc.Iterator, abc.Iterable, abc.Generator)
_ASYNC_STREAMS: Final = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
_JSON_TYPES: Final = (dict, list, tuple, str, int, float, bool, type(None))
_PLAIN_MODULES: Final = frozenset({"builtins", "typing", "types", "collections", "collections.abc"})


class FunctionKind(enum.Enum):
    """The kinds of functions, by how they give their result; the values are the words for them."""

    PLAIN = "a plain function"
    COROUTINE = "a coroutine function"
    GENERATOR = "a generator"
    ASYNC_GENERATOR = "an async generator"

    @property
    def is_stream(self) -> bool:
        """Whether it gives its result in pieces."""
        return self in (FunctionKind.GENERATOR, FunctionKind.ASYNC_GENERATOR)


class HandlerTypeError(TypeError):
    """The annotations of a handler can't work; the message says which, and what to write."""


def unwrap(handler: Callable[..., object]) -> Callable[..., object]:
    """The function behind a partial or an object that can be called."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else type(handler).__call__


def kind_of(function: Callable[..., object]) -> FunctionKind:
    """The kind of a function; `unwrap` finds the function of other callables."""
    if inspect.isasyncgenfunction(function):
        return FunctionKind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(function):
        return FunctionKind.GENERATOR
    return FunctionKind.COROUTINE if inspect.iscoroutinefunction(function) else FunctionKind.PLAIN


def resolve(annotation: object, function: Callable[..., object]) -> object:
    """The type that an annotation means; `UNRESOLVED` for a name that exists for type checkers only."""
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    function = inspect.unwrap(function)
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    names = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    try:
        return eval(annotation, getattr(function, "__globals__", {}), names)  # noqa: S307  the user's own annotation
    except Exception:  # noqa: BLE001  whatever an expression raises, it names no type
        return UNRESOLVED


def is_plain_job(name: str, annotation: object) -> bool:
    """Whether a first argument is the whole job as a dict, which has no type to check."""
    if annotation is UNRESOLVED or is_typeddict(annotation):
        return name == "job" or {"id", "input"} <= set(getattr(annotation, "__annotations__", ()))
    return False


def adapter_of(annotation: object, where: str) -> Adapter[object] | None:
    """The adapter of an annotated type; None for plain JSON.

    Raises:
        HandlerTypeError: The type can't be read from JSON.
    """
    if annotation is UNRESOLVED:
        raise HandlerTypeError(
            f"{where}: the annotation names something that is not known at run time; import it outside of "
            "`if TYPE_CHECKING:`"
        )
    try:
        adapter = find_adapter(annotation)
        if adapter is not None:
            return adapter
        inner = next((kind for kind in _parts(annotation) if find_adapter(kind) is not None), None)
    except (TypeError, ValueError) as error:
        raise HandlerTypeError(f"{where}: {error}") from None
    if inner is not None:
        raise HandlerTypeError(f"{where}: {annotation} is no type of its own; make it a field of a dataclass")
    if _is_foreign(annotation):
        raise HandlerTypeError(
            f"{where}: {getattr(annotation, '__qualname__', annotation)} can't be read from JSON; use a protobuf "
            "message, a dataclass, a TypedDict or a pydantic model, or no annotation for plain JSON"
        )
    return None


def output_of(annotation: object, function: Callable[..., object], where: str) -> object:
    """The type of an output, or of one chunk of it.

    Raises:
        HandlerTypeError: The annotation says a stream where there is none, or the other way round.
    """
    kind = kind_of(function)
    origin = get_origin(annotation) or annotation
    says_stream = origin in _STREAMS or origin in _ASYNC_STREAMS
    if not kind.is_stream:
        if says_stream:
            raise HandlerTypeError(f"{where} returns {annotation}, but it has no yield")
        return annotation
    if annotation is Any or annotation is UNRESOLVED:
        return annotation
    is_async = kind is FunctionKind.ASYNC_GENERATOR
    if origin not in (_ASYNC_STREAMS if is_async else _STREAMS):
        name = "AsyncIterator" if is_async else "Iterator"
        raise HandlerTypeError(f"{where} yields, so its return annotation must be {name}[…], not {annotation}")
    return next(iter(get_args(annotation)), Any)


def _parts(annotation: object) -> list[object]:
    """The types inside a union or a generic type."""
    return [part for inner in get_args(annotation) for part in (inner, *_parts(inner))]


def _is_foreign(annotation: object) -> bool:
    """Whether it is a class that means nothing in JSON."""
    if not isinstance(annotation, type) or get_origin(annotation) is not None:
        return False
    return annotation.__module__ not in _PLAIN_MODULES and not issubclass(annotation, _JSON_TYPES)
