"""What comes out of a run, and what it leaves behind."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.comfyui.test_handler import a_png, code_of, first_pixel
from tests.support.comfyui import RunWorkflow, Workflow, WorkflowMaker


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith("_output_"))


def encoded(color: int) -> str:
    return base64.b64encode(a_png(color)).decode()


async def test_jobs_leave_no_files_behind_and_repeats_find_theirs(
    run: RunWorkflow, invert: Workflow, tmp_path: Path
) -> None:
    invert["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    for _ in range(3):
        workflow = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in invert.items()}
        workflow["1"] = {"class_type": "LoadImage", "inputs": {"image": "in.png"}}
        (image,) = (await run(workflow, images=[{"name": "in.png", "image": encoded(0x112233)}]))["images"]
        assert first_pixel(base64.b64decode(image["base64"])) == "eeddcc"
    folders = [tmp_path / "comfyui" / kind for kind in ("input", "output", "temp")]
    assert [files_in(folder) for folder in folders] == [[], [], []]


async def test_files_that_somebody_deleted_are_made_once_more(
    run: RunWorkflow, example: ModuleType, invert: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(invert)
    # As where ComfyUI lacks the extension: files stay, its cache names them, and something else deletes them.
    monkeypatch.setattr(example.SERVER, "extension", False)
    await run(invert)
    for path in (tmp_path / "comfyui" / "output").rglob("*.png"):
        path.unlink()
    assert (await run(invert))["images"]


async def test_two_jobs_with_the_same_input_do_not_delete_each_others(run: RunWorkflow, example: ModuleType) -> None:
    async def one() -> None:
        workflow = {
            "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        }
        assert (await run(workflow, images=[{"name": "in.png", "image": encoded(7)}]))["images"]

    await asyncio.gather(*(one() for _ in range(6)))
    assert not example.SERVER.uploads


async def test_outputs_of_expanded_nodes_are_those_of_the_node_in_the_workflow(
    run: RunWorkflow, invert: Workflow
) -> None:
    workflow = {"1": invert["1"], "5": {"class_type": "TestExpand", "inputs": {"images": ["1", 0]}}}
    for _ in range(2):
        (image,) = (await run(workflow, output_node_id="5"))["images"]
        assert image["node_id"] == "5.0.0.2"


async def test_texts_are_outputs(run: RunWorkflow) -> None:
    output = await run({"1": {"class_type": "TestText", "inputs": {"text": "hello"}}})
    assert output == {"texts": [{"node_id": "1", "text": "hello"}]}


async def test_models_in_3d_are_outputs(run: RunWorkflow) -> None:
    (model,) = (await run({"1": {"class_type": "TestPreview3D", "inputs": {}}}))["models"]
    assert base64.b64decode(model["base64"]) == b"glTF"
    assert (model["media_type"], model["subfolder"]) == ("model/gltf-binary", "mesh")


async def test_images_of_a_websocket_are_outputs(run: RunWorkflow, invert: Workflow) -> None:
    invert["9"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["2", 0]}}
    (image,) = (await run(invert, output_node_id="9"))["images"]
    assert base64.b64decode(image["base64"]).startswith(b"\x89PNG")
    assert image["filename"] == "websocket_00001.png"


async def test_previews_alone_are_no_output_and_say_what_to_do(run: RunWorkflow, invert: Workflow) -> None:
    invert["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}
    with pytest.raises(Exception, match="only previews in node 9: save them with SaveImage, or name it") as caught:
        await run(invert)
    assert code_of(caught.value) == "NO_OUTPUT"


async def test_only_the_chosen_output_runs(run: RunWorkflow, invert: Workflow) -> None:
    invert["5"] = {"class_type": "TestFail", "inputs": {}}
    invert["8"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}}
    assert (await run(invert, output_node_id="9"))["images"]


async def test_a_bad_choice_is_no_missing_model(run: RunWorkflow, saving: WorkflowMaker) -> None:
    with pytest.raises(Exception, match="mode: 'other' not in") as caught:
        await run(saving("TestMode", mode="other"))
    assert code_of(caught.value) == "WORKFLOW_REFUSED"


@pytest.mark.parametrize("class_type", ["TestOutOfMemory", "TestCudaMemory", "TestCublasMemory"])
async def test_out_of_memory_is_known_by_what_it_says(run: RunWorkflow, saving: WorkflowMaker, class_type: str) -> None:
    with pytest.raises(Exception, match=class_type) as caught:
        await run(saving(class_type))
    assert code_of(caught.value) == "OUT_OF_MEMORY"


async def test_the_key_for_api_nodes_reaches_them(run: RunWorkflow, monkeypatch: pytest.MonkeyPatch) -> None:
    async def key(**job_input: Any) -> str:
        texts = (await run({"1": {"class_type": "TestKey", "inputs": {}}}, **job_input))["texts"]
        return str(texts[0]["text"])

    assert await key(comfy_org_api_key="mine") == "mine"
    assert await key(extra_data={"api_key_comfy_org": "beside"}) == "beside"
    monkeypatch.setenv("COMFY_ORG_API_KEY", "of the worker")
    assert await key() == "of the worker"


@pytest.mark.parametrize("named", ["clipspace/mask.png [input]", "clipspace/mask.png", "mask.png"])
@pytest.mark.parametrize("given", ["clipspace/mask.png", "clipspace/mask.png [input]", "mask.png"])
async def test_inputs_of_the_mask_editor_are_found(run: RunWorkflow, named: str, given: str) -> None:
    if named == "mask.png" and given != "mask.png":
        pytest.skip("a name without its folder is another file")
    workflow = {
        "1": {"class_type": "LoadImage", "inputs": {"image": named}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    (image,) = (await run(workflow, images=[{"name": given, "image": encoded(0x0000FF)}]))["images"]
    assert first_pixel(base64.b64decode(image["base64"])) == "0000ff"


async def test_a_text_that_equals_a_files_name_stays(run: RunWorkflow) -> None:
    workflow = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
        "5": {"class_type": "TestText", "inputs": {"text": "in.png"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    output = await run(workflow, images=[{"name": "in.png", "image": encoded(1)}])
    assert output["texts"] == [{"node_id": "5", "text": "in.png"}]


async def test_clients_of_worker_comfyui_get_their_entries(
    run: RunWorkflow, example: ModuleType, invert: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["job_output"], "TYPE_AND_DATA", True)
    (image,) = (await run(invert))["images"]
    assert image["type"] == "base64"
    assert base64.b64decode(image["data"]).startswith(b"\x89PNG")
    invert["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}
    assert await run(invert) == {"status": "success_no_images", "images": []}
