"""A program whose linear layers have weights of 8 or 4 bits, for ExecuTorch, in torchao's form.

    dyn8    8 bits, a scale for each row
    w4      4 bits, a scale for 32 of a row; as dyn8 where 32 does not divide it

XNNPACK takes such weights only with activations in 8 bits, each row quantized as it comes, and no
convolution. The way of PT2E's quantizer cuts DeiT into 13 partitions, this one leaves it in one.
No weight is clipped by its scale: torchao's other two ways make the largest ones smaller, all in
one direction, which after a ReLU costs 4 to 10 dB.
"""

from typing import TYPE_CHECKING, Any

from edgevit.recipe import SMALL

from .rewrites.graph import module_path
from .simulate import learnt

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from edgevit.program import Program

BLOCK = 32


def stored(exported: "ExportedProgram", program: "Program", *, bits: int) -> "ExportedProgram":
    import torch
    from torchao.quantization import IntxUnpackedToInt8Tensor, MappingType

    module: Any = exported.module()
    linear = torch.ops.aten.linear.default
    for node in module.graph.find_nodes(op="call_function", target=linear):
        weight = node.args[1]
        if program.kept(module_path(node)) or len(weight.users) > 1:
            continue
        value = learnt(module, weight)
        if value is None or value.numel() <= SMALL:
            continue
        blocks = bits == 4 and value.shape[1] % BLOCK == 0
        few = IntxUnpackedToInt8Tensor.from_hp(
            value,
            (1, BLOCK if blocks else value.shape[1]),
            torch.int4 if blocks else torch.int8,  # type: ignore[attr-defined]
            mapping_type=MappingType.SYMMETRIC_NO_CLIPPING_ERR,
            activation_quantization="int8_asym_per_token",
        )
        owner, _, name = weight.target.rpartition(".")
        setattr(module.get_submodule(owner), name, torch.nn.Parameter(few, requires_grad=False))
        node.target = torch.nn.functional.linear  # which asks the weight how, aten's does not
    module.recompile()
    return torch.export.export(module, program.inputs)
