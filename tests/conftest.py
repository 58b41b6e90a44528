"""What all tests share: the `needs` marker, and the way children find the tests' own modules."""

import os
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from edgevit.sandbox import Child
from edgevit.template import sharing

TESTS = Path(__file__).parent
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in sandbox.py; torch is not yet imported

os.environ["PYTHONPATH"] = str(TESTS)  # children import `misbehaving` and the like

# A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose packages or programs are missing; in CI, where all must be, fail it."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    missing = [name for name in names if not (find_spec(name) or which(name))]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"not installed: {missing}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With SLOW=half, slow tests of every second file, which ones by what is checked out.

    All of them take longer than CI has; over a few commits each has its turn.
    """
    if os.environ.get("SLOW") != "half":
        return
    command = ["git", "-C", str(TESTS), "rev-parse", "HEAD"]
    turn = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout, 16) % 2
    slow = [item for item in items if item.get_closest_marker("slow")]
    resting = set(sorted({item.path for item in slow})[turn::2])
    left_out = [item for item in slow if item.path in resting]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session", autouse=True)
def template():
    """Children that need torch are forked from a process that has it."""
    with sharing():
        yield


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory):
    """coremltools keeps each package that it makes until its process ends in peace."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))
    yield
    shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    tempfile.tempdir = None


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return TESTS.parent


@pytest.fixture(params=[False, True], ids=["started", "forked"])
def forked(request, monkeypatch):
    """Each test runs for a child started anew, and for one forked from a template."""
    monkeypatch.setitem(Child.__init__.__kwdefaults__, "torch", request.param)
    return request.param
