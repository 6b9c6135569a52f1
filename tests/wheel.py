"""Runs the test suite against the built wheel, in an environment of its own, with the sources out of reach.

`make test` starts it. The environment is made anew when the dependencies or Python changed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "wheel"
ENVIRONMENT = HOME / "venv"
STAMP = ENVIRONMENT / ".installed"
SOURCES = {"novita_gpus", "novita_sdk", "generated", "worker", "gateway", "testing", "codegen", "cli"}
"""What the copy of the tree leaves out."""


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    outcome = subprocess.run([str(part) for part in command], cwd=cwd, check=False)
    if outcome.returncode != 0:
        sys.exit(f"failed with status {outcome.returncode}: {' '.join(map(str, command))}")


def build() -> Path:
    dist = HOME / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", dist, ROOT)
    (wheel,) = dist.glob("*.whl")
    return wheel


def install(wheel: Path) -> Path:
    """Installs the wheel and the development packages; returns the environment's Python."""
    python = ENVIRONMENT / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt")
    inputs = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    state = sys.version + "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs)
    if STAMP.exists() and STAMP.read_text() == state:
        run(*pip, "--force-reinstall", "--no-deps", wheel)
        return python
    run(sys.executable, "-m", "venv", "--clear", ENVIRONMENT)
    run(*pip, "--upgrade", "pip>=25.1")
    run(*pip, "--group", f"{ROOT / 'pyproject.toml'}:dev", f"{wheel}[all]")
    STAMP.write_text(state)
    return python


def copy_tree(target: Path) -> None:
    """Copies what the tests read, and nothing that could be imported in the wheel's place."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        source = ROOT / name
        if Path(name).parts[0] in SOURCES or not source.is_file():
            continue
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)


def main(arguments: list[str]) -> None:
    python = install(build())
    with tempfile.TemporaryDirectory(prefix="novita-wheel-") as scratch:
        copy_tree(Path(scratch))
        run(python, "-m", "pytest", "-m", "not venv and not sources and not ha", *arguments, cwd=Path(scratch))


if __name__ == "__main__":
    main(sys.argv[1:])
