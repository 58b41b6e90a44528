"""asyncio for code that waits: one event loop in a thread of its own, for all connections."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def wait(work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """What `work` returns or raises; TimeoutError where that takes longer, and it is given up."""
    future = asyncio.run_coroutine_threadsafe(work, _running())
    try:
        return future.result(timeout_s)
    except BaseException:  # too late, or Ctrl-C
        future.cancel()
        raise


@cache
def _running() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="edgevit-devices", daemon=True).start()
    return loop
