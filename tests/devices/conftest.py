"""A loopback phone behind a real adb server of its own: private port, scratch HOME."""

import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from loopback_phone import Phone

from edgevit.profiles.devices import adb_job


@contextmanager
def adb_server(binary, home):
    """The variables by which all adb clients find this server, and no other."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    variables = {
        "ADBUTILS_ADB_PATH": str(binary),
        "ANDROID_ADB_SERVER_PORT": str(port),
        "HOME": str(home),
        # No phone of the developer's, no emulator; searching for them takes three seconds, too.
        "ADB_USB": "0",
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
    }
    env = {**os.environ, **variables}
    subprocess.run([binary, "start-server"], env=env, check=True, capture_output=True)
    try:
        yield variables
    finally:
        subprocess.run([binary, "kill-server"], env=env, check=True, capture_output=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The adb that comes with adbutils."""
    adbutils = pytest.importorskip("adbutils")
    binary = Path(adbutils.__file__).parent / "binaries" / "adb"
    with adb_server(binary, tmp_path_factory.mktemp("home")) as variables:
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
