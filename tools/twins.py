"""The sync client, written from the async one.

`novita_sdk/client/async_job.py` and its neighbours are the source; `job.py` and so on are what the rules below make of
them. `make generate` writes the sync files, `make check` compares them (`python -m tools.twins --check`). To add a
method, add it to the async file and run `make generate`; where the sync side needs other words, add a rule.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.written import ROOT, tidy, write_or_check

CLIENT: Final = ROOT / "novita_sdk" / "client"

TWINS: Final = {
    "async_client.py": "client.py",
    "async_endpoint.py": "endpoint.py",
    "async_job.py": "job.py",
    "async_typed_job.py": "typed_job.py",
}

HEADER: Final = "# Generated from {source} by tools/twins.py. Change that file, then run `make generate`.\n"

RULES: Final = (
    # Docstrings.
    (r", for asynchronous code\.", ", for synchronous code."),
    (r" with `async for`\.", "."),
    (r"for any number of event loops, in any threads;", "for any number of threads and in forked processes;"),
    (r"as an async context manager, or `await close\(\)`\.", "as a context manager, call `close`, or let it go."),
    (r"something is sent, and each event loop has connections of its own\.", "something is sent."),
    (r"Every method may be called again", "Every method may be called from any thread, and again"),
    # Syntax.
    (r"\(await (self\.\w+\(\))\)", r"\1"),
    (r"\bawait ", ""),
    (r"\basync (def|for) ", r"\1 "),
    (r"__a(enter|exit|iter)__", r"__\1__"),
    # Inputs may come from either kind of iterable; then what is left stands alone.
    (r" \| AsyncIterable\[JSONValue\]", ""),
    (r"\bAsyncIterable, ", ""),
    (r", from a plain or an async iterable\.", "."),
    # Names.
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncDriver\b", "SyncDriver"),
    (r"\bJobsServiceAsync\b", "JobsServiceSync"),
    (r"\bAsync(Client|Connection|Endpoint|Job|JobStream|TypedJob)\b", r"\1"),
    (r"\basync_(client|endpoint|job|typed_job)\b", r"\1"),
    (r"\bdrivers\.aio\b", "drivers.sync"),
    (r"\bbatches\.tasks\b", "batches.threads"),
    # The caller's own session.
    (r"\bimport aiohttp\b", "import requests"),
    (r"\baiohttp\.ClientSession \| None\b", "requests.Session | None"),
    (
        r"An `aiohttp\.ClientSession` of your own, for proxies, certificates or connectors\. It is used as it is\n"
        r"( +)and left open\.",
        r"A `requests.Session` of your own, for proxies, certificates or adapters. It is used as it is and left\n"
        r"\1open.",
    ),
)
"""Patterns and their replacements, in this order. One that finds nothing in any source is an error."""

LEFT_OVER: Final = re.compile(r".*(?:async|await|aio).*", re.IGNORECASE)


class TwinError(Exception):
    """The rules don't fit the sources."""


def main(arguments: list[str]) -> int:
    """Writes the twins, or with `--check` tells which are not up to date."""
    try:
        twins = dict(make_twins())
    except TwinError as error:
        print(error)
        return 1
    return write_or_check(twins, arguments, sources="the async files")


def make_twins() -> Iterator[tuple[Path, str]]:
    """Each sync file, and what should be in it.

    Raises:
        TwinError: A rule is never used, or something async is left.
    """
    uses: Counter[str] = Counter()
    for source, target in TWINS.items():
        text = (CLIENT / source).read_text(encoding="utf-8")
        for pattern, replacement in RULES:
            text, count = re.subn(pattern, replacement, text)
            uses[pattern] += count
        if found := LEFT_OVER.search(text):
            raise TwinError(
                f"The twin of {source} still says {found[0].strip()!r}: a rule in tools/twins.py is missing."
            )
        yield CLIENT / target, tidy(HEADER.format(source=source) + text, CLIENT / target)
    if unused := [pattern for pattern, count in uses.items() if not count]:
        raise TwinError(f"These rules in tools/twins.py are never used: {', '.join(unused)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
