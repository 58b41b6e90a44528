"""8 bits cost what they must: a range's 255 steps, taken over the inputs or over each."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevit import exact
from edgevit.emulation import Precision

LARGE, SMALL = 8.0, 0.5


class Steps(nn.Module):
    """y = x: a linear layer that would be exact but for what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        self.linear.weight.data = torch.eye(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def outputs(precision: str, *rows: list[float]) -> list[Tensor]:
    module = Precision(Steps().eval(), precision)
    with torch.no_grad(), module.rounding():
        return [module.module(torch.tensor([row])) for row in module.passes(rows)][-len(rows) :]


def test_ranges_are_of_all_inputs_or_of_each():
    rows = [-LARGE, 0.0, 1.0, LARGE], [0.0, 0.1, 0.2, SMALL]
    static, dynamic = (outputs(p, *rows)[1][0] for p in ("w8a8", "dyn8"))
    step = 2 * LARGE / 255
    assert static.tolist() == pytest.approx([round(v / step) * step for v in rows[1]])
    assert (dynamic - torch.tensor(rows[1])).abs().max() < SMALL / 255
    assert (static - torch.tensor(rows[1])).abs().max() > SMALL / 255


def test_fp32_is_left_alone():
    assert torch.equal(
        outputs("fp32", [0.1, 0.2, 0.3, 0.4])[0], torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    )


def test_convolutions_are_rounded_in_w8a8_alone():
    net = nn.Conv2d(3, 3, 1, bias=False)
    net.weight.data = torch.eye(3).reshape(3, 3, 1, 1)
    x = torch.linspace(-1, 1, 3 * 25).reshape(1, 3, 5, 5)
    found = {}
    for name in ("w8a8", "dyn8"):
        module = Precision(net, name)
        with torch.no_grad(), module.rounding():
            found[name] = [module.module(row) for row in module.passes([x])][-1]
    assert torch.equal(found["dyn8"], x)
    assert 0.2 / 255 < (found["w8a8"] - x).abs().max() < 1.1 / 255


def test_the_reference_is_of_inputs_that_are_usual():
    usual = [(np.full((1, 4), i / 40, np.float32),) for i in range(40)]
    held = exact.compute(
        Steps(), [torch.zeros(1, 4)], preprocess=None, precisions=["w8a8"], usual=usual
    )
    assert held.inputs[0][0][0, 0] == 0
    assert held.inputs[-1][0][0, 0] == np.float32(39 / 40)
    assert 0 < held.eager_error["w8a8"][0] < 39 / 40 / 255
