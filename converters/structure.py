"""What a program is made of, as far as training adds to it: branches, layers, norms, weights.

A branch is an addend of a sum that holds another addend made of the same map by nothing but
convolutions, norms, scales, shifts and average pools, that map itself included: what one kernel
could do. A residual around an activation is none.
"""

import operator
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils._pytree import tree_leaves

from edgevit.program import counting, outputs_of

from .folding import Structure
from .rewrites.graph import aten, module_path

SUMS = (aten.add.Tensor, aten.sub.Tensor)
SCALES = (aten.mul.Tensor, aten.div.Tensor)
MOVES = (aten.permute.default, aten.transpose.int, aten.clone.default, aten.dropout.default)
OVER_PIXELS = (
    aten.avg_pool2d.default,
    aten.pad.default,
    aten.constant_pad_nd.default,
    aten.slice_scatter.default,
)


def structure(
    exported: ExportedProgram, inputs: Sequence[Tensor], norms: Collection[str] = ()
) -> Structure:
    """Of a program as torch.export made it.

    norms: paths of the modules whose scales and shifts are what is left of a batch norm.
    """
    plain = exported.run_decompositions({})  # without in-place operators
    names = Counter(name_of(n) for n in plain.graph.nodes if n.op == "call_function")
    affine = affine_of(plain, norms)
    found = list(branches(plain))
    # In the plain form a reshape is a view, which fails where counting changes attention's strides.
    with counting() as flops:
        outputs_of(exported.module(), inputs)
    stored = [*plain.state_dict.values(), *plain.constants.values()]
    return Structure(
        branches=sum(len(group) for _, group in found),
        sums=len(found),
        convolutions=sum(n for name, n in names.items() if "conv" in name),
        linear_layers=names["linear"],
        batch_norms=sum(n for name, n in names.items() if "batch_norm" in name)
        + sum(max(Counter(n.target for n in nodes).values()) for nodes in affine.values()),
        parameters=sum(
            t.numel() for t in stored if isinstance(t, Tensor) and t.is_floating_point()
        ),
        macs=flops.get_total_flops() // 2,
    )


def name_of(node: Node) -> str:
    """Of an operator, without its overload ("conv2d"); of what is none, what it is ("output")."""
    schema = getattr(node.target, "_schema", None)
    return str(schema.name).removeprefix("aten::") if schema else node.op


def batch_norms(plain: ExportedProgram) -> list[str]:
    """The paths of the modules that are batch norms, once for each use."""
    return [module_path(n) for n in plain.graph.nodes if "batch_norm" in name_of(n)]


def affine_of(plain: ExportedProgram, paths: Collection[str]) -> dict[str, list[Node]]:
    """Scales and shifts under each of these modules, where there are any."""
    made_of = _made_of(plain)
    found: dict[str, list[Node]] = {}
    for node in plain.graph.nodes:
        affine = node.target in (*SUMS, *SCALES) and len(_maps(node, made_of)) == 1
        if affine and module_path(node) in paths:
            found.setdefault(module_path(node), []).append(node)
    return found


def branches(plain: ExportedProgram) -> Iterator[tuple[Node, list[Node]]]:
    """Each sum, and those of its addends that are branches; a sum within a sum belongs to it."""
    made_of = _made_of(plain)
    within: set[Node] = set()

    def addends(node: Node) -> list[Node]:
        """What a sum adds and subtracts, and what those do that it alone reads, scaled or not."""
        found: list[Node] = []
        for part in _maps(node, made_of):
            inner = part
            while len(inner.users) == 1 and _is_pointwise(inner) and made_of[inner] is not inner:
                (inner,) = _maps(inner, made_of)
            if inner.target in SUMS and len(inner.users) == 1:
                within.add(inner)
                found += addends(inner)
            else:
                found.append(part)
        return found

    for node in reversed(plain.graph.nodes):
        if node.target not in SUMS or node in within:
            continue
        groups: dict[Node | None, list[Node]] = {}
        for part in addends(node):
            groups.setdefault(made_of[part], []).append(part)
        for source, group in groups.items():
            if source is not None and len(group) > 1 and group != [source] * len(group):
                yield node, group


def _maps(node: Node, made_of: dict[Node, Node | None]) -> list[Node]:
    """What a node reads, but for weights and other constants."""
    return [n for n in node.all_input_nodes if made_of[n] is not None]


def _made_of(plain: ExportedProgram) -> dict[Node, Node | None]:
    """The map that each node is made of linearly, itself if of none; None for what is constant."""
    given = {*plain.graph_signature.user_inputs}
    found: dict[Node, Node | None] = {}
    for node in plain.graph.nodes:
        read = [n for n in tree_leaves((node.args, node.kwargs)) if isinstance(n, Node)]
        if node.target is aten.copy.default:  # what is written over another is the second
            read = read[1:]
        maps = [m for n in read if (m := found[n]) is not None]
        if not maps:
            found[node] = node if node.op == "placeholder" and node.name in given else None
            continue
        together = len(maps) == 1 or (node.target in SUMS and len({*maps}) == 1)
        divides = node.target is aten.div.Tensor and len(read) > 1 and found[read[1]] is not None
        found[node] = maps[0] if _is_linear(node) and together and not divides else node
    return found


def _is_pointwise(node: Node) -> bool:
    """Whether it leaves each channel and pixel to itself, if it is linear and no sum."""
    of: Any = node.args[0] if node.target is operator.getitem else node
    return of.target in (*SCALES, *MOVES) or "batch_norm" in name_of(of)


def _is_linear(node: Node) -> bool:
    name = name_of(node)
    known = node.target in (*SUMS, *OVER_PIXELS) or "conv" in name or "linear" in name
    return known or _is_pointwise(node)
