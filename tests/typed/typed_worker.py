"""A worker of the test services; argv has which handler it serves, and its config as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from album.v1 import album_pb2
from shop.v1 import shop_pb2
from shop.v1.draw_service_novita import DrawWorker, register_draw
from shop.v1.talk_service_novita import TalkWorker, register_talk

import novita_gpus
from novita_sdk.files import File

if TYPE_CHECKING:
    from novita_worker import JobContext


@dataclass
class Sum:
    numbers: list[int]


@dataclass
class Total:
    total: int


def annotated(request: shop_pb2.Draw, context: JobContext) -> shop_pb2.Drawn:
    sys.stderr.write("handler called\n")
    if request.prompt == "no paint":
        return {"error": "there is no paint", "left": 0}
    if request.prompt == "nothing":
        return shop_pb2.Drawn()
    return shop_pb2.Drawn(images=[{"url": f"{request.prompt}/{request.seed}", "name": context.id}])


async def total(request: Sum) -> Total:
    return Total(total=sum(request.numbers))


def copied(request: album_pb2.Album, context: JobContext) -> album_pb2.Album:
    """The photos again: the cover from a file, the others from bytes, one of them inside."""
    path = Path(f"cover-{context.id}.txt")
    path.write_bytes(context.open(request.cover).read_bytes().upper())
    others = [File.from_bytes(context.open(photo).read_bytes().upper(), name=photo.name) for photo in request.photos]
    photos = [other.to_message() for other in others]
    cover = File.from_path(path, media_type="text/plain").to_message()
    inner = album_pb2.Album(title="inner", cover=photos[0]) if photos else None
    return album_pb2.Album(title=request.title, cover=cover, photos=photos, inner=inner, named=request.named)


def echoed(request: album_pb2.Album) -> album_pb2.Album:
    return request


class Painter(DrawWorker):  # type: ignore[misc] # generated in the run
    def draw(self, request: Any, context: JobContext) -> Any:
        return annotated(request, context)


class Talker(TalkWorker):  # type: ignore[misc] # generated in the run
    def talk(self, request: Any, context: JobContext) -> Iterator[Any]:
        for word in request.prompt.split():
            yield shop_pb2.Token(text=word)


CONFIGS: dict[str, dict[str, Any]] = {
    "annotated": {"handler": annotated},
    "total": {"handler": total},
    "copied": {"handler": copied},
    "echoed": {"handler": echoed},
    "service": register_draw(Painter()),
    "talk": register_talk(Talker()),
}

novita_gpus.start({**CONFIGS[sys.argv[1]], **json.loads(sys.argv[2])})
