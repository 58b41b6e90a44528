"""What a program says of a module, and what it says when there is none."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevit.errors import ExportError, InputError
from edgevit.program import Port, Program, export, outputs_of


class Mixed(nn.Module):
    """Everything that is counted, in sizes whose products all differ."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8)
        self.linear = nn.Linear(8, 12, bias=False)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.conv(x)).flatten(2).transpose(1, 2)
        x = self.linear(x)
        x = x + nn.functional.scaled_dot_product_attention(x, x, x)
        return self.attention(x, x, x, need_weights=False)[0]


class Ports(nn.Module):
    def forward(self, left: Tensor, ids: Tensor, right: Tensor) -> dict[str, object]:
        table = torch.arange(12.0).reshape(4, 3)
        return {"sum": (left + right, [table[ids]]), "none": None, "n": ids * 2}


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:  # THE LINE
            return x
        return -x


class Wrong(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.zeros(7, 7)  # THE LINE


class Silent(nn.Module):
    def forward(self, x: Tensor) -> str:
        return "nothing"


class Writes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2) + 1


def test_macs_are_those_counted_by_hand():
    facts = export(Mixed().eval(), [torch.rand(1, 3, 10, 10)], name="mixed").facts
    conv, depthwise, linear = 100 * 8 * 3 * 9, 25 * 8 * 25, 25 * 8 * 12
    sdpa, projections = 2 * 25 * 25 * 12, 4 * 25 * 12 * 12
    assert facts.macs == conv + depthwise + linear + sdpa + projections + sdpa
    weights = 8 * 3 * 9 + 8, 8 * 25 + 8, 8 * 12, 3 * 12 * 12 + 3 * 12, 12 * 12 + 12
    assert facts.parameters == sum(weights)
    assert export(nn.Linear(5, 4).eval(), [torch.rand(5)], name="mv").facts.macs == 20
    assert torch.backends.mha.get_fastpath_enabled()  # counting left nothing behind
    assert torch.backends.cuda.flash_sdp_enabled()


def test_ports_are_named_and_ordered(tmp_path):
    inputs = [torch.rand(1, 3), torch.tensor([[1, 0]]), torch.rand(1, 3)]
    program = export(Ports().eval(), inputs, name="ports")
    assert program.facts.inputs == (
        Port("left", "float32", (1, 3)),
        Port("ids", "int64", (1, 2)),
        Port("right", "float32", (1, 3)),
    )
    assert program.facts.outputs == (
        Port("output_0", "float32", (1, 3)),
        Port("output_1", "float32", (1, 2, 3)),
        Port("output_2", "int64", (1, 2)),
    )
    one = export(Wrong(), [torch.rand(1, 7)], name="one").facts
    assert [p.name for p in one.outputs] == ["output"]

    file = tmp_path / "ein Modell ü.pt2"
    program.save(file)
    loaded = Program.load(file)
    assert loaded.facts == program.facts
    assert all(torch.equal(a, b) for a, b in zip(loaded.inputs, inputs, strict=True))
    other = [torch.rand(1, 3), torch.tensor([[3, 2]]), torch.rand(1, 3)]
    for a, b in zip(
        outputs_of(loaded.exported.module(), other), outputs_of(Ports(), other), strict=True
    ):
        assert torch.equal(a, b)


def line_of(source: type) -> int:
    text = Path(__file__).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(text) if line.startswith(f"class {source.__name__}("))
    return next(i for i, line in enumerate(text[start:], start + 1) if "THE LINE" in line)


def test_a_module_that_does_not_run_is_blamed_by_its_line():
    with pytest.raises(InputError) as e:
        export(Wrong().eval(), [torch.rand(2, 3)], name="wrong")
    assert type(e.value) is InputError
    assert re.match(r"wrong does not run on inputs \[2, 3\]: .*shapes", str(e.value))
    assert f"{__file__}:{line_of(Wrong)} (`return x @ torch.zeros(7, 7)" in str(e.value)
    assert "\n" not in str(e.value)


def test_control_flow_on_data_is_blamed_by_its_line():
    with pytest.raises(ExportError) as e:
        export(Branches().eval(), [torch.rand(2, 3)], name="branches")
    assert f"refuses branches at {__file__}:{line_of(Branches)} (`if x.sum() > 0:" in str(e.value)
    assert "\n" not in str(e.value)


def test_a_module_without_tensors_and_too_many_inputs():
    with pytest.raises(InputError, match="silent returns no tensor"):
        export(Silent(), [torch.rand(1)], name="silent")
    with pytest.raises(InputError, match=r"does not run on inputs \[1\], \[1\]: .*positional"):
        export(Silent(), [torch.rand(1), torch.rand(1)], name="silent")


def test_the_callers_inputs_stay_as_they_were():
    x = torch.ones(1, 2)
    export(Writes(), [x], name="writes")
    assert np.array_equal(x.numpy(), [[1, 1]])
