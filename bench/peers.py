"""The published packages in environments of their own, made once and kept under .tmp/."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

NOVITA = "novita-gpus==0.0.1"
RUNPOD = "runpod==1.12.0"


def python_with(requirement: str) -> Path:
    """Returns the Python of an environment that holds just this requirement; the first call installs it."""
    home = ROOT / ".tmp" / "peers" / requirement.replace("==", "-")
    home.parent.mkdir(parents=True, exist_ok=True)
    python = home / "bin" / "python"
    ready = home / ".ready"
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, requirement], check=True)
            ready.touch()
    return python
