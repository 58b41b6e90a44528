"""Artifacts measured and verified on a board: a real sshd on loopback, the host's own rules."""

import json
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from known_card import card
from torch import nn

from edgevit import digest, verify, weights
from edgevit.cli.profile import command as profile
from edgevit.converters.card import card_of
from edgevit.errors import ChildTimeout, DeviceError
from edgevit.profiles.compare import ratio
from edgevit.profiles.devices import device, host
from edgevit.profiles.devices.device import connect, reachable
from edgevit.profiles.devices.ssh_prepare import CHECKS
from edgevit.profiles.run import Run
from edgevit.profiles.stability import doubts
from edgevit.profiles.variant import Item

ONNX, TFLITE = (Item(CHECKS / f"{name}.{name}", name, macs=8) for name in ("onnx", "tflite"))
QUICK = {"rounds": 3, "warmup_s": 0.01, "block_s": 0.001}
pytestmark = pytest.mark.needs("/usr/sbin/sshd", "asyncssh", "onnxruntime", "ai_edge_litert")


def test_runs_on_the_board_are_like_those_on_the_host(board):
    with closing(connect("ssh:board")) as there:
        runs = there.profile([ONNX, TFLITE], **QUICK)
    assert all(isinstance(run, Run) for run in runs), runs
    (here,) = connect("host").profile([ONNX], **QUICK, control=False, probe=None)
    assert ratio(runs[0], here).verdict  # of like contexts, or this raises
    assert replace(runs[0].context, sha256="") == replace(here.context, sha256="")
    assert runs[0].started == runs[1].started
    assert len(runs[0].control_s) == 3
    assert len(runs[0].bracket_macs_per_s) == len(runs[0].bracket_int8_macs_per_s) == 2
    assert set(runs[0].state[0]) == {"seconds", *host.state()}
    assert {"short", "few rounds"} <= {doubt.kind for doubt in doubts(runs[0])}


def test_what_cannot_be_measured_there_leaves_the_others_running(board, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    items = [Item(broken, "onnx"), ONNX, Item(CHECKS / "executorch.pte", "coreml")]
    with closing(connect("ssh:board")) as there:
        refused, run, foreign = there.profile(items, **QUICK, control=False, probe=None)
    assert str(refused).startswith("broken.onnx: InvalidProtobuf: ")
    assert isinstance(run, Run)
    assert str(foreign) == "executorch.pte: coreml files do not run on ssh:board, a Linux"


def test_outputs_are_those_of_the_host(board):
    x = np.arange(8, dtype=np.float32)[None]
    with closing(connect("ssh:board")) as there:
        for item in (ONNX, TFLITE):
            with there.open(item, threads=1, timeout_s=60) as session:
                (y,) = session(x)
            with connect("host").open(item, threads=1, timeout_s=60) as session:
                assert np.array_equal(session(x)[0], y)
        assert y.any()


def test_a_call_that_takes_too_long_ends_there_and_the_board_answers_on(board):
    with closing(connect("ssh:board")) as there:
        child = there.line.child(timeout_s=0.5)
        with pytest.raises(ChildTimeout, match=r"gave no answer within 0\.5 s"):
            child.call("subprocess:run", args=["sleep", "60"])
        child.close()
        assert there.describe()["cores"] == host.available_cores()


def test_a_board_that_hangs_is_given_up(board, monkeypatch):
    monkeypatch.setattr("edgevit.profiles.devices.ssh_line.GRACE_S", 0.3)
    with closing(connect("ssh:board")) as there:
        child = there.line.child(timeout_s=0.5)
        server = board.server()
        server.suspend()
        try:
            with pytest.raises(DeviceError, match=r"gave no answer within 0\.8 s; it hangs"):
                child.call("time:time")
        finally:
            server.resume()


def test_no_space_is_said_before_anything_is_copied(board, tmp_path, monkeypatch):
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(100)
    with closing(connect("ssh:board")) as there:
        monkeypatch.setattr(there.line, "call", lambda *a, **k: [100, 99, 1])  # fake: a full disk
        (error,) = there.profile([Item(huge, "onnx")])
    assert "has no space for huge.onnx: 0.0 MB, and 0.0 MB are free under " in str(error)


class Times(nn.Module):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


@pytest.mark.parametrize(("factor", "status"), [(2, "agrees"), (3, "rejected")])
def test_verify_holds_what_the_board_computes_against_float64(board, tmp_path, factor, status):
    file, net = tmp_path / "net.onnx", Times(factor)  # the file says 2
    shutil.copy(ONNX.file, file)
    port = {"dtype": "float32", "shape": [1, 8]}
    card(
        artifact={"file": file.name, "sha256": digest.of(file), "bytes": file.stat().st_size},
        model={"macs": 8, "inputs": [{"name": "x", **port}], "outputs": [{"name": "y", **port}]},
        weights_sha256=weights.digest(net),
        sources={},
    ).write(card_of(file))
    (verdict,) = verify([file], on="ssh:board", model=(net, (torch.zeros(1, 8),)))
    assert verdict.agreement, verdict.error
    assert (verdict.agreement.status, verdict.agreement.inputs) == (status, 16)


def test_several_devices_at_once(board, tmp_path):
    """One that is not there leaves the others running, and the command ends with its code."""
    runs, quick = tmp_path / "runs", ["--rounds", "3", "--warmup", "0.01", "--block", "0.001"]
    where = ["--device", "host,ssh:board,ssh:nobody@127.0.0.1:1", "--runs", str(runs), "--json"]
    done = CliRunner().invoke(profile, [str(ONNX.file), *quick, *where])
    assert done.exit_code == DeviceError.exit_code, done.output
    rows = json.loads(done.stdout)
    assert [row["on"] for row in rows[:2]] == ["host", "ssh:board"]
    assert all(row["median_ms"] > 0 for row in rows[:2])
    assert rows[2]["error"].startswith("ssh:nobody@127.0.0.1:1: ")
    digest = next(runs.glob("onnx.onnx-*")).name.removeprefix("onnx.onnx-")
    assert {file.name for file in runs.iterdir()} == {
        f"onnx.onnx-{digest}",
        f"ssh-board-onnx.onnx-{digest}",
    }


def test_boards_that_were_prepared_are_listed(board, monkeypatch):
    monkeypatch.delitem(device.KINDS, "adb")  # which starts a server
    assert [one.name for one in reachable()] == ["host", "ssh:board"]
    assert reachable()[1].cores == host.available_cores()


def test_what_a_board_imports_is_light():
    heavy = ("torch", "timm", "rich", "click", "PIL", "safetensors", "asyncssh", "litert_torch")
    script = f"""
import sys, edgevit.board
from edgevit.profiles import timed, peak
from edgevit.profiles.devices import host
from edgevit.converters import artifact
for target, file in {[(i.target, str(i.file)) for i in (ONNX, TFLITE)]}:
    timed.open_artifact(target, file, 1)
    artifact._open(file=file, target=target, threads=1, by="load")
print([m for m in {heavy} if m in sys.modules])
"""
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr
