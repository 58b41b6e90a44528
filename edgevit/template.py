"""A process that has imported torch, and forks: a child that needs torch starts in milliseconds.

    with sharing():
        Child(torch=True)  # starts the template, which takes as long as importing torch does
        Child(torch=True)  # forked from it

Only within `sharing()`, so that no process stays behind in a notebook, and only on Linux: elsewhere
a fork after such imports is not safe. Otherwise every child is started anew.

The template runs no thread of its own, so no lock is held in a child by one that the child lacks.
Its children lead process groups of their own and die with it; it dies with who made it.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import sandbox_child
from .process import kill_group, start

# What torch.export and the converters built on it import before they do anything.
IMPORTS = (
    "torch.export",
    "torch.onnx",
    "torch._dynamo",
    "torch._inductor.fx_passes.post_grad",
)
MESSAGE_BYTES = 1 << 17
_lock = threading.RLock()
_scopes = 0
_more: tuple[str, ...] = ()
_current: "Template | None" = None


@contextmanager
def sharing(*more: str) -> Iterator[None]:
    """Children made within, by any thread, may share a template, which ends after it.

    more: what it imports besides IMPORTS, where it is this scope that brings it about.
    """
    global _current, _more, _scopes
    with _lock:
        if not _scopes:
            _more = more
        _scopes += 1
    try:
        yield
    finally:
        with _lock:
            _scopes -= 1
            if not _scopes:
                _current = None


def template(env: dict[str, str]) -> "Template | None":
    """The template that a child with these variables can be forked from, where there is one."""
    global _current
    with _lock:
        if sys.platform != "linux" or not _scopes:
            return None
        if _current is None:
            _current = Template(env, _more)
        return _current if _current.path == env.get("PYTHONPATH") else None


class Template:
    """The parent's side of a template process; its end closes with the last child that it has."""

    def __init__(self, env: dict[str, str], more: Sequence[str] = ()) -> None:
        self.path = env.get("PYTHONPATH")
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        weakref.finalize(self, self._socket.close)
        command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(os.getpid())]
        command += more
        with tempfile.TemporaryFile() as noise, theirs:
            start(command, output=noise, pass_fds=(theirs.fileno(),), env=env)

    def fork(self, memory_bytes: int, fds: list[int], env: dict[str, str]) -> "Forked | None":
        """A child that answers as `sandbox_child` does; None where the template has died.

        fds: of its requests, its replies and its log.
        """
        request = {"memory_bytes": memory_bytes, "env": env, "folder": str(Path.cwd())}
        pid = self.ask(request, fds)
        return Forked(pid, self) if pid else None

    def ask(self, request: dict[str, Any], fds: list[int]) -> Any:
        """The template's reply; None when it has died."""
        with self._turn:
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], fds)
                return json.loads(self._socket.recv(MESSAGE_BYTES) or b"null")
            except OSError:
                return None
            except BaseException:  # Ctrl-C: the reply on its way must not answer the next request
                self._socket.close()
                raise


class Forked:
    """A forked child, waited for by a thread, which ends what it has left running."""

    def __init__(self, pid: int, parent: Template) -> None:
        self.pid, self._code = pid, Future[int]()
        descriptor = os.pidfd_open(pid)  # it cannot have been reaped: that is asked for below
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)

        def accompany() -> None:
            ended.poll()
            os.close(descriptor)
            kill_group(pid)
            code = parent.ask({"reap": pid}, [])
            self._code.set_result(-signal.SIGKILL if code is None else code)

        threading.Thread(target=accompany, daemon=True).start()

    def wait(self) -> int:
        """Its exit code, or the negative number of the signal that ended it."""
        return self._code.result()


def main() -> None:
    """The template's side: fork, and reap what has ended, until the parent closes the socket."""
    descriptor, parent = (int(a) for a in sys.argv[1:3])
    sandbox_child.die_with(parent)
    control = socket.socket(fileno=descriptor)
    for name in (*IMPORTS, *sys.argv[3:]):
        with suppress(ImportError):  # the child says what is missing
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    us = os.getpid()
    while True:
        text, fds, *_ = socket.recv_fds(control, MESSAGE_BYTES, 3)
        if not text:
            return
        request = json.loads(text)
        if "reap" in request:
            reply = os.waitstatus_to_exitcode(os.waitpid(request["reap"], 0)[1])
        elif not (reply := os.fork()):
            control.close()
            _become_child(request, fds, us)
        for fd in fds:
            os.close(fd)
        control.send(json.dumps(reply).encode())


def _become_child(request: dict[str, Any], fds: list[int], parent: int) -> None:
    requests, replies, log = fds
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # to be read from the environment again
    try:
        sandbox_child.serve(requests, replies, request["memory_bytes"], parent)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
