"""Making a board ready: from its own packages, from a folder of wheels, and what is missing."""

import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import closing
from importlib import metadata

import pytest
from click.testing import CliRunner

from edgevit.cli import cli
from edgevit.errors import DeviceError
from edgevit.profiles.devices.device import connect
from edgevit.profiles.devices.ssh_prepare import prepare

pytestmark = pytest.mark.needs("/usr/sbin/sshd", "asyncssh", "onnxruntime", "ai_edge_litert")


def invoke(*arguments):
    return CliRunner().invoke(cli, ["devices", "prepare", *arguments])


def test_a_python_that_has_all_is_used_as_it_is(bare):
    done = invoke("ssh:board", "--python", sys.executable, "-q")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[-2] == ["onnx", metadata.version("onnxruntime"), "runs"]
    assert rows[-1] == ["tflite", metadata.version("ai-edge-litert"), "runs"]
    assert not (bare.place / "venv").exists()
    assert bare.left() == []


@pytest.mark.slow
def test_wheels_are_installed_without_a_network_and_a_missing_one_is_named(bare, tmp_path):
    python = empty(tmp_path / "empty")
    given = {"wheels": tmp_path, "python": python, "runtimes": ()}
    wheel_of("psutil", tmp_path)
    with pytest.raises(DeviceError) as raised:
        prepare("board", **given)
    assert str(raised.value) == (
        "pip on ssh:board failed: No matching distribution found for numpy; add what is missing"
    )
    assert not (bare.place / "wheels").exists()
    wheel_of("numpy", tmp_path)
    try:
        assert prepare("board", **given).facts["numpy"] == metadata.version("numpy")
        assert str(bare.place / "venv") in (bare.place / "run").read_text()
        with closing(connect("ssh:board")) as there:
            assert there.line.greeting["runtimes"] == {}
    finally:
        shutil.rmtree(bare.place)


def wheel_of(name, folder):
    """An installed package, packed again."""
    found = metadata.distribution(name)
    info = next(f for f in found.files if f.name == "WHEEL")
    (tag, *_) = re.findall("^Tag: (.*)$", found.read_text("WHEEL"), re.MULTILINE)
    file = folder / f"{name}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for one in found.files:
            if ".." not in one.parts and "__pycache__" not in one.parts and one.name != "RECORD":
                archive.write(one.locate(), str(one))
        archive.writestr(f"{info.parent}/RECORD", "")
    return file


def empty(folder):
    """A Python with no packages at all."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return str(folder / "bin" / "python")


def test_a_folder_without_wheels(bare, tmp_path):
    done = invoke("ssh:board", "--wheels", str(tmp_path))
    assert "holds no .whl; `pip download -d " in str(done.exception)


def test_a_python_that_is_not_there(bare):
    with pytest.raises(DeviceError, match=r"has no Python called python9 .*--python"):
        prepare("board", python="python9")


def test_a_python_that_is_too_old(bare, tmp_path):
    old = tmp_path / "python"
    old.write_text("""#!/bin/sh\necho '[[3, 9], "aarch64", "/root", "/usr/bin/python3", []]'\n""")
    old.chmod(0o755)
    with pytest.raises(DeviceError, match=r"is Python 3\.9, and edgevit needs 3\.11; name a newer"):
        prepare("board", python=str(old))


def test_what_needs_no_preparation():
    assert "adb:1 needs no preparation" in str(invoke("adb:1").exception)


def test_an_unknown_runtime(bare):
    assert "did you mean 'tflite'?" in str(invoke("ssh:board", "--runtimes", "tflit").exception)
