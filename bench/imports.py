"""What importing costs: wall time and memory, beside the published package, in turns in one run.

`make bench-imports` runs it. Each line of code runs in a fresh process; times and memory are medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from peers import NOVITA, python_with

CODE = {
    "(an empty program)": "pass",
    "import novita_gpus": "import novita_gpus",
    'import novita_gpus; novita_gpus.Endpoint("x", api_key="k")': (
        'import novita_gpus; novita_gpus.Endpoint("x", api_key="k")'
    ),
}


def measure(python: Path, code: str) -> tuple[float, float]:
    """Wall seconds and peak MiB of one process."""
    begin = time.perf_counter()
    process = subprocess.Popen([python, "-c", code], cwd="/")
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{python} failed on: {code}")
    return wall, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    pythons = {"ours": Path(sys.executable), "published": python_with(NOVITA)}
    print("| code | ours | published 0.0.1 | ratio | ours | published 0.0.1 | ratio |")
    print("|---|---|---|---|---|---|---|")
    for label, code in CODE.items():
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in pythons}
        for run in range(runs + 1):
            for name, python in pythons.items():
                sample = measure(python, code)
                if run:  # the first one warms the file cache
                    samples[name].append(sample)
        cells = []
        for index, unit, scale in ((0, "ms", 1000.0), (1, "MiB", 1.0)):
            ours, theirs = (
                statistics.median(sample[index] for sample in samples[name]) * scale for name in ("ours", "published")
            )
            cells += [f"{ours:.0f} {unit}", f"{theirs:.0f} {unit}", f"{ours / theirs:.2f}"]
        print(f"| `{label}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
