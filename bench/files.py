"""Files to and from a local S3 server: throughput and peak memory, beside bare boto3 and the published package.

`make bench-files` runs it. Every transfer has a process of its own; the ways take turns. The last table shows what
moves when many jobs share one input.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from peers import NOVITA, python_with

MIB = 1 << 20
KEY, SECRET, BUCKET = "ACCESSKEY123", "secret-of-the-bench", "bench"

CREDENTIALS = """
import sys, boto3
from botocore.config import Config
url, path, name = sys.argv[1:]
creds = dict(endpointUrl=url, accessId="{KEY}", accessSecret="{SECRET}")
client = lambda: boto3.client("s3", endpoint_url=url, aws_access_key_id="{KEY}", aws_secret_access_key="{SECRET}",
                              region_name="us-east-1", config=Config(signature_version="s3v4"))
""".replace("{KEY}", KEY).replace("{SECRET}", SECRET)

# The published function has the same name and arguments.
UPLOAD_OURS = f"{CREDENTIALS}from novita_gpus import upload_file as up; up(name, path, '{BUCKET}', bucket_creds=creds)"
UPLOAD_BOTO3 = f"{CREDENTIALS}client().upload_file(path, '{BUCKET}', name)"
DOWNLOAD_OURS = f"""{CREDENTIALS}
from pathlib import Path
from novita_sdk.files import File
sha256, size = Path(path + ".sha256").read_text().split()
link = client().generate_presigned_url("get_object", Params=dict(Bucket="{BUCKET}", Key=name))
File(url=link, name="down", size=int(size), sha256=sha256).download(Path(path).with_name("down-ours"))
"""
DOWNLOAD_BOTO3 = f"{CREDENTIALS}client().download_file('{BUCKET}', name, path + '.down')"


def run(python: Path, code: str, *arguments: str) -> tuple[float, float]:
    """Wall seconds and peak MiB of one process."""
    begin = time.perf_counter()
    process = subprocess.Popen([python, "-c", code, *arguments], cwd="/")
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{python} failed on: {code}")
    return wall, usage.ru_maxrss / 1024


@contextlib.contextmanager
def s3_server(root: Path) -> Iterator[str]:
    """Rclone's S3 server on a free port, with one bucket."""
    (root / "data" / BUCKET).mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("rclone"), "serve", "s3", f"--addr=127.0.0.1:{port}"]
    command += [f"--auth-key={KEY},{SECRET}", f"--config={root}/none", root / "data"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def counting_proxy(url: str) -> Iterator[tuple[str, list[int]]]:
    """Forwards connections to the server; gives its URL and the bytes [up, down] that went through."""
    target = ("127.0.0.1", int(url.rpartition(":")[2]))
    moved = [0, 0]

    def pump(source: socket.socket, sink: socket.socket, way: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                sink.sendall(data)
                moved[way] += len(data)
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(target)
                for source, sink, way in ((client, server, 0), (server, client, 1)):
                    threading.Thread(target=pump, args=(source, sink, way), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", moved


def transfers(url: str, folder: Path, size: int, runs: int) -> None:
    """Prints the table of uploads and downloads."""
    import hashlib

    source = folder / "source"
    block = os.urandom(MIB)
    with source.open("wb") as file:
        for _ in range(size // MIB):
            file.write(block)
    with source.open("rb") as file:
        Path(f"{source}.sha256").write_text(f"{hashlib.file_digest(file, 'sha256').hexdigest()} {size}")
    ours, published = Path(sys.executable), python_with(NOVITA)
    ways = {
        ("upload", "ours"): (ours, UPLOAD_OURS),
        ("upload", "bare boto3"): (ours, UPLOAD_BOTO3),
        ("upload", "published 0.0.1"): (published, UPLOAD_OURS),
        ("download", "ours, checked"): (ours, DOWNLOAD_OURS),
        ("download", "bare boto3"): (ours, DOWNLOAD_BOTO3),
    }
    samples: dict[tuple[str, str], list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, (python, code) in ways.items():
            samples[way].append(run(python, code, url, str(source), "object"))
            for left in (folder / "down-ours" / "down", Path(f"{source}.down")):
                left.unlink(missing_ok=True)
    print(f"{size // MIB} MiB, median of {runs} runs, one process each, start included\n")
    print("| direction | way | MiB/s | peak memory, MiB |\n|---|---|---|---|")
    for (direction, name), taken in samples.items():
        seconds, peak = (statistics.median(column) for column in zip(*taken, strict=True))
        print(f"| {direction} | {name} | {size / MIB / seconds:.0f} | {peak:.0f} |")


def sharing(url: str, folder: Path, jobs: int, size: int) -> None:
    """Prints what moves for jobs that share one input."""
    from novita_sdk.files import BucketStore, ContentFolder, FetchPolicy, File, JobFiles, OncePerContent, send_files
    from novita_sdk.storage.places import configured_bucket

    content = os.urandom(size)
    with counting_proxy(url) as (proxy, moved):
        bucket = configured_bucket(BUCKET, {"endpointUrl": proxy, "accessId": KEY, "accessSecret": SECRET})
        assert bucket is not None
        store, cache = OncePerContent(BucketStore(bucket)), ContentFolder(folder / "cache")
        begin = time.perf_counter()
        inputs = [send_files({"image": File.from_bytes(content, name="in.png")}, store) for _ in range(jobs)]
        sent = time.perf_counter()

        def work(job: dict[str, File]) -> None:
            with JobFiles(cache, FetchPolicy(allow_private=True)) as files:
                assert files.open(job["image"]).stat().st_size == size

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, inputs))
        opened = time.perf_counter()
    print(f"\n{jobs} jobs that share one input of {size // MIB} MiB\n")
    print("| | moved, MiB | seconds |\n|---|---|---|")
    print(f"| client to bucket | {moved[0] / MIB:.1f} | {sent - begin:.2f} |")
    print(f"| bucket to worker | {moved[1] / MIB:.1f} | {opened - sent:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as url:
        transfers(url, Path(folder), arguments.mib * MIB, arguments.runs)
        sharing(url, Path(folder), arguments.jobs, 20 * MIB)


if __name__ == "__main__":
    main()
