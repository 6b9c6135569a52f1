"""Workers share a spool, and nothing else in its folder is touched."""

from __future__ import annotations

import fcntl
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from novita_worker.desk.outbox import Place, PostKind
from novita_worker.link.spool import Spool
from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import ECHO, Spawn, WorkerProcess


def end(worker: WorkerProcess) -> None:
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_stopped_job_leaves_nothing_in_the_spool(gateway: WorkerGateway, spawn: Spawn, spool: Path) -> None:
    worker = spawn(
        f"""
        def handler(job, context):
            context.progress(message="working")
            while not context.cancelled:
                time.sleep(0.01)
            return "too late"
        start({{"handler": handler, "spool_dir": {str(spool)!r}}})
        """
    )
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id) and gateway.of("stop"))
    gateway.stop(job_id)
    gateway.wait_for(lambda: len(gateway.of("take")) == 2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert list(spool.iterdir()) == []
    assert gateway.of("done") == []


def test_a_running_process_keeps_its_spool_to_itself(
    gateway: WorkerGateway, spawn: Spawn, environ: dict[str, str]
) -> None:
    gateway.faults["done"].append(Fault(kind="hang"))
    spawn(ECHO, environ=environ)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("failed"))
    spawn(ECHO, environ=environ)
    gateway.result(gateway.submit())
    gateway.result(gateway.submit())
    assert gateway.of("done", job_id) == []


def test_a_kill_during_a_replay_repeats_no_acknowledged_chunk(spool: Path) -> None:
    first = Spool(spool, "w1")
    posts = [(PostKind.CHUNK, b"0"), (PostKind.CHUNK, b"1"), (PostKind.RESULT, b"{}")]
    first.put("j1", posts, is_stream=True)
    first.mark_sent("j1")
    first.close()
    second = Spool(spool, "w2")
    (spooled,) = second.recover()
    assert list(spooled.posts) == posts[1:]
    second.mark_recovered_sent(spooled)
    second.close()
    (spooled,) = (third := Spool(spool, "w3")).recover()
    assert list(spooled.posts) == posts[2:]
    assert (spooled.job_id, spooled.worker_id, spooled.is_stream) == ("j1", "w1", True)
    third.discard(spooled)
    third.close()


def test_what_was_kept_has_its_place_also_after_some_of_it_was_acknowledged(spool: Path) -> None:
    first = Spool(spool, "w1")
    posts = [(PostKind.CHUNK, b"2"), (PostKind.CHUNK, b"3"), (PostKind.RESULT, b"{}")]
    first.put("j1", posts, is_stream=True, place=Place(4, 2))
    first.mark_sent("j1")
    first.close()
    second = Spool(spool, "w2")
    (spooled,) = second.recover()
    assert (spooled.take, spooled.number, list(spooled.posts)) == (4, 3, posts[1:])
    second.close()


def test_what_an_older_worker_kept_is_delivered_without_places(spool: Path) -> None:
    first = Spool(spool, "w1")
    posts = [(PostKind.CHUNK, b"0"), (PostKind.RESULT, b"{}")]
    first.put("j1", posts, is_stream=True)
    (file,) = spool.glob("*/*.result")
    file.write_bytes(file.read_bytes().replace(b'"take": null, "number": null, ', b""))
    first.close()
    second = Spool(spool, "w2")
    (spooled,) = second.recover()
    assert (spooled.take, spooled.number, list(spooled.posts)) == (None, None, posts)
    second.close()


def test_a_job_that_runs_again_starts_with_its_first_chunk(spool: Path) -> None:
    kept = Spool(spool, "w1")
    posts = [(PostKind.CHUNK, b"0"), (PostKind.RESULT, b"{}")]
    kept.put("j1", posts, is_stream=True)
    kept.mark_sent("j1")
    kept.put("j1", posts, is_stream=True)
    kept.close()
    with closing(Spool(spool, "w2")) as last:
        (spooled,) = last.recover()
    assert list(spooled.posts) == posts


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3],
        lambda data: data[:10],
        lambda data: b"",
        lambda data: data.replace(b"paid for", b"paid far"),
        lambda data: b"\xff" + data,
        lambda data: b"[1]\n" + data,
        lambda data: b"{}\n" + data,
    ],
    ids=["torn", "torn early", "empty", "changed", "no text", "no object", "no sum"],
)
def test_a_damaged_result_is_set_aside(
    spool: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    first = Spool(spool, "w1")
    for job_id in ("bad", "good"):
        first.put(job_id, [(PostKind.RESULT, b'{"output":"paid for %s"}' % job_id.encode())], is_stream=False)
    first.close()
    (file,) = [path for path in spool.glob("*/*.result") if b"for bad" in path.read_bytes()]
    file.write_bytes(damage(file.read_bytes()))
    second = Spool(spool, "w2")
    (good,) = second.recover()
    assert good.job_id == "good"
    assert "a spooled result is damaged" in caplog.text
    assert "paid" not in caplog.text
    second.discard(good)
    second.close()
    assert [path.name for path in spool.glob("*/*")] == [file.with_suffix(".damaged").name]
    with closing(Spool(spool, "w3")) as last:
        assert last.recover() == []


def test_a_damaged_result_keeps_no_other_back(
    gateway: WorkerGateway, spawn: Spawn, spool: Path, environ: dict[str, str]
) -> None:
    gateway.faults["done"].extend([Fault(kind="hang")] * 2)
    first = spawn(ECHO, environ=environ)
    bad, good = gateway.submit("paid for"), gateway.submit("whole")
    gateway.wait_for(lambda: len(gateway.of("failed")) == 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (file,) = [path for path in spool.glob("*/*.result") if b"paid for" in path.read_bytes()]
    file.write_bytes(file.read_bytes()[:-3])
    second = spawn(ECHO, environ=environ)
    assert gateway.result(good) == {"output": "whole"}
    end(second)
    assert gateway.of("done", bad) == []


def test_what_else_lies_in_the_folder_is_left_alone(
    gateway: WorkerGateway, spawn: Spawn, spool: Path, environ: dict[str, str]
) -> None:
    others = [
        spool / "file.txt",
        spool / "models" / "weights.bin",
        spool / "models" / "lock",
        spool / ("0" * 32) / "x.tmp",
        spool / ("worker-" + "0" * 32) / "mine.txt",
        spool / ("worker-" + "1" * 32) / "folder" / "mine.txt",
        spool / ("worker-" + "2" * 32) / "folder.result" / "mine.txt",
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    worker = spawn(ECHO, environ=environ)
    assert gateway.result(gateway.submit(1)) == {"output": 1}
    end(worker)
    assert {path: path.read_text() for path in others} == dict.fromkeys(others, "precious")


def test_a_full_disk_does_not_keep_a_result_from_the_gateway(
    gateway: WorkerGateway, spawn: Spawn, spool: Path, environ: dict[str, str]
) -> None:
    worker = spawn(
        """
        import resource
        def handler(job):
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))
            return "x" * job["input"]
        start({"handler": handler})
        """,
        environ=environ,
    )
    assert gateway.result(gateway.submit(2**20)) == {"output": "x" * 2**20}
    worker.wait_for_log("the result of job j1 is not on disk while it is delivered")
    assert gateway.result(gateway.submit(5)) == {"output": "xxxxx"}
    assert worker.stderr.count("not on disk") == 1
    end(worker)
    assert list(spool.iterdir()) == []


def test_a_folder_that_is_gone_does_not_keep_a_result_from_the_gateway(
    gateway: WorkerGateway, spawn: Spawn, spool: Path, environ: dict[str, str]
) -> None:
    worker = spawn(
        f"""
        import shutil
        def handler(job):
            shutil.rmtree({str(spool)!r}, ignore_errors=True)
            open({str(spool)!r}, "w").close()
            return job["input"]
        start({{"handler": handler}})
        """,
        environ=environ,
    )
    for value in ("first", "second"):
        assert gateway.result(gateway.submit(value)) == {"output": value}
    worker.wait_for_log("not on disk")
    end(worker)
    assert len(gateway.of("done")) == 2


def test_workers_that_start_and_end_at_once_share_a_folder(spool: Path) -> None:
    found: list[str] = []

    def work(name: str) -> None:
        for number in range(20):
            own = Spool(spool, name)
            found.extend(spooled.job_id for spooled in own.recover())
            own.put(f"{name}-{number}", [(PostKind.RESULT, b"{}")], is_stream=False)
            own.close()

    names = [f"w{index}" for index in range(6)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(work, names))
    with closing(Spool(spool, "last")) as last:
        found.extend(spooled.job_id for spooled in last.recover())
    assert set(found) == {f"{name}-{number}" for name in names for number in range(20)}


def test_a_lock_in_a_folder_that_another_process_removes_is_no_lock(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def flock(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        for folder in spool.iterdir():
            shutil.rmtree(folder)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    kept = Spool(spool, "w1")
    kept.put("j1", [(PostKind.RESULT, b"{}")], is_stream=False)
    kept.close()
    with closing(Spool(spool, "w2")) as last:
        assert [spooled.job_id for spooled in last.recover()] == ["j1"]


def test_a_spool_that_cannot_be_made_is_refused_before_the_first_take(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    worker = spawn(ECHO, environ={**gateway.environ(), "NOVITA_SPOOL_DIR": str(tmp_path / "file" / "spool")})
    assert worker.wait() == 1
    assert "the spool folder" in worker.stderr
    assert gateway.of("take") == []
