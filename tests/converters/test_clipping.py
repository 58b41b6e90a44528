"""Outliers that hardly count are clipped, in every runtime's file; those that count are not."""

import warnings

import numpy as np
import pytest
import torch
from clipped_net import LOUD, Net, rows
from known_card import card
from torch import Tensor, nn

from edgevit import calibration
from edgevit.converters import clipping
from edgevit.converters.card_in_words import in_words
from edgevit.converters.clipping import clipped
from edgevit.converters.lowering import lower
from edgevit.converters.plan import WIDEST, Block
from edgevit.converters.sensitivity import study
from edgevit.converters.simulate import Simulation
from edgevit.converters.target import find
from edgevit.program import Program, export
from edgevit.reference import CALIBRATION, PROGRAM

TARGETS = ("executorch", "tflite", "onnx")
USUAL, LARGE = 1.0, 8.0


def program_of(net, inputs, folder, **changed) -> Program:
    """Saved and read again, beside its calibration."""
    program = export(net.eval().requires_grad_(False), [torch.from_numpy(inputs[:1])], name="net")
    program.save(folder / PROGRAM)
    calibration.save([(row[None],) for row in inputs], folder / CALIBRATION)
    return Program.load(folder / PROGRAM)


def snr_db(true, found) -> float:
    noise = sum(np.square(a - b).sum() for a, b in zip(true, found, strict=True))
    return float(10 * np.log10(sum(np.square(a).sum() for a in true) / noise))


def chosen(program):
    return clipped(program, calibration.load(program.calibration))


@pytest.fixture(scope="module")
def truth():
    """What the net answers, by how large its inputs are."""
    net = Net().eval()
    with torch.no_grad():
        return {
            s: [net(torch.from_numpy(r[None])).numpy() for r in rows(s)] for s in (USUAL, LARGE)
        }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """By target, and how large what they were calibrated on is; and what the lowering reports."""
    found = {}
    warnings.simplefilter("ignore")  # third parties', who have a process of their own elsewhere
    for scale in (USUAL, LARGE):
        folder = tmp_path_factory.mktemp("clipping")
        program_of(Net(), rows(scale), folder)
        for target in TARGETS:
            file = folder / f"net{find(target).suffix}"
            report = lower(
                target=target,
                program=str(folder / PROGRAM),
                file=str(file),
                precision="w8a8",
                ios=17,
            )
            found[target, scale] = find(target).load(file), report
    return found


def answers(file, scale) -> list[np.ndarray]:
    return [file(row[None])[0] for row in rows(scale)]


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
@pytest.mark.parametrize("target", TARGETS)
def test_a_loud_channel_that_hardly_counts_is_clipped(files, truth, tmp_path, target):
    program = program_of(Net(), rows(USUAL), tmp_path)
    net = Simulation(program.exported.module(), "w8a8", program.kept)
    net.watch(calibration.load(program.calibration))
    net.rounded = net.blocks
    unclipped = [net.answer((row[None],)).numpy() for row in rows(USUAL)]
    file, report = files[target, USUAL]
    assert snr_db(truth[USUAL], unclipped) < 10
    assert snr_db(truth[USUAL], answers(file, USUAL)) > 30
    assert sum(report["clipped"].values()) == 1
    said = in_words(card(rewrites={"applied": {}, "left_alone": None} | report))["clipped"]
    assert said.startswith("tensors to ranges chosen by ")


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
@pytest.mark.parametrize("target", TARGETS)
def test_other_inputs_give_other_ranges(files, truth, target):
    """The file that was calibrated on smaller inputs cuts off what the other one reads."""
    small, large = (
        snr_db(truth[LARGE], answers(files[target, s][0], LARGE)) for s in (USUAL, LARGE)
    )
    assert small < 10
    assert large > 30


def test_each_layer_tells_its_range(tmp_path):
    program_of(Net(), rows(USUAL), tmp_path)
    ask = {"target": "onnx", "program": tmp_path / PROGRAM, "counted": None, "labels": None}
    for precision in ("w8a8", "dyn8"):
        found = study(**ask, precision=precision, most=None)
        told = [p for b in found["blocks"] for p in Block.from_dict(b).products]
        if precision == "dyn8":
            assert [(p.path, p.read, p.written, p.clipped) for p in told] == [
                ("last", None, None, "")
            ]
            continue
        first, last = told
        assert first.low < -2000
        assert first.high > 2000
        assert first.read["by"] != WIDEST
        assert first.written is None, "what ReLU leaves of it is rounded alone"
        assert -10 < first.read["low"] < -2
        assert first.clipped.endswith(f"({first.read['by']})")
        assert last.read == {"low": 0.0, "high": last.high, "by": WIDEST}
        assert last.written["by"] == WIDEST


def test_what_stays_in_fp32_is_not_clipped(tmp_path):
    program = program_of(Net(), rows(USUAL), tmp_path)
    ranges, counts = chosen(program)
    assert [*ranges] == [("first", False)]
    assert sum(counts.values()) == 1
    assert (
        chosen(Program(program.exported, program.facts, program.calibration, ("first",)))[0] == {}
    )


class Louder(Net):
    """The same, but its answers hang on the little that a layer makes of the loud channel."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.first.weight[0, :LOUD] = self.first.weight[0, LOUD + 1 :] = self.first.bias[0] = 0
        self.scale = torch.tensor([1e6] + 15 * [1.0]).reshape(-1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last((self.scale * self.first(x).relu()).mean((2, 3)))


def test_outliers_that_the_answers_hang_on_stay(tmp_path, monkeypatch):
    program = program_of(Louder(), rows(USUAL), tmp_path)
    assert chosen(program) == ({}, {})
    monkeypatch.setattr(clipping, "_worth", lambda *_: clipping.LEFT[0])
    assert ("first", False) in chosen(program)[0], "it is the answers that refuse it"


@pytest.mark.needs("executorch")
def test_a_clamp_lets_negative_numbers_through(tmp_path):
    """ReLU's limits are not those of every clamp."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), Clamped(), nn.Linear(16, 4)).eval()
    inputs = np.random.default_rng(0).normal(0, 1, (16, 8)).astype(np.float32)
    program_of(net, inputs, tmp_path)
    file = tmp_path / "net.pte"
    lower(
        target="executorch",
        program=str(tmp_path / PROGRAM),
        file=str(file),
        precision="w8a8",
        ios=17,
    )
    with torch.no_grad():
        true = [net(torch.from_numpy(row[None])).numpy() for row in inputs]
    loaded = find("executorch").load(file)
    assert snr_db(true, [loaded(row[None])[0] for row in inputs]) > 25


class Clamped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(-0.3, 0.3)
