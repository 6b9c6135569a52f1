"""A handler that is run once, without a gateway."""

from __future__ import annotations

import json

import pytest

from tests.support.worker_process import START, Spawn

HANDLER = "def handler(job):\n    return job['input']\n"


class TestLocalRun:
    def run(
        self, spawn: Spawn, script: str, *arguments: str, capfd: pytest.CaptureFixture[str], file: str | None = None
    ) -> tuple[int, str, str]:
        if file is not None:
            script = f"open('test_input.json', 'w').write({file!r})\n" + script
        worker = spawn(script, *arguments, environ={})
        code = worker.wait()
        return code, capfd.readouterr().out, worker.stderr

    def test_without_any_input_one_message_explains(self, spawn: Spawn, capfd: pytest.CaptureFixture[str]) -> None:
        code, out, err = self.run(spawn, HANDLER + START, capfd=capfd)
        assert code == 1
        assert out == ""
        assert "--test_input" in err
        assert "test_input.json" in err
        assert "novita-gpus dev handler.py" in err
        assert err.count("NOVITA_WEBHOOK_GET_JOB") == 1

    def test_a_test_input_is_run_once(self, spawn: Spawn, capfd: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(spawn, HANDLER + START, "--test_input", '{"input": {"a": 1}}', capfd=capfd)
        assert (code, json.loads(out)) == (0, {"output": {"a": 1}})

    def test_an_output_fits_any_terminal(self, spawn: Spawn, capfd: pytest.CaptureFixture[str]) -> None:
        script = "sys.stdout.reconfigure(encoding='ascii')\n" + HANDLER + START
        code, out, _ = self.run(spawn, script, "--test_input", '{"input": "é☃😀 \\u0000"}', capfd=capfd)
        assert out.isascii()
        assert (code, json.loads(out)) == (0, {"output": "é☃😀 \0"})

    @pytest.mark.parametrize("sign", ["del sys.modules['__main__'].__file__", "sys.modules['ipykernel'] = sys"])
    def test_a_notebook_is_shown_what_works_there(
        self, spawn: Spawn, capfd: pytest.CaptureFixture[str], sign: str
    ) -> None:
        script = f"sys.argv[0] = 'ipykernel_launcher.py'\n{sign}\n" + HANDLER + START
        code, _, err = self.run(spawn, script, capfd=capfd)
        assert code == 1
        assert "ipykernel_launcher" not in err
        assert "embedded(handler)" in err

    def test_an_input_without_its_envelope_is_accepted(self, spawn: Spawn, capfd: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(spawn, HANDLER + START, "--test_input", '{"a": 1}', capfd=capfd)
        assert (code, json.loads(out)) == (0, {"output": {"a": 1}})

    def test_a_file_is_read(self, spawn: Spawn, capfd: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(spawn, HANDLER + START, file='{"input": 7, "id": "mine"}', capfd=capfd)
        assert (code, json.loads(out)) == (0, {"output": 7})

    @pytest.mark.parametrize("keyword", ["def", "async def"])
    def test_a_generator_shows_its_chunks(self, spawn: Spawn, capfd: pytest.CaptureFixture[str], keyword: str) -> None:
        script = f"{keyword} handler(job):\n    progress_update(job, 5)\n    yield 1\n    yield 2\n"
        code, out, err = self.run(spawn, script + START, "--test_input", "{}", capfd=capfd)
        assert (code, json.loads(out)) == (0, {"output": [1, 2]})
        assert "progress: 5" in err
        assert "chunk: 1" in err

    @pytest.mark.parametrize("keyword", ["def", "async def"])
    def test_a_failure_shows_its_traceback(self, spawn: Spawn, capfd: pytest.CaptureFixture[str], keyword: str) -> None:
        script = f"{keyword} handler(job):\n    raise ValueError('bad seed')\n"
        code, _, err = self.run(spawn, script + START, "--test_input", "{}", capfd=capfd)
        assert code == 1
        assert "ValueError: bad seed" in err

    @pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[1]", "must be a JSON object, not list")])
    def test_bad_input_is_refused(
        self, spawn: Spawn, capfd: pytest.CaptureFixture[str], text: str, message: str
    ) -> None:
        code, _, err = self.run(spawn, HANDLER + START, "--test_input", text, capfd=capfd)
        assert code == 1
        assert message in err
