"""Faults as a converter or a rewrite has them: each changes one place of an exported graph.

A fault knows the operator and the module it strikes; a piece without that module stays as it is.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from faulty_nets import Convolutional, Modern, Transformer
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

aten = torch.ops.aten


@dataclass(frozen=True)
class Fault:
    """name: in words. module: the path it strikes. which: of the nodes of `op` there."""

    name: str
    net: type[nn.Module]
    module: str
    op: Any
    change: Callable[[Node], None]
    which: int = 0


def planted(exported: ExportedProgram, fault: Fault) -> GraphModule:
    """The program with the fault, where it has the operator that the fault strikes."""
    module = exported.module()
    struck = [n for n in module.graph.nodes if n.target is fault.op and _path(n) == fault.module]
    if len(struck) > fault.which:
        fault.change(struck[fault.which])
    for guard in module.graph.find_nodes(op="call_module"):
        module.graph.erase_node(guard)
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()
    return module


def _path(node: Node) -> str:
    return next(reversed(node.meta["nn_module_stack"].values()))[0]


def emit(before: Node, op: Any, *args: Any, **kwargs: Any) -> Node:
    with before.graph.inserting_before(before):
        return before.graph.call_function(op, args, kwargs)


def given(**arguments: Any) -> Callable[[Node], None]:
    """The operator with other arguments, by the names in its schema."""

    def change(node: Node) -> None:
        names = [a.name for a in node.target._schema.arguments]
        for name, value in arguments.items():
            place = names.index(name)
            if place < len(node.args):
                node.update_arg(place, value)
            else:
                node.update_kwarg(name, value)

    return change


def by(op: Any, *rest: Any) -> Callable[[Node], None]:
    """Another operator of the first argument in its place."""

    def change(node: Node) -> None:
        node.replace_all_uses_with(emit(node, op, node.args[0], *rest))

    return change


def through(op: Any, *rest: Any, argument: int = 0, **named: Any) -> Callable[[Node], None]:
    """The operator on an argument that `op` was applied to first."""

    def change(node: Node) -> None:
        node.update_arg(argument, emit(node, op, node.args[argument], *rest, **named))

    return change


def kept(argument: int) -> Callable[[Node], None]:
    """The operator left out: one of its arguments goes on."""
    return lambda node: node.replace_all_uses_with(node.args[argument])


def applied_twice(node: Node) -> None:
    node.update_arg(0, emit(node, node.target, *node.args))


def bias_before(node: Node) -> None:
    x, weight, bias = node.args
    shifted = emit(node, aten.add.Tensor, x, bias)
    node.replace_all_uses_with(emit(node, aten.linear.default, shifted, weight))


def heads_swapped(node: Node) -> None:
    """The heads merge in the wrong order."""
    x, *axes = node.args
    flipped = emit(node, aten.flip.default, x, [1])
    node.replace_all_uses_with(emit(node, aten.transpose.int, flipped, *axes))


def q_and_k_swapped(node: Node) -> None:
    q, k, _ = (n for n in node.users if n.target is operator.getitem)
    q.update_arg(1, 1)
    k.update_arg(1, 0)


def statistics_stale(node: Node) -> None:
    """As before training: a mean of zero, a variance of one."""
    mean, variance = node.args[3:5]
    node.update_arg(3, emit(node, aten.zeros_like.default, mean))
    node.update_arg(4, emit(node, aten.ones_like.default, variance))


def repeated_interleaved(node: Node) -> None:
    node.replace_all_uses_with(emit(node, aten.repeat_interleave.self_int, node.args[0], 2, 1))


def turned(node: Node) -> None:
    """Height and width change places on the way back."""
    x, axes = node.args
    swapped = [axes[0], axes[1], axes[3], axes[2]]
    node.replace_all_uses_with(emit(node, aten.permute.default, x, swapped))


def shuffled_back(node: Node) -> None:
    """[2, C/2] read as [C/2, 2]: the inverse of the shuffle."""
    b, groups, c, h, w = node.args[1]
    node.update_arg(1, [b, c, groups, h, w])


def groups_permuted(node: Node) -> None:
    node.update_arg(1, emit(node, aten.roll.default, node.args[1], [4], [0]))


def rounded_to_half(node: Node) -> None:
    half = emit(node, aten.to.dtype, node.args[1], torch.float16)
    node.update_arg(1, emit(node, aten.to.dtype, half, torch.float32))


V, C, M = Transformer, Convolutional, Modern
linear, conv, add, mul = aten.linear.default, aten.conv2d.default, aten.add.Tensor, aten.mul.Tensor
norm, batch_norm = aten.layer_norm.default, aten.batch_norm.default

FAULTS = [
    Fault("layer-norm eps 1e-6 for 1e-5", V, "blocks.0.norm1", norm, given(eps=1e-6)),
    Fault("layer-norm eps 1e-4 for 1e-5", M, "stage.1.norm", norm, given(eps=1e-4)),
    Fault("layer-norm affine dropped", V, "blocks.1.norm2", norm, given(weight=None, bias=None)),
    Fault("tanh GELU for erf", V, "blocks.1.mlp.1", aten.gelu.default, given(approximate="tanh")),
    Fault("bias before the product", V, "blocks.0.attn.proj", linear, bias_before),
    Fault("bias dropped", V, "blocks.1.mlp.2", linear, given(bias=None)),
    Fault("bias of a convolution dropped", C, "blocks.1.grouped", conv, given(bias=None)),
    Fault("residual dropped", V, "blocks.1", add, kept(1)),
    Fault("residual doubled", V, "blocks.0", add, applied_twice, which=1),
    Fault("residual of a map dropped", C, "blocks.0", add, kept(1)),
    Fault("heads in the wrong order", V, "blocks.1.attn", aten.transpose.int, heads_swapped, 1),
    Fault("q and k swapped", V, "blocks.0.attn", aten.unbind.int, q_and_k_swapped),
    Fault("1/sqrt(d) missing", V, "blocks.1.attn", mul, kept(0)),
    Fault("softmax along the wrong axis", V, "blocks.0.attn", aten.softmax.int, given(dim=-2)),
    Fault("LayerScale dropped", V, "blocks.0.scale2", mul, kept(0)),
    Fault("LayerScale applied twice", M, "stage.0.scale", mul, applied_twice),
    Fault("token from the wrong place", V, "readout", aten.select.int, given(index=1)),
    Fault("weight rounded to half", V, "head", linear, rounded_to_half),
    Fault("kernel rounded to half", M, "stage.0.depthwise", conv, rounded_to_half),
    Fault("kernel upside down", V, "patch", conv, through(aten.flip.default, [2], argument=1)),
    Fault("pad on the wrong side", C, "pad", aten.pad.default, given(pad=[1, 0, 1, 0])),
    Fault("stale statistics", C, "blocks.0.norm", batch_norm, statistics_stale),
    Fault("batch-norm eps forgotten", C, "norm", batch_norm, given(eps=0.0)),
    Fault("ReLU6 for ReLU", C, "relu", aten.relu.default, by(aten.hardtanh.default, 0.0, 6.0)),
    Fault("SiLU for hard-swish", C, "blocks.1.act", aten.hardswish.default, by(aten.silu.default)),
    Fault("sigmoid for hard sigmoid", C, "blocks.0.excite", aten.hardsigmoid.default,
          by(aten.sigmoid.default)),
    Fault("squeeze of the largest", C, "blocks.1.excite", aten.mean.dim,
          by(aten.amax.default, [2, 3], True)),
    Fault("dilation ignored", C, "blocks.1.depthwise", conv,
          given(dilation=[1, 1], padding=[1, 1])),
    Fault("groups permuted", C, "blocks.0.grouped", conv, groups_permuted),
    Fault("pool counts its padding", C, "pool", aten.avg_pool2d.default,
          given(count_include_pad=True)),
    Fault("shuffle inverted", C, "shuffle", aten.reshape.default, shuffled_back),
    Fault("repeated interleaved, not tiled", C, "tile", aten.repeat.default, repeated_interleaved),
    Fault("crop off by one", C, "crop", aten.slice.Tensor, given(start=0, end=-2)),
    Fault("stride begins at one", C, "thin", aten.slice.Tensor, given(start=1)),
    Fault("height and width swapped", M, "stage.1", aten.permute.default, turned, which=1),
    Fault("map flipped", M, "last", conv, through(aten.flip.default, [3])),
]  # fmt: skip
