"""Handlers and generated worker classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from shop.v1.draw_service_novita import DrawWorker, register_draw
from shop.v1.shop_pb2 import Draw, Drawn, Token
from shop.v1.talk_service_novita import TalkWorker

from novita_worker import JobContext, start


class Sync(DrawWorker):
    def draw(self, request: Draw, context: JobContext) -> Drawn:
        assert_type(request.width, int)
        assert_type(context.id, str)
        assert_type(context.cancelled, bool)
        return Drawn()


class Async(DrawWorker):
    async def draw(self, request: Draw, context: JobContext) -> Drawn:
        return Drawn()


class Stream(TalkWorker):
    def talk(self, request: Draw, context: JobContext) -> Iterator[Token]:
        yield Token()


class AsyncStream(TalkWorker):
    async def talk(self, request: Draw, context: JobContext) -> AsyncIterator[Token]:
        yield Token()


def handler(request: Draw, context: JobContext) -> Drawn:
    context.progress(fraction=0.5, message="half")
    return Drawn()


assert_type(register_draw(Sync()), dict[str, object])


def main() -> None:
    start(register_draw(Async()))
    start({"handler": handler, "concurrency": 2})
