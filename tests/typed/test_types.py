"""What type checkers know of generated code and typed jobs: lines that must pass, and lines that must not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypedDict, assert_type

from novita_sdk import AsyncClient, Client, Job
from novita_sdk.typed import AsyncTypedJob, JobStream, TypedJob
from novita_worker import JobContext
from shop.v1.draw_service_novita import AsyncDrawClient, DrawClient, DrawWorker, register_draw
from shop.v1.shop_pb2 import Draw, Drawn, Token
from shop.v1.studio_service_novita import StudioClient
from shop.v1.talk_service_novita import AsyncTalkClient, TalkClient, TalkWorker


@dataclass
class Total:
    total: int


class TotalDict(TypedDict):
    total: int


def sync(client: Client) -> None:
    endpoint = client.endpoint("e")
    job = DrawClient(endpoint).draw(Draw(prompt="x"))
    assert_type(job, TypedJob[Drawn])
    assert_type(job.output(), Drawn)
    assert_type(job.output(timeout=3).images[0].url, str)
    assert_type(job.status(), str)
    assert_type(endpoint.run({"a": 1}), Job)
    assert_type(endpoint.run(Draw(), output_type=Drawn).output(), Drawn)
    assert_type(endpoint.run(Draw(), output_type=Total).output(), Total)
    assert_type(endpoint.run(Draw(), output_type=TotalDict).output(), TotalDict)
    assert_type(TalkClient(endpoint).talk(Draw()), JobStream[Token])
    for token in TalkClient(endpoint).talk(Draw()):
        assert_type(token, Token)
    assert_type(StudioClient(endpoint).sketch(Draw()).output(), Token)


async def asynchronous(client: AsyncClient) -> None:
    endpoint = client.endpoint("e")
    job = await AsyncDrawClient(endpoint).draw(Draw())
    assert_type(job, AsyncTypedJob[Drawn])
    assert_type(await job.output(), Drawn)
    async for token in await AsyncTalkClient(endpoint).talk(Draw()):
        assert_type(token, Token)


class Sync(DrawWorker):
    def draw(self, request: Draw, context: JobContext) -> Drawn:
        assert_type(request.width, int)
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


assert_type(register_draw(Sync()), dict[str, object])
"""

HEAD = """
from novita_sdk import Client
from novita_worker import JobContext
from shop.v1.draw_service_novita import DrawClient, DrawWorker, register_draw
from shop.v1.shop_pb2 import Draw, Drawn, Token
from shop.v1.talk_service_novita import TalkWorker

client = Client()
"""

BAD = {
    "a misspelt field": "Draw(promt='x')",
    "a field of the wrong type": "Draw(width='wide')",
    "another request": "DrawClient(client.endpoint('e')).draw(Token())",
    "another output": "x: Token = DrawClient(client.endpoint('e')).draw(Draw()).output()",
    "a client in place of an endpoint": "DrawClient(client)",
    "a worker of another service": "register_draw(TalkWorker())",
    "a method with another output": (
        "class W(DrawWorker):\n    def draw(self, request: Draw, context: JobContext) -> Token:\n        return Token()"
    ),
    "a worker without its method": "class W(DrawWorker):\n    pass\nW()",
}


@pytest.fixture(scope="module")
def errors(generated: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[int]]:
    """The lines of both programs that strict mypy finds fault with."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "good.py").write_text(GOOD, encoding="utf-8")
    (folder / "bad.py").write_text(HEAD + "\n".join(BAD.values()) + "\n", encoding="utf-8")
    roots = [generated, *(repository / root for root in ("", "generated", "worker"))]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", "cache", "good.py", "bad.py"]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, roots))}
    outcome = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found = [line.split(":") for line in outcome.stdout.splitlines() if ": error:" in line]
    assert {file for file, *_ in found} <= {"good.py", "bad.py"}, outcome.stdout
    return {name: {int(line) for file, line, *_ in found if file == name} for name in ("good.py", "bad.py")}


def test_types_reach_the_user_strictly(errors: dict[str, set[int]]) -> None:
    lines = GOOD.splitlines()
    assert [lines[number - 1] for number in errors["good.py"]] == []


def test_every_mistake_is_found(errors: dict[str, set[int]]) -> None:
    begin, missed = HEAD.count("\n") + 1, []
    for label, text in BAD.items():
        end = begin + text.count("\n") + 1
        if errors["bad.py"].isdisjoint(range(begin, end)):
            missed.append(label)
        begin = end
    assert missed == []
