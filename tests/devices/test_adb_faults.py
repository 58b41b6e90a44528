"""Every way in which a phone fails, injected: one clear sentence each, and nothing left behind.

The faults are real where they can be: a full disk is /dev/full, a killed app gets SIGKILL, a pulled
cable is a closed socket.
"""

import re
import socket
import sys

import adbutils
import made_by_hand
import pytest
from loopback_phone import PACKAGE

from edgevit import digest
from edgevit.errors import DeviceError, InputError
from edgevit.profiles.devices import adb_app, adb_server
from edgevit.profiles.devices.device import connect
from edgevit.profiles.variant import Item

pytestmark = pytest.mark.needs("adbutils", "onnxruntime", "setsid")
LONG = {"rounds": 2000, "warmup_s": 0.0, "block_s": 0.01, "control": False}


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    file = made_by_hand.onnx(tmp_path_factory.mktemp("model") / "tiny.onnx")
    return Item(file, "onnx", sha256=digest.of(file))


def refused(phone, item, on_progress=lambda *said: None, **settings) -> str:
    """The sentence with which a profile fails; nothing of it stays on the phone."""
    device = connect(f"adb:{phone.serial}")
    with pytest.raises(DeviceError) as failed:
        device.profile([item], on_progress=on_progress, **{**LONG, **settings})
    device.close()
    said = str(failed.value)
    assert "\n" not in said
    return said.replace(phone.serial, "SERIAL")


WRITE = """
def write(name, text):  # as an app does: whole or not at all
    open(name + '.part', 'w').write(text)
    os.rename(name + '.part', name)
"""


def app(script: str) -> tuple[str, ...]:
    """An app that does this in the job's folder, and stays as an Android process does."""
    text = (
        f"import os, sys, time; os.chdir(sys.argv[1] + '/jobs/' + sys.argv[2])\n{WRITE}{script}\n"
    )
    return (sys.executable, "-S", "-c", f"{text}time.sleep(60)")


def test_no_device_several_and_one_that_is_not_there(plug):
    with pytest.raises(DeviceError, match="no Android device: plug one in with USB debugging on"):
        connect("adb:")
    one, two = plug(), plug()
    with pytest.raises(DeviceError) as failed:
        connect("adb:")
    assert str(failed.value) in (
        f"2 Android devices, name one: adb:{one.serial}, adb:{two.serial}",
        f"2 Android devices, name one: adb:{two.serial}, adb:{one.serial}",
    )
    near = one.serial[:-1]
    with pytest.raises(
        DeviceError, match=f"unknown Android device '{near}'; did you mean .*{near}"
    ):
        connect(f"adb:{near}")


def test_unauthorised_and_offline(plug):
    stranger = plug(authorised=False)
    with pytest.raises(DeviceError, match=f"{stranger.serial} is unauthorised: unlock its screen"):
        connect("adb:")
    phone = plug()
    phone.adbd.unplug()
    with pytest.raises(DeviceError, match=f"{phone.serial} is offline: plug it in again, or run"):
        connect(f"adb:{phone.serial}")


def test_no_adb_server_and_something_else_in_its_place(plug, monkeypatch, tmp_path):
    broken = tmp_path / "adb"
    broken.write_text("#!/bin/sh\n[ $1 = version ] && exit 0\necho cannot bind >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(broken))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    with pytest.raises(DeviceError) as failed:
        connect("adb:")
    assert str(failed.value) == (
        f"no adb server answers at 127.0.0.1:1, and `{broken} start-server` could not start one: "
        "cannot bind"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(silent.getsockname()[1]))
        monkeypatch.setattr(adb_server, "ANSWER_S", 0.2)
        with pytest.raises(DeviceError, match=r"is no adb server .*set ANDROID_ADB_SERVER_PORT"):
            connect("adb:")


@pytest.mark.parametrize(
    ("what", "says", "sentence"),
    [
        (
            "dumpsys-window",
            "  mDreamingLockscreen=true mDreamingSleepToken=null",
            "SERIAL is locked, and a hidden app is slowed: unlock its screen",
        ),
        (
            "dumpsys-window",
            "    KeyguardController:\n      isKeyguardShowing=true",
            "SERIAL is locked, and a hidden app is slowed: unlock its screen",
        ),
        (
            "dumpsys-power",
            "  mWakefulness=Dozing\n",
            "the screen of SERIAL is off, which slows an app: wake it up",
        ),
    ],
)
def test_a_screen_that_hides_apps(phone, item, what, says, sentence):
    phone.say(what, says)
    assert refused(phone, item) == sentence
    assert phone.left_over == []


def test_the_app_is_not_there(phone, item):
    phone.forget(f"app-{PACKAGE}")
    words = "the app is not on SERIAL: edgevit devices install adb:SERIAL APK"
    assert refused(phone, item) == words


def test_no_space(phone, item):
    phone.adbd.full = True
    said = refused(phone, item)
    assert said.startswith("SERIAL refuses /sdcard/Android/data/org.edgevit.demo/files/")
    assert said.endswith(": write failed: No space left on device; free some of its storage")
    assert phone.left_over == []


def test_the_app_is_killed(phone, item):
    def kill(what, done, total):
        if what == "measure":
            phone.kill_the_app()

    said = refused(phone, item, kill)
    assert said.startswith("the app on SERIAL was killed before its result was there (it last said")
    assert re.search("'(measure|load|warm up) ", said)
    assert phone.left_over == []


def test_the_cable_is_pulled_and_what_stayed_is_removed_the_next_time(phone, item):
    server = adbutils.AdbClient()

    def pull(what, done, total):
        if what == "measure":
            phone.adbd.unplug()

    said = refused(phone, item, pull)
    assert said.startswith("SERIAL went away in the middle (its state is offline): check the cable")
    assert len(phone.left_over) > 2
    phone.kill_the_app()
    phone.adbd.plug()
    server.disconnect(phone.serial)
    server.connect(phone.serial, timeout=10)
    device = connect(f"adb:{phone.serial}")
    device.profile([item], **{**LONG, "rounds": 1})
    device.close()
    assert phone.left_over == []


def test_a_device_that_is_no_more_listed(phone, item):
    server = adbutils.AdbClient()
    said = refused(phone, item, lambda *said: server.disconnect(phone.serial))
    assert said.startswith("SERIAL went away in the middle (its state is absent): check the cable")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "write('progress.txt', 'load 1/2')",
            "the app on SERIAL said nothing new for 10 s (it last said 'load 1/2'): give it "
            "longer with --timeout, or a smaller model",
        ),
        (
            "write('result.json', '{')",
            "the app on SERIAL answers with no result (Expecting property name enclosed in double "
            "quotes: line 1 column 2 (char 1)): install it again",
        ),
        (
            """write('result.json', '{"version": 2, "token": "t", "error": null}')""",
            "the app on SERIAL answers version 2 of job 't', not 1 of 'TOKEN': install the app of "
            "this edgevit",
        ),
        (
            """write('result.json', '{"version": 1, "token": "%s", "error": null}' """
            "% sys.argv[2])",
            "the app on SERIAL answers with an incomplete result (KeyError: 'facts'): install the "
            "app of this edgevit",
        ),
        (
            "import shutil; shutil.rmtree(os.getcwd())",
            "the job's folder on SERIAL vanished: does another session use it?",
        ),
    ],
    ids=["silent", "no JSON", "version", "incomplete", "swept"],
)
def test_an_app_that_does_not_answer_as_it_should(plug, item, monkeypatch, script, sentence):
    monkeypatch.setattr(adb_app.secrets, "token_hex", lambda count: "TOKEN")
    phone = plug(app=app(script))
    timeout_s = 10 if "said nothing" in sentence else 60
    assert refused(phone, item, timeout_s=timeout_s) == sentence
    assert phone.left_over == []


def test_an_error_of_the_whole_job_is_its_own(plug, item):
    error = '{"kind": "InputError", "message": "rounds must be positive"}'
    write = "write('result.json', "
    said = f"""{write}'{{"version": 1, "token": "%s", "error": {error}}}' % sys.argv[2])"""
    phone = plug(app=app(said))
    with pytest.raises(InputError, match=f"{phone.serial}: rounds must be positive"):
        connect("adb:").profile([item])
    assert [left for left in phone.left_over if "/jobs/" in left] == []
