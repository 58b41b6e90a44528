"""The child's side of `sandbox`: `python -m edgevit.sandbox_child REQUESTS REPLIES MEMORY PARENT`.

Answers calls until the parent closes the pipe. Whatever a library prints goes to stdout and stderr,
which the parent has pointed at the log; the answers have a pipe of their own.
"""

import contextlib
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from .errors import EdgevitError
from .staging import explain
from .wire import receive, send


def die_with(parent: int) -> None:
    """Linux ends this process when its parent has ended."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def limit(memory_bytes: int) -> None:
    """No core files, and at most `memory_bytes` of private memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # RLIMIT_DATA counts private writable memory, RLIMIT_AS libraries and CUDA's too.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The value of the call, or the kind and the sentence of what it raised."""
    arguments = request["arguments"]
    try:
        module, name = request["call"].split(":")
        return {"value": getattr(importlib.import_module(module), name)(**arguments)}
    except BaseException as e:  # the exception's type is no contract at this border
        error: BaseException = e
        if isinstance(e, OSError):
            place = e.filename or arguments.get("file") or arguments.get("folder") or "the disk"
            error = explain(e, Path(os.fsdecode(place))) or e
        if not isinstance(error, EdgevitError):
            traceback.print_exc()
        return {"kind": type(error).__name__, "error": str(error).strip() or repr(error)}


def serve(requests_fd: int, replies_fd: int, memory_bytes: int, parent: int) -> None:
    """Answer the calls of `parent` until it closes the pipe."""
    die_with(parent)
    limit(memory_bytes)
    requests, replies = os.fdopen(requests_fd, "rb"), os.fdopen(replies_fd, "wb")
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            reply = answer(receive(requests))
            with contextlib.suppress(OSError):  # a full disk takes no log
                sys.stdout.flush()
            try:
                send(replies, reply)
            except TypeError as e:  # a value that cannot be sent; nothing of it was
                send(replies, {"kind": "TypeError", "error": str(e)})


if __name__ == "__main__":
    serve(*(int(a) for a in sys.argv[1:]))
