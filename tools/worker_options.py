"""The worker's options as keywords, written from its configuration.

`WorkerConfig` says each option once, with type, default and meaning. `make generate` writes the TypedDict of them
for `LocalWorker` and `novita_testing`, `make check` compares it (`python -m tools.worker_options --check`).
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

from tools.written import ROOT, tidy, write_or_check

WORKER: Final = Path("worker", "novita_worker")
SOURCE: Final = ROOT / WORKER / "_config.py"
TARGET: Final = ROOT / WORKER / "_options.py"

TEXT: Final = """\
# Generated from {source} by tools/worker_options.py. Change that file, then run `make generate`.
\"\"\"The keywords of a worker, for type checkers and editors.\"\"\"

{imports}

__all__ = ["WorkerOptions"]


class WorkerOptions(TypedDict, total=False):
    \"\"\"The fields of `WorkerConfig` beside the handler; `parse_config` holds each to the field's type.\"\"\"

    {fields}
"""


def main(arguments: list[str]) -> int:
    """Writes the options, or with `--check` tells whether they are up to date."""
    return write_or_check({TARGET: make_options()}, arguments, sources=SOURCE.name)


def make_options() -> str:
    """What should be in the file."""
    module = ast.parse(SOURCE.read_text(encoding="utf-8"))
    imports = [ast.unparse(node) for node in module.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    [config] = [node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "WorkerConfig"]
    fields = [
        ast.unparse(ast.AnnAssign(field.target, field.annotation, None, simple=1))
        for field in config.body
        if isinstance(field, ast.AnnAssign) and field.value is not None
    ]
    own = [line for line in imports if not line.startswith("from novita_worker")]
    text = TEXT.format(
        source=SOURCE.name,
        imports="\n".join([*own, "from typing import TypedDict"]),
        fields="\n    ".join(fields),
    )
    return tidy(text, TARGET)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
