"""Functions that tests call in a child process: faults of the kinds that native code has."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edgevit import errors

kept: list[object] = []


def echo(**arguments):
    return arguments


def twice(*, array):
    return array * 2


def pid() -> int:
    return os.getpid()


def modules() -> dict[str, str]:
    import json

    import torch  # only where it comes from

    return {"json": str(json.__file__), "torch": str(torch.__file__)}


def fail(*, kind: str):
    raise getattr(errors, kind)(f"a sentence of {kind}")


def fail_otherwise():
    raise ZeroDivisionError("not ours")


def refuse(*, code: str, filename: str | None = None, file: str = ""):
    number = getattr(errno, code)
    raise OSError(number, os.strerror(number), filename)


def die(*, how: str):
    print("famous last words", file=sys.stderr, flush=True)
    if how == "SIGSEGV":
        ctypes.string_at(0)
    if how == "SIGABRT":
        os.abort()
    os._exit(int(how))


def leave_a_file() -> str:
    return tempfile.mkstemp()[1]


def die_beside_a_fork(*, pid_file: str):
    """Die and leave a fork behind, which has inherited the pipe."""
    if (child := os.fork()) == 0:
        time.sleep(60)
        os._exit(0)
    Path(pid_file).write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def hang(*, pid_file: str):
    """Never answer, with a process of one's own running."""
    grandchild = subprocess.Popen(["sleep", "60"])
    Path(pid_file).write_text(f"{os.getpid()} {grandchild.pid}")
    time.sleep(60)


def answer_late(*, seconds: float):
    time.sleep(seconds)
    return "late"


def take(*, mebibytes: int) -> int:
    kept.append(np.ones(mebibytes << 20, np.uint8))
    return mebibytes


def take_in_torch(*, mebibytes: int) -> int:
    import torch

    kept.append(torch.ones(mebibytes << 20, dtype=torch.uint8))
    return mebibytes


def shout() -> str:
    os.write(1, b"from C, to stdout\n" * 5000)
    os.write(2, b"from C, to stderr\n")
    print("from Python")
    return "heard"


def unsendable():
    return object()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
