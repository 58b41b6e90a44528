"""A board's side of a device reached over ssh: `python -m edgevit.board FOLDER`.

Requests come on stdin and replies go to stdout, in the messages of `wire`, one at a time; whatever
a library prints goes to stderr. A request names a function, and who is to run it: a child that
`begin` started, or 0, this process. What is pushed lies in a folder of its own within FOLDER.

The end of stdin is the end of it all: children die, also in the middle of a call, and the folder
goes. It goes, too, where this process is killed; a board without power keeps it for a day.
"""

import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import IO, Any

import psutil

from . import __version__, digest, packed, sandbox_child
from .errors import EdgevitError
from .sandbox import MEMORY_BYTES, Child, close_all
from .staging import PREFIX, staging
from .wire import receive, send

GREETING = b"edgevit-board\n"  # before it, a login shell may have said anything
IDLE_S = 3600.0  # without a request: nobody is there any more, though the network did not say so
STALE_S = 86400.0
RUNTIMES = ("onnxruntime", "ai-edge-litert", "executorch")

_children: dict[int, Child] = {}
_numbers = count(1)


def begin(
    *, timeout_s: float, memory_bytes: int = MEMORY_BYTES, env: dict[str, str] | None = None
) -> int:
    """Start a child; its number. It may hold no more memory than the board has."""
    memory_bytes = min(memory_bytes, psutil.virtual_memory().total)
    number = next(_numbers)
    _children[number] = Child(timeout_s=timeout_s, memory_bytes=memory_bytes, env=env)
    return number


def end(*, number: int) -> None:
    _children.pop(number).close()


def sha256(*, path: str) -> str:
    """Of what has arrived at `path`."""
    return digest.of(Path(path))


def greeting(folder: Path) -> dict[str, Any]:
    """What the other side must know before it asks for anything."""
    found = {}
    for name in RUNTIMES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return {
        "edgevit": __version__,
        "code": packed.digest(),
        "folder": str(folder),
        "runtimes": found,
    }


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The value of the call, or the kind, the sentence and the last words of its error."""
    if not request["child"]:
        return sandbox_child.answer(request)
    try:
        child = _children[request["child"]]
        return {"value": child.call(request["call"], **request["arguments"])}
    except EdgevitError as e:
        said = {"kind": type(e).__name__, "error": str(e)}
        return {**said, "words": getattr(e, "words", "")}


def serve(place: Path) -> None:
    """Answer until stdin ends."""
    with _streams() as (requests, replies), _folder(place) as folder:
        replies.write(GREETING)
        send(replies, greeting(folder))
        asked: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(requests, asked), daemon=True).start()
        with suppress(queue.Empty, BrokenPipeError):
            while (request := asked.get(timeout=IDLE_S)) is not None:
                reply = answer(request)
                sys.stdout.flush()
                send(replies, reply)
        close_all()


def _listen(requests: IO[bytes], asked: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    """Hand requests on, and end a call that nobody waits for any longer."""
    with suppress(EOFError):
        while True:
            asked.put(receive(requests))
    close_all()
    asked.put(None)


@contextmanager
def _streams() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The two that are ours alone: others read nothing, and print to stderr."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    yield requests, replies
    with suppress(BrokenPipeError):
        replies.close()


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    for old in place.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another session's, which ends just now
            if time.time() - old.stat().st_mtime > STALE_S:
                shutil.rmtree(old, ignore_errors=True)
    with staging(place) as folder:
        tempfile.tempdir = str(folder.resolve())  # where children, too, leave what they leave
        yield folder.resolve()


if __name__ == "__main__":
    # Calls find this module by name: what runs must be that one, not a second copy of it.
    from edgevit import board

    board.serve(Path(sys.argv[1]))
