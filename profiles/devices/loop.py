"""asyncio for code that waits: one event loop in a thread of its own, for all connections."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_loops: list[asyncio.AbstractEventLoop] = []
_making = threading.Lock()


def wait(work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """What `work` returns or raises; TimeoutError where that takes longer, and it is given up."""
    future = asyncio.run_coroutine_threadsafe(work, _running())
    try:
        return future.result(timeout_s)
    except BaseException:  # too late, or Ctrl-C
        future.cancel()
        raise


def _running() -> asyncio.AbstractEventLoop:
    """One for all: a connection belongs to the loop that made it."""
    with _making:
        if not _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="edgevit-devices", daemon=True).start()
            _loops.append(loop)
        return _loops[0]
