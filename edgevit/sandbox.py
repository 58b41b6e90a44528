"""Run what can abort (converters, runtimes, pickled weights) in a child process with limits.

    with Child(log=Path("onnx.log"), timeout_s=300) as child:
        child.call("edgevit.converters.serve:open_artifact", file="m.onnx")
        outputs = child.call("edgevit.converters.serve:infer", arrays=[x])

A call names a function and its keyword arguments; both directions carry JSON and numpy arrays, and
nothing is unpickled, so that what a child answers cannot run code here. The child writes whatever
it prints to the log. It leads its own process group, which dies with the call that overran its
limits, with `close()`, and (on Linux) with this process. Its temporary files lie in a folder of its
own, removed with it: a process that is killed cannot remove them itself.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from . import errors
from .errors import ChildDied, ChildError, ChildMemory, ChildTimeout
from .process import kill_group, start
from .template import template
from .wire import receive, send

_live: "weakref.WeakSet[Child]" = weakref.WeakSet()
_counting = threading.Lock()  # a WeakSet cannot be read while another thread adds to it

MEMORY_BYTES = 16 << 30
TIMEOUT_S = 600.0
WORDS_BYTES = 1 << 14  # of a failed child's last words that its error keeps
# How the C++ libraries and numpy say that an allocation failed.
_NO_MEMORY = re.compile(r"bad_alloc|MemoryError|DefaultCPUAllocator|can't allocate|Cannot allocate")


# torch's threads spin while they wait for each other, which takes the cores from whoever they wait
# for: on a busy machine of two cores an inference of 70 ms takes 1.9 s.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


class Callee(Protocol):
    """What answers calls: a Child, one on a device, or a fake of known truth in tests."""

    def call(self, function: str, **arguments: Any) -> Any: ...

    def close(self) -> None: ...


class Child:
    """A child process that answers calls one at a time.

    log: where the child's stdout and stderr go; kept when given, otherwise a file that vanishes.
    timeout_s: seconds any one call may take. memory_bytes: private memory it may hold (Linux).
    env: variables set for the child on top of ours, e.g. thread counts read at import.
    torch: the child will need it, and may come from a `template` that has it.
    """

    def __init__(
        self,
        *,
        log: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
        env: dict[str, str] | None = None,
        torch: bool = False,
    ) -> None:
        self.timeout_s, self.memory_bytes, self.log = timeout_s, memory_bytes, log
        self._lock = threading.Lock()
        self._stderr = log.open("w+b") if log else tempfile.TemporaryFile()
        folder = tempfile.mkdtemp(prefix="edgevit-")
        self._remove_folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        requests_read, self._requests = _pipe_to_child()
        self._replies, replies_write = _pipe_from_child()
        # `-P` keeps the working folder out of sys.path, where a file called torch.py may lie.
        package_root = str(Path(__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
        ours = {"PYTHONPATH": path, "TMPDIR": folder}
        variables = {**PATIENT, **os.environ, **ours, **(env or {})}
        fds = (requests_read, replies_write)
        found = template(variables) if torch and not env else None
        forked = found and found.fork(memory_bytes, [*fds, self._stderr.fileno()], variables)
        numbers = [str(n) for n in (*fds, memory_bytes, os.getpid())]
        self._process = forked or start(
            [sys.executable, "-P", "-m", "edgevit.sandbox_child", *numbers],
            output=self._stderr,
            pass_fds=fds,
            env=variables,
        )
        os.close(requests_read)
        os.close(replies_write)
        with _counting:
            _live.add(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, function: str, **arguments: Any) -> Any:
        """`function` ("package.module:name") run in the child; its value, or the error it raised.

        An EdgevitError raised there is raised here as itself; anything else is a ChildError. After
        a ChildDied, ChildTimeout or ChildMemory the child is gone and further calls fail.
        """
        with self._lock:
            if self._requests.closed:
                raise ChildDied("the process was ended: this was closed before")
            reply = self._exchange(function, arguments)
        if "error" not in reply:
            return reply["value"]
        if reply["kind"] == "MemoryError" or _NO_MEMORY.search(reply["error"]):
            raise self._out_of_memory()
        kind = errors.by_name(reply["kind"])
        if kind is not None:
            raise kind(reply["error"])
        # A library's message may run over pages; the log holds them.
        said = " ".join(reply["error"].split())[:500]
        failed = ChildError(f"{reply['kind']}: {said}{self._see_log()}")
        failed.words = self._tail(WORDS_BYTES)
        raise failed

    def _exchange(self, function: str, arguments: dict[str, Any]) -> Any:
        """Send a request and wait for its reply, no longer than the limit."""
        timed_out = threading.Event()

        def give_up() -> None:
            timed_out.set()
            self._kill()

        timer = threading.Timer(self.timeout_s, give_up)
        timer.start()
        try:
            send(self._requests, {"call": function, "arguments": arguments})
            return receive(self._replies)
        except TypeError:  # nothing was sent
            raise
        except (EOFError, BrokenPipeError):
            raise self._death(function, timed_out.is_set()) from None
        except BaseException:  # Ctrl-C: the reply on its way must not answer the next call
            self._kill()
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the child and everything it started."""
        self._kill()
        self._process.wait()
        for stream in (self._requests, self._replies, self._stderr):
            with suppress(BrokenPipeError):  # a request that the child did not live to read
                stream.close()
        self._remove_folder()
        with _counting:
            _live.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _kill(self) -> None:
        kill_group(self._process.pid)

    def _death(self, function: str, timed_out: bool) -> ChildError:
        if timed_out:
            return ChildTimeout(f"gave no answer within {self.timeout_s:g} s{self._see_log()}")
        code = self._process.wait()
        tail = self._tail()
        if _NO_MEMORY.search(tail):
            return self._out_of_memory()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        said = f", last words: {tail.splitlines()[-1][:200]}" if tail else ""
        died = ChildDied(
            f"the process died of {name} in {function.split(':')[1]}{said}{self._see_log()}"
        )
        died.words = self._tail(WORDS_BYTES)
        return died

    def _out_of_memory(self) -> ChildMemory:
        return ChildMemory(
            f"needed more than the limit of {self.memory_bytes / 2**30:g} GiB of memory"
            f"{self._see_log()}; `--memory-gb` raises it"
        )

    def _tail(self, size: int = 4096) -> str:
        self._stderr.flush()
        end = os.fstat(self._stderr.fileno()).st_size
        text = os.pread(self._stderr.fileno(), size, max(0, end - size))
        return text.decode(errors="replace").strip()

    def _see_log(self) -> str:
        return f" (log: {self.log})" if self.log else ""


def run(function: str, **arguments: Any) -> Any:
    """One call in a child of its own, with the default limits."""
    with Child() as child:
        return child.call(function, **arguments)


def close_all() -> None:
    """End every child that is still alive: the way out on Ctrl-C or a signal."""
    with _counting:
        children = list(_live)
    for child in children:
        child._kill()


def _pipe_to_child() -> tuple[int, Any]:
    read, write = os.pipe()
    return read, os.fdopen(write, "wb")


def _pipe_from_child() -> tuple[Any, int]:
    read, write = os.pipe()
    return os.fdopen(read, "rb"), write
