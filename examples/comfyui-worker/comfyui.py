"""Drives a ComfyUI server: starts it, queues a workflow, follows it, fetches its files."""

import asyncio
import atexit
import collections
import contextlib
import json
import socket
import subprocess
import threading
import time
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

OnProgress = Callable[[dict[str, Any]], None]
Workflow = dict[str, dict[str, Any]]

LOG_LINES = 60
START_SECONDS = 600
STOP_SECONDS = 30
QUIET_SECONDS = 5


class ComfyUIError(Exception):
    """ComfyUI refused or failed. `code` says what happened; the notes hold its traceback or log."""

    def __init__(self, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code = code
        if details:
            self.add_note(details)


class Server:
    """The ComfyUI process. One that listens at the URL already is used as it is."""

    def __init__(self, url: str, command: Sequence[str]) -> None:
        self.url = url
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)

    def launch(self) -> None:
        """Starts the process if there is none, without waiting for it."""
        if not self._command or (self._process and self._process.poll() is None) or self._listens():
            return
        # A session of its own: Ctrl-C reaches the worker alone, which finishes its job before it stops ComfyUI.
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        atexit.register(self.stop)
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ends the process if this object started it."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            self._process.kill()

    async def wait_until_ready(self, session: aiohttp.ClientSession) -> None:
        """Starts ComfyUI if nothing listens, and returns when it answers."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get("/system_stats") as answer:
                    if answer.status == 200:
                        return
            self.raise_if_dead("starting")
            if not self._process or time.monotonic() > deadline:
                raise ComfyUIError(
                    "COMFYUI_UNREACHABLE",
                    f"ComfyUI does not answer at {self.url}: set COMFYUI_URL to where it listens, "
                    "or COMFYUI_COMMAND to the command that starts it there",
                    self._tail(),
                )
            await asyncio.sleep(0.2)

    def raise_if_dead(self, doing: str) -> None:
        """Raises, with the end of the log, if the process is gone, and starts it again for the next job."""
        if self._process and (status := self._process.poll()) is not None:
            log = self._tail()
            self._process = None
            self.launch()
            raise ComfyUIError("COMFYUI_CRASHED", f"ComfyUI ended with status {status} while {doing}", log)

    def _listens(self) -> bool:
        parts = urllib.parse.urlsplit(self.url)
        with contextlib.suppress(OSError):
            socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1).close()
            return True
        return False

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        with process:
            for line in process.stdout or ():
                self._log.append(line.rstrip())
                print(line, end="", flush=True)

    def _tail(self) -> str:
        if self._reader:
            self._reader.join(timeout=1)
        return "The end of ComfyUI's log:\n" + "\n".join(self._log) if self._log else ""


@dataclass(frozen=True)
class OutputFile:
    """One file that a node produced."""

    node_id: str
    filename: str
    subfolder: str
    type: str


@dataclass
class Run:
    """How far a queued workflow is."""

    workflow: Workflow
    on_progress: OnProgress
    id: str = ""
    current: str | None = None
    done: set[str] = field(default_factory=set)

    @property
    def node(self) -> str:
        """The running node, for people."""
        return f"node {self.current} ({self.workflow.get(self.current or '', {}).get('class_type', '?')})"

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
            raise _failure(event, data)
        return False

    def _report(self, message: str, part: float) -> None:
        fraction = min(1.0, (len(self.done) + part) / len(self.workflow))
        self.on_progress({"fraction": round(fraction, 4), "message": message, "node": self.current})


class ComfyUI:
    """A connection to the server, for one job."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        # Events of a run go to the client that queued it, so no job sees another's.
        self._client_id = uuid.uuid4().hex
        self._run: Run | None = None

    @property
    def doing(self) -> str:
        """What the job is at, for people."""
        return f"running {self._run.node}" if self._run and self._run.id else "preparing a job"

    async def check(self, workflow: Workflow) -> None:
        """Raises if the workflow needs node classes that are not installed."""
        missing = []
        for name in sorted({node["class_type"] for node in workflow.values()}):
            status, info = await self._call("GET", f"/object_info/{urllib.parse.quote(name, safe='')}")
            if status != 200 or not info:
                users = [node_id for node_id, node in workflow.items() if node["class_type"] == name]
                missing.append(f"{name} (node {', '.join(users)})")
        if missing:
            raise ComfyUIError("MISSING_NODE_CLASS", f"ComfyUI has no node class {', '.join(missing)}")

    async def upload(self, name: str, data: bytes) -> str:
        """Puts a file into ComfyUI's input folder and returns its name there."""
        form = aiohttp.FormData({"overwrite": "true", "type": "input"})
        form.add_field("image", data, filename=name)
        status, saved = await self._call("POST", "/upload/image", data=form)
        if status != 200:
            raise ComfyUIError("BAD_INPUT", f"ComfyUI answered {status} to the input file {name!r}")
        return f"{saved['subfolder']}/{saved['name']}".lstrip("/")

    async def run(self, workflow: Workflow, wanted: str | None, on_progress: OnProgress) -> list[OutputFile]:
        """Queues the workflow, follows it to its end and returns the files of the wanted node, or of all.

        However it ends, also by cancellation, the run is then out of ComfyUI's queue.
        """
        run = self._run = Run(workflow, on_progress)
        try:
            while True:
                async with self._session.ws_connect(f"/ws?clientId={self._client_id}", max_msg_size=0) as events:
                    run.id = run.id or await self._queue(workflow, wanted)
                    await self._follow(run, events)
                if entry := await self._history(run):
                    return _files(entry["outputs"], wanted)
                self._server.raise_if_dead(self.doing)
        except BaseException:
            cancelling = asyncio.create_task(self._cancel())
            while not cancelling.done():
                # Cancelled again: ComfyUI still has to be told.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([cancelling])
            raise

    async def fetch(self, file: OutputFile, path: Path) -> None:
        """Writes one output file to a path."""
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self._session.get("/view", params=query) as answer:
            if answer.status != 200:
                raise ComfyUIError("OUTPUT_GONE", f"ComfyUI no longer has {file.filename!r} of node {file.node_id}")
            with path.open("wb") as copy:
                async for chunk in answer.content.iter_chunked(1 << 20):
                    copy.write(chunk)

    async def free_memory(self) -> None:
        """Unloads the models and empties the caches."""
        with contextlib.suppress(aiohttp.ClientError):
            await self._call("POST", "/free", json={"unload_models": True, "free_memory": True})

    async def _queue(self, workflow: Workflow, wanted: str | None) -> str:
        status, reply = await self._call("POST", "/prompt", json={"prompt": workflow, "client_id": self._client_id})
        # With some outputs broken ComfyUI leaves those out and runs the others, which may not be what was asked for.
        broken = {
            node_id: node
            for node_id, node in (reply.get("node_errors") or {}).items()
            if status != 200 or wanted in (None, node_id, *node["dependent_outputs"])
        }
        if status != 200 or broken:
            raise _refusal(reply.get("error"), broken)
        return str(reply["prompt_id"])

    async def _follow(self, run: Run, events: aiohttp.ClientWebSocketResponse) -> None:
        """Returns when the run is over, or when the connection is."""
        while True:
            try:
                frame = await events.receive(timeout=QUIET_SECONDS)
            except TimeoutError:
                # An event can get lost with a connection; the history can't.
                self._server.raise_if_dead(self.doing)
                if await self._is_over(run):
                    return
                continue
            if frame.type == aiohttp.WSMsgType.TEXT:
                message = json.loads(frame.data)
                data = message.get("data") or {}
                if data.get("prompt_id") == run.id and run.is_over_after(message["type"], data):
                    return
            elif frame.type != aiohttp.WSMsgType.BINARY:
                return

    async def _is_over(self, run: Run) -> bool:
        # In this order: a run goes from the queue into the history in one step.
        if run.id in await self._queued():
            return False
        if await self._entry(run.id):
            return True
        raise ComfyUIError("RUN_LOST", "ComfyUI no longer has the run: its queue was cleared, or it was started anew")

    async def _history(self, run: Run) -> dict[str, Any] | None:
        for _ in range(20):
            if entry := await self._entry(run.id):
                for event, data in entry.get("status", {}).get("messages", []):
                    run.is_over_after(event, data)
                return entry
            await asyncio.sleep(0.1)
        return None

    async def _entry(self, run_id: str) -> dict[str, Any] | None:
        _, history = await self._call("GET", f"/history/{run_id}")
        entry: dict[str, Any] | None = history.get(run_id)
        return entry

    async def _cancel(self) -> None:
        """Takes this job's run out of the queue, or interrupts it, and waits until it is gone."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while True:
                    mine = await self._queued()
                    if not mine:
                        return
                    for run_id, state in mine.items():
                        if state == "queue_pending":
                            await self._call("POST", "/queue", json={"delete": [run_id]})
                        else:
                            await self._call("POST", "/interrupt", json={"prompt_id": run_id})
                    await asyncio.sleep(0.1)

    async def _queued(self) -> dict[str, str]:
        """This job's runs that wait or run, by id: `queue_pending` or `queue_running`."""
        _, queue = await self._call("GET", "/queue")
        return {
            item[1]: state
            for state, items in queue.items()
            for item in items
            if item[3].get("client_id") == self._client_id
        }

    async def _call(self, verb: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self._session.request(verb, path, **options) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(body) if is_json else {"error": body.decode(errors="replace")}


@contextlib.asynccontextmanager
async def connect(server: Server) -> AsyncIterator[ComfyUI]:
    """Waits until ComfyUI is ready and opens a connection for one job."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
    async with aiohttp.ClientSession(server.url, timeout=timeout) as session:
        await server.wait_until_ready(session)
        comfyui = ComfyUI(server, session)
        try:
            yield comfyui
        except aiohttp.ClientError as error:
            # A process that dies closes its sockets first.
            await asyncio.sleep(0.5)
            server.raise_if_dead(comfyui.doing)
            raise ComfyUIError("COMFYUI_UNREACHABLE", f"the connection to ComfyUI broke: {error}") from error


def _files(outputs: dict[str, Any], wanted: str | None) -> list[OutputFile]:
    """Every file of a run: images, gifs, videos, audio, and whatever custom nodes call theirs."""
    entries = [
        (node_id, entry)
        for node_id, output in outputs.items()
        for group in output.values()
        for entry in (group if isinstance(group, list) else [])
        if wanted in (None, node_id) and isinstance(entry, dict) and "filename" in entry
    ]
    # Previews are of type "temp"; they count where their node was asked for.
    return [
        OutputFile(node_id, entry["filename"], entry.get("subfolder", ""), entry.get("type", "output"))
        for node_id, entry in entries
        if wanted or entry.get("type", "output") == "output"
    ]


def _refusal(error: object, broken: dict[str, Any]) -> ComfyUIError:
    problems = [
        (problem["type"], f"node {node_id} ({node['class_type']}): {problem['message']}: {problem['details']}")
        for node_id, node in broken.items()
        for problem in node["errors"]
    ]
    if not problems:
        text = f"{error.get('message')}: {error.get('details')}" if isinstance(error, dict) else str(error)
        problems = [("", text)]
    # A model is chosen from a list of the files that are there.
    code = "MISSING_MODEL" if any(kind == "value_not_in_list" for kind, _ in problems) else "WORKFLOW_REFUSED"
    return ComfyUIError(code, "ComfyUI refused the workflow: " + "; ".join(text for _, text in problems))


def _failure(event: str, data: dict[str, Any]) -> ComfyUIError:
    node = f"node {data['node_id']} ({data['node_type']})"
    if event == "execution_interrupted":
        return ComfyUIError("INTERRUPTED", f"the run was interrupted in {node}")
    kind = str(data["exception_type"])
    code = "OUT_OF_MEMORY" if "OutOfMemory" in kind else "NODE_FAILED"
    trace = "ComfyUI's traceback:\n" + "".join(data.get("traceback") or [])
    return ComfyUIError(code, f"{node} failed: {kind}: {str(data['exception_message']).strip()}", trace)
