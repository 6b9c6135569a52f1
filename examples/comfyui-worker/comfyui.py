"""Drives a ComfyUI server: queues a workflow, follows it, fetches its files, and leaves nothing behind."""

import asyncio
import contextlib
import json
import logging
import os
import time
import urllib.parse
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from comfyui_errors import ComfyUIError, refusal
from comfyui_process import NodeClass, Server
from comfyui_run import OnProgress, OutputFile, Outputs, Run, Workflow, collect

LOG = logging.getLogger("comfyui")
CANCEL_SECONDS = float(os.environ.get("COMFYUI_CANCEL_SECONDS", "20"))
STALL_SECONDS = float(os.environ.get("COMFYUI_STALL_SECONDS", "1800"))
CUT_SECONDS = 60
CLEAN_SECONDS = 10
QUIET_SECONDS = 5


class ComfyUI:
    """A connection to the server, for one job."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        self._launches = server.launches
        # Events of a run go to the client that queued it, so no job sees another's.
        self._client_id = uuid.uuid4().hex
        self._run: Run | None = None
        self._runs: list[Run] = []
        self._uploads: list[tuple[str, str]] = []

    @property
    def doing(self) -> str:
        """What the job is at, for people."""
        return self._run.doing if self._run else "preparing a job"

    async def check(self, workflow: Workflow) -> None:
        """Raises if the workflow needs node classes that are not installed."""
        missing = []
        for name in sorted({node["class_type"] for node in workflow.values()} - self._server.classes.keys()):
            status, info = await self._call("GET", f"/object_info/{urllib.parse.quote(name, safe='')}")
            if status == 200 and info:
                self._server.classes[name] = NodeClass.of(info[name])
            else:
                users = [node_id for node_id, node in workflow.items() if node["class_type"] == name]
                missing.append(f"{name} (node {', '.join(users)})")
        if missing:
            raise ComfyUIError("MISSING_NODE_CLASS", f"ComfyUI has no node class {', '.join(missing)}")

    async def upload(self, subfolder: str, name: str, data: bytes) -> str:
        """Puts a file into ComfyUI's input folder and returns its name there."""
        form = aiohttp.FormData({"overwrite": "true", "type": "input", "subfolder": subfolder})
        form.add_field("image", data, filename=name)
        while (subfolder, name) in self._server.deleting:  # noqa: ASYNC110  another job's, maybe of another loop
            await asyncio.sleep(0.01)
        self._uploads.append((subfolder, name))
        self._server.uploads[subfolder, name] += 1
        status, saved = await self._call("POST", "/upload/image", data=form)
        if status != 200:
            raise ComfyUIError("BAD_INPUT", f"ComfyUI answered {status} to the input file {name!r}")
        return f"{saved['subfolder']}/{saved['name']}".lstrip("/")

    async def run(
        self,
        workflow: Workflow,
        wanted: str | None,
        on_progress: OnProgress,
        extra_data: dict[str, Any],
        *,
        afresh: bool = False,
    ) -> Outputs:
        """Queues the workflow, follows it to its end and returns the outputs of the wanted node, or of all.

        However it ends, also by cancellation, the run is then out of ComfyUI's queue. With `afresh` nothing comes out
        of ComfyUI's cache.
        """
        await self._raise_if_stuck()
        if afresh:
            await self.free_memory()
        run = self._run = Run(workflow, wanted, on_progress, extra_data)
        if self._server.extension or afresh:
            run.salted = {node_id for node_id, node in workflow.items() if self._server.is_output(node["class_type"])}
        self._runs.append(run)
        try:
            return await self._run_to_its_end(run)
        except BaseException:
            cancelling = asyncio.create_task(self._cancel())
            while not cancelling.done():
                # Cancelled again: ComfyUI still has to be told.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([cancelling])
            raise

    async def fetch(self, file: OutputFile, path: Path) -> None:
        """Writes one output file to a path."""
        if file.content is not None:
            await asyncio.to_thread(path.write_bytes, file.content)
            return
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

    async def clean(self) -> None:
        """Deletes what the job left in ComfyUI: input files, delivered files, history."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(CLEAN_SECONDS):
                await self._clean()

    async def _clean(self) -> None:
        files = []
        for run in self._runs:
            entry = run.entry or await self._entry(run.id) or {}
            # Files of nodes without a salt stay: ComfyUI's cache may name them to the next job.
            files += [file for file in collect(entry, None, previews=True).files if run.is_salted(file, entry)]
        gone = []
        for key in self._uploads:
            self._server.uploads[key] -= 1
            if self._server.uploads[key] <= 0:
                del self._server.uploads[key]
                gone.append(OutputFile("", key[1], key[0], "input"))
        self._uploads.clear()
        if self._server.extension and (files or gone):
            names = [{"filename": one.filename, "subfolder": one.subfolder, "type": one.type} for one in files + gone]
            keys = {(file.subfolder, file.filename) for file in gone}
            self._server.deleting |= keys
            try:
                await self._call("POST", "/worker/forget", json={"files": names})
            finally:
                self._server.deleting -= keys
        await self._call("POST", "/history", json={"delete": [run.id for run in self._runs]})

    async def _run_to_its_end(self, run: Run) -> Outputs:
        cut_since: float | None = None
        while True:
            try:
                async with self._session.ws_connect(f"/ws?clientId={self._client_id}", max_msg_size=0) as events:
                    cut_since = None
                    await self._queue(run)
                    await self._follow(run, events)
                if entry := await self._history(run):
                    run.entry = entry
                    return run.outputs(entry)
            except aiohttp.ClientError:
                # A process that dies closes its sockets first. One that lives goes on with the run.
                cut_since = cut_since or time.monotonic()
                await asyncio.sleep(0.5)
                self._server.raise_if_dead(self.doing, self._launches)
                if time.monotonic() - cut_since > CUT_SECONDS:
                    raise
            self._server.raise_if_dead(self.doing, self._launches)

    async def _queue(self, run: Run) -> None:
        # The id is the worker's, so that an answer that was lost is no second run.
        if run.is_queued or (run.is_sent and await self._knows(run)):
            run.is_queued = True
            return
        run.is_sent = True
        body = {"prompt": run.prompt(), "client_id": self._client_id, "prompt_id": run.id, "extra_data": run.extra_data}
        if run.wanted and self._server.is_output(run.workflow[run.wanted]["class_type"]):
            body["partial_execution_targets"] = [run.wanted]
        status, reply = await self._call("POST", "/prompt", json=body)
        # With some outputs broken ComfyUI leaves those out and runs the others, which may not be what was asked for.
        broken = {
            node_id: node
            for node_id, node in (reply.get("node_errors") or {}).items()
            if status != 200 or run.wanted in (None, node_id, *node["dependent_outputs"])
        }
        if status != 200 or broken:
            raise refusal(reply.get("error"), broken)
        run.id, run.is_queued = str(reply["prompt_id"]), True

    async def _follow(self, run: Run, events: aiohttp.ClientWebSocketResponse) -> None:
        """Returns when the run is over, or when the connection is."""
        last = time.monotonic()
        while True:
            try:
                frame = await events.receive(timeout=QUIET_SECONDS)
            except TimeoutError:
                # An event can get lost with a connection; the history can't.
                self._server.raise_if_dead(self.doing, self._launches)
                await self._raise_if_stuck()
                if await self._is_over(run):
                    return
                await self._raise_if_still(run, time.monotonic() - last)
                continue
            if frame.type == aiohttp.WSMsgType.TEXT:
                message = json.loads(frame.data)
                data = message.get("data") or {}
                if data.get("prompt_id") == run.id:
                    last = time.monotonic()
                    if run.is_over_after(message["type"], data):
                        return
            elif frame.type == aiohttp.WSMsgType.BINARY:
                run.take_binary(frame.data)
            else:
                return

    async def _raise_if_still(self, run: Run, seconds: float) -> None:
        """Raises if the run does not move and will not, and starts a ComfyUI of the worker's own again."""
        if await self._queued() != {run.id: "queue_running"}:
            return
        alive = await pulse(self._server, self._session)
        if alive is False:
            why = "the thread that runs workflows has ended: a node raised SystemExit or KeyboardInterrupt"
        elif STALL_SECONDS and seconds > STALL_SECONDS:
            why = f"nothing was heard of the run for {seconds:.0f} s (COMFYUI_STALL_SECONDS)"
        else:
            return
        if self._server.is_ours:
            raise ComfyUIError(
                "COMFYUI_STUCK", f"ComfyUI hangs while {self.doing}: {why}. It is ended, and started again"
            )
        raise ComfyUIError(
            "COMFYUI_STUCK",
            f"the ComfyUI at {self._server.url} hangs while {self.doing}: {why}. This worker did not start it: "
            "start it again",
        )

    async def _raise_if_stuck(self) -> None:
        stuck = self._server.stuck
        if not stuck:
            return
        _, queue = await self._call("GET", "/queue")
        running = {item[1] for item in queue["queue_running"]}
        for run_id in stuck.keys() - running:
            del stuck[run_id]
        for run_id, since in stuck.items():
            raise ComfyUIError(
                "COMFYUI_STUCK",
                f"the ComfyUI at {self._server.url} still runs {run_id}, which was cancelled "
                f"{time.monotonic() - since:.0f} s ago. This worker did not start it: start it again",
            )

    async def _is_over(self, run: Run) -> bool:
        # In this order: a run goes from the queue into the history in one step.
        if await self._knows(run):
            return bool(await self._entry(run.id))
        raise ComfyUIError("RUN_LOST", "ComfyUI no longer has the run: its queue was cleared, or it was started anew")

    async def _knows(self, run: Run) -> bool:
        return run.id in await self._queued() or bool(await self._entry(run.id))

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
        """Takes this job's run out of the queue, or interrupts it, and waits until it is gone.

        One that goes on past its grace would hold up the next job: a ComfyUI of the worker's own is then started again.
        """
        running: list[str] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if await self._has_died() else CANCEL_SECONDS):
                while True:
                    try:
                        mine = await self._queued()
                        if not mine:
                            return
                        running = [run_id for run_id, state in mine.items() if state == "queue_running"]
                        if waiting := [run_id for run_id in mine if run_id not in running]:
                            await self._call("POST", "/queue", json={"delete": waiting})
                        for run_id in running:
                            await self._call("POST", "/interrupt", json={"prompt_id": run_id})
                    except aiohttp.ClientError:
                        if self._launches != self._server.launches or not (running or self._server.is_ours):
                            return
                    await asyncio.sleep(0.1)
        if self._launches != self._server.launches:
            return
        if self._server.is_ours:
            LOG.warning("ComfyUI did not end its run while %s; it is started again", self.doing)
            await self._server.restart()
        else:
            LOG.error(
                "the ComfyUI at %s did not end a cancelled run in %g s while %s; this worker did not start it: "
                "start it again",
                self._server.url,
                CANCEL_SECONDS,
                self.doing,
            )
            self._server.stuck.update(dict.fromkeys(running, time.monotonic()))

    async def _has_died(self) -> bool:
        # What nobody executes can't be interrupted, so that there is nothing to wait for.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            return await pulse(self._server, self._session) is False
        return False

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


async def pulse(server: Server, session: aiohttp.ClientSession) -> bool | None:
    """Whether the thread that runs workflows is there, or None where ComfyUI lacks the extension that knows."""
    if server.extension is False:
        return None
    async with session.get("/worker/pulse") as answer:
        server.extension = answer.status == 200
        alive: bool | None = (await answer.json())["alive"] if server.extension else None
        return alive


async def check_device(server: Server, *, needs_gpu: bool) -> None:
    """Waits for ComfyUI, and raises if the device that it computes on fails, or is none where one is needed."""
    async with aiohttp.ClientSession(server.url) as session:
        stats = await server.wait_until_ready(session)
        device, error = ", ".join(one["type"] for one in stats["devices"]), None
        async with session.get("/worker/device") as answer:
            if answer.status == 200:
                told = await answer.json()
                device, error = told["device"], told["error"]
    if error:
        raise ComfyUIError(
            "DEVICE_BROKEN", f"ComfyUI can't compute on {device}: {error}. Replace this worker's machine"
        )
    if needs_gpu and device.startswith("cpu"):
        raise ComfyUIError("NO_GPU", "ComfyUI runs on the CPU: give the endpoint a GPU, or unset COMFYUI_REQUIRE_GPU")


@contextlib.asynccontextmanager
async def connect(server: Server) -> AsyncIterator[ComfyUI]:
    """Waits until ComfyUI is ready and opens a connection for one job."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
    async with aiohttp.ClientSession(server.url, timeout=timeout) as session:
        await server.wait_until_ready(session)
        if server.extension is None and await pulse(server, session) is None and not server.extension:
            LOG.warning(
                "ComfyUI lacks custom_nodes/worker_extension.py: files of delivered jobs stay, and a node that ends "
                "ComfyUI's thread is noticed after COMFYUI_STALL_SECONDS only"
            )
        comfyui = ComfyUI(server, session)
        try:
            yield comfyui
        except aiohttp.ClientError as error:
            # A process that dies closes its sockets first.
            await asyncio.sleep(0.5)
            server.raise_if_dead(comfyui.doing, comfyui._launches)
            raise ComfyUIError("COMFYUI_UNREACHABLE", f"the connection to ComfyUI broke: {error}") from error
        finally:
            await comfyui.clean()
