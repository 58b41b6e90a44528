"""coremltools' fusion of a scale and a shift into a batch norm, whose epsilon it forgets."""

import pytest
import torch
from torch import Tensor, nn

from edgevit import Recipe, convert
from edgevit.converters.mil.package import read


class Scaled(nn.Module):
    """x · a + b per channel, and a batch norm of its own whose epsilon is meant."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.rand(4, 1, 1) + 0.5) for _ in "ab")
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm((x * self.a + self.b).relu()).relu()


@pytest.mark.needs("coremltools")
@pytest.mark.parametrize("rewrites", [None, ()])
def test_scales_are_exact_and_one_operator(tmp_path, rewrites):
    torch.manual_seed(0)
    (outcome,) = convert(
        Recipe("scaled", rewrites=rewrites),
        to=["coreml"],
        out=tmp_path,
        model=(Scaled(), (torch.rand(1, 4, 8, 8),)),
    )
    worst = outcome.artifact.card.agreement.worst
    assert worst.max_abs_error < 1e-6  # 1e-5 and more with that epsilon
    _, block, _ = read(outcome.artifact.path)
    kinds = [op.type for op in block.operations]
    assert "batch_norm" in kinds
    assert "add" not in kinds
