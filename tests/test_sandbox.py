"""The border of the process: values cross it, faults are named, and nothing stays behind."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from edgevit import errors
from edgevit.errors import ChildDied, ChildError, ChildMemory, ChildTimeout, OutputError
from edgevit.sandbox import Child

pytestmark = pytest.mark.usefixtures("forked")


def soon(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid: int) -> bool:
    """Ended; one that nobody has waited for yet has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def child(tmp_path):
    with Child(log=tmp_path / "log", timeout_s=30) as child:
        yield child


def test_values_and_arrays_come_back(child):
    array = np.arange(24, dtype=">f4").reshape(2, 3, 4)[:, ::-1]
    sent = {"a": [1, None, {"b": 0.5}], "path": Path("x y"), "array": array, "none": np.zeros(())}
    got = child.call("misbehaving:echo", **sent)
    assert got["a"] == sent["a"]
    assert got["path"] == "x y"
    assert got["none"].shape == ()
    assert np.array_equal(got["array"], array)
    assert np.array_equal(child.call("misbehaving:twice", array=array), array * 2)


def test_our_own_errors_arrive_as_themselves(child, tmp_path):
    for kind in ("InputError", "Disagreement", "NotOnThisSystem", "OutputError", "ArtifactError"):
        with pytest.raises(errors.EdgevitError) as e:
            child.call("misbehaving:fail", kind=kind)
        assert type(e.value) is getattr(errors, kind)
        assert str(e.value) == f"a sentence of {kind}"
    assert (tmp_path / "log").read_text() == ""


def test_any_other_error_names_its_kind_and_the_log(child, tmp_path):
    with pytest.raises(ChildError, match="ZeroDivisionError: not ours") as e:
        child.call("misbehaving:fail_otherwise")
    assert type(e.value) is ChildError
    assert str(tmp_path / "log") in str(e.value)
    assert "Traceback" in (tmp_path / "log").read_text()
    with pytest.raises(ChildError, match="no_such_function"):
        child.call("misbehaving:no_such_function")
    with pytest.raises(ChildError, match="no_such_module"):
        child.call("no_such_module:f")
    with pytest.raises(ChildError, match="TypeError"):
        child.call("misbehaving:unsendable")
    with pytest.raises(TypeError):
        child.call("misbehaving:echo", value=object())
    assert child.call("misbehaving:echo", after="all") == {"after": "all"}


@pytest.mark.parametrize(
    ("code", "given", "place", "words"),
    [
        ("ENOSPC", {"file": "out/m.pte"}, "out/m.pte", "no space is left"),
        ("EACCES", {"filename": "/forbidden", "file": "m.pte"}, "/forbidden", "permission denied"),
        ("EROFS", {}, "the disk", "read-only"),
    ],
)
def test_a_refusal_to_write_is_a_sentence(child, code, given, place, words):
    with pytest.raises(OutputError, match=words) as e:
        child.call("misbehaving:refuse", code=code, **given)
    assert f"cannot write to {place}: " in str(e.value)


def test_other_system_errors_stay_what_they_are(child):
    with pytest.raises(ChildError, match="FileNotFoundError"):
        child.call("misbehaving:refuse", code="ENOENT")


@pytest.mark.parametrize(
    ("how", "name"), [("SIGSEGV", "SIGSEGV"), ("SIGABRT", "SIGABRT"), ("3", "exit code 3")]
)
def test_a_death_is_named(child, tmp_path, how, name):
    with pytest.raises(ChildDied) as e:
        child.call("misbehaving:die", how=how)
    assert f"died of {name} in die" in str(e.value)
    assert "famous last words" in str(e.value)
    assert str(tmp_path / "log") in str(e.value)
    with pytest.raises(ChildDied):  # and remains dead, without a BrokenPipeError at the end
        child.call("misbehaving:echo", array=np.zeros(1 << 20))


def test_a_fork_left_behind_does_not_hide_the_death(child, tmp_path):
    start = time.monotonic()
    with pytest.raises(ChildDied, match="SIGKILL"):
        child.call("misbehaving:die_beside_a_fork", pid_file=tmp_path / "pid")
    assert time.monotonic() - start < 15
    assert soon(lambda: gone(int((tmp_path / "pid").read_text())))


def test_temporary_files_of_a_child_that_dies_are_removed(child):
    left = Path(child.call("misbehaving:leave_a_file"))
    assert left.exists()
    with pytest.raises(ChildDied):
        child.call("misbehaving:die", how="SIGABRT")
    child.close()
    assert not left.parent.exists()
    assert left.parent != Path(tempfile.gettempdir())


def test_a_timeout_ends_the_child_and_what_it_started(tmp_path):
    with Child(timeout_s=4) as child:
        assert child.call("misbehaving:pid") == child.pid
        with pytest.raises(ChildTimeout, match="no answer within 4 s"):
            child.call("misbehaving:hang", pid_file=tmp_path / "pids")
        pids = [int(p) for p in (tmp_path / "pids").read_text().split()]
        assert pids[0] == child.pid
        assert len(pids) == 2
        assert soon(lambda: all(map(gone, pids)))


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts nothing elsewhere")
def test_too_much_memory_is_said_to_be_that(tmp_path):
    for function in ("take", "take_in_torch"):
        with Child(memory_bytes=2 << 30, log=tmp_path / "log", timeout_s=60) as child:
            assert child.call(f"misbehaving:{function}", mebibytes=64) == 64
            with pytest.raises(ChildMemory, match=r"limit of 2 GiB.*--memory-gb"):
                child.call(f"misbehaving:{function}", mebibytes=4096)


def test_a_killed_parent_takes_its_child_along(tmp_path, forked):
    script = f"""
        import sys
        from pathlib import Path
        from edgevit.sandbox import Child
        from edgevit.template import sharing
        with sharing():
            child = Child(torch={forked})
            child.call("misbehaving:pid")
            print(child.pid, flush=True)
            child.call("misbehaving:hang", pid_file={str(tmp_path / "pids")!r})
    """
    command = [sys.executable, "-c", dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert soon((tmp_path / "pids").exists)
        assert not gone(pid)
        assert (parent_of(pid) != parent.pid) == forked
        parent.kill()
    assert soon(lambda: gone(pid))
    for left in map(int, (tmp_path / "pids").read_text().split()):
        with contextlib.suppress(ProcessLookupError):  # the grandchild outlives a kill -9
            os.kill(left, signal.SIGKILL)
