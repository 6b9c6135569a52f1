"""runpod's helpers of handlers: what they return, and where they are better than they were."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web

import novita_gpus as runpod
from novita_gpus.serverless.utils import (
    download_files_from_urls,
    rp_cleanup,
    rp_cuda,
    rp_debugger,
    rp_download,
    rp_upload,
)
from novita_gpus.serverless.utils.rp_validator import validate
from novita_sdk.files import FileError
from novita_sdk.uploads import UploadError
from novita_worker.testing import LocalWorker
from tests.support.s3 import BUCKET, S3Server, moto, name_bucket
from tests.support.web import serve_handler


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Its files are named by their path, or in a header; other paths are not there."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("inside/a.txt", "unpacked")

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/a.png":
                return web.Response(body=b"png")
            case "/named":
                return web.Response(
                    body=b"wav", headers={"Content-Disposition": "attachment; filename*=UTF-8''h%C3%A9.wav"}
                )
            case "/sly":
                return web.Response(body=b"sly", headers={"Content-Disposition": 'attachment; filename="../../x.sh"'})
            case "/all.zip":
                return web.Response(body=archive.getvalue())
        return web.Response(status=404)

    monkeypatch.setenv("NOVITA_FETCH_ALLOW_HOSTS", "127.0.0.1")
    with serve_handler(answer) as url:
        yield url


class TestDownload:
    def test_files_come_in_order_with_their_extensions(self, site: str, tmp_path: Path) -> None:
        found = download_files_from_urls("j1", [f"{site}/named", None, f"{site}/a.png?x=.jpg"])
        assert found[1] is None
        assert [Path(path).read_bytes() for path in found if path] == [b"wav", b"png"]
        assert [Path(path).suffix for path in found if path] == [".wav", ".png"]
        assert {Path(path).parent for path in found if path} == {tmp_path / "jobs" / "j1" / "downloaded_files"}

    def test_one_url_needs_no_list(self, site: str) -> None:
        assert len(download_files_from_urls("j1", f"{site}/a.png")) == 1

    def test_what_can_t_be_fetched_is_none_and_in_the_log(
        self, site: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert download_files_from_urls("j1", [f"{site}/gone.png?key=secret", "no url"]) == [None, None]
        assert "answers 404" in caplog.text
        assert "'no url' is not an http(s) URL" in caplog.text
        assert "secret" not in caplog.text
        assert list((tmp_path / "jobs" / "j1" / "downloaded_files").iterdir()) == []

    def test_the_worker_s_own_network_is_out_of_reach(self, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NOVITA_FETCH_ALLOW_HOSTS")
        with pytest.raises(FileError, match="not a public address"):
            download_files_from_urls("j1", [f"{site}/a.png"])

    def test_a_job_s_id_does_not_lead_out_of_its_folder(self, site: str, tmp_path: Path) -> None:
        found = download_files_from_urls("../../elsewhere", [f"{site}/a.png"])
        assert Path(str(found[0])).is_relative_to(tmp_path / "jobs")

    def test_a_file_has_its_name_and_type(self, site: str, tmp_path: Path) -> None:
        found = rp_download.file(f"{site}/named")
        assert (found["original_name"], found["type"], found["extracted_path"]) == ("hé.wav", "wav", None)
        assert Path(found["file_path"]).parent == tmp_path / "job_files"
        sly = rp_download.file(f"{site}/sly")
        assert (sly["original_name"], sly["type"]) == ("x.sh", "sh")
        assert Path(sly["file_path"]).parent == tmp_path / "job_files"

    def test_a_zip_file_is_unpacked(self, site: str) -> None:
        found = rp_download.file(f"{site}/all.zip")
        assert (Path(str(found["extracted_path"])) / "inside" / "a.txt").read_text() == "unpacked"

    def test_a_file_that_can_t_be_fetched_raises(self, site: str, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="answers 404"):
            rp_download.file(f"{site}/gone.zip")
        assert list((tmp_path / "job_files").iterdir()) == []


class TestCleanup:
    def test_outside_of_a_job_everything_goes(self, site: str, tmp_path: Path) -> None:
        rp_download.file(f"{site}/a.png")
        (tmp_path / "mine").mkdir()
        (tmp_path / "output.zip").touch()
        rp_cleanup.clean(["mine", "was never there"])
        assert [path.name for path in tmp_path.iterdir()] == []
        rp_cleanup.clean()

    def test_a_job_cleans_up_after_itself_alone(self, site: str, tmp_path: Path) -> None:
        both_have_files = threading.Barrier(2)
        first_is_clean = threading.Event()

        def handler(job: dict[str, Any]) -> bool:
            paths = [
                download_files_from_urls(job["id"], f"{site}/a.png")[0],
                rp_download.file(f"{site}/a.png")["file_path"],
            ]
            both_have_files.wait(60)
            if job["input"] == "first":
                rp_cleanup.clean()
                first_is_clean.set()
                return any(Path(str(path)).exists() for path in paths)
            assert first_is_clean.wait(60)
            return all(Path(str(path)).exists() for path in paths)

        with LocalWorker(handler, concurrency=2) as worker:
            jobs = [worker.submit("first"), worker.submit("second")]
            assert [job.result(60).output for job in jobs] == [False, True]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with moto() as server:
        yield server


class TestUpload:
    def test_an_image_lands_under_its_job(
        self, server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        name_bucket(monkeypatch, server)
        (tmp_path / "a.png").write_bytes(b"image")
        links: list[str | None] = [None, None]
        link = rp_upload.upload_image("j1", "a.png", 1, links)
        assert links == [None, link]
        assert requests.get(link, timeout=60).content == b"image"
        links_of_both = rp_upload.files("j1", ["a.png", "a.png"])
        assert [requests.get(each, timeout=60).content for each in links_of_both] == [b"image", b"image"]
        with pytest.raises(UploadError, match="1 of 2 images were not uploaded"):
            rp_upload.files("j1", ["a.png", "gone.png"])

    def test_a_bucket_of_the_call(self, server: S3Server, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"text")
        [link] = rp_upload.bucket_upload("j2", [tmp_path / "a.txt"], {**server.creds, "bucketName": BUCKET})
        assert requests.get(link, timeout=60).content == b"text"
        extra = {"ContentType": "text/x-own", "Metadata": {"made": "by hand"}}
        link = rp_upload.upload_file_to_bucket("b.txt", "a.txt", server.creds, BUCKET, "pre", extra)
        assert requests.get(link, timeout=60).headers["Content-Type"] == "text/x-own"
        client, transfer = rp_upload.get_boto_client(server.creds)
        assert client is not None
        head = client.head_object(Bucket=BUCKET, Key="pre/b.txt")
        assert head["Metadata"] == {"made": "by hand"}
        client.upload_file("a.txt", BUCKET, "c.txt", Config=transfer)
        link = rp_upload.upload_in_memory_object("d.txt", b"memory", server.creds, BUCKET, prefix="pre")
        assert requests.get(link, timeout=60).content == b"memory"

    def test_without_a_bucket(self, tmp_path: Path) -> None:
        assert rp_upload.get_boto_client()[0] is None
        assert rp_upload.upload_in_memory_object("a.txt", b"text") == "local_upload/a.txt"

    def test_a_region(self) -> None:
        assert rp_upload.extract_region_from_url("https://b.s3.eu-west-3.amazonaws.com") == "eu-west-3"


SCHEMA = {
    "prompt": {"type": str, "required": True},
    "steps": {"type": int, "required": False, "default": 20, "constraints": lambda steps: 0 < steps <= 50},
    "scale": {"type": float, "required": False, "default": 7.5},
    "tags": {"type": list, "required": False, "default": []},
    "seed": {"type": int, "required": False, "default": None},
    "size": {"type": (int, str), "required": False, "default": "m"},
}


class TestValidator:
    def test_defaults_and_floats(self) -> None:
        given = {"prompt": "a", "scale": 8}
        checked = validate(given, SCHEMA)["validated_input"]
        assert checked == {"prompt": "a", "steps": 20, "scale": 8.0, "tags": [], "seed": None, "size": "m"}
        assert isinstance(checked["scale"], float)
        assert given == {"prompt": "a", "scale": 8}

    def test_a_default_belongs_to_nobody(self) -> None:
        validate({"prompt": "a"}, SCHEMA)["validated_input"]["tags"].append("mine")
        assert validate({"prompt": "a"}, SCHEMA)["validated_input"]["tags"] == []

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"prompt": None}, "prompt must be str (type), not None"),
            ({"prompt": 5}, "prompt must be str (type), not 5"),
            ({"size": 1.5}, "size must be int or str (type), not 1.5"),
            ({"steps": 0}, "steps does not meet the constraints (constraints); it is 0"),
            ({"steps": "many"}, "steps must be int (type), not 'many'"),
            ({"promt": "a"}, "promt is not known; did you mean prompt? (unknown_field)"),
            ({"scale": "big"}, "scale must be float (type), not 'big'"),
        ],
    )
    def test_a_violation(self, change: dict[str, object], error: str) -> None:
        assert validate({"prompt": "a", **change}, SCHEMA) == {"errors": [error]}

    def test_every_violation_is_told(self) -> None:
        assert validate({"steps": 51, "scale": "big", "x": 1}, SCHEMA)["errors"] == [
            "x is not known (unknown_field)",
            "prompt must be there (required)",
            "steps does not meet the constraints (constraints); it is 51",
            "scale must be float (type), not 'big'",
        ]

    def test_constraints_that_raise_are_an_error_of_the_input(self) -> None:
        schema = {"name": {"type": str, "required": True, "constraints": lambda name: name[3] == "x"}}
        [error] = validate({"name": "a"}, schema)["errors"]
        assert "which raised IndexError" in error

    def test_an_input_that_is_no_object(self) -> None:
        assert validate("text", SCHEMA) == {"errors": ["must be an object (type), not 'text'"]}

    def test_a_schema_as_text_and_one_that_is_none(self) -> None:
        [error] = validate({}, {"a": "no schema"})["errors"]
        assert error == "a has no Python type in the schema (schema)"
        schema = {"a": '{"required": true}'}
        assert validate({"a": 1}, schema)["errors"] == ["a has no Python type in the schema (schema)"]
        assert schema == {"a": '{"required": true}'}


class TestDebugger:
    def test_a_function_may_be_timed_again_and_again(self) -> None:
        @rp_debugger.FunctionTimer
        def work(number: int, *, more: int = 0) -> int:
            """Works."""
            return number + more

        rp_debugger.clear_debugger_output()
        assert [work(1), work(2, more=3)] == [1, 5]
        assert work.__doc__ == "Works."
        steps = rp_debugger.get_debugger_output()["timestamps"]
        assert [step["name"] for step in steps] == ["work", "work"]
        assert all(step["duration_ms"] >= 0 for step in steps)
        assert rp_debugger.get_debugger_output()["timestamps"] == []

    async def test_an_async_function_is_timed_until_it_is_done(self) -> None:
        begun, done = asyncio.Event(), asyncio.Event()

        @rp_debugger.FunctionTimer
        async def work() -> str:
            begun.set()
            await done.wait()
            return "done"

        rp_debugger.clear_debugger_output()
        task = asyncio.ensure_future(work())
        await begun.wait()
        assert rp_debugger.Checkpoints().get_checkpoints() == []
        done.set()
        assert await task == "done"
        [step] = rp_debugger.Checkpoints().get_checkpoints()
        assert step["name"] == "work"

    def test_checkpoints_by_hand(self) -> None:
        points = rp_debugger.Checkpoints()
        points.clear()
        points.add("a")
        with pytest.raises(KeyError, match="not started"):
            points.stop("a")
        with pytest.raises(KeyError, match="no checkpoint 'b'"):
            points.start("b")
        points.start("a")
        assert points.get_checkpoints() == []
        points.stop("a")
        assert rp_debugger.Checkpoints().get_checkpoints()[0]["name"] == "a"

    def test_steps_that_nobody_asks_for_are_not_kept_for_ever(self) -> None:
        for number in range(1500):
            with rp_debugger.LineTimer(str(number)):
                pass
        steps = rp_debugger.get_debugger_output()["timestamps"]
        assert (len(steps), steps[-1]["name"]) == (1000, "1499")

    def test_jobs_at_the_same_time_have_their_own(self) -> None:
        together = threading.Barrier(2)

        def handler(job: dict[str, Any]) -> list[str]:
            with rp_debugger.LineTimer(f"step {job['input']}"):
                together.wait(60)
            together.wait(60)
            return [step["name"] for step in rp_debugger.get_debugger_output()["timestamps"]]

        with LocalWorker(handler, concurrency=2) as worker:
            jobs = [worker.submit(number) for number in (1, 2)]
            assert [job.result(60).output for job in jobs] == [["step 1"], ["step 2"]]


class TestLogger:
    @pytest.fixture(autouse=True)
    def own_level(self) -> Iterator[None]:
        logger = logging.getLogger("novita_worker.job")
        before = logger.level
        yield
        logger.setLevel(before)

    def test_lines_have_levels_and_ids(self, caplog: pytest.LogCaptureFixture) -> None:
        log = runpod.RunPodLogger()
        log.set_level("TRACE")
        for write in (log.trace, log.debug, log.info, log.warn, log.error):
            write("100% there", "j1")
        log.tip("a tip")
        log.log("plain")
        told = [(record.levelname, record.getMessage(), getattr(record, "job_id", None)) for record in caplog.records]
        levels = ["DEBUG", "DEBUG", "INFO", "WARNING", "ERROR"]
        assert told == [(level, "100% there", "j1") for level in levels] + [
            ("INFO", "a tip", None),
            ("INFO", "plain", None),
        ]

    def test_a_secret_stays_one(self, caplog: pytest.LogCaptureFixture) -> None:
        log = runpod.RunPodLogger()
        log.set_level("INFO")
        log.secret("key", "sk-12345")
        log.secret("other", "")
        assert [record.getMessage() for record in caplog.records] == ["key: ***", "other: empty"]

    @pytest.mark.parametrize(("given", "level"), [("warn", "WARN"), (5, "ERROR"), (0, "NOTSET"), ("DEBUG", "DEBUG")])
    def test_levels(self, given: str | int, level: str) -> None:
        log = runpod.RunPodLogger()
        log.set_level(given)
        assert log.level == runpod.RunPodLogger().level == level

    @pytest.mark.parametrize("given", ["loud", 6, -1, True, None])
    def test_a_level_that_there_is_not(self, given: Any) -> None:
        with pytest.raises(ValueError, match="there is no log level"):
            runpod.RunPodLogger().set_level(given)
        with pytest.raises(ValueError, match="there is no log level"):
            runpod.RunPodLogger().log("text", given)


@pytest.mark.parametrize(
    ("script", "there"),
    [
        ("echo 'GPU 0: a card'", True),
        ("echo 'No devices were found'", False),
        ("echo 'GPU 0'; exit 9", False),
        (None, False),
    ],
)
def test_whether_there_is_a_gpu(
    script: str | None, there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert rp_cuda.is_available() is there
