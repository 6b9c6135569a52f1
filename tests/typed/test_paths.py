"""Fields of the type `Path`: files in JSON, local paths for handlers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import jsonschema
import pydantic
import pytest

from novita_sdk.typed import ContractError, HandlerTypeError, InputError, read_handler
from tests.support.adapters import adapter

pytestmark = pytest.mark.core

FILE = {"url": "https://store/blob?signature=secret", "name": "in.png", "sha256": "ab" * 32, "size": 3}
URL = "https://example.com/in.png?token=secret"


@dataclass
class Draw:
    image: Path
    mask: Path | None = None
    layers: list[Path] = field(default_factory=list)


class DrawDict(TypedDict):
    image: Path
    mask: NotRequired[Path | None]
    layers: NotRequired[list[Path]]


class DrawModel(pydantic.BaseModel):
    image: Path
    mask: Path | None = None
    layers: list[Path] = []


class Nested(pydantic.BaseModel):
    draw: DrawModel
    named: dict[str, Path] = {}
    pair: tuple[int, Path] | None = None


KINDS = [Draw, DrawDict, DrawModel]


class Context:
    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.threads: set[int] = set()

    def open(self, value: Any) -> Path:
        self.opened.append(value)
        self.threads.add(threading.get_ident())
        if value == "https://example.com/gone":
            raise ValueError("can't be opened: it is gone")
        return Path("/local", str(len(self.opened)))


def call(handler: Any, value: Any, context: Context) -> Any:
    typed = read_handler(handler, context_type=Context, open_file=Context.open)
    assert typed is not None
    return typed.call({"id": "j", "input": value}, context)


def handler_of(kind: Any) -> Any:
    def handler(request: object, context: object) -> object:
        return request if isinstance(request, dict) else vars(request)

    handler.__annotations__ = {"request": kind, "context": Context}
    return handler


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_urls_become_local_paths(kind: Any) -> None:
    context = Context()
    request = call(handler_of(kind), {"image": FILE, "mask": None, "layers": [URL, FILE]}, context)
    assert context.opened == [FILE, URL, FILE]
    assert request == {"image": Path("/local/1"), "mask": None, "layers": [Path("/local/2"), Path("/local/3")]}


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_not_be_opened_is_named_by_its_field_and_without_the_key_of_its_link(kind: Any) -> None:
    with pytest.raises(InputError, match="it is gone") as caught:
        call(handler_of(kind), {"image": URL, "layers": [URL, "https://example.com/gone"]}, Context())
    assert [item.field for item in caught.value.violations] == ["layers[1]"]
    for wrong in ("in.png", "file:///etc/passwd", "http://", "http://[", 5, {"url": URL}):
        with pytest.raises(ContractError) as bad:
            adapter(kind).parse({"image": wrong})
        assert bad.value.violations[0].field == "image"
        assert "secret" not in str(bad.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_takes_files_and_urls(kind: Any) -> None:
    validator = jsonschema.Draft202012Validator(adapter(kind).schema())
    assert validator.is_valid({"image": FILE, "mask": None, "layers": [URL]})
    assert validator.is_valid({"image": URL})
    assert not validator.is_valid({"image": "in.png"})
    assert not validator.is_valid({"image": {"url": URL}})


def test_paths_are_found_in_nested_models() -> None:
    context = Context()
    request = call(handler_of(Nested), {"draw": {"image": URL}, "named": {"a": FILE}, "pair": [1, URL]}, context)
    assert request["draw"].image == Path("/local/1")
    assert request["named"] == {"a": Path("/local/2")}
    assert request["pair"] == (1, Path("/local/3"))
    with pytest.raises(InputError) as caught:
        call(handler_of(Nested), {"draw": {"image": "https://example.com/gone"}}, context)
    assert caught.value.violations[0].field == "draw.image"


def test_async_handlers_fetch_away_from_their_loop() -> None:
    async def coroutine(request: Draw) -> str:
        return str(request.image)

    async def stream(request: Draw) -> AsyncIterator[str]:
        yield str(request.image)

    async def run(context: Context) -> list[str]:
        chunks = [chunk async for chunk in call(stream, {"image": URL}, context)]
        return [await call(coroutine, {"image": URL}, context), *chunks]

    context = Context()
    assert asyncio.run(run(context)) == ["/local/2", "/local/1"]
    assert threading.get_ident() not in context.threads


def test_a_path_is_no_output() -> None:
    def handler(request: Draw) -> Draw:
        return request

    with pytest.raises(HandlerTypeError, match="means nothing to the client"):
        call(handler, {"image": URL}, Context())


@pytest.mark.parametrize("value", [Draw(image=Path("in.png")), DrawModel(image=Path("in.png"))])
def test_a_path_of_this_machine_is_not_sent(value: Any) -> None:
    with pytest.raises(ContractError):
        adapter(type(value)).dump(value)
