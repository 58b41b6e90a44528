"""`edgevit devices`, `profile` and `verify` on a loopback phone, as a user types them."""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from shutil import which

import private_server
import pytest
from loopback_phone import PACKAGE, Phone
from private_server import adb_server

from edgevit.cli import main

pytestmark = pytest.mark.needs("adbutils", "onnxruntime", "onnxscript", "setsid")

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(6, 8), torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.last(self.first(x).relu())

def net(num_classes=4):
    torch.manual_seed(1)
    return Net(), (torch.ones(1, 6),)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    (folder / "net.py").write_text(NET)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            main(["convert", "net.py:net", "--to", "onnx", "-o", "out", "-q"])
    assert not ended.value.code
    return folder / "out" / "net.onnx"


@pytest.fixture
def run(capfd, monkeypatch, made):
    """The exit code, stdout and stderr of a command, in the folder of the model."""
    monkeypatch.chdir(made.parent.parent)

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code, *capfd.readouterr()

    return run


def test_profile_says_that_no_phone_was_there(phone, run, made):
    quick = ("--rounds", 3, "--warmup", 0, "--block", 0.001)
    code, out, err = run("profile", made, "--device", "adb:", *quick)
    assert (code, phone.left_over) == (0, [])
    assert "net.onnx" in out
    assert re.search(r"^on .* \(loopback stand-in, not a phone\), Linux", out, re.MULTILINE)
    for when in ("before", "after"):
        assert f"\n{when}: battery_pct 80, power_save False, thermal_status 0\n" in out
    assert "measure 3/3" in err or "done" in err
    (kept,) = (made.parent / "runs").glob("adb-net.onnx-*.json")
    context = json.loads(kept.read_text())["context"]
    assert context["device"].endswith("(loopback stand-in, not a phone)")
    kept.unlink()


def test_verify_holds_the_numbers_computed_there_against_float64(phone, run, made):
    code, out, _ = run("verify", made, "--device", f"adb:{phone.serial}", "--json")
    (found,) = json.loads(out)
    assert (code, found["error"], phone.left_over) == (0, None, [])
    assert (found["agreement"]["status"], found["agreement"]["inputs"]) == ("agrees", 16)


def test_each_kind_of_trouble_has_its_exit_code(phone, run, made, tmp_path):
    phone.say("dumpsys-window", "mDreamingLockscreen=true\n")
    for command in ("profile", "verify"):
        code, out, err = run(command, made, "--device", "adb:", "-q")
        assert (code, out) == (7, "")
        (line,) = err.splitlines()
        assert line.startswith("error: ")
        assert line.endswith("is locked, and a hidden app is slowed: unlock its screen")
    code, _, err = run("profile", made, "--device", "adb:nobody")
    assert code == 7
    assert err == f"error: unknown Android device 'nobody'; there are: {phone.serial}\n"
    code, _, err = run("profile", made, "--device", "abd:")
    assert code == 2
    assert "unknown device 'abd'; did you mean 'adb'?" in err
    code, _, err = run("devices", "install", "host", tmp_path / "app.apk")
    assert (code, err) == (2, "error: an app goes on adb:SERIAL, not on 'host'\n")


@pytest.mark.parametrize("adb", ["bundled", pytest.param("adb", marks=pytest.mark.needs("adb"))])
def test_devices_and_install_through_either_adb(adb, run, tmp_path, tmp_path_factory, monkeypatch):
    """The adb of adbutils, and the one on PATH, which in Debian is years older."""
    binary = private_server.bundled() if adb == "bundled" else Path(which("adb"))
    apk = tmp_path / "app.apk"
    with zipfile.ZipFile(apk, "w") as archive:
        archive.writestr("AndroidManifest.xml", "<manifest/>")
    with adb_server(binary, tmp_path_factory.mktemp("home")) as variables:
        for key, value in variables.items():
            monkeypatch.setenv(key, value)
        phone = Phone(tmp_path / "phone")
        env = {**os.environ, **variables}
        subprocess.run([binary, "connect", phone.serial], env=env, check=True, capture_output=True)
        phone.forget(f"app-{PACKAGE}")
        assert f"edgevit devices install adb:{phone.serial} APK" in run("devices", "--json")[1]
        assert run("devices", "install", "adb:", apk)[::2] == (0, f"app.apk is on {phone.serial}\n")
        code, out, _ = run("devices")
        assert code == 0
        assert re.search(
            rf"^adb:{phone.serial} +Nobody Loopback +none +\d+ +Android 14 +ready", out, re.M
        )
        assert out.startswith("device")
        assert "\nhost " in out
        phone.off()
