"""A worker in a test, with everything but a network.

>>> with LocalWorker(handler) as worker:
...     result = worker.run({"prompt": "a red apple"})
...     assert result.output == {"image": "…"}
"""

from __future__ import annotations

from novita_worker.local.worker import LocalJob, LocalResult, LocalWorker

__all__ = ["LocalJob", "LocalResult", "LocalWorker"]
