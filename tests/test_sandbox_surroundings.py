"""What the child shares with its surroundings: a log, descriptors, imports, threads, Ctrl-C."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from edgevit import sandbox
from edgevit.errors import ChildDied
from edgevit.sandbox import Child

pytestmark = pytest.mark.usefixtures("forked")


def soon(condition):
    """Whether `condition` comes true within ten seconds."""
    return any(condition() or time.sleep(0.02) for _ in range(500))


@pytest.fixture
def child(tmp_path):
    with Child(log=tmp_path / "log", timeout_s=30) as child:
        yield child


def test_the_child_outlives_the_thread_that_started_it(tmp_path):
    made: list[Child] = []

    def start() -> None:
        made.append(Child(timeout_s=30))
        made[0].call("misbehaving:echo")  # by now it has asked to die with its parent

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with made[0] as child:
        assert child.call("misbehaving:pid") == child.pid
        time.sleep(0.1)
        assert child.call("misbehaving:echo", still="here") == {"still": "here"}


def test_noise_goes_to_the_log_and_not_into_the_replies(child, tmp_path):
    for _ in range(3):
        assert child.call("misbehaving:shout") == "heard"
    text = (tmp_path / "log").read_text()
    assert text.count("from C, to stdout\n") == 15000
    assert text.count("from C, to stderr\n") == 3
    assert text.count("from Python\n") == 3


def test_nothing_leaks():
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with Child(timeout_s=30) as child:
        child.call("misbehaving:echo")
        threads, ours, theirs = (
            threading.active_count(),
            descriptors(),
            child.call("misbehaving:descriptors"),
        )
        for _ in range(300):
            child.call("misbehaving:twice", array=np.zeros((3, 4)))
        assert (descriptors(), child.call("misbehaving:descriptors")) == (ours, theirs)
        assert soon(lambda: threading.active_count() <= threads)
    before = descriptors()
    for _ in range(5):
        sandbox.run("misbehaving:echo")
    assert descriptors() == before
    assert soon(lambda: threading.active_count() < threads)


def test_files_of_the_working_folder_are_not_imported(tmp_path, monkeypatch):
    for name in ("torch.py", "json.py", "numpy.py", "edgevit.py", "struct.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file')")
    monkeypatch.chdir(tmp_path)
    found = sandbox.run("misbehaving:modules")
    assert not [place for place in found.values() if str(tmp_path) in place]
    assert found["json"] == json.__file__


def test_an_interrupted_call_does_not_answer_the_next_one(child):
    child.call("misbehaving:echo")
    ctrl_c = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
    main = threading.get_ident()
    ctrl_c.start()
    with pytest.raises(KeyboardInterrupt):
        child.call("misbehaving:answer_late", seconds=1)
    with pytest.raises(ChildDied):
        child.call("misbehaving:echo", the="next")


def test_calls_from_several_threads_take_turns(child):
    found: dict[int, int] = {}

    def ask(i: int) -> None:
        for _ in range(20):
            found[i] = child.call("misbehaving:echo", i=i, array=np.zeros(9999))["i"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: i for i in range(4)}


def test_a_closed_child_says_so_and_close_all_ends_the_others():
    with Child() as child:
        assert child.call("misbehaving:echo") == {}
    with pytest.raises(ChildDied, match="closed"):
        child.call("misbehaving:echo")
    with Child() as first, Child() as second:
        assert first.call("misbehaving:pid") != second.call("misbehaving:pid")
        sandbox.close_all()
        assert soon(lambda: all(c._process.wait() for c in (first, second)))
