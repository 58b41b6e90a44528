"""Loopback phones behind a real adb server."""

import pytest
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
