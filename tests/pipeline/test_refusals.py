"""A real runtime's refusal names the operator and the module, and ends in no artifact."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevit.errors import ChildError
from edgevit.pipeline.convert import convert
from edgevit.recipe import Recipe


class Context(nn.Module):
    """A repeated linear layer, which litert-torch turns into one of eight axes."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x.permute(0, 2, 3, 1)).repeat(1, 1, 1, 2)


class Crop(nn.Module):
    """A pad that cuts, which ExecuTorch exports and has no kernel for."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (-1, -1, -1, 0))


class Deep(nn.Module):
    """Seven axes, which the partitioner takes and XNNPACK does not."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(1, 8, 2, 3, 2, 3, 1).permute(0, 1, 2, 4, 6, 5, 3).sigmoid()


def model(part: nn.Module) -> tuple[nn.Module, tuple[Tensor]]:
    torch.manual_seed(0)
    layers = {"stem": nn.Conv2d(3, 8, 3), "part": part}
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net, (torch.linspace(-1, 1, 192).reshape(1, 3, 8, 8),)


@pytest.mark.slow
@pytest.mark.needs("litert_torch", "ai_edge_litert", "ai_edge_quantizer")
def test_litert_refuses_on_loading(tmp_path):
    recipe = Recipe("net", rewrites=())  # which would cure it
    (outcome,) = convert(recipe, to=["tflite"], out=tmp_path, model=model(Context()))
    assert isinstance(outcome.error, ChildError)
    said = str(outcome.error)
    assert said.startswith("tflite fp32: LiteRT's delegate refused FULLY_CONNECTED [1, ")
    assert "] in part: RuntimeError: failed to delegate FULLY_CONNECTED node #" in said
    assert said.endswith("write the operator in another layout.")
    assert [f.name for f in tmp_path.iterdir()] == ["net.tflite.log"]


@pytest.mark.slow
@pytest.mark.needs("executorch", "torchao")
def test_executorch_refuses_both_forms_on_execution(tmp_path):
    recipe = Recipe("net", rewrites=("views",))  # the one of pads would cure it
    (outcome,) = convert(recipe, to=["executorch"], out=tmp_path, model=model(Crop()))
    assert isinstance(outcome.error, ChildError)
    assert outcome.error.exit_code == 4
    said = str(outcome.error)
    assert said.startswith(
        "executorch fp32: rewritten or not, ExecuTorch refused constant_pad_nd [1, 8, 5, 4] in "
        "part: Check failed (pad[i] >= 0): Padding values must be non-negative, but got pad[0] = -1"
    )
    assert "It means: InvalidArgument" in said
    assert [f.name for f in tmp_path.iterdir()] == ["net.pte.log"]


@pytest.mark.slow
@pytest.mark.needs("executorch", "torchao")
def test_xnnpack_refuses_on_loading_even_if_nothing_is_verified(tmp_path):
    recipe = Recipe("net", rewrites=())
    (outcome,) = convert(recipe, to=["executorch"], out=tmp_path, model=model(Deep()), verify=False)
    assert str(outcome.error).startswith(
        "executorch fp32: XNNPACK refused the output of StaticReshape [1, 8, 2, 3, 2, 3, 1] in "
        "part: Failed to define tensor"
    )
    assert "more than 6 axes" in str(outcome.error)
    assert [f.name for f in tmp_path.iterdir()] == ["net.pte.log"]
