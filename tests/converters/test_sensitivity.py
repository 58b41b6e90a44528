"""What is said of blocks in 8 bits: which they are, which is noisy, and what the files then do."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from noisy_net import Net
from torch import nn

from edgevit import calibration
from edgevit.converters.plan import Block, by_noise
from edgevit.converters.sensitivity import study
from edgevit.converters.simulate import PARTS, blocks
from edgevit.errors import InputError
from edgevit.program import export, within
from edgevit.reference import CALIBRATION, PROGRAM

STEPS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    export(Net().eval().requires_grad_(False), [torch.zeros(1, 16)], name="net").save(
        folder / PROGRAM
    )
    rows = np.random.default_rng(0).normal(0, 1, (64, 1, 16)).astype("float32")
    calibration.save([(row,) for row in rows], folder / CALIBRATION)
    return folder


@given(st.lists(STEPS, min_size=1, max_size=60))
def test_blocks_hold_every_product_once(paths):
    found = blocks(paths)
    for path in paths:
        assert sum(within(path, block) for block in found) == 1
    for block in found:
        held = [p for p in paths if within(p, block)]
        assert len(held) <= max(len(paths) // PARTS, 1) or block in held


@pytest.mark.parametrize("precision", ["dyn8", "w8a8"])
def test_the_noisy_block_is_found(work, precision):
    found = study(
        target="onnx",
        program=work / PROGRAM,
        precision=precision,
        counted=None,
        labels=None,
        most=0,
    )
    told = [Block.from_dict(d) for d in found["blocks"]]
    assert {b.path for b in told} == {*(f"parts.{i}" for i in range(6)), "head"}
    noisiest, second = by_noise(told)[:2]
    assert noisiest.path == "parts.4"
    assert noisiest.snr_db < second.snr_db - 10
    assert max(p.outlier for p in noisiest.products) > 100
    assert sum(b.macs for b in told) == pytest.approx(1)
    assert found["lost"][0] > 0
    assert found["lost"][-1] == 0
    assert len(found["lost"]) <= len(told) + 1


def test_labels_count_what_is_right(work):
    rows = calibration.load(work / CALIBRATION)
    program = torch.export.load(work / PROGRAM)
    right = [int(program.module()(torch.from_numpy(row[0])).argmax()) for row in rows]
    wrong = [(i + 1) % 5 for i in right]
    ask = {"target": "onnx", "program": work / PROGRAM, "precision": "w8a8", "counted": None}
    lost = study(**ask, labels=right, most=None)["lost"]
    assert lost == study(**ask, labels=None, most=None)["lost"]
    assert study(**ask, labels=wrong, most=None)["lost"][0] <= 0


def test_a_model_without_products_is_refused(tmp_path):
    export(nn.ReLU().eval(), [torch.zeros(1, 16)], name="relu").save(tmp_path / PROGRAM)
    calibration.save([(np.ones((1, 16), "float32"),)], tmp_path / CALIBRATION)
    with pytest.raises(InputError, match="no convolution or linear layer"):
        study(
            target="onnx",
            program=tmp_path / PROGRAM,
            precision="w8a8",
            counted=None,
            labels=None,
            most=None,
        )


def test_a_limit_needs_classes_to_count(work):
    ask = {"target": "onnx", "program": work / PROGRAM, "precision": "w8a8", "counted": None}
    with pytest.raises(InputError, match=r"\[1, 5\], the pictures are in 6 folders"):
        study(**ask, labels=[0] * 63 + [5], most=0.1)
