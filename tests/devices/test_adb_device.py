"""A phone over adb: a real adb client and server, our own adbd, and a stand-in for the app."""

import json
import sys

import made_by_hand
import numpy as np
import pytest
from loopback_phone import FILES

from edgevit import digest
from edgevit.converters import target
from edgevit.errors import DeviceError, InputError, MissingRuntime
from edgevit.profiles.devices import adb_link, adb_push
from edgevit.profiles.devices.device import connect, reachable
from edgevit.profiles.timed import random_inputs
from edgevit.profiles.variant import Item

pytestmark = pytest.mark.needs("adbutils", "onnxruntime", "setsid")
QUICK = {"rounds": 3, "warmup_s": 0.0, "block_s": 0.001}


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    file = made_by_hand.onnx(tmp_path_factory.mktemp("model") / "tiny.onnx")
    return Item(file, "onnx", sha256=digest.of(file), macs=7, placement="all of it")


@pytest.fixture
def device(phone):
    device = connect("adb:")
    yield device
    device.close()
    assert phone.left_over == []


@pytest.fixture
def sent(monkeypatch):
    """The paths of what is sent, in order."""
    paths, push = [], adb_link.Link.push
    monkeypatch.setattr(
        adb_link.Link,
        "push",
        lambda *given: (paths.append(given[2].split("/files/")[1]), push(*given)),
    )
    return paths


def test_a_run_is_the_apps_samples_in_the_phones_context(phone, device, item):
    told = []
    (run,) = device.profile([item], on_progress=lambda *said: told.append(said), **QUICK)
    assert run.name == "tiny.onnx"
    assert (len(run.rounds_s), len(run.control_s)) == (3, 3)
    assert (run.macs, run.context.placement, run.context.sha256) == (7, "all of it", item.sha256)
    assert run.context.runtime == "onnxruntime"
    assert run.context.device.endswith(" (loopback stand-in, not a phone)")
    assert [state["battery_pct"] for state in run.state] == [80, 80]
    assert {(done, total) for what, done, total in told if what == "measure"} <= {
        (1, 3),
        (2, 3),
        (3, 3),
    }
    assert all(item.sha256 not in what for what, _, _ in told)
    (named,) = device.profile([item], device="mine", control=False, **QUICK)
    assert named.context.device == "mine (loopback stand-in, not a phone)"
    assert named.control_s == ()


def test_what_the_app_does_not_run_or_refuses_leaves_the_others(device, item, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model at all")
    package = Item(tmp_path / "net.mlpackage", "coreml")
    found = device.profile([package, Item(broken, "onnx"), item], **QUICK)
    assert [type(one).__name__ for one in found] == ["InputError", "InputError", "Run"]
    assert str(found[0]) == "net.mlpackage: the app runs tflite, onnx, executorch, not coreml"
    assert str(found[1]).startswith("broken.onnx: ")
    assert "the engine refuses it" in str(found[1])
    assert found[2].control_s == ()  # the control is of the first that the app was given
    with (
        pytest.raises(InputError, match="not coreml"),
        device.open(package, threads=1, timeout_s=9),
    ):
        pass
    with (
        device.open(Item(broken, "onnx"), threads=1, timeout_s=60) as opened,
        pytest.raises(InputError, match=r"broken\.onnx: the engine refuses it"),
    ):
        opened(np.zeros(1, np.float32))


def test_the_job_is_what_the_contract_says(phone, device, item):
    with device._job("profile", [item], {"input-0-0.bin": b"12"}, threads=2, rounds=5) as job:
        folder = phone.root / job.folder.strip("/")
        written = json.loads((folder / "job.json").read_text())
        assert (folder / "input-0-0.bin").read_bytes() == b"12"
        name = f"artifacts/{item.sha256}.onnx"
        assert (phone.files / name).read_bytes() == item.file.read_bytes()
        assert written == {
            "version": 1,
            "token": folder.name,
            "job": "profile",
            "items": [{"file": name, "target": "onnx", "delegate": "cpu"}],
            "threads": 2,
            "rounds": 5,
        }


def test_what_is_there_is_not_sent_again_and_stays(phone, item, sent):
    there = phone.files / f"artifacts/{item.sha256}.onnx"
    there.parent.mkdir()
    there.write_bytes(item.file.read_bytes())
    device = connect(f"adb:{phone.serial}")
    device.profile([item], **QUICK)
    assert not [path for path in sent if path.endswith(".onnx")]
    device.close()
    assert phone.left_over == [f"{FILES}/artifacts", f"{FILES}/artifacts/{item.sha256}.onnx"]


def test_a_damaged_one_of_the_same_name_is_sent_again_and_removed(phone, device, item, sent):
    there = phone.files / f"artifacts/{item.sha256}.onnx"
    there.parent.mkdir()
    there.write_bytes(item.file.read_bytes()[:-1] + b"?")
    device.profile([item, item], **QUICK)
    assert sent.count(f"artifacts/{item.sha256}.onnx") == 1
    assert there.read_bytes() == item.file.read_bytes()


def test_opened_it_gives_the_numbers_of_its_runtime(phone, device, item, sent):
    loaded = target.find("onnx").load(item.file, threads=1)
    rows = [random_inputs(loaded.inputs, seed=seed) for seed in range(3)]
    with device.open(item, threads=1, timeout_s=60) as opened:
        together, alone = opened.together(rows), opened(*rows[0])
    assert len([path for path in sent if path.endswith("job.json")]) == 2
    for row, (found,) in zip(rows, together, strict=True):
        (expected,) = loaded(*row)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(alone[0], together[0][0])


def test_ctrl_c_ends_the_app_and_takes_everything_back(phone, device, item):
    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.profile([item], on_progress=stop, **QUICK | {"rounds": 2000})
    assert not phone.runs_the_app
    device.close()
    assert phone.left_over == []


def test_an_interrupted_session_is_swept_up_by_the_next(phone, device, item):
    (phone.files / "jobs/old").mkdir(parents=True)
    (phone.files / "artifacts").mkdir()
    for name in ("jobs/old/job.json", "artifacts/sent.onnx", "artifacts/the-users.onnx"):
        (phone.files / name).write_text("x")
    (phone.files / adb_push.SENT).write_text("artifacts/sent.onnx\n")
    device.profile([item], **QUICK)
    device.close()
    kept = phone.files / "artifacts/the-users.onnx"
    assert phone.left_over == [f"{FILES}/artifacts", str(kept.relative_to(phone.root))]
    kept.unlink()
    kept.parent.rmdir()


def test_a_folder_that_cannot_be_made(phone, item):
    phone.files.rmdir()
    phone.files.write_text("in its place")
    with pytest.raises(DeviceError, match=r"makes no folder .*Not a directory\); open the app on"):
        connect("adb:").profile([item], **QUICK)
    assert phone.files.read_text() == "in its place"


def test_what_answers_is_listed(phone, plug):
    def one():
        (found,) = (one for one in reachable() if one.name == f"adb:{phone.serial}")
        return found

    found = one()
    assert (found.model, found.soc, found.os) == ("Nobody Loopback", "none", "Android 14")
    assert found.cores
    assert found.state == "ready"
    phone.say("ro.soc.model", "Chip 9\n")
    phone.forget("ro.product.manufacturer")
    phone.forget("app-org.edgevit.demo")
    assert (one().model, one().soc) == ("Loopback", "Chip 9")
    assert one().state == f"app missing: edgevit devices install adb:{phone.serial} APK"
    strange = plug(authorised=False)
    states = {found.name: found.state for found in reachable()}
    assert states[f"adb:{strange.serial}"].startswith("unauthorised: unlock its screen")


def test_without_adbutils_the_list_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "adbutils", None)
    said = "phones are reached through adbutils: pip install 'edgevit[devices]'"
    assert [(one.name, one.state) for one in reachable()][1:] == [("adb:", said)]
    with pytest.raises(MissingRuntime, match="pip install"):
        connect("adb:")


def test_the_app_is_installed(phone, tmp_path):
    import zipfile

    from edgevit.profiles.devices import adb

    apk = tmp_path / "app.apk"
    with zipfile.ZipFile(apk, "w") as archive:
        archive.writestr("AndroidManifest.xml", "<manifest/>")
    phone.forget("app-org.edgevit.demo")
    with pytest.raises(DeviceError, match="the app is not on "):
        connect("adb:").profile([Item(apk, "onnx")], **QUICK)
    assert adb.install("", apk) == phone.serial
    assert reachable()[-1].state == "ready"
    assert phone.left_over == []
