"""What can go wrong with ComfyUI, as one exception with a code."""

from pathlib import PurePosixPath
from typing import Any

MODEL_SUFFIXES = {".bin", ".ckpt", ".gguf", ".onnx", ".pkl", ".pt", ".pt2", ".pth", ".safetensors", ".sft"}
# As torch, CUDA, cuBLAS, ROCm and MPS say it, in lower case; not all of them raise an OutOfMemoryError.
NO_MEMORY = (
    "out of memory",
    "outofmemory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "allocation on device",
    "can't allocate memory",
    "not enough memory",
)


class ComfyUIError(Exception):
    """ComfyUI refused or failed. `code` says what happened; the notes hold its traceback or log."""

    def __init__(self, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code = code
        if details:
            self.add_note(details)


def refusal(error: object, broken: dict[str, Any]) -> ComfyUIError:
    """The error for a workflow that ComfyUI did not queue: what it said as a whole, and of each broken node."""
    problems = [
        (problem, f"node {node_id} ({node['class_type']}): {problem['message']}: {problem['details']}")
        for node_id, node in broken.items()
        for problem in node["errors"]
    ]
    text = "; ".join(text for _, text in problems)
    if not problems:
        parts = (error.get("message"), error.get("details")) if isinstance(error, dict) else (error,)
        text = ": ".join(str(part) for part in parts if part)
    code = "MISSING_MODEL" if any(_is_missing_model(problem) for problem, _ in problems) else "WORKFLOW_REFUSED"
    return ComfyUIError(code, f"ComfyUI refused the workflow: {text}")


def failure(event: str, data: dict[str, Any]) -> ComfyUIError:
    """The error for a run that ended with `execution_error` or `execution_interrupted`."""
    node = f"node {data['node_id']} ({data['node_type']})"
    if event == "execution_interrupted":
        return ComfyUIError("INTERRUPTED", f"the run was interrupted in {node}")
    message = f"{data['exception_type']}: {str(data['exception_message']).strip()}"
    code = "OUT_OF_MEMORY" if any(words in message.lower() for words in NO_MEMORY) else "NODE_FAILED"
    trace = "ComfyUI's traceback:\n" + "".join(data.get("traceback") or [])
    return ComfyUIError(code, f"{node} failed: {message}", trace)


def _is_missing_model(problem: dict[str, Any]) -> bool:
    # Models are chosen from the list of their files, but so are samplers from the list of theirs.
    value = str((problem.get("extra_info") or {}).get("received_value"))
    return problem["type"] == "value_not_in_list" and PurePosixPath(value).suffix.lower() in MODEL_SUFFIXES
