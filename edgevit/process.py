"""Start processes that end with this one, and that leave none of their own behind."""

import os
import signal
import subprocess
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any


def start(
    command: list[str], *, output: Any, pass_fds: tuple[int, ...], env: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a process from a thread that lives as long as the process does.

    Linux ends the child (PR_SET_PDEATHSIG) with the thread that started it, and a caller's thread
    may end before the caller is done. The same thread ends what a dead child has left running: a
    forked grandchild holds the pipe open, and its end would never be seen.
    """
    started: Future[subprocess.Popen[bytes]] = Future()

    def accompany() -> None:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                start_new_session=True,
                env=env,
            )
        except BaseException as e:
            started.set_exception(e)
            return
        started.set_result(process)
        process.wait()
        kill_group(process.pid)

    threading.Thread(target=accompany, daemon=True).start()
    return started.result()


def kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
