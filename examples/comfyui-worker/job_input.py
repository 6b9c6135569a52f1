"""What a job asks for: its workflow, its input files, what goes to ComfyUI beside them."""

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from comfyui_run import Workflow

ANNOTATIONS = (" [input]", " [output]", " [temp]")


@dataclass
class JobInput:
    """A job's input, checked."""

    workflow: Workflow
    wanted: str | None
    images: list[Any]
    extra_data: dict[str, Any]
    free_memory: bool


def read_input(value: object) -> JobInput:
    """The input of a job, or a ValueError that says what is wrong with it."""
    members = _parsed(value, "input")
    if not isinstance(members, dict):
        raise ValueError('the input must be an object: {"workflow": {…}}')
    # ComfyUI's own request has the workflow as `prompt`, and may stand in place of it too.
    workflow = _parsed(members.get("workflow", members.get("prompt")), "input.workflow")
    extra_data = members.get("extra_data")
    if isinstance(workflow, dict) and isinstance(workflow.get("prompt"), dict):
        extra_data, workflow = extra_data or workflow.get("extra_data"), workflow["prompt"]
    if extra_data is not None and not isinstance(extra_data, dict):
        raise ValueError("input.extra_data must be an object")
    extra_data = dict(extra_data or {})
    if key := members.get("comfy_org_api_key") or os.environ.get("COMFY_ORG_API_KEY"):
        extra_data.setdefault("api_key_comfy_org", key)
    images = members.get("images") or []
    if not isinstance(images, list):
        raise ValueError('input.images must be a list of {"name": …, "image": …}')
    workflow = _checked(workflow)
    wanted = members.get("output_node_id")
    if wanted is not None and str(wanted) not in workflow:
        raise ValueError(f"output_node_id {wanted!r} is not a node of the workflow, which has {', '.join(workflow)}")
    return JobInput(
        workflow, None if wanted is None else str(wanted), images, extra_data, bool(members.get("free_memory"))
    )


def read_images(images: list[Any], open_file: Callable[[Any], Path]) -> dict[str, bytes]:
    """The input files by name, or a ValueError; a FileError for one that can't be fetched."""
    found: dict[str, bytes] = {}
    for image in images:
        if not isinstance(image, dict) or not image.get("name") or not isinstance(image.get("image"), str | dict):
            raise ValueError('each of input.images needs a "name" and an "image": base64, a URL or a file')
        name, content = without_annotation(str(image["name"])), image["image"]
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"the image name {name!r} leads out of ComfyUI's input folder")
        if name in found:
            raise ValueError(f"two of input.images are named {name!r}")
        if isinstance(content, dict) or content.startswith(("http://", "https://")):
            found[name] = open_file(content).read_bytes()
            continue
        try:
            found[name] = base64.b64decode("".join(content.rpartition("base64,")[2].split()), validate=True)
        except ValueError as error:
            raise ValueError(f"the image {name!r} is not valid base64") from error
    return found


def replace_inputs(workflow: Workflow, name: str, stored: str, choices: Callable[[str], frozenset[str]]) -> bool:
    """Makes every node that names an input file name it as it is stored; returns whether one does.

    Files are chosen from lists, so that a text that happens to be equal stays; `choices` tells which inputs of a class
    are such lists. Where no list names the file, every equal string does.
    """
    uses = [
        (node, key)
        for node in workflow.values()
        for key, value in node["inputs"].items()
        if isinstance(value, str) and name in (path := without_annotation(value), PurePosixPath(path).name)
    ]
    chosen = [(node, key) for node, key in uses if key in choices(node["class_type"])]
    for node, key in chosen or uses:
        node["inputs"] = {**node["inputs"], key: stored}
    return bool(uses)


def without_annotation(name: str) -> str:
    """A file's name without the folder that the mask editor writes after it."""
    for annotation in ANNOTATIONS:
        name = name.removesuffix(annotation)
    return name


def is_link(value: object) -> bool:
    """Whether an input comes from another node: [node id, output index]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _parsed(value: object, what: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"{what} is text, but no JSON: {error}") from error


def _checked(workflow: object) -> Workflow:
    if not isinstance(workflow, dict) or not workflow:
        raise ValueError("input.workflow must be a ComfyUI workflow in API format")
    if "nodes" in workflow and "links" in workflow:
        raise ValueError("input.workflow is the editor's format: export it with File > Export (API)")
    for node_id, node in workflow.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise ValueError(f"node {node_id} of the workflow has no class_type")
        if not isinstance(node.get("inputs"), dict):
            raise ValueError(f"node {node_id} of the workflow has no inputs")
        for name, value in node["inputs"].items():
            if is_link(value) and value[0] not in workflow:
                raise ValueError(f"input {name!r} of node {node_id} links to node {value[0]}, which is not there")
    if circle := _circle(workflow):
        raise ValueError(f"nodes of the workflow link to each other in a circle: {' → '.join(circle)}")
    return workflow


def _circle(workflow: Workflow) -> list[str]:
    """Ids of nodes each of which takes an input of the next, up to the first again; empty if there are none such."""
    done: set[str] = set()
    for start in workflow:
        path, sources = [start], [_sources(workflow[start])]
        while path:
            if not sources[-1]:
                done.add(path.pop())
                sources.pop()
                continue
            node_id = sources[-1].pop()
            if node_id in path:
                return [*path[path.index(node_id) :], node_id]
            if node_id not in done:
                path.append(node_id)
                sources.append(_sources(workflow[node_id]))
    return []


def _sources(node: dict[str, Any]) -> list[str]:
    return [value[0] for value in node["inputs"].values() if is_link(value)]
