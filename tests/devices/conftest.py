"""Loopback phones behind a real adb server, and one prepared board for all tests of a process."""

import sys
from pathlib import Path

import pytest
from loopback import Loopback
from loopback_phone import Phone
from private_server import adb_server, bundled

from edgevit.profiles.devices import adb_job


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The adb that comes with adbutils."""
    pytest.importorskip("adbutils")
    with adb_server(bundled(), tmp_path_factory.mktemp("home")) as variables:
        yield variables


@pytest.fixture
def plug(server, monkeypatch, tmp_path):
    """Makes a phone, known to the server; app: see `Phone`."""
    import adbutils

    for key, value in server.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(adb_job, "POLL_S", 0.05)
    phones = []

    def plugged(*, app=(), authorised=True):
        phone = Phone(tmp_path / f"phone{len(phones)}", app=app, authorised=authorised)
        phones.append(phone)
        adbutils.AdbClient().connect(phone.serial, timeout=10)
        return phone

    yield plugged
    for phone in phones:
        phone.off()
        adbutils.AdbClient().disconnect(phone.serial)


@pytest.fixture
def phone(plug):
    return plug()


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
