"""Handlers whose annotations are contracts."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import pytest

from novita_sdk.typed import HandlerTypeError, InputError, OutputError, TypedHandler, read_handler

pytestmark = pytest.mark.core

if TYPE_CHECKING:
    from novita_worker import JobContext as OnlyForCheckers


@dataclass
class Draw:
    prompt: str
    width: int = 512


@dataclass
class Drawn:
    url: str


class JobDict(TypedDict):
    id: str
    input: dict[str, int]


class Context:
    id = "j1"


class Opaque:
    pass


CONTEXT = Context()


def read(handler: object, *, lenient: bool = False) -> TypedHandler:
    found = read_handler(handler, context_type=Context, lenient=lenient)
    assert found is not None
    return found


def run(handler: object, value: Any) -> Any:
    return read(handler).call({"id": "j1", "input": value}, CONTEXT)


def test_input_is_parsed_before_the_handler_and_output_is_written_after_it() -> None:
    def handler(request: Draw) -> Drawn:
        assert isinstance(request, Draw)
        return Drawn(url=f"{request.prompt}-{request.width}")

    typed = read(handler)
    result = typed.call({"id": "j1", "input": {"prompt": "x"}}, CONTEXT)
    assert json.loads(typed.dump(result, "output")) == {"url": "x-512"}


def test_a_second_argument_is_the_context() -> None:
    def annotated(request: Draw, context: Context) -> str:
        return context.id

    def bare(request: Draw, context) -> str:  # type: ignore[no-untyped-def] # what users write
        return str(context.id)

    def for_checkers(request: Draw, context: OnlyForCheckers) -> str:
        return context.id

    def defaulted(request: Draw, steps: int = 3) -> str:
        return str(steps)

    assert [run(handler, {"prompt": "x"}) for handler in (annotated, bare, for_checkers)] == ["j1"] * 3
    assert run(defaulted, {"prompt": "x"}) == "3"


def test_every_kind_of_handler() -> None:
    async def coroutine(request: Draw) -> Drawn:
        return Drawn(url=request.prompt)

    def generator(request: Draw) -> Generator[Drawn, None, None]:
        yield Drawn(url=request.prompt)

    async def async_generator(request: Draw) -> AsyncIterator[Drawn]:
        yield Drawn(url=request.prompt)

    class Callee:
        def __call__(self, request: Draw) -> Drawn:
            return Drawn(url=request.prompt)

    def partly(style: str, request: Draw) -> Drawn:
        return Drawn(url=request.prompt)

    async def first(chunks: AsyncIterator[Drawn]) -> Drawn:
        return await anext(chunks)

    expected, value = Drawn(url="x"), {"prompt": "x"}
    assert asyncio.run(run(coroutine, value)) == expected
    assert list(run(generator, value)) == [expected]
    assert asyncio.run(first(run(async_generator, value))) == expected
    assert run(Callee(), value) == expected
    assert run(functools.partial(partly, "oil"), value) == expected
    assert json.loads(read(generator).dump(expected, "chunk")) == {"url": "x"}


def test_a_bad_input_fails_before_the_handler_runs_with_every_violation() -> None:
    calls = []

    def handler(request: Draw) -> None:
        calls.append(request)

    with pytest.raises(InputError, match="width") as caught:
        run(handler, {"prompt": "x", "width": "wide"})
    assert caught.value.code == "INVALID_INPUT"
    assert caught.value.violations[0].field == "width"
    assert calls == []


def test_a_lenient_worker_ignores_unknown_members() -> None:
    def handler(request: Draw) -> str:
        return request.prompt

    job = {"id": "j1", "input": {"prompt": "x", "new": 1}}
    with pytest.raises(InputError, match="new"):
        read(handler).call(job, CONTEXT)
    assert read(handler, lenient=True).call(job, CONTEXT) == "x"


def test_a_bad_output_is_not_sent() -> None:
    def handler(request: Draw) -> Drawn:
        return Drawn(url=5)  # type: ignore[arg-type] # the mistake

    with pytest.raises(OutputError, match="url") as caught:
        read(handler).dump(Drawn(url=5), "output")  # type: ignore[arg-type] # the mistake
    assert caught.value.code == "INVALID_OUTPUT"


def test_an_output_without_a_type_is_plain_json() -> None:
    def handler(request: Draw):  # type: ignore[no-untyped-def] # no output type
        return {"a": 1}

    assert read(handler).dump({"a": 1}, "output") == b'{"a":1}'


def test_published_handlers_stay_untyped() -> None:
    def bare(job): ...  # type: ignore[no-untyped-def] # what users write
    def as_dict(job: dict[str, Any]) -> dict[str, Any]: ...  # type: ignore[empty-body] # only its signature is read
    def as_typed_dict(request: JobDict) -> None: ...
    def named(job: OnlyForCheckers) -> None: ...
    def context_alone(context: Context) -> None: ...
    def as_any(job: Any) -> None: ...

    handlers: list[Callable[..., Any]] = [bare, as_dict, as_typed_dict, named, context_alone, as_any, print]
    assert [read_handler(handler, context_type=Context) for handler in handlers] == [None] * len(handlers)
    assert read_handler(Draw, context_type=Context) is None
    assert read_handler("handler", context_type=Context) is None


def opaque(request: Opaque) -> None: ...
def only_for_checkers(request: OnlyForCheckers) -> None: ...
def several(request: list[Draw]) -> None: ...
def optional(request: Draw | None) -> None: ...
def bad_context(request: Draw, context: Opaque) -> None: ...
def too_many(request: Draw, context: Context, extra: int) -> None: ...
def bad_output(request: Draw) -> Opaque: ...  # type: ignore[empty-body] # only its signature is read
def no_yield(request: Draw) -> Iterator[Drawn]: ...  # type: ignore[empty-body] # only its signature is read


def yields(request: Draw) -> Drawn:  # type: ignore[misc] # the mistake
    yield Drawn(url="x")


async def yields_async(request: Draw) -> Iterator[Drawn]:  # type: ignore[misc] # the mistake
    yield Drawn(url="x")


@dataclass
class Unreadable:
    thing: Opaque


def unreadable(request: Unreadable) -> None: ...


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (opaque, "argument request of handler opaque: Opaque can't be read from JSON"),
        (only_for_checkers, "not known at run time"),
        (several, "make it a field of a dataclass"),
        (optional, "make it a field of a dataclass"),
        (bad_context, "argument context of handler bad_context must be a Context"),
        (too_many, "arguments beyond its input"),
        (bad_output, "return annotation of handler bad_output: Opaque"),
        (no_yield, "has no yield"),
        (yields, r"must be Iterator\[…\]"),
        (yields_async, r"must be AsyncIterator\[…\]"),
        (unreadable, "argument request of handler unreadable"),
    ],
)
def test_annotations_that_cant_work_are_refused_at_the_start(handler: Callable[..., Any], problem: str) -> None:
    with pytest.raises(HandlerTypeError, match=problem):
        read_handler(handler, context_type=Context)
