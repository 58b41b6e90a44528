"""Two products in a row with nothing between them, multiplied once and for all.

    before   x ── conv k×k (C→D) ── conv 1×1 (D→E)        before   x ── conv 1×1 ── conv k×k
    after    x ── conv k×k (C→E)                          after    x ── conv k×k

Why: over-parameterised blocks (ExpandNets, DBB's sequences) and low-rank heads leave such pairs;
the product of their weights does the same in one pass.
Not when: something else reads what lies between, one product would cost more than the two, or the
second pads with zeros what a bias or a window of the first makes another value.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch.nn.functional as F
from torch import Tensor
from torch.fx import Node

from .graph import Graph, argument, aten, shape_of
from .rule import Refused, rule
from .weights import PRODUCTS, channel_axis, constant_weights, per_output, with_weights

Both = tuple[int, int]  # for rows and for columns


def both(values: Any) -> Both:
    """For rows and columns, of which one may stand for both."""
    return values[0], values[-1]


@dataclass(frozen=True)
class Kernel:
    """A convolution with known weights, in float64; a linear layer is one of a single tap.

    weight: [out, in / groups, rows, columns]. bias: [out], or None.
    """

    weight: Tensor
    bias: Tensor | None
    stride: Both = (1, 1)
    padding: Both = (0, 0)
    dilation: Both = (1, 1)
    groups: int = 1

    @classmethod
    def of(cls, product: Node) -> Self | None:
        weights = constant_weights(product)
        if weights is None:
            return None
        if product.target is aten.linear.default:
            return cls(weights[0][..., None, None], weights[1])
        stride, padding, dilation = (
            both(argument(product, name)) for name in ("stride", "padding", "dilation")
        )
        return cls(*weights, stride, padding, dilation, argument(product, "groups"))

    @property
    def sides(self) -> Both:
        return both(self.weight.shape[2:])

    def scaled(self, by: Tensor) -> "Kernel":
        """by: [out]"""
        bias = None if self.bias is None else self.bias * by
        return replace(self, weight=self.weight * by[:, None, None, None], bias=bias)

    def then(self, second: "Kernel") -> "Kernel":
        """One kernel for this one and `second` after it; Refused where no kernel does the same.

        Tap j of the second reads the map between at j · its dilation, which this one made of the
        map at that times its own stride: taps add up, weights of like taps too.
        """
        if self.groups != second.groups:
            raise Refused("the two products have other groups")
        biased = self.bias is not None and bool(self.bias.any())
        if any(second.padding) and (biased or self.sides != (1, 1) or any(self.padding)):
            raise Refused("the second product pads the map between the two")
        taps = [_taps(self, second, axis) for axis in (0, 1)]
        outputs, groups = len(second.weight), self.groups
        by_group = second.weight.unflatten(0, (groups, -1)).transpose(0, 1).flatten(1, 2)
        joined = F.conv_transpose2d(
            by_group,
            self.weight,
            groups=groups,
            stride=[spread for _, _, spread, _ in taps],
            dilation=[apart for *_, apart in taps],
        )
        bias = second.bias
        if self.bias is not None:
            summed = second.weight.sum((2, 3)) * per_output(self.bias, groups, outputs)
            bias = summed.sum(1) if bias is None else bias + summed.sum(1)
        stride, padding = (
            both([a * s + b for a, b, s in zip(values, more, self.stride, strict=True)])
            for values, more in ((second.stride, (0, 0)), (second.padding, self.padding))
        )
        weight = joined.unflatten(1, (groups, -1)).transpose(0, 1).flatten(0, 1)
        return Kernel(weight, bias, stride, padding, both([d for _, d, *_ in taps]), groups)


def _taps(a: Kernel, b: Kernel, axis: int) -> tuple[int, int, int, int]:
    """Along an axis: taps of a then b, and how far apart those are, those of b, and those of a."""
    of_a, of_b = a.sides[axis], b.sides[axis]
    apart, spread = a.dilation[axis], b.dilation[axis] * a.stride[axis]
    if of_b == 1:
        return of_a, apart, 1, 1
    if of_a == 1:
        return of_b, spread, 1, 1
    return (of_b - 1) * spread + (of_a - 1) * apart + 1, 1, spread, apart


@rule(*PRODUCTS)
def products_joined(g: Graph, node: Node) -> Node | None:
    """A product of a product is one, where that is no dearer."""
    first = cast(Node, node.args[0])
    if first.target is not node.target or list(first.users) != [node]:
        return None
    a, b = Kernel.of(first), Kernel.of(node)
    if a is None or b is None or a.groups != b.groups:
        return None
    pixels = [math.prod(shape_of(n)) // shape_of(n)[channel_axis(n)] for n in (first, node)]
    taps = math.prod(_taps(a, b, axis)[0] for axis in (0, 1))
    separate = a.weight.numel() * pixels[0] + b.weight.numel() * pixels[1]
    if len(b.weight) * a.weight.shape[1] * taps * pixels[1] > separate:
        return None
    return convolved(g, first, a.then(b))


def convolved(g: Graph, first: Node, kernel: Kernel) -> Node:
    """The product `first` with another kernel."""
    x = cast(Node, first.args[0])
    if first.target is aten.linear.default:
        return with_weights(g, first, x, kernel.weight.flatten(1), kernel.bias)
    moves = [list(values) for values in (kernel.stride, kernel.padding, kernel.dilation)]
    return with_weights(g, first, x, kernel.weight, kernel.bias, (*moves, kernel.groups))


RULES = (products_joined,)
