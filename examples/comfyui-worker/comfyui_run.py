"""One run of a workflow: how far it is, and what came out of it."""

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from comfyui_errors import failure

OnProgress = Callable[[dict[str, Any]], None]
Workflow = dict[str, dict[str, Any]]

MODEL_3D_SUFFIXES = {".fbx", ".glb", ".gltf", ".obj", ".ply", ".stl", ".usdz"}
PREVIEW_IMAGE, FORMATS = 1, {1: "jpg", 2: "png"}
# An input that no node has: it makes ComfyUI write files anew, where its cache would name files that are gone.
SALT = "worker_run"


@dataclass(frozen=True)
class OutputFile:
    """One file that a node produced; with `content` where it came over the websocket."""

    node_id: str
    filename: str
    subfolder: str
    type: str
    content: bytes | None = field(default=None, repr=False)


@dataclass
class Outputs:
    """What a run gave: files, and texts by node."""

    files: list[OutputFile] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    previews: set[str] = field(default_factory=set)
    """Nodes that gave previews, which count only where their node was asked for."""

    def __bool__(self) -> bool:
        return bool(self.files or self.texts)


@dataclass
class Run:
    """How far a queued workflow is."""

    workflow: Workflow
    wanted: str | None
    on_progress: OnProgress
    extra_data: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_sent: bool = False
    is_queued: bool = False
    salted: set[str] = field(default_factory=set)
    current: str | None = None
    done: set[str] = field(default_factory=set)
    entry: dict[str, Any] | None = None
    """What ComfyUI's history has of it."""
    received: list[OutputFile] = field(default_factory=list)

    @property
    def node(self) -> str:
        """The running node, for people."""
        return f"node {self.current} ({self._class_of(self.current or '')})"

    @property
    def doing(self) -> str:
        """What the run is at, for people."""
        return f"running {self.node}" if self.current else "starting the run" if self.is_queued else "queueing the run"

    def prompt(self) -> Workflow:
        """The workflow as it is queued: nodes with a salt write their files even where ComfyUI has them cached."""
        return {
            node_id: {**node, "inputs": {**node["inputs"], SALT: self.id}} if node_id in self.salted else node
            for node_id, node in self.workflow.items()
        }

    def is_salted(self, file: OutputFile, entry: dict[str, Any]) -> bool:
        """Whether a later run can't find this file in ComfyUI's cache."""
        meta = (entry.get("meta") or {}).get(file.node_id) or {}
        return bool(self.salted & {file.node_id, meta.get("real_node_id")})

    def is_over_after(self, event: str, data: dict[str, Any]) -> bool:
        """Takes in one event of this run; raises if it says that the run failed."""
        if event == "execution_cached":
            self.done.update(data["nodes"])
        elif event == "executing":
            if self.current is not None:
                self.done.add(self.current)
            self.current = data["node"]
            if self.current is None:
                return True
            self._report(self.node, 0.0)
        elif event == "progress" and data["max"]:
            self._report(f"{self.node}: step {data['value']} of {data['max']}", data["value"] / data["max"])
        elif event in ("execution_error", "execution_interrupted"):
            raise failure(event, data)
        return False

    def take_binary(self, frame: bytes) -> None:
        """Takes in an image that a SaveImageWebsocket sends; those of other nodes are previews of their steps."""
        if len(frame) < 8 or self.current is None or self._class_of(self.current) != "SaveImageWebsocket":
            return
        event, kind = struct.unpack(">II", frame[:8])
        if event == PREVIEW_IMAGE and self.wanted in (None, self.current):
            name = f"websocket_{len(self.received) + 1:05}.{FORMATS.get(kind, 'bin')}"
            self.received.append(OutputFile(self.current, name, "", "websocket", frame[8:]))

    def outputs(self, entry: dict[str, Any]) -> Outputs:
        """What the history says came out, and what came over the websocket."""
        outputs = collect(entry, self.wanted)
        outputs.files += self.received
        return outputs

    def _class_of(self, node_id: str) -> str:
        # Nodes that a node expands to, as 5.0.0.2, are not in the workflow; what they come from is.
        node = self.workflow.get(node_id) or self.workflow.get(node_id.partition(".")[0]) or {}
        return str(node.get("class_type", "?"))

    def _report(self, message: str, part: float) -> None:
        fraction = min(1.0, (len(self.done & self.workflow.keys()) + part) / len(self.workflow))
        self.on_progress({"fraction": round(fraction, 4), "message": message, "node": self.current})


def collect(entry: dict[str, Any], wanted: str | None, *, previews: bool = False) -> Outputs:
    """Everything of a run: images, gifs, videos, audio, 3D models, texts, and whatever custom nodes call theirs."""
    outputs = Outputs()
    for node_id, groups in (entry.get("outputs") or {}).items():
        meta = (entry.get("meta") or {}).get(node_id) or {}
        origins = {node_id, node_id.partition(".")[0], meta.get("real_node_id"), meta.get("display_node")}
        if wanted is not None and wanted not in origins:
            continue
        for kind, group in groups.items():
            for value in group if isinstance(group, list | tuple) else ():
                if kind in ("text", "string") and isinstance(value, str):
                    outputs.texts.append((node_id, value))
                elif file := _file(node_id, value):
                    if file.type == "output" or wanted is not None or previews:
                        outputs.files.append(file)
                    else:
                        outputs.previews.add(node_id)
    return outputs


def _file(node_id: str, value: object) -> OutputFile | None:
    if isinstance(value, dict) and "filename" in value:
        return OutputFile(node_id, value["filename"], value.get("subfolder") or "", value.get("type") or "output")
    # Previews of 3D models name the file alone.
    if isinstance(value, str) and PurePosixPath(value).suffix.lower() in MODEL_3D_SUFFIXES:
        path = PurePosixPath(value)
        return OutputFile(node_id, path.name, str(path.parent).removeprefix("."), "output")
    return None
