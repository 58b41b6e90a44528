"""Files appear whole or not at all: work in a folder beside the output, then rename.

with staging(Path("out")) as work:
    ...                                   # anything may fail here, or the process be killed
    publish(work / "m.pte", Path("out/m.pte"))
"""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ChildError, OutputError

PREFIX = ".edgevit-"
LEFT_BYTES = 1 << 20  # less is nothing: a failed write has taken what fitted


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A scratch folder in `out` (made when missing), gone afterwards even if we are killed.

    A janitor process waits for the end of its standard input, which the kernel closes however this
    process ends, and removes the folder then.
    """
    with explained(out):
        made = [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=PREFIX, dir=out))
    janitor = subprocess.Popen(
        ["/bin/sh", "-c", 'cat >/dev/null; sleep 0.2; rm -rf -- "$0"', str(work.resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with explained(out):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        assert janitor.stdin is not None
        janitor.kill()
        janitor.stdin.close()
        janitor.wait()
        with suppress(OSError):  # not empty
            for folder in made:
                folder.rmdir()


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def publish(made: Path, place: Path) -> None:
    """Move `made` to `place` in one step; what was there before is gone with the scratch folder."""
    occupied = os.path.lexists(place)
    if occupied and (made.is_dir() or (place.is_dir() and not place.is_symlink())):
        _exchange(made, place)
    else:
        made.replace(place)


def _exchange(a: Path, b: Path) -> None:
    """Swap two paths: a folder that is not empty cannot be replaced by a rename."""
    if sys.platform == "linux":
        at_fdcwd, rename_exchange = -100, 2
        names = (os.fsencode(a), os.fsencode(b))
        libc = ctypes.CDLL(None, use_errno=True)
        if not libc.renameat2(at_fdcwd, names[0], at_fdcwd, names[1], rename_exchange):
            return
    aside = a.with_name(a.name + ".old")
    b.rename(aside)
    a.rename(b)


def write_text(file: Path, text: str) -> None:
    """Write a small file through a temporary one beside it, in a folder made when missing."""
    with explained(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=PREFIX, dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def explain(e: OSError, place: Path) -> OutputError | None:
    """What an operating system's refusal to write means, or None when it is something else."""
    reasons = {
        errno.ENOSPC: "no space is left on the device",
        errno.EDQUOT: "the disk quota is used up",
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.ENOTDIR: "part of the path is a file, not a folder",
        errno.EEXIST: "a file of that name is in the way",
    }
    reason = reasons.get(e.errno or 0)
    return OutputError(f"cannot write to {place}: {reason}") if reason else None


@contextmanager
def explained(place: Path) -> Iterator[None]:
    """Turn an operating system's refusal inside the block into an OutputError's sentence."""
    try:
        yield
    except OSError as e:
        if (said := explain(e, place)) is not None:
            raise said from e
        raise
    except ChildError as e:
        # C++ libraries abort, instead of saying why, when a write fails.
        if place.is_dir() and shutil.disk_usage(place).free < LEFT_BYTES:
            raise OutputError(f"cannot write to {place}: no space is left on the device") from e
        raise
