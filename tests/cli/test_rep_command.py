"""`edgevit rep`: the proof, and both files of a target timed beside each other."""

import json

import pytest
from click.testing import CliRunner

from edgevit.cli import cli
from edgevit.converters.rewrites.choice import Costs
from edgevit.profiles.compare import Ratio

NET = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        if self.b is None:
            return torch.relu(self.a(x))
        return torch.relu(self.a(x) + self.norm(self.b(x)) + x)

    def switch_to_deploy(self):
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        kernel, a = self.b.weight * scale[:, None, None, None], self.a
        a.weight[:, :, 1:2, 1:2] += kernel + torch.eye(3, dtype=kernel.dtype)[..., None, None]
        a.bias += (self.b.bias - self.norm.running_mean) * scale + self.norm.bias
        self.b = self.norm = None

def net():
    return Block()
"""


@pytest.fixture
def rep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return lambda *words: CliRunner().invoke(
        cli, ["rep", "net.py:net", "--input-size", "16", *map(str, words)]
    )


def test_the_proof(rep):
    found = rep()
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("rep: 3 branches → 1 convolution, 1 batch norm → 0, max error")
    assert "GMAC" in found.stdout
    own = " ".join(found.stdout.split()).partition("the model's own method ")[2]
    assert own.startswith("(switch_to_deploy): 1 convolutions, 0 batch norms left, differs by ")
    assert own.endswith(" in float64; here 1 and 0")
    assert float(own.split("differs by ")[1].split()[0]) < 1e-13


@pytest.mark.needs("onnxruntime", "onnxscript")
def test_a_fold_that_is_slower_is_left_out_and_said(rep, tmp_path, monkeypatch):
    monkeypatch.setattr("edgevit.pipeline.rep.ratio", lambda *_: Ratio(0.8, 0.7, 0.9, "slower"))
    found = rep("--to", "onnx", "--rounds", 2, "-o", "made")
    assert found.exit_code == 0, found.output
    assert (
        "slower on onnx here, 0.800× [0.700, 0.900] times as fast, and is left out" in found.stderr
    )
    assert not list((tmp_path / "made" / "after").glob("net.onnx*"))
    costs = Costs.read(tmp_path / "made" / "onnx-costs.toml")
    assert not costs.pays("branches_into_one")
    assert costs.pays("stream_centred") == Costs.of("onnx").pays("stream_centred")
    words = ["--input-size", "16", "--to", "onnx", "--costs", "made/onnx-costs.toml", "-o", "out"]
    assert CliRunner().invoke(cli, ["convert", "net.py:net", *words]).exit_code == 0
    card = json.loads((tmp_path / "out" / "net.onnx.json").read_text())
    assert card["rewrites"]["applied"].get("branches_into_one") is None
    assert card["recipe"]["costs"].endswith("onnx-costs.toml")


@pytest.mark.needs("onnxruntime", "onnxscript")
def test_before_and_after_in_a_runtime(rep, tmp_path):
    found = rep("--to", "onnx", "--rounds", 2, "--json", "-o", "made")
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert document["folding"]["after"]["branches"] == 0
    (row,) = document["rows"]
    assert (row["target"], row["faster"]["verdict"]) != ("onnx", "")
    assert row["ms_before"] > 0 < row["ms_after"]
    cards = [
        json.loads((tmp_path / "made" / name / "net.onnx.json").read_text())
        for name in ("before", "after")
    ]
    assert [card["agreement"]["status"] for card in cards] == ["agrees"] * 2
    assert "branches_into_one" in cards[1]["rewrites"]["applied"]
    assert "branches_into_one" not in cards[0]["rewrites"]["applied"]


def test_an_unknown_target_is_one_sentence(rep):
    found = rep("--to", "onnxx")
    assert "did you mean 'onnx'" in str(found.exception)
