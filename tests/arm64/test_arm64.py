"""ARM64, really executed: files in the runtimes' aarch64 wheels, on CPUs that qemu emulates.

The emulated Python is a prepared board behind a real sshd, so that the way of a file is the one of
`edgevit verify --device ssh:...`. Only numbers are looked at: how long an emulator takes says
nothing of any device.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from loopback import Loopback

from edgevit import convert, verify
from edgevit.pipeline import verify as verifying
from edgevit.profiles.devices.device import connect
from edgevit.profiles.devices.ssh_prepare import prepare
from edgevit.recipe import Recipe

FOLDER = Path(os.environ["EDGEVIT_ARM64"]).resolve()
CPUS = ("cortex-a76", "max")
TARGETS = ("onnx", "tflite", "executorch")
MODELS = {"mobilenetv2_100": "w8a8", "efficientmod_xxs": "w8a8", "deit_tiny": "dyn8"}
SIDE = 64  # what is proved does not depend on it
HWCAP, HWCAP2 = 16, 26  # of the auxiliary vector
EXTRAS = ("onnxruntime", "litert_torch", "executorch", "asyncssh")
ASIMDDP, I8MM = 1 << 20, 1 << 13  # of the one, of the other
TABLE = FOLDER / "agreement.txt"
pytestmark = pytest.mark.needs("qemu-aarch64-static", "/usr/sbin/sshd", *EXTRAS)


@pytest.fixture(scope="session", autouse=True)
def table() -> None:
    heads = "".join(f"{head:>10}" for head in ("error", "on x86", "apart", "allowed"))
    TABLE.write_text(f"{'file':36}{'CPU':11}{heads}{'dB':>7}\n")


@pytest.fixture(scope="session", params=MODELS)
def files(request) -> list[Path]:
    recipe = Recipe(request.param, input_size=SIDE, calibrate="random")
    precisions = ("fp32", MODELS[request.param])
    made = convert(recipe, to=TARGETS, out=FOLDER / "out", precisions=precisions)
    assert not [one.error for one in made if one.error]
    return [one.artifact.path for one in made]


@pytest.fixture(scope="session", params=CPUS)
def board(request, tmp_path_factory) -> Iterator[str]:
    board = Loopback(tmp_path_factory.mktemp("board"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(board.user))
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        try:
            done = prepare(
                "board", python=str(FOLDER / f"python-{request.param}"), runtimes=TARGETS
            )
            assert not done.failed
            yield request.param
            assert board.left() == []
        finally:
            board.stop()


@pytest.mark.parametrize("cpu", CPUS)
def test_the_emulated_cpus_have_what_the_int8_kernels_are_chosen_by(cpu):
    script = f"import ctypes; get = ctypes.CDLL(None).getauxval; print(get({HWCAP}), get({HWCAP2}))"
    command = [FOLDER / f"python-{cpu}", "-c", script]
    first, second = map(int, subprocess.check_output(command, text=True).split())
    assert first & ASIMDDP
    assert bool(second & I8MM) == (cpu == "max")


def test_numbers_are_right_against_float64_and_as_on_x86(board, files, monkeypatch):
    with closing(connect("ssh:board")) as there:
        assert there.line.call("platform:machine") == "aarch64"
    asked: dict[str, list] = {}
    monkeypatch.setattr(verifying, "connect", lambda name: Recording(connect(name), asked))
    wrong = []
    for verdict in verify(files, on="ssh:board"):
        if verdict.error:
            wrong.append(str(verdict.error))
            continue
        (found,), (before,) = verdict.agreement.outputs, verdict.artifact.card.agreement.outputs
        with verdict.artifact.open() as session:
            pairs = [(session(*x)[0], y) for x, y in asked[verdict.path.name]]
        assert len(pairs) == 16
        apart = max(float(np.abs(x86.astype(float) - arm).max()) for x86, arm in pairs)
        row = (
            f"{verdict.path.name:36}{board:12}{found.max_abs_error:9.1e}{before.max_abs_error:9.1e}"
        )
        row += f"{apart:9.1e}{found.tolerance:9.1e}{found.snr_db:7.1f}\n"
        with TABLE.open("a") as table:
            table.write(row)
        if apart > found.tolerance:
            wrong.append(
                f"{verdict.path.name}: {apart:.1e} from x86, {found.tolerance:.1e} allowed"
            )
    assert not wrong


class Recording:
    """A device that keeps what it was asked and what it said."""

    def __init__(self, device, asked):
        self.device, self.asked = device, asked

    @contextmanager
    def open(self, item, **limits):
        pairs = self.asked[item.file.name] = []
        with self.device.open(item, **limits) as session:

            def answer(*arrays):
                outputs = session(*arrays)
                pairs.append((arrays, outputs[0]))
                return outputs

            yield answer

    def close(self):
        self.device.close()
