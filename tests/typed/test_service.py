"""Generated services: workers, clients and the word that names a method."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
from collections.abc import AsyncIterator, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from novita_sdk.typed import ContractError, HandlerTypeError, InputError, OutputError, TypedHandler, read_handler

pytestmark = pytest.mark.core

VALUE = {"prompt": "x", "width": 64}


@pytest.fixture(scope="session")
def draw(shop: ModuleType) -> ModuleType:
    return importlib.import_module("shop.v1.draw_service_novita")


@pytest.fixture(scope="session")
def talk(shop: ModuleType) -> ModuleType:
    return importlib.import_module("shop.v1.talk_service_novita")


@pytest.fixture(scope="session")
def studio(shop: ModuleType) -> ModuleType:
    return importlib.import_module("shop.v1.studio_service_novita")


class Recorder:
    """Stands where an endpoint stands, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any]] = []

    def run(self, request_input: Any, *, output_type: Any, **options: Any) -> SimpleNamespace:
        self.options = options
        self.asked.append((request_input, output_type))
        return SimpleNamespace(stream=lambda: iter(["chunk"]))


def read(worker: object) -> TypedHandler:
    found = read_handler(worker, context_type=SimpleNamespace)
    assert found is not None
    return found


def test_a_worker_of_one_method_takes_the_plain_input_and_gives_plain_output(
    draw: ModuleType, shop: ModuleType
) -> None:
    class Painter(draw.DrawWorker):  # type: ignore[misc, name-defined] # generated in the run
        def draw(self, request: Any, context: Any) -> Any:
            return shop.Drawn(images=[{"url": f"{request.prompt}{context}"}])

    typed = read(draw.register_draw(Painter())["handler"])
    output = json.loads(typed.dump(typed.call({"input": VALUE}, 7), "output"))
    assert output["images"][0]["url"] == "x7"
    with pytest.raises(InputError, match=r"string\.min_len"):
        typed.call({"input": {**VALUE, "prompt": ""}}, 7)
    with pytest.raises(OutputError, match=r"repeated\.min_items"):
        typed.dump(shop.Drawn(), "output")
    with pytest.raises(OutputError, match="must be Drawn"):
        typed.dump({"images": []}, "output")


def test_a_worker_that_leaves_a_method_out_cant_be_made(draw: ModuleType) -> None:
    class Idle(draw.DrawWorker):  # type: ignore[misc, name-defined] # generated in the run
        pass

    with pytest.raises(TypeError, match="abstract"):
        Idle()


def test_an_input_for_several_methods_names_its_method(studio: ModuleType, shop: ModuleType) -> None:
    class Studio(studio.StudioWorker):  # type: ignore[misc, name-defined] # generated in the run
        def sketch(self, request: Any, context: Any) -> Any:
            return shop.Token(text=f"sketch {request.prompt}")

        def paint(self, request: Any, context: Any) -> Any:
            return shop.Drawn(images=[{"url": "u"}])

    typed = read(Studio())
    recorder = Recorder()
    client = studio.StudioClient(recorder)
    client.sketch(shop.Draw(**VALUE))
    client.paint(shop.Draw(**VALUE))
    inputs = [json.loads(call.dump()) for call, _ in recorder.asked]
    assert [each["@method"] for each in inputs] == ["Sketch", "Paint"]
    assert [type(typed.call({"input": each}, None)) for each in inputs] == [shop.Token, shop.Drawn]
    assert [output_type for _, output_type in recorder.asked] == [shop.Token, shop.Drawn]
    for bad in ({**VALUE}, {**VALUE, "@method": "Erase"}):
        with pytest.raises(InputError, match="must be one of Sketch, Paint"):
            typed.call({"input": bad}, None)


def test_a_call_is_checked_before_it_is_sent(studio: ModuleType, shop: ModuleType) -> None:
    recorder = Recorder()
    studio.StudioClient(recorder).sketch(shop.Draw(prompt="", width=64))
    with pytest.raises(ContractError, match=r"string\.min_len"):
        recorder.asked[0][0].dump()


def test_a_client_of_one_method_sends_the_message_itself(draw: ModuleType, shop: ModuleType) -> None:
    recorder = Recorder()
    request = shop.Draw(**VALUE)
    draw.DrawClient(recorder).draw(request, idempotency_key="k", low_priority=True)
    assert recorder.asked == [(request, shop.Drawn)]
    assert recorder.options == {"idempotency_key": "k", "low_priority": True}


def test_a_streaming_client_is_iterated_and_a_streaming_worker_yields(talk: ModuleType, shop: ModuleType) -> None:
    class Talker(talk.TalkWorker):  # type: ignore[misc, name-defined] # generated in the run
        def talk(self, request: Any, context: Any) -> Iterator[Any]:
            yield shop.Token(text="a")
            yield shop.Token(text="")

    typed = read(Talker())
    stream: Any = typed.call({"input": VALUE}, None)
    chunks = list(stream)
    assert json.loads(typed.dump(chunks[0], "chunk")) == {"text": "a"}
    with pytest.raises(OutputError):
        typed.dump(chunks[1], "chunk")
    assert list(talk.TalkClient(Recorder()).talk(shop.Draw(**VALUE))) == ["chunk"]


@pytest.mark.parametrize("is_async", [False, True])
def test_the_output_of_another_method_is_refused(studio: ModuleType, shop: ModuleType, is_async: bool) -> None:
    """Read leniently by a client, a message of another type could look like an empty one of its own."""

    class Studio(studio.StudioWorker):  # type: ignore[misc, name-defined] # generated in the run
        def sketch(self, request: Any, context: Any) -> Any:
            return shop.Drawn(images=[{"url": "u"}])

        def paint(self, request: Any, context: Any) -> Any:
            return shop.Drawn(images=[{"url": "u"}])

    class AsyncStudio(studio.StudioWorker):  # type: ignore[misc, name-defined] # generated in the run
        async def sketch(self, request: Any, context: Any) -> Any:
            return shop.Drawn(images=[{"url": "u"}])

        async def paint(self, request: Any, context: Any) -> Any:
            return {"error": "no paint"}

    typed = read(AsyncStudio() if is_async else Studio())

    def work(method: str) -> Any:
        result: Any = typed.call({"input": {**VALUE, "@method": method}}, None)
        return asyncio.run(result) if is_async else result

    with pytest.raises(OutputError, match="not a valid Token: must be a Token message"):
        work("Sketch")
    assert work("Paint") == ({"error": "no paint"} if is_async else shop.Drawn(images=[{"url": "u"}]))


def test_a_chunk_of_another_method_is_refused_and_the_generator_closed(shop: ModuleType) -> None:
    feed: Any = importlib.import_module("shop.v1.feed_service_novita")
    closed = []

    class Feed(feed.FeedWorker):  # type: ignore[misc] # generated in the run
        def words(self, request: Any, context: Any) -> Iterator[Any]:
            try:
                yield shop.Token(text="a")
                yield shop.Drawn(images=[{"url": "u"}])
            finally:
                closed.append("sync")

        def pictures(self, request: Any, context: Any) -> Iterator[Any]:
            yield

    class AsyncFeed(feed.FeedWorker):  # type: ignore[misc] # generated in the run
        async def words(self, request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                yield shop.Token(text="a")
                yield shop.Drawn(images=[{"url": "u"}])
            finally:
                closed.append("async")

        async def pictures(self, request: Any, context: Any) -> AsyncIterator[Any]:
            yield

    job = {"input": {**VALUE, "@method": "Words"}}
    chunks: Any = read(Feed()).call(job, None)
    assert next(chunks) == shop.Token(text="a")
    with pytest.raises(OutputError):
        next(chunks)

    async def drain() -> None:
        chunks: Any = read(AsyncFeed()).call(job, None)
        assert await anext(chunks) == shop.Token(text="a")
        with pytest.raises(OutputError):
            await anext(chunks)

    asyncio.run(drain())
    assert closed == ["sync", "async"]


def test_a_method_behind_a_decorator_is_of_the_kind_behind_it(talk: ModuleType, shop: ModuleType) -> None:
    def plain(method: Any) -> Any:
        @functools.wraps(method)
        def call(self: object, request: Any, context: Any) -> Any:
            return method(self, request, context)

        return call

    class Talker(talk.TalkWorker):  # type: ignore[misc, name-defined] # generated in the run
        @plain
        async def talk(self, request: Any, context: Any) -> AsyncIterator[Any]:
            yield shop.Word(text=request.prompt)

    assert read(Talker()).name.endswith("Talker")


def test_a_worker_of_the_wrong_kind_is_refused_at_the_start(talk: ModuleType, studio: ModuleType) -> None:
    class Returns(talk.TalkWorker):  # type: ignore[misc, name-defined] # generated in the run
        def talk(self, request: Any, context: Any) -> Any: ...

    class Mixed(studio.StudioWorker):  # type: ignore[misc, name-defined] # generated in the run
        def sketch(self, request: Any, context: Any) -> Any: ...

        async def paint(self, request: Any, context: Any) -> Any: ...

    with pytest.raises(HandlerTypeError, match="Returns must yield the output of Talk"):
        read(Returns())
    with pytest.raises(HandlerTypeError, match="must be of one kind, but Sketch is a plain function, Paint is a"):
        read(Mixed())
