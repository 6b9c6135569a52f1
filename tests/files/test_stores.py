from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from aiohttp import web

from novita_gateway.files.linked_store import LinkSigner
from novita_sdk.files import (
    ContentFolder,
    FetchPolicy,
    File,
    FileError,
    GatewayStore,
    JobFiles,
    OncePerContent,
    client_store,
    fetch_offloaded,
    offload,
    offloaded,
    revive,
    send_files,
    worker_store,
)
from novita_sdk.uploads import upload_file, upload_image
from tests.support.file_servers import Blobs, Site
from tests.support.web import abort

MIB = 1 << 20


@pytest.fixture
def store(blobs: Blobs) -> GatewayStore:
    return GatewayStore(f"{blobs.url}/v1/ep/files", "Bearer token")


def test_files_and_bytes_in_a_value_are_sent_and_come_back_whole(store: GatewayStore, tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(b"from disk")
    value = {"a": [File.from_path(path), {"b": b"from memory"}], "c": (1, File.from_bytes(b"", name="empty.txt"))}
    sent = send_files(value, store)
    assert sent["a"][0]["name"] == "in.png"
    assert sent["a"][0]["mediaType"] == "image/png"
    assert sent["c"][0] == 1
    output = revive(sent)
    assert [file.read() for file in (output["a"][0], output["a"][1]["b"], output["c"][1])] == [
        b"from disk",
        b"from memory",
        b"",
    ]
    assert value["a"][1] == {"b": b"from memory"}


def test_progress_of_an_upload_is_told(store: GatewayStore) -> None:
    seen: list[tuple[int, int | None]] = []
    store.put(File.from_bytes(b"x" * MIB), on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (MIB, MIB)
    assert len(seen) > 1


def test_a_content_is_uploaded_once_whatever_it_is_called(store: GatewayStore, blobs: Blobs) -> None:
    first = store.put(File.from_bytes(b"same", name="a.png"))
    second = store.put(File.from_bytes(b"same", name="b.jpg"))
    assert blobs.uploads == 1
    assert (first.name, second.name) == ("a.png", "b.jpg")
    assert first.read() == second.read()


def test_a_hundred_jobs_that_share_an_input_move_it_once(store: GatewayStore, blobs: Blobs, tmp_path: Path) -> None:
    content = b"x" * (2 * MIB)
    once = OncePerContent(store)
    sent = send_files([{"image": File.from_bytes(content)} for _ in range(100)], once)
    assert (blobs.announced, blobs.uploads) == (1, 1)
    policy = FetchPolicy(allow_hosts=frozenset({blobs.url.removeprefix("http://")}))
    cache = ContentFolder(tmp_path / "cache")
    started = threading.Barrier(8)

    def work(jobs: list[dict[str, File]]) -> None:
        started.wait()
        for job in jobs:
            with JobFiles(cache, policy) as files:
                assert files.open(job["image"]).read_bytes() == content

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [sent[n::8] for n in range(8)]))
    assert blobs.downloads == 1


def test_an_upload_that_breaks_is_sent_again(store: GatewayStore, blobs: Blobs) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        await request.content.read(1000)
        abort(request)
        return web.Response()

    async def busy(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    blobs.puts = [cut, busy]
    content = b"x" * (4 * MIB)
    assert store.put(File.from_bytes(content)).read() == content


def test_an_answer_that_breaks_off_is_asked_for_again(store: GatewayStore, blobs: Blobs, site: Site) -> None:
    site.content = b'{"file": '
    site.answers = [site.cut_after(5)]

    async def announce(request: web.Request) -> web.StreamResponse:
        return await blobs.announce(request)

    site.answers.append(announce)
    through_site = GatewayStore(f"{site.url}/v1/ep/files", "Bearer token")
    assert through_site.put(File.from_bytes(b"x")).read() == b"x"
    assert len(site.requests) == 2


def test_an_upload_link_that_is_none_is_told_without_its_secret(site: Site) -> None:
    file = {"url": "http://h/", "size": 1, "sha256": "0" * 64}

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"file": file, "upload": "gopher://h/?signature=hidden"})

    site.answers = [answer]
    with pytest.raises(FileError, match="does not answer as a file store does") as caught:
        GatewayStore(f"{site.url}/v1/ep/files", "key").put(File.from_bytes(b"x"))
    assert "hidden" not in str(caught.value)


def test_a_netrc_changes_nothing(store: GatewayStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert store.put(File.from_bytes(b"x")).read() == b"x"


def test_a_content_that_the_store_dropped_is_sent_again(store: GatewayStore, blobs: Blobs) -> None:
    now = [0.0]
    once = OncePerContent(store, clock=lambda: now[0])
    file = once.put(File.from_bytes(b"x"))
    blobs.folder.path(file.sha256).unlink()
    assert once.put(File.from_bytes(b"x")) == file
    now[0] += 100
    assert once.put(File.from_bytes(b"x")).read() == b"x"


def test_a_gateway_without_a_store_says_what_to_set(site: Site) -> None:
    async def missing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    site.answers = [missing]
    with pytest.raises(FileError, match="BUCKET_ENDPOINT_URL") as caught:
        client_store(site.url, "ep", "key").put(File.from_bytes(b"x"))
    assert caught.value.code == "NO_STORE"


@pytest.mark.parametrize(
    "reply", [b"", b"<html>", b"[]", b"{}", b'{"file": []}', b'{"file": {"url": "u"}}', b'{"file": FILE, "upload": 5}']
)
def test_a_gateway_that_answers_something_else_is_no_store(site: Site, reply: bytes) -> None:
    file = b'{"url": "http://h/", "size": 1, "sha256": "%s"}' % (b"0" * 64)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=reply.replace(b"FILE", file))

    site.answers = [answer]
    with pytest.raises(FileError, match="does not answer as a file store does") as caught:
        GatewayStore(f"{site.url}/v1/ep/files", "key").put(File.from_bytes(b"x"))
    assert caught.value.code == "NO_STORE"


def test_a_worker_without_any_store_says_what_to_set() -> None:
    with pytest.raises(FileError, match="BUCKET_ENDPOINT_URL"):
        worker_store()


def test_a_worker_of_a_gateway_uploads_to_it(blobs: Blobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOVITA_FILES_URL", f"{blobs.url}/v1/ep/files")
    monkeypatch.setenv("NOVITA_AI_API_KEY", "Bearer token")
    monkeypatch.setenv("NOVITA_WEBHOOK_GET_JOB", f"{blobs.url}/v1/ep/job-take/w?gpu=local")
    assert worker_store().put(File.from_bytes(b"x")).read() == b"x"
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    for url in (upload_image("job", path), upload_file("b.png", path)):
        assert File(url=url, name="a", size=6, sha256=File.from_path(path).sha256).read() == b"pixels"


def test_a_link_expires(store: GatewayStore, blobs: Blobs) -> None:
    file = store.put(File.from_bytes(b"x"))
    blobs.clock.now += 7 * 24 * 3600 + 1
    with pytest.raises(FileError) as caught:
        file.read()
    assert caught.value.code == "EXPIRED"
    assert store.put(File.from_bytes(b"x")).read() == b"x"


def test_a_file_that_is_too_large_for_the_store_is_not_sent(store: GatewayStore, blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(FileError, match="up to 100000000 bytes"):
        store.put(File.from_path(path))
    assert blobs.uploads == 0


@pytest.mark.parametrize("content", [b"other", b"short", b"much longer than was announced"])
def test_a_store_keeps_only_what_was_announced(blobs: Blobs, content: bytes) -> None:
    wanted = File.from_bytes(b"right")
    announced = {"name": "a", "mediaType": "a/b", "size": 5, "sha256": wanted.sha256}
    reply = blobs.store.announce(announced, base_url=f"{blobs.url}/v1")
    assert requests.put(reply["upload"], data=content, timeout=60).status_code == 400
    assert requests.get(reply["file"]["url"], timeout=60).status_code == 404
    assert [path for path in blobs.folder.directory.rglob("*") if path.is_file()] == []
    assert requests.put(reply["upload"], data=b"right", timeout=60).status_code == 200
    assert requests.get(reply["file"]["url"], headers={"Range": "bytes=3-"}, timeout=60).content == b"ht"


def test_a_browser_never_runs_what_a_store_hands_out(store: GatewayStore) -> None:
    file = store.put(File.from_bytes(b"<script>", name='"a"\n.html', media_type="text/html\nX: y"))
    answer = requests.get(file.url, timeout=60)
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''_a__.html"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("body", [None, [], {}, {"name": "a"}, {"name": "a", "size": -1, "sha256": "0" * 64}])
def test_an_announcement_that_makes_no_sense_is_refused(blobs: Blobs, body: object) -> None:
    with pytest.raises(FileError) as caught:
        blobs.store.announce(body, base_url=blobs.url)
    assert caught.value.code == "INVALID"


def test_an_output_too_large_for_the_wire_is_fetched_transparently(store: GatewayStore) -> None:
    sent = offload(b'{"text":"' + b"x" * (5 * MIB) + b'"}', store)
    assert offloaded(dict(sent))
    assert fetch_offloaded(dict(sent)) == {"text": "x" * (5 * MIB)}
    assert fetch_offloaded({"text": "x"}) == {"text": "x"}
    assert fetch_offloaded(dict(store.put(File.from_bytes(b"{}", name="output.json")))) != {}


def test_a_changed_link_is_refused() -> None:
    signer = LinkSigner(b"secret")

    def query(**changes: str) -> dict[str, str]:
        from urllib.parse import parse_qsl

        return dict(parse_qsl(signer.query("GET", "/blobs/x", expires=100, name="a b&c.png"))) | changes

    assert signer.check("GET", "/blobs/x", query(), now=99) == {"name": "a b&c.png"}
    for verb, path, asked, code in (
        ("PUT", "/blobs/x", query(), "REFUSED"),
        ("GET", "/blobs/y", query(), "REFUSED"),
        ("GET", "/blobs/x", query(expires="200"), "REFUSED"),
        ("GET", "/blobs/x", query(name="b"), "REFUSED"),
        ("GET", "/blobs/x", query(more="1"), "REFUSED"),
        ("GET", "/blobs/x", {}, "REFUSED"),
        ("GET", "/blobs/x", query(signature="ü"), "REFUSED"),
    ):
        with pytest.raises(FileError) as caught:
            signer.check(verb, path, asked, now=99)
        assert caught.value.code == code
    with pytest.raises(FileError, match="expired"):
        signer.check("GET", "/blobs/x", query(), now=101)
