"""Files from a client through a job to a worker and back, by the embedded gateway's own store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from novita_gateway import serve_in_thread
from novita_sdk import Endpoint
from novita_sdk.errors import InvalidInputError, JobFailedError
from novita_sdk.files import File
from tests.support.file_servers import Site
from tests.support.processes import python_process
from tests.support.world import connect, wait_for_worker

MIB = 1 << 20


class Serve(Protocol):
    """Runs a worker with the given code behind a gateway of its own; gives the endpoint."""

    def __call__(self, code: str, **environment: str) -> Endpoint: ...


@pytest.fixture
def serve(tmp_path: Path, plain_environment: dict[str, str]) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(code: str, **environment: str) -> Endpoint:
            gateway = stack.enter_context(serve_in_thread())
            script = tmp_path / "worker.py"
            script.write_text(code)
            cache = {"NOVITA_FILE_CACHE": str(tmp_path / "cache")}
            variables = plain_environment | cache | gateway.worker_env("ep") | environment
            worker = stack.enter_context(python_process(script, environment=variables, cwd=tmp_path))
            stack.callback(wait_for_worker, worker, gateway, "ep")
            return stack.enter_context(connect(gateway)).endpoint("ep")

        yield start


SYNC = """
import novita_gpus

def handler(job, context):
    path = context.open(job["input"]["image"])
    (path.parent / "reversed.png").write_bytes(path.read_bytes()[::-1])
    from novita_sdk.files import File
    return {"name": path.name, "out": [File.from_path(path.parent / "reversed.png"), b"loose bytes"]}

novita_gpus.start({"handler": handler})
"""

ASYNC = SYNC.replace("def handler", "async def handler")


@pytest.mark.parametrize("code", [SYNC, ASYNC], ids=["sync", "async"])
def test_files_travel_there_and_back(serve: Serve, tmp_path: Path, code: str) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(os.urandom(5 * MIB))
    endpoint = serve(code)
    output = endpoint.run({"image": File.from_path(path)}).output(timeout=60)
    assert output["name"] == "in.png"
    image, loose = output["out"]
    assert image.download(tmp_path / "out").read_bytes() == path.read_bytes()[::-1]
    assert (image.name, image.media_type) == ("reversed.png", "image/png")
    assert loose.read() == b"loose bytes"


@pytest.mark.parametrize("way", ["def", "async def"])
def test_files_can_be_streamed(serve: Serve, way: str) -> None:
    endpoint = serve(
        "import novita_gpus\n"
        f"{way} handler(job):\n"
        "    for number in range(job['input']):\n"
        "        yield {'frame': b'%d' % number}\n"
        "novita_gpus.start({'handler': handler})\n"
    )
    chunks = list(endpoint.run(3).stream(timeout=60))
    assert [chunk["frame"].read() for chunk in chunks] == [b"0", b"1", b"2"]


def test_the_copies_of_a_job_go_with_it(serve: Serve, tmp_path: Path) -> None:
    endpoint = serve(
        "import novita_gpus\n"
        "novita_gpus.start({'handler': lambda job, context: str(context.open(job['input']['file']))})\n"
    )
    opened = Path(endpoint.run({"file": File.from_bytes(b"x", name="a.txt")}).output(timeout=60))
    assert opened.name == "a.txt"
    assert not opened.exists()
    assert len([path for path in (tmp_path / "cache").glob("??/*") if path.is_file()]) == 1


BIG = "import novita_gpus\nnovita_gpus.start({'handler': lambda job: {'text': 'x' * job['input']}, **OPTIONS})\n"


def test_an_output_over_the_limit_arrives_all_the_same(serve: Serve) -> None:
    endpoint = serve(BIG.replace("OPTIONS", "{}"))
    assert endpoint.run(6 * MIB).output(timeout=60) == {"text": "x" * (6 * MIB)}


def test_an_output_over_the_limit_fails_the_job_where_there_is_no_store(serve: Serve) -> None:
    endpoint = serve(BIG.replace("OPTIONS", "{}"), NOVITA_FILES_URL="")
    with pytest.raises(JobFailedError, match=r"6,291,467 bytes.*limit is 4,194,304 bytes.*object storage") as caught:
        endpoint.run(6 * MIB).output(timeout=60)
    assert caught.value.code == "OUTPUT_TOO_LARGE"


def test_offloading_can_be_switched_off(serve: Serve) -> None:
    endpoint = serve(BIG.replace("OPTIONS", "{'offload': 'never'}"))
    with pytest.raises(JobFailedError, match="limit is"):
        endpoint.run(6 * MIB).output(timeout=60)


def test_a_url_of_a_private_network_is_not_opened_for_a_stranger(serve: Serve, site: Site) -> None:
    endpoint = serve(SYNC)
    with pytest.raises(JobFailedError, match="not a public address") as caught:
        endpoint.run({"image": f"{site.url}/metadata"}).output(timeout=60)
    assert caught.value.code == "REFUSED"
    assert site.requests == []


def test_loose_bytes_in_an_input_are_refused_as_a_mistake(serve: Serve) -> None:
    with pytest.raises(InvalidInputError, match="image"):
        serve(SYNC).run({"image": b"x"})


TYPED = """
from dataclasses import dataclass
from pathlib import Path
import novita_gpus

@dataclass
class Request:
    image: Path
    mask: Path | None = None

async def handler(request: Request):
    return {"name": request.image.name, "size": request.image.stat().st_size}

novita_gpus.start({"handler": handler})
"""


@dataclass
class Request:
    image: Path
    mask: Path | None = None


def test_a_path_in_a_typed_input_is_a_local_file(serve: Serve, site: Site, tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(b"12345")
    file: Any = File.from_path(path)
    site.content = b"123"
    endpoint = serve(TYPED, NOVITA_FETCH_ALLOW_HOSTS=site.url.removeprefix("http://"))
    assert endpoint.run({"image": File.from_path(path)}).output(timeout=60) == {"name": "in.png", "size": 5}
    assert endpoint.run(Request(image=file)).output(timeout=60) == {"name": "in.png", "size": 5}
    assert list(endpoint.map([Request(image=file)])) == [{"name": "in.png", "size": 5}]
    assert endpoint.run({"image": f"{site.url}/a.png"}).output(timeout=60) == {"name": "a.png", "size": 3}
    site.answers.append(site.status(404))
    for bad, says in (("in.png", "an http"), (f"{site.url}/gone", "the file is gone"), ("http://10.0.0.1/", "public")):
        with pytest.raises(JobFailedError, match=rf"image .*{says}") as caught:
            endpoint.run({"image": bad}).output(timeout=60)
        assert caught.value.code == "INVALID_INPUT"
