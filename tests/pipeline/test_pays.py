"""What is said of 8 bits is what was measured, and what does not pay can be left out."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.converters.card import card_of
from edgevit.pipeline.convert import convert
from edgevit.pipeline.pays import Pay, leave, pays
from edgevit.pipeline.verify import verify
from edgevit.profiles.compare import Ratio
from edgevit.recipe import Recipe

NET = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    layers = [nn.Linear(512, 512) for _ in range(4)]
    return nn.Sequential(*layers), torch.zeros(1, 64, 512)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A net of nothing but products, quantized for ONNX Runtime; the verdict on it."""
    home = tmp_path_factory.mktemp("pays")
    (home / "net.py").write_text(NET)
    np.save(home / "x.npy", np.random.default_rng(0).normal(0, 1, (16, 64, 512)))
    recipe = Recipe(f"{home}/net.py:net", calibrate=str(home / "x.npy"))
    outcomes = convert(recipe, to=["onnx"], out=home / "out", precisions=["w8a8"])
    assert not outcomes[0].error
    (found,) = pays(outcomes, recipe, out=home / "out", rounds=5)
    return home, recipe, outcomes, found


@pytest.mark.needs("onnxruntime")
def test_both_files_are_there_and_were_run_side_by_side(made):
    home, _, outcomes, found = made
    assert isinstance(found, Pay)
    assert sorted(f.name for f in (home / "out").glob("*.onnx")) == ["net-w8a8.onnx", "net.onnx"]
    assert found.artifact.path == outcomes[0].artifact.path
    assert found.faster.paired
    assert 3.5 < found.smaller < 4.1
    assert found.as_dict()["plain"].endswith("net.onnx")


@pytest.mark.needs("onnxruntime")
def test_inputs_decide_the_file(made, tmp_path):
    """Other inputs, other ranges: the file is made anew, and not when nothing has changed."""
    home, recipe, _, _ = made
    (again,) = convert(recipe, to=["onnx"], out=home / "out", precisions=["w8a8"])
    assert again.unchanged
    assert not verify([again.artifact.path])[0].error
    np.save(home / "x.npy", np.random.default_rng(0).normal(0, 9, (16, 64, 512)))
    (judged,) = verify([again.artifact.path])
    assert "holds other inputs than those the file was calibrated on" in str(judged.error)
    (other,) = convert(recipe, to=["onnx"], out=home / "out", precisions=["w8a8"])
    assert not other.unchanged
    assert not other.error


def verdict(faster: Ratio, folder: Path, made) -> Pay:
    _, _, _, found = made
    place = folder / found.artifact.path.name
    for file in (place, card_of(place)):
        file.write_text("")
    return replace(found, artifact=replace(found.artifact, path=place), faster=faster)


@pytest.mark.needs("onnxruntime")
@pytest.mark.parametrize(
    ("value", "words", "stays"),
    [
        ("faster", r"net-w8a8.onnx pays: 2.00× \[1.90, 2.10\] as fast as fp32, 3.*× smaller", True),
        ("slower", "net-w8a8.onnx does not pay here: .*; keep net.onnx", False),
        ("indistinguishable", "net-w8a8.onnx does not pay here", False),
    ],
)
def test_the_verdict_and_what_is_left(made, tmp_path, value, words, stays):
    found = verdict(Ratio(2.0, 1.9, 2.1, value), tmp_path, made)
    assert re.match(words, str(found))
    leave([found])
    assert found.artifact.path.exists() == stays
    assert card_of(found.artifact.path).exists() == stays
