"""Handlers with types: read from their annotations or from a service, checked before the first job."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, assert_never, cast

from novita_sdk.threads import FILE_THREADS
from novita_sdk.typed._annotations import (
    UNRESOLVED,
    FunctionKind,
    HandlerTypeError,
    adapter_of,
    is_plain_job,
    kind_of,
    output_of,
    resolve,
    unwrap,
)
from novita_sdk.typed._checked import TypedHandler, advice_of, dump_output, parse_input
from novita_sdk.typed._paths import expect_file
from novita_sdk.typed._service import ServiceWorker, read_service
from novita_sdk.wire import payload
from novita_sdk.wire.payload import JSONValue

__all__ = ["read_handler"]

ContextT = TypeVar("ContextT")

OpenInput: TypeAlias = Callable[[ContextT, JSONValue], Path]
"""Gives a file of an input its path, from the context of the job."""

_Read: TypeAlias = Callable[[dict[str, JSONValue], object], object]
_Work: TypeAlias = Callable[[object, object], object]
_Call: TypeAlias = Callable[[dict[str, JSONValue], object], object]

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def read_handler(
    handler: object,
    *,
    context_type: type[ContextT],
    lenient: bool = False,
    open_file: OpenInput[ContextT] | None = None,
) -> TypedHandler | None:
    """Reads the types of a handler.

    Args:
        handler: A function, an object that can be called, or a `ServiceWorker`.
        context_type: What the second argument of a handler is.
        lenient: Whether inputs may have members that their type doesn't know.
        open_file: Gives a file of the input its path, from the job's context; may block, and a ValueError says what is
            wrong with the file. Without it `Path` fields hold names of files that are not there.

    Returns:
        None for a handler without types, which takes the job as plain JSON.

    Raises:
        HandlerTypeError: Something in the annotations can't work.
        ModuleNotFoundError: The types need a package that is not installed.
    """
    if isinstance(handler, ServiceWorker):
        return read_service(handler, lenient=lenient)
    if inspect.isclass(handler) or not callable(handler):
        return None
    return _read_function(handler, context_type, lenient=lenient, open_file=open_file)


def _read_function(
    handler: Callable[..., object],
    context_type: type[ContextT],
    *,
    lenient: bool,
    open_file: OpenInput[ContextT] | None,
) -> TypedHandler | None:
    function = unwrap(handler)
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # a builtin that doesn't tell
        return None
    parameters = [item for item in signature.parameters.values() if item.kind in _POSITIONAL]
    if not parameters:
        return None
    first = resolve(parameters[0].annotation, function)
    if first is context_type or is_plain_job(parameters[0].name, first):
        return None
    reader = adapter_of(first, f"argument {parameters[0].name} of handler {name}")
    if reader is None:
        return None
    takes_context = _takes_context(parameters[1:], function, context_type, name)
    answer = output_of(resolve(signature.return_annotation, function), function, f"handler {name}")
    writer = adapter_of(answer, f"return annotation of handler {name}")
    if writer is not None and writer.has_paths:
        raise HandlerTypeError(
            f"return annotation of handler {name}: {writer.name} has a Path, which means nothing to the client; "
            "return File.from_path(path), without an annotation"
        )

    def read(job: dict[str, JSONValue], context: object) -> object:
        # Who named the type of the contexts passes them.
        opened = expect_file if open_file is None else partial(open_file, cast("ContextT", context))
        return parse_input(reader, job.get("input"), lenient=lenient, open_file=opened, advice=advice_of(job))

    def work(request: object, context: object) -> object:
        return handler(request, context) if takes_context else handler(request)

    call = _call_with_files(kind_of(function), read, work) if reader.has_paths else _call(read, work)

    def dump(value: JSONValue, what: str) -> bytes:
        return payload.dump(value, what) if writer is None else dump_output(writer, value)

    return TypedHandler(name=name, function=handler, call=call, dump=dump, inputs={"": reader}, outputs={"": writer})


def _call(read: _Read, work: _Work) -> _Call:
    return lambda job, context: work(read(job, context), context)


def _call_with_files(kind: FunctionKind, read: _Read, work: _Work) -> _Call:
    """Fetches the files of an asynchronous handler in a thread: other jobs run on the same loop."""
    match kind:
        case FunctionKind.PLAIN | FunctionKind.GENERATOR:
            return _call(read, work)
        case FunctionKind.COROUTINE:
            return _call_after_thread(read, work)
        case FunctionKind.ASYNC_GENERATOR:
            return _stream_after_thread(read, cast("Callable[[object, object], AsyncGenerator[object]]", work))
        case _:
            assert_never(kind)


def _call_after_thread(read: _Read, work: _Work) -> _Call:
    async def call(job: dict[str, JSONValue], context: object) -> object:
        result = work(await FILE_THREADS.run(read, job, context), context)
        return await result if inspect.isawaitable(result) else result

    return call


def _stream_after_thread(read: _Read, work: Callable[[object, object], AsyncGenerator[object]]) -> _Call:
    async def call(job: dict[str, JSONValue], context: object) -> AsyncIterator[object]:
        async with aclosing(work(await FILE_THREADS.run(read, job, context), context)) as chunks:
            async for chunk in chunks:
                yield chunk

    return call


def _takes_context(
    others: list[inspect.Parameter], function: Callable[..., object], context_type: type, name: str
) -> bool:
    required = [item for item in others if item.default is inspect.Parameter.empty]
    if len(required) > 1:
        raise HandlerTypeError(f"handler {name} has arguments beyond its input and the {context_type.__name__}")
    if not others:
        return False
    kind = resolve(others[0].annotation, function)
    # Typing imports alone are common for the context, whose type nobody needs at run time.
    is_context = kind in (context_type, UNRESOLVED) or (kind is Any and bool(required))
    if required and not is_context:
        raise HandlerTypeError(
            f"argument {others[0].name} of handler {name} must be a {context_type.__name__}, not {others[0].annotation}"
        )
    return is_context
