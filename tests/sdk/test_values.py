"""Inputs and outputs that are more than plain JSON: typed values, files, outputs that are elsewhere."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from novita_sdk import Endpoint, errors
from novita_sdk.files import File
from tests.support.hand_worker import HandWorker
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker

CONTENT = b"not really an image"
SHA = hashlib.sha256(CONTENT).hexdigest()
LINK = {"url": "http://files/1", "name": "in.png", "mediaType": "image/png", "size": len(CONTENT), "sha256": SHA}
DONE = {"id": "j", "status": "COMPLETED"}


@dataclass
class Prompt:
    text: str
    steps: int = 10


@dataclass
class Picture:
    url: str
    width: int


def test_typed_values_go_in_and_come_out(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run(Prompt(text="an apple"), output_type=Picture, policy={"lowPriority": True})
    taken = worker.take()
    assert (taken["input"], taken["policy"]) == ({"text": "an apple", "steps": 10}, {"lowPriority": True})
    worker.finish(taken["id"], output={"url": "u", "width": 512, "new": 1})
    assert job.output(timeout=60) == Picture(url="u", width=512)


def test_a_typed_input_that_breaks_its_rules_is_refused_with_its_violations(
    scripted: ScriptedGateway, make_client: ClientMaker
) -> None:
    endpoint = make_client(base_url=scripted.url).endpoint("x")
    with pytest.raises(errors.InvalidInputError, match="text must be str") as raised:
        endpoint.run(Prompt(text=7))  # type: ignore[arg-type] # the mistake
    assert [violation.field for violation in raised.value.violations] == ["text"]
    assert scripted.seen == []


def test_an_output_type_that_is_none_is_refused_before_anything_is_queued(
    scripted: ScriptedGateway, make_client: ClientMaker
) -> None:
    with pytest.raises(TypeError, match="output_type"):
        make_client(base_url=scripted.url).endpoint("x").run({}, output_type=int)
    assert scripted.seen == []


@pytest.fixture
def endpoint_with_files(scripted: ScriptedGateway, make_client: ClientMaker) -> Endpoint:
    scripted.script("files", Answer(body={"file": LINK, "upload": f"{scripted.url}/x/upload"}))
    scripted.script("upload", Answer(body={}))
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script("status", Answer(body={**DONE, "output": 5}))
    return make_client(base_url=scripted.url).endpoint("x")


def test_a_file_is_uploaded_once_and_its_link_is_sent(
    scripted: ScriptedGateway, endpoint_with_files: Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(CONTENT)
    for _ in range(2):
        endpoint_with_files.run({"image": File.from_path(path), "n": 1})
    (upload,) = scripted.calls("upload")
    assert upload.body == CONTENT
    assert [json.loads(run.body) for run in scripted.calls("run")] == [{"input": {"image": LINK, "n": 1}}] * 2


def test_a_batch_knows_files_by_their_content(
    scripted: ScriptedGateway, endpoint_with_files: Endpoint, tmp_path: Path
) -> None:
    path, manifest = tmp_path / "in.png", tmp_path / "run.jsonl"
    path.write_bytes(CONTENT)
    for _ in range(2):
        inputs = [{"image": File.from_path(path)}, {"image": File.from_path(path)}]
        assert list(endpoint_with_files.map(inputs, manifest=manifest)) == [5, 5]
    assert len(scripted.calls("run")) == 2
    assert len(scripted.calls("upload")) == 1


def test_loose_bytes_are_refused(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    with pytest.raises(errors.InvalidInputError, match=r"input\.image is bytes"):
        make_client(base_url=scripted.url).endpoint("x").run({"image": CONTENT})
    assert scripted.seen == []


def test_an_output_that_is_elsewhere_is_fetched(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    value = json.dumps({"large": [1, 2, 3]}).encode()
    place = {
        "url": f"{scripted.url}/x/blob",
        "name": "output.json",
        "mediaType": "application/vnd.novita.output+json",
        "size": len(value),
        "sha256": hashlib.sha256(value).hexdigest(),
    }
    scripted.script("blob", Answer(body=value))
    scripted.script("status", Answer(body={**DONE, "output": place}))
    assert make_client(base_url=scripted.url).endpoint("x").job("j").output(timeout=60) == {"large": [1, 2, 3]}
