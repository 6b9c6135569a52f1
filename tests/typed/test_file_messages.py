"""Files in fields of the user's own messages: filled from files of this machine on both sides, opened on both sides."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from novita_gateway import Gateway
from novita_sdk import AsyncClient, Client, Endpoint, InvalidInputError, JobFailedError
from novita_sdk.files import File, FileError, send_files
from novita_sdk.files._file import LocalFile
from novita_sdk.files._local_links import path_link
from novita_sdk.files._named import SMALL
from novita_sdk.models import File as FileMessage
from novita_sdk.typed import AsyncTypedJob, TypedJob, call, find_adapter
from tests.support.typed_workers import Serve


class Shelf:
    """A store that keeps what it is given."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    def put(self, file: LocalFile, *, on_progress: object = None) -> File:
        self.contents.append(file.read())
        return File(url=f"http://shelf/{file.name}", name=file.name, size=file.size, sha256=file.sha256)


@pytest.fixture
def unreachable() -> Endpoint:
    return Client(api_key="k", base_url="http://127.0.0.1:9").endpoint("album")


@pytest.fixture
def cover(tmp_path: Path) -> FileMessage:
    path = tmp_path / "cover, with a comma.txt"
    path.write_bytes(b"cover")
    return File.from_path(path).to_message()


def photo(content: bytes) -> FileMessage:
    return File.from_bytes(content, name="photo.txt").to_message()


def read(message: FileMessage) -> bytes:
    return File.from_message(message).read()


async def test_files_of_messages_arrive_on_both_sides_and_typed_jobs_are_found_again(
    serve: Serve, gateway: Gateway, album: ModuleType, cover: FileMessage
) -> None:
    endpoint = serve("copied")
    request = album.Album(title="a", cover=cover, photos=[photo(b"one"), photo(b"")], named={"x": photo(b"named")})
    job = endpoint.run(request, output_type=album.Album)
    reply = job.output(timeout=60)
    assert [read(item) for item in (reply.cover, *reply.photos, reply.inner.cover)] == [b"COVER", b"ONE", b"", b"ONE"]
    assert read(reply.named["x"]) == b"named"
    assert (reply.cover.media_type, reply.photos[0].name) == ("text/plain", "photo.txt")
    assert request.cover.url == cover.url  # the user's message is the user's
    again: TypedJob[Any] = TypedJob.from_string(job.to_string(), endpoint._client, album.Album)
    assert again.output(timeout=60) == reply
    assert endpoint.job(job.job_id, output_type=album.Album).output(timeout=60) == reply
    async with AsyncClient(api_key=gateway.api_key, base_url=gateway.url) as client:
        one = client.endpoint(endpoint.endpoint_id).job(job.job_id, output_type=album.Album)
        other: AsyncTypedJob[Any] = AsyncTypedJob.from_string(job.to_string(), client, album.Album)
        assert await one.output(timeout=60) == await other.output(timeout=60) == reply
    assert [item["title"] for item in endpoint.map([request] * 2, timeout=60)] == ["a", "a"]


def test_a_typed_job_cant_be_found_again_without_its_type() -> None:
    with pytest.raises(TypeError, match=r"TypedJob\.from_string needs the output_type"):
        TypedJob.from_string('{"endpoint_id": "e", "job_id": "j"}', Client(api_key="k"))


def test_files_are_found_in_calls_lists_maps_and_messages_inside(album: ModuleType, cover: FileMessage) -> None:
    shelf = Shelf()
    inner = album.Album(photos=[photo(b"1"), FileMessage(url="http://there/")], named={"k": photo(b"2")})
    value = album.Album(title="t", cover=cover, inner=inner)
    sent = send_files(call(_method(album), value), shelf).request
    assert sorted(shelf.contents) == [b"1", b"2", b"cover"]
    assert sent.cover.url == "http://shelf/cover, with a comma.txt"
    assert [item.url for item in sent.inner.photos] == ["http://shelf/photo.txt", "http://there/"]
    assert sent.inner.named["k"].sha256 == File.from_bytes(b"2").sha256


def test_a_message_that_breaks_its_rules_uploads_nothing(
    unreachable: Endpoint, album: ModuleType, cover: FileMessage
) -> None:
    for value in (album.Album(cover=cover), call(_method(album), album.Album(cover=cover))):
        with pytest.raises(InvalidInputError) as caught:
            unreachable.run(value)
        assert [item.field for item in caught.value.violations] == ["title"]


def test_nobodys_words_make_a_program_upload_a_file(
    unreachable: Endpoint, album: ModuleType, cover: FileMessage, serve: Serve
) -> None:
    """Neither a link that somebody made up, nor one whose path was changed, nor one of another process."""
    url = cover.url
    elsewhere = path_link(Path("cover.png"), "1-2-3-4").replace("cover", "other")
    for forged in (elsewhere, "novita-local:,path,/etc/hostname", "novita-local:", f"{url}x"):
        value = album.Album(title="a", cover=FileMessage(url=forged, name="n"))
        with pytest.raises(InvalidInputError, match="cover is a file of another process") as caught:
            unreachable.run(value)
        assert [item.rule for item in caught.value.violations] == ["file"]
    with pytest.raises(JobFailedError, match="cover is a file of another process"):
        serve("echoed").run({"title": "a", "cover": {"url": url, "sha256": "0" * 64}}).output(timeout=60)


def test_a_message_of_no_file_is_said_to_be_none(serve: Serve) -> None:
    with pytest.raises(JobFailedError, match=r"the File .* needs url and sha256"):
        serve("copied").run({"title": "a", "cover": {"name": "n"}}).output(timeout=60)


def test_a_file_that_is_gone_is_named_before_anything_is_sent(
    unreachable: Endpoint, album: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "gone.txt"
    path.write_bytes(b"x" * (SMALL + 1))  # a small one would be in its link
    gone = File.from_path(path).to_message()
    path.unlink()
    with pytest.raises((OSError, FileError), match=r"gone\.txt"):
        unreachable.run(album.Album(title="a", cover=gone))


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def _touch(path: Path) -> None:
    path.write_bytes(b"B" * (SMALL + 1))
    os.utime(path, ns=(0, 1))  # as a slow clock may not tell the two writes apart


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [_grow, _touch, _replace])
@pytest.mark.parametrize("when", ["before the message", "after it"])
def test_a_large_file_that_changes_before_it_is_sent_is_named_and_nothing_is_sent(
    unreachable: Endpoint, album: ModuleType, tmp_path: Path, change: Callable[[Path], None], when: str
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"A" * (SMALL + 1))
    film = File.from_path(path)
    if when == "before the message":
        change(path)
    message = film.to_message()
    del film
    if when == "after it":
        change(path)
    with pytest.raises(FileError, match=r"film\.mp4 has changed since File\.from_path named it") as caught:
        unreachable.run(album.Album(title="a", cover=message))
    assert caught.value.code == "CHANGED"


def test_a_large_file_that_stays_as_it_is_is_sent(album: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "film, with a comma - and dashes.mp4"
    path.write_bytes(b"A" * (SMALL + 1))
    shelf = Shelf()
    message = File.from_path(path, name="b.mp4", media_type="video/x").to_message()
    sent = send_files(album.Album(title="a", cover=message), shelf)
    assert shelf.contents == [path.read_bytes()]
    assert sent.cover.name == "b.mp4"


def test_a_message_that_was_not_uploaded_is_never_written(album: ModuleType, cover: FileMessage) -> None:
    adapter = find_adapter(album.Album)
    assert adapter is not None
    with pytest.raises(ValueError, match=r"cover must be uploaded first \(local_file\)"):
        adapter.dump(album.Album(title="a", cover=cover))
    assert b"novita-local" in adapter.dump(album.Album(title='"url":"novita-local:', cover=FileMessage(url="http://x")))


def _method(album: ModuleType) -> Any:
    from importlib import import_module

    assert album
    return import_module("album.v1.album_service_novita").AlbumServiceMethods.COPY
