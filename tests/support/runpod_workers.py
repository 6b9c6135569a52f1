"""Five workers as their users wrote them for `runpod`, and what each must do, whichever package runs it.

They have the structure of public ones (faster-whisper, SDXL, vLLM, ComfyUI, XTTS): what they import and call, with a
stand-in for the model.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from novita_sdk import Endpoint, JobFailedError
from tests.support.repository import ROOT
from tests.support.web import serve_handler

FOLDER = ROOT / "tests" / "facade" / "workers"
TIMEOUT = 60


@dataclass(frozen=True, kw_only=True)
class PortedWorker:
    """One worker, and how it is used.

    Attributes:
        script: What its image starts, in its folder.
        use: Submits jobs and looks at what comes of them; is given the URL of `served` too.
        environment: What its user set, with `SITE` in place of that site's host and `HERE` of the worker's folder.
    """

    script: str
    use: Callable[[Endpoint, str], None]
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A site with sound files, and the ComfyUI of the machine, which paints into the folder."""
    asked: dict[str, int] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path.strip("/").split("/"):
            case ["speech.wav"]:
                return web.Response(body=b"hello there")
            case ["voice"]:
                disposition = {"Content-Disposition": 'attachment; filename="my voice.wav"'}
                return web.Response(body=b"somebody", headers=disposition)
            case ["prompt"]:
                name = json.loads(await request.read())["prompt"]["name"]
                (folder / name).write_bytes(b"a picture")
                asked[name] = 0
                return web.json_response({"prompt_id": name})
            case ["history", name]:
                asked[name] += 1
                image = {"filename": name, "subfolder": "", "type": "output"}
                outputs = {"9": {"images": [image]}} if asked[name] > 2 else {}
                return web.json_response({name: {"outputs": outputs}})
        return web.Response(status=404)

    with serve_handler(answer) as url:
        yield url


def use_whisper(endpoint: Endpoint, site: str) -> None:
    wish = {"audio": f"{site}/speech.wav", "model": "turbo", "temperature": 1}
    for _ in range(2):  # timers of the first job don't stand in the way of the second
        assert endpoint.run_sync(wish, timeout=TIMEOUT) == {
            "transcription": "hello there",
            "detected_language": "en",
            "model": "turbo",
            "temperature": 1.0,
            "extension": ".wav",
        }
    with pytest.raises(JobFailedError, match="best_of"):
        endpoint.run_sync({**wish, "best_of": "all"}, timeout=TIMEOUT)
    with pytest.raises(JobFailedError, match="audio"):
        endpoint.run_sync({"model": "tiny"}, timeout=TIMEOUT)
    with pytest.raises(JobFailedError, match="could not be downloaded"):
        endpoint.run_sync({"audio": f"{site}/silence.wav"}, timeout=TIMEOUT)


def use_sdxl(endpoint: Endpoint, site: str) -> None:
    output = endpoint.run_sync({"prompt": "an apple", "num_images": 2, "seed": 7}, timeout=TIMEOUT)
    assert output["seed"] == 7
    assert output["image_url"] == output["images"][0]
    pictures = [base64.b64decode(link.removeprefix("data:image/png;base64,")).decode() for link in output["images"]]
    assert pictures == ["an apple 1024 0 None 0.3", "an apple 1024 1 None 0.3"]
    assert 0 <= endpoint.run_sync({"prompt": "an apple"}, timeout=TIMEOUT)["seed"] < 2**16
    with pytest.raises(JobFailedError, match="prompt"):
        endpoint.run_sync({"num_images": 1}, timeout=TIMEOUT)
    # The last one: it has the worker replaced.
    with pytest.raises(JobFailedError, match="CUDA out of memory"):
        endpoint.run_sync({"prompt": "an apple", "width": 4096}, timeout=TIMEOUT)


def use_vllm(endpoint: Endpoint, site: str) -> None:
    job = endpoint.run({"prompt": "one two three"})
    words = [{"choices": [{"tokens": [word]}], "together": True} for word in ("one", "two", "three")]
    assert list(job.stream(timeout=TIMEOUT)) == words
    assert job.output(timeout=TIMEOUT) == words
    # Each waits for the other, so that they end only where they run at the same time.
    both = [endpoint.run({"prompt": "a", "together": 2}) for _ in range(2)]
    assert [job.output(timeout=TIMEOUT)[0]["together"] for job in both] == [True, True]
    with pytest.raises(JobFailedError, match="the prompt is too long"):
        endpoint.run_sync({"prompt": "a", "max_tokens": 0}, timeout=TIMEOUT)


def use_comfyui(endpoint: Endpoint, site: str) -> None:
    output = endpoint.run_sync({"workflow": {"name": "a.png", "seed": 1125899906842624123}}, timeout=TIMEOUT)
    assert output == {"status": "success", "message": [base64.b64encode(b"a picture").decode()]}
    # Workflows come as text too.
    text = json.dumps({"workflow": {"name": "b.png"}})
    assert endpoint.run_sync(input=text, timeout=TIMEOUT)["status"] == "success"
    with pytest.raises(JobFailedError, match="Missing 'workflow' parameter"):
        endpoint.run_sync({"work": {}}, timeout=TIMEOUT)
    with pytest.raises(JobFailedError, match="Invalid JSON format"):
        endpoint.run_sync(input="{", timeout=TIMEOUT)
    with pytest.raises(JobFailedError, match="Error queuing workflow"):
        endpoint.run_sync({"workflow": {"no": "name"}}, timeout=TIMEOUT)


def use_xtts(endpoint: Endpoint, site: str) -> None:
    wish = {"language": "en", "voice": f"{site}/voice", "text": "good morning", "speed": 2}
    output = endpoint.run_sync(wish, timeout=TIMEOUT)
    assert base64.b64decode(output.pop("audio")) == b"somebody says good morning at 2.0"
    assert output == {"voice": "my voice.wav", "type": "wav"}
    with pytest.raises(JobFailedError, match="language"):
        endpoint.run_sync({**wish, "language": "xx"}, timeout=TIMEOUT)
    with pytest.raises(JobFailedError, match="404"):
        endpoint.run_sync({**wish, "voice": f"{site}/nobody"}, timeout=TIMEOUT)


WORKERS = {
    "whisper": PortedWorker(script="src/rp_handler.py", use=use_whisper),
    "sdxl": PortedWorker(script="handler.py", use=use_sdxl),
    "vllm": PortedWorker(script="src/handler.py", use=use_vllm),
    "comfyui": PortedWorker(
        script="rp_handler.py", use=use_comfyui, environment={"COMFY_HOST": "SITE", "COMFY_OUTPUT_PATH": "HERE"}
    ),
    "xtts": PortedWorker(script="src/rp_handler.py", use=use_xtts),
}


def environment_of(worker: PortedWorker, folder: Path, site: str) -> dict[str, str]:
    """What the worker's user set in the image, and that the test's site may be fetched from, for either package."""
    host = site.removeprefix("http://")
    own = {name: value.replace("SITE", host).replace("HERE", str(folder)) for name, value in worker.environment.items()}
    return {**own, "NOVITA_FETCH_ALLOW_HOSTS": "127.0.0.1", "RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS": "true"}
