"""A terminal that a command writes to."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from collections.abc import Mapping, Sequence

from tests.support.waiting import DEADLINE


def run_on_terminal(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Runs a command whose stdin and stderr are a terminal; gives its status, its stdout and what was shown."""
    terminal, other_side = pty.openpty()
    with subprocess.Popen(
        command, env=environment, stdin=other_side, stdout=subprocess.PIPE, stderr=other_side
    ) as process:
        os.close(other_side)
        shown = b""
        with contextlib.suppress(OSError):  # what Linux says when the other side is closed
            while chunk := os.read(terminal, 65536):
                shown += chunk
        out, _ = process.communicate(timeout=DEADLINE)
    os.close(terminal)
    return process.returncode, out.decode(), shown.decode()
