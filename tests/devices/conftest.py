"""One prepared board for all tests of a process; each has it with its keys in order."""

import sys
from pathlib import Path

import pytest
from loopback import Loopback


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    board = Loopback(tmp_path_factory.mktemp("board"))
    yield board
    board.stop()


@pytest.fixture
def bare(sshd, monkeypatch):
    """The board as it is reached from here, whether or not it is prepared."""
    monkeypatch.setenv("HOME", str(sshd.user))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    yield sshd
    sshd.authorize("user_key")
    sshd.know("host_key")


@pytest.fixture
def board(bare):
    """The board, prepared with this Python, and nothing left on it afterwards."""
    from edgevit.profiles.devices.ssh_prepare import prepare

    if not Path(bare.place, "run").exists():
        prepare("board", python=sys.executable, runtimes=())
    yield bare
    assert bare.left() == []
