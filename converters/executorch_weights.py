"""A program whose linear layers have 4-bit weights, for ExecuTorch: XNNPACK's qb4w products.

Weights are in torchao's form, with a scale for 32 of a row by which none is clipped: its other two
ways make the largest ones smaller, all in one direction, which after a ReLU costs 4 to 10 dB.
XNNPACK takes such weights only with activations in 8 bits, each row quantized as it comes, and no
convolution. Rows of other lengths than multiples of 32 have 8-bit weights.
"""

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .executorch_int8 import gains

if TYPE_CHECKING:
    from torch.export import ExportedProgram

SMALL = 2048  # a weight of fewer numbers stays as it is: nothing would be gained
BLOCK = 32


def in_four_bits(exported: "ExportedProgram", inputs: tuple[Any, ...]) -> "ExportedProgram":
    import torch
    from torchao.quantization import IntxUnpackedToInt8Tensor, MappingType

    module: Any = exported.module()
    linear = torch.ops.aten.linear.default
    for node in module.graph.find_nodes(op="call_function", target=linear):
        weight = node.args[1]
        if not gains(module, node) or len(weight.users) > 1:
            continue
        value = attrgetter(weight.target)(module)
        if value.numel() <= SMALL:
            continue
        whole = value.shape[1] % BLOCK == 0
        stored = IntxUnpackedToInt8Tensor.from_hp(
            value,
            (1, BLOCK if whole else value.shape[1]),
            torch.int4 if whole else torch.int8,  # type: ignore[attr-defined]
            mapping_type=MappingType.SYMMETRIC_NO_CLIPPING_ERR,
            activation_quantization="int8_asym_per_token",
        )
        owner, _, name = weight.target.rpartition(".")
        setattr(module.get_submodule(owner), name, torch.nn.Parameter(stored, requires_grad=False))
        node.target = torch.nn.functional.linear  # which asks the weight how, aten's does not
    module.recompile()
    return torch.export.export(module, inputs)
