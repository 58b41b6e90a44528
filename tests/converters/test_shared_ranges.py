"""PT2E gives clamps and pools one range with what they read; ExecuTorch's files bear it."""

import numpy as np
import pytest
import torch
from torch import nn

from edgevit import calibration
from edgevit.program import Program, Range, export
from edgevit.reference import CALIBRATION, PROGRAM

pytestmark = pytest.mark.needs("executorch", "torchao")


class Net(nn.Module):
    def __init__(self, clamp: nn.Module, bias: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.clamp, self.last = nn.Conv2d(8, 16, 3), clamp, nn.Linear(16, 10)
        with torch.no_grad():
            self.first.bias[:4] = bias

    def forward(self, x):
        return self.last(self.clamp(self.first(x)).mean((2, 3)))


def snr_db(net, folder, ranges):
    from edgevit.converters.executorch_int8 import quantized

    rows = np.random.default_rng(0).normal(0, 1, (16, 8, 12, 12)).astype(np.float32)
    export(net.eval().requires_grad_(False), [torch.from_numpy(rows[:1])], name="net").save(
        folder / PROGRAM
    )
    calibration.save([(row[None],) for row in rows], folder / CALIBRATION)
    loaded = Program.load(folder / PROGRAM)
    program = Program(loaded.exported, loaded.facts, loaded.calibration, ranges=ranges)
    found = quantized(program.exported, program).module()
    x = [torch.from_numpy(row[None]) for row in rows]
    true, noise = (
        sum(float(f(r).square().sum()) for r in x) for f in (net, lambda r: found(r) - net(r))
    )
    return 10 * np.log10(true / noise)


@pytest.mark.parametrize("clamp", [nn.ReLU(), nn.ReLU6()])
def test_what_a_clamp_lets_through_is_all_that_needs_a_range(clamp, tmp_path):
    assert snr_db(Net(clamp, bias=-500.0), tmp_path, {}) > 35


@pytest.mark.parametrize("clamp", [nn.ReLU(), nn.ReLU6()])
def test_a_pool_clipped_leaves_what_it_pools_alone(clamp, tmp_path):
    ranges = {("last", False): Range(0.0, 0.7, "OCTAV")}
    assert snr_db(Net(clamp, bias=0.0), tmp_path, ranges) > 35


def test_what_else_is_read_keeps_its_range(tmp_path):
    class Read(Net):
        def forward(self, x):
            first = self.first(x)
            return self.last((self.clamp(first) + first).mean((2, 3)))

    assert snr_db(Read(nn.ReLU(), bias=-20.0), tmp_path, {}) > 20
