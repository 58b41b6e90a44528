"""Equal graphs in place of those that a converter refuses or a runtime's kernel computes badly.

Each says what goes wrong and in which version, and leaves a program without such operators as it
is.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

Table = dict[Any, Callable[..., Any]]


def replaced(exported: "ExportedProgram", table: Table) -> "ExportedProgram":
    """The program with the operators of `table` decomposed, itself where it has none of them."""
    if not any(node.target in table for node in exported.graph.nodes):
        return exported
    return exported.run_decompositions(table)


def layer_norm_in_float() -> Table:
    """LayerNorm computed in fp32 inside an fp16 program, for ExecuTorch.

    Its native_layer_norm kernel (1.4.1) gives wrong values in fp16 from 256 channels on, without an
    error; the fp32 kernel is right.
    """
    import torch

    def layer_norm(
        x: "Tensor",
        shape: list[int],
        weight: "Tensor | None" = None,
        bias: "Tensor | None" = None,
        eps: float = 1e-5,
        cudnn_enable: bool = True,
    ) -> "Tensor":
        gain, shift = (None if p is None else p.float() for p in (weight, bias))
        return torch.native_layer_norm(x.float(), shape, gain, shift, eps)[0].to(x.dtype)

    return {torch.ops.aten.layer_norm.default: layer_norm}


def tanh_gelu_by_sigmoid() -> Table:
    """0.5·x·(1 + tanh(u)) as x · sigmoid(2u), u = √(2/π)·(x + 0.044715·x³), for ExecuTorch.

    Its XNNPACK delegate (1.4.1) computes erf's GELU in its place, up to 4.7e-4 away, without an
    error.
    """
    import torch

    def gelu(x: "Tensor", *, approximate: str = "none") -> Any:
        if approximate != "tanh":
            return NotImplemented
        twice = 2 * math.sqrt(2 / math.pi)
        return x * torch.sigmoid(x * (x * x * (twice * 0.044715) + twice))

    return {torch.ops.aten.gelu.default: gelu}


def silu_by_sigmoid() -> Table:
    """x · sigmoid(x), for ExecuTorch's w8a8: its quantizer knows products and not SiLU."""
    import torch

    def silu(x: "Tensor") -> "Tensor":
        return x * torch.sigmoid(x)

    return {torch.ops.aten.silu.default: silu}


def group_norm_by_layer_norm() -> Table:
    """GroupNorm as a LayerNorm over each group, for ExecuTorch.

    Its own kernel (1.4.1) computes E[x²] − E[x]², each a plain sum in fp32: on 128×4×1024 normal
    numbers it is 1e-3 off where torch is 7e-7 off, and 1.5e-2 when their mean is 10. Its LayerNorm
    is 2e-6 off, and no slower.
    """
    import torch

    def normalise(x: "Tensor", groups: int, eps: float) -> "Tensor":
        rows = x.reshape(x.shape[0], groups, -1)
        return torch.ops.aten.layer_norm.default(rows, [rows.shape[-1]], None, None, eps)

    return _group_norm(normalise)


def group_norm_by_means() -> Table:
    """GroupNorm in elementary steps that take means axis by axis, for ONNX Runtime.

    It gets an InstanceNormalization else, whose one long fp32 sum (1.31) is 4e-5 off on 128×4×1024
    normal numbers; a mean of short means is 1e-6 off, in the same time.
    """

    def mean(x: "Tensor") -> "Tensor":
        return x.mean(-1, keepdim=True).mean(-2, keepdim=True)

    def normalise(x: "Tensor", groups: int, eps: float) -> "Tensor":
        rows = x.reshape(x.shape[0], groups, x.shape[1] // groups, -1)
        centred = rows - mean(rows)
        return centred * (mean(centred * centred) + eps).rsqrt()

    return _group_norm(normalise)


def _group_norm(normalise: "Callable[[Tensor, int, float], Tensor]") -> Table:
    """A decomposition with aten's arguments: `normalise`, then weight and bias per channel."""
    import torch

    def group_norm(
        x: "Tensor",
        groups: int,
        weight: "Tensor | None" = None,
        bias: "Tensor | None" = None,
        eps: float = 1e-5,
        cudnn_enabled: bool = True,
    ) -> "Tensor":
        per_channel = [-1, *[1] * (x.dim() - 2)]
        y = normalise(x, groups, eps).reshape(x.shape)
        y = y if weight is None else y * weight.reshape(per_channel)
        return y if bias is None else y + bias.reshape(per_channel)

    return {torch.ops.aten.group_norm.default: group_norm}


def linear_over_rows(exported: "ExportedProgram") -> "ExportedProgram":
    """Linear over [..., 1, C] of rank 4 or more as Linear over [N, C], for litert-torch.

    0.10 folds two of them in a row into a BATCH_MATMUL of rank 3 with an output of rank 4, and then
    refuses its own work ("expected 3 but got 4"): a channels-last map of 1×1 pixels is enough.
    """
    import torch

    linear = torch.ops.aten.linear.default

    def stumbles(shape: Sequence[int]) -> bool:
        return len(shape) > 3 and shape[-2] == 1

    def over_rows(x: "Tensor", *weights: "Tensor") -> Any:
        if not stumbles(x.shape):
            return NotImplemented
        return linear(x.flatten(0, -2), *weights).unflatten(0, x.shape[:-1])

    linears = (node for node in exported.graph.nodes if node.target == linear)
    if not any(stumbles(node.args[0].meta["val"].shape) for node in linears):
        return exported
    return exported.run_decompositions({linear: over_rows})


def implicit_broadcasts(exported: "ExportedProgram") -> "ExportedProgram":
    """`a * b.expand_as(a)` as `a * b`, in place, for litert-torch.

    0.10 turns such a product channels last before a convolution but forgets the expanded factor
    ("operands don't have broadcast-compatible shapes").
    """
    import torch

    aten = torch.ops.aten
    expands = (aten.expand.default, aten.expand_as.default)
    for node in exported.graph.nodes:
        if node.target not in (aten.mul.Tensor, aten.add.Tensor, aten.sub.Tensor, aten.div.Tensor):
            continue
        for i in (0, 1):
            expanded, other = node.args[i], node.args[1 - i]
            if getattr(expanded, "target", None) not in expands or not hasattr(other, "meta"):
                continue
            shapes = (n.meta["val"].shape for n in (expanded.args[0], other))
            fits = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
            if fits == node.meta["val"].shape:
                node.update_arg(i, expanded.args[0])
    exported.graph.eliminate_dead_code()
    exported.graph_module.recompile()
    return exported


def keys_cut_to_size(exported: "ExportedProgram") -> "ExportedProgram":
    """q · kᵀ of a single pair with kᵀ cut from one that has a row more, in place, for litert-torch.

    0.10 makes a product with what was just turned a FULLY_CONNECTED with computed weights, which
    XNNPACK leaves outside; with what was cut it does not.
    """
    import torch

    aten, graph = torch.ops.aten, exported.graph
    for node in graph.nodes:
        if node.target != aten.bmm.default:
            continue
        turned = keys = node.args[1]
        while turned.target == aten.reshape.default:
            turned = turned.args[0]
        one, _, count = keys.meta["val"].shape
        if turned.target != aten.permute.default or one > 1:
            continue
        *_, a, b = turned.args[1]
        if a != b + 1:
            continue
        with graph.inserting_before(node):
            x = graph.call_function(aten.permute.default, (keys, [0, 2, 1]))
            first = graph.call_function(aten.slice.Tensor, (x, 1, 0, 1))
            x = graph.call_function(aten.cat.default, ([x, first], 1))
            x = graph.call_function(aten.permute.default, (x, [0, 2, 1]))
            x = graph.call_function(aten.slice.Tensor, (x, 2, 0, count))
        node.update_arg(1, x)
    exported.graph.eliminate_dead_code()
    exported.graph_module.recompile()
    return exported
