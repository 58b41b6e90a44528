"""`edgevit rep`: the proof, and both files of a target timed beside each other."""

import json

import pytest
from click.testing import CliRunner

from edgevit.cli import cli

NET = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return torch.relu(self.a(x) + self.norm(self.b(x)) + x)

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
