"""`init --from runpod`: what changes in the copy of a worker, and what is said of the rest."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from novita_cli._ported_files import REQUIREMENT
from novita_cli._ported_imports import ported_imports
from tests.support.command import Cli


def imports(source: str) -> tuple[str, list[str]]:
    """A file's text as it comes out, and its notes as `line: text`."""
    after, notes = ported_imports(source.encode())
    ast.parse(after)
    return after.decode(), [f"{note.line}: {note.text}" for note in notes]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import runpod", "import novita_gpus as runpod"),
        ("import runpod as rp", "import novita_gpus as rp"),
        ("import os, runpod, sys  # all", "import os, novita_gpus as runpod, sys  # all"),
        ("import runpod.serverless", "import novita_gpus as runpod"),
        ("import runpod.serverless as s", "import novita_gpus.serverless as s"),
        ("from runpod import RunPodLogger as L", "from novita_gpus import RunPodLogger as L"),
        (
            "from runpod.serverless.utils.rp_validator import *",
            "from novita_gpus.serverless.utils.rp_validator import *",
        ),
        (
            "from runpod.serverless.utils import (\n    rp_upload,  # one\n    rp_cleanup,\n)",
            "from novita_gpus.serverless.utils import (\n    rp_upload,  # one\n    rp_cleanup,\n)",
        ),
        ("from  \\\n runpod import serverless", "from  \\\n novita_gpus import serverless"),
        (
            "if 1:\n\timport runpod; x = 'é'; import runpod as y",
            "if 1:\n\timport novita_gpus as runpod; x = 'é'; import novita_gpus as y",
        ),
        ("import runpodx, my.runpod\nfrom . import runpod\nfrom .runpod import x\nfrom runpody import z", ""),
        ("x = 'import runpod'  # import runpod", ""),
    ],
)
def test_an_import(before: str, after: str) -> None:
    assert imports(before + "\n") == ((after or before) + "\n", [])


def test_the_bytes_of_a_file_stay_but_for_that() -> None:
    source = "\ufeff# -*- coding: utf-8 -*-\r\n'é'; import runpod\r\nx = '\x0c'  # é\r\n".encode()
    after, notes = ported_imports(source)
    assert after == source.replace(b"import runpod", b"import novita_gpus as runpod")
    assert notes == []
    latin = "# coding: latin-1\nname = 'é'; import runpod\n".encode("latin-1")
    assert ported_imports(latin)[0] == latin.replace(b"import runpod", b"import novita_gpus as runpod")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import runpod\nrunpod.api_key = 'k'\nrunpod.create_pod('x')",
            "3: runpod.create_pod: module 'novita_gpus' has no",
        ),
        ("from runpod import get_gpu", "account"),
        ("from runpod.serverless import VolumeCache", "HF_HOME"),
        ("from runpod.serverless.utils import rp_volume_cache", "HF_HOME"),
        ("from runpod.serverless.utils.rp_volume_cache import VolumeCache", "HF_HOME"),
        ("import runpod.cli.entry", "runpod.cli.entry: module 'novita_gpus' has no attribute 'cli'"),
        ("from runpod.serverless.modules.rp_http import send_result", "has no attribute 'rp_http'"),
        (
            "import runpod as rp\nrp.serverless.utils.rp_download.calculate_chunk_size(1)",
            "2: runpod.serverless.utils.rp",
        ),
        ("import os\nos.environ['RUNPOD_POD_ID']", "here it is NOVITA_POD_ID"),
        ("import os\nos.getenv('RUNPOD_REALTIME_PORT')", "has no counterpart"),
        ("from unittest import mock\nmock.patch('runpod.serverless.start')", "write 'novita_gpus.serverless.start'"),
        ("print 'old'", "1: this Python can't read the file"),
        ("# coding: nonsense\n", "1: this Python can't read the file"),
    ],
)
def test_what_has_no_counterpart_is_told(source: str, said: str) -> None:
    _, [note] = ported_imports((source + "\n").encode())
    assert said in f"{note.line}: {note.text}"


def test_every_name_that_there_is_passes() -> None:
    source = (
        "import runpod\n"
        "from runpod.serverless.utils import download_files_from_urls, rp_debugger as d\n"
        "d.LineTimer('x').name\n"
        "runpod.serverless.start, runpod.serverless.utils.rp_cuda.is_available, runpod.Endpoint('x').run\n"
        "runpod.serverless.modules.rp_logger.RunPodLogger().info\n"
        "runpod.endpoint.asyncio.asyncio_runner.Job\n"
    )
    assert imports(source)[1] == []


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    folder = tmp_path / "worker"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "rp_handler.py").write_text("import runpod\n")
    return folder


def ported(inline: Cli, worker: Path, name: str, content: str) -> tuple[str, list[str]]:
    """A file of a worker as it comes out, and what is said of it."""
    (worker / name).write_text(content)
    done = inline("init", "--from", "runpod", str(worker))
    assert (done.code, done.out) == (0, ""), done.err
    copy = worker.with_name("worker-novita")
    return (copy / name).read_text(), [
        line.removeprefix(f"{copy / name}:") for line in done.err.splitlines() if line.startswith(str(copy / name))
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("runpod", REQUIREMENT),
        ("runpod~=1.7.0  # pinned", f"{REQUIREMENT}  # pinned"),
        ("RunPod [x] >= 1.6, < 2 ; python_version < '4'", f"{REQUIREMENT} ; python_version < '4'"),
        ("runpod-flash==1\nmy-runpod\ntorch", "runpod-flash==1\nmy-runpod\ntorch"),
    ],
)
def test_requirements(inline: Cli, worker: Path, before: str, after: str) -> None:
    text, notes = ported(inline, worker, "requirements.txt", f"torch\n{before}\n")
    assert text == f"torch\n{after}\n"
    assert notes == []


def test_a_requirement_of_another_kind_is_told(inline: Cli, worker: Path) -> None:
    line = "git+https://github.com/runpod/runpod-python.git@main\n"
    text, [note] = ported(inline, worker, "requirements.txt", line)
    assert text == line
    assert note.startswith("1: runpod is named here in a way of its own")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("RUN pip install runpod==1.7 torch", f"RUN pip install {REQUIREMENT} torch", []),
        (
            'RUN pip3 install -q \\\n  torch "runpod>=1.6,<2" && \\\n  rm x\n# runpod',
            f'RUN pip3 install -q \\\n  torch "{REQUIREMENT}" && \\\n  rm x\n# runpod',
            [],
        ),
        ('RUN ["uv", "pip", "install", "runpod"]', f'RUN ["uv", "pip", "install", "{REQUIREMENT}"]', []),
        ("CMD python -u /handler.py --rp_serve_api --rp_api_host 0.0.0.0", None, []),
        ("CMD python -u /handler.py --rp_realtime", None, ["1: the flag --rp_realtime is not known here"]),
        ('CMD ["python", "-m", "runpod.serverless.start"]', None, ["1: a module of runpod's is started"]),
        ("FROM runpod/base:0.6.2-cuda12.1.0", None, ["1: the image is built on one of runpod's"]),
        ("FROM python:3.10-slim", None, ["1: novita-gpus needs Python 3.11"]),
        ("FROM a\nRUN apt-get install python3.10-dev", None, ["2: novita-gpus needs Python 3.11"]),
        ("ENV HF_HOME=/runpod-volume/hf RUNPOD_DEBUG_LEVEL=X", None, ["1: /runpod-volume is", "1: RUNPOD_DEBUG_LEVEL"]),
        ("RUN pip install git+https://github.com/runpod/runpod-python", None, ["1: runpod is installed from its"]),
        ("# FROM runpod/base", None, []),
    ],
)
def test_a_dockerfile(inline: Cli, worker: Path, before: str, after: str | None, said: list[str]) -> None:
    text, notes = ported(inline, worker, "Dockerfile", before + "\n")
    assert text == (after or before) + "\n"
    assert len(notes) == len(said)
    assert all(note.startswith(start) for note, start in zip(notes, said, strict=True))


def test_settings_of_projects(inline: Cli, worker: Path) -> None:
    names = '[project]\nname = "runpod-worker"\n'
    content = 'dependencies = [\'runpod[x] ~=1.7\', "torch"]\n[tool.poetry]\nrunpod = "^1.6"\n'
    text, notes = ported(inline, worker, "pyproject.toml", names + content)
    assert f"dependencies = ['{REQUIREMENT}', \"torch\"]" in text
    assert [note[:8] for note in notes] == ["5: runpo"]
    text, notes = ported(inline, worker_again(worker), "environment.yml", "- pip:\n  - runpod==1.7\n")
    assert (text, notes) == (f"- pip:\n  - {REQUIREMENT}\n", [])


def worker_again(worker: Path) -> Path:
    shutil.rmtree(worker.with_name("worker-novita"))
    return worker


def test_variables_and_notebooks_are_told(inline: Cli, worker: Path) -> None:
    _, notes = ported(inline, worker, ".env", "RUNPOD_API_KEY=k\nOTHER=1\n")
    assert notes == ["1: RUNPOD_API_KEY is the other platform's variable; here it is NOVITA_API_KEY"]
    _, notes = ported(inline, worker_again(worker), "try.ipynb", '{"cells": ["import runpod"]}')
    assert notes == ["1: a notebook is left as it is; its import would be: import novita_gpus as runpod"]


def test_the_worker_itself_is_left_alone(inline: Cli, worker: Path, tmp_path: Path) -> None:
    (worker / ".git").mkdir()
    (worker / ".git" / "config").write_text("x")
    (worker / "weights.bin").write_bytes(bytes(3_000_000))
    (worker / "link.py").symlink_to("src/rp_handler.py")
    done = inline("init", "--from", "runpod", str(worker), "--into", str(tmp_path / "mine"))
    assert done.err.splitlines() == [f"wrote {tmp_path / 'mine'}; changed: src/rp_handler.py"]
    assert (worker / "src" / "rp_handler.py").read_text() == "import runpod\n"
    assert (tmp_path / "mine" / "src" / "rp_handler.py").read_text() == "import novita_gpus as runpod\n"
    assert (tmp_path / "mine" / "link.py").is_symlink()
    assert (tmp_path / "mine" / "weights.bin").stat().st_size == 3_000_000
    assert not (tmp_path / "mine" / ".git").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "runpod", "nowhere"], "is no folder"),
        (["--from", "cog", "worker"], "Invalid value"),
        (["new", "--into", "x"], "--into goes with --from"),
        (["--from", "runpod", "worker", "--into", "worker/copy"], "is in the folder that is copied"),
        (["--from", "runpod", "worker", "--into", "full"], "is there already"),
    ],
)
def test_what_can_t_be_copied_is_refused(
    inline: Cli, worker: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(worker.parent)
    (worker.parent / "full").mkdir()
    (worker.parent / "full" / "file").touch()
    done = inline("init", *arguments)
    assert done.code == 2
    assert said in done.err
    assert list((worker.parent / "full").iterdir()) == [worker.parent / "full" / "file"]
