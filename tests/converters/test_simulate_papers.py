"""Nets of few bits by the methods of papers: every product is rounded, and what is lost is told."""

import numpy as np
import pytest
import small_vit
import torch
from torch import nn

from edgevit import calibration
from edgevit.converters.quantizers import METHODS
from edgevit.converters.simulate_papers import FewBits, apart, study
from edgevit.errors import InputError
from edgevit.program import export
from edgevit.reference import CALIBRATION, PROGRAM

ROWS = np.random.default_rng(0).normal(0, 1, (24, 1, 3, 16, 16)).astype("float32")


def saved(folder, net, rows=ROWS):
    export(net.eval().requires_grad_(False), [torch.from_numpy(rows[0])], name="net").save(
        folder / PROGRAM
    )
    calibration.save([(row,) for row in rows], folder / CALIBRATION)
    return folder / PROGRAM


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("papers"), small_vit.net())


def told(program, method, bits=(8, 6, 4), labels=None):
    return study(program=program, method=method, bits=bits, counted=None, labels=labels)


def test_products_are_known_by_who_wrote_what_they_read(program):
    net = FewBits(torch.export.load(program).module())
    read = [operands[0] for operands in net.places.values()]
    assert read == ["", *["norm", "", "", "norm", "gelu"] * 2, "norm"], "fused attention is one"
    net = FewBits(apart(torch.export.load(program)).module())
    read = [operands[0] for operands in net.places.values()]
    assert read == ["", *["norm", "", "softmax", "", "norm", "gelu"] * 2, "norm"]


def test_fewer_bits_lose_more(program):
    found = {method: told(program, method) for method in METHODS}
    for method, told_of in found.items():
        assert told_of["fused"] == 0
        eight, six, four = (row["snr_db"] for row in told_of["rows"])
        assert eight > six > four, method
        assert eight > 8, method
    four = {method: told_of["rows"][-1]["snr_db"] for method, told_of in found.items()}
    assert four["repq"] > four["uniform"] + 2


def test_a_uniform_net_is_computed_as_by_hand(tmp_path):
    """Of one layer: 8 bits of weights and of what is read, whatever was asked for."""
    torch.manual_seed(0)
    net = nn.Linear(16, 5)
    rows = np.random.default_rng(1).normal(0, 1, (24, 1, 16)).astype("float32")
    net_of = FewBits(torch.export.load(saved(tmp_path, net, rows)).module())
    net_of.watch([(row,) for row in rows])
    net_of.put(METHODS["uniform"], 4)
    x = rows.reshape(-1, 16)

    def even(a, low, high):
        step = (high - low) / 255
        zero = np.round(-low / step)
        return (np.clip(np.round(a / step) + zero, 0, 255) - zero) * step

    weight = net.weight.numpy()
    weight = even(weight, weight.min(1, keepdims=True), weight.max(1, keepdims=True))
    wanted = even(x, x.min(), x.max()) @ weight.T + net.bias.numpy()
    found = np.concatenate([net_of.answer((row,)).numpy() for row in rows])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_labels_count_what_is_right(program):
    rows = calibration.load(program.with_name(CALIBRATION))
    net = torch.export.load(program).module()
    right = [int(net(torch.from_numpy(x)).argmax()) for (x,) in rows]
    found = told(program, "uniform", [8], labels=right)
    assert found["right"] == 1
    assert found["rows"][0]["right"] == found["rows"][0]["kept"] > 0.8
    wrong = told(program, "uniform", [8], labels=[(i + 1) % 5 for i in right])
    assert wrong["right"] == 0
    with pytest.raises(InputError, match=r"in 6 folders.*\[1, 5\]"):
        told(program, "uniform", [8], labels=[5, *right[1:]])


def test_causal_attention_is_told_and_rounded_in_what_it_reads(tmp_path):
    class Causal(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)

    rows = np.random.default_rng(0).normal(0, 1, (24, 1, 2, 9, 8)).astype("float32")
    found = told(saved(tmp_path, Causal(), rows), "adalog", [4])
    assert found["fused"] == 1
    assert 20 < found["rows"][0]["snr_db"] < 60, "8 bits, being the only product"


def test_a_net_that_multiplies_nothing_is_refused(tmp_path):
    program = saved(tmp_path, nn.ReLU())
    with pytest.raises(InputError, match="multiplies nothing"):
        told(program, "uniform")


def test_a_net_without_classes_has_noise_alone(tmp_path):
    found = told(saved(tmp_path, nn.Conv2d(3, 4, 3)), "repq", [4])
    assert found["right"] is None
    assert found["rows"][0]["kept"] is None
    assert found["rows"][0]["snr_db"] > 30, "its only product has 8 bits"
