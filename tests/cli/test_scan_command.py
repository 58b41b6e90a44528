"""`edgevit scan` names what fp16 cannot hold, and ends with 3 where nothing but fp32 helps."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

NETS = """
import torch
from torch import nn
from edgevit.preprocess import Preprocess


class Net(nn.Module):
    preprocess = Preprocess(24, 24)

    def __init__(self, gain):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.gain = nn.Conv2d(3, 8, 3), nn.Linear(8, 4), gain

    def forward(self, x):
        y = self.conv(x).relu() * self.gain
        return self.head(y.sum((2, 3)) / 484)


def summed():
    return Net(1e3)


def beyond():
    return Net(1e6)
"""


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def scanned(folder, *arguments):
    command = [sys.executable, "-m", "edgevit", "scan", *arguments, "--input-size", "24"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_a_sum_that_overflows_is_named_and_cured(nets):
    pictures = nets / "pictures"
    pictures.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(pictures / "one.png")
    done = scanned(nets, "nets.py:summed", "--images", str(pictures), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["images"], found["safe"], found["error_before"]) == (17, True, None)
    assert ("sum", "overflow") in [(f["op"], f["kind"]) for f in found["before"]]
    assert not [f for f in found["after"] if f["kind"] == "overflow"]
    assert found["error_after"] < 0.01


def test_what_does_not_fit_at_all_is_to_stay_in_fp32(nets):
    done = scanned(nets, "nets.py:beyond")
    assert done.returncode == 3
    assert "keep in fp32" in done.stderr
    assert "NaN or infinity" in done.stdout


def test_a_folder_without_pictures_is_one_sentence(nets):
    (nets / "none").mkdir()
    done = scanned(nets, "nets.py:summed", "--images", "none")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "none holds none of .jpg" in done.stderr
