"""Token merging by the operators that a target is fastest with, in place of one of our own.

    before   x, keys, sizes ── edgevit.merge_tokens
    after    by products and clamps, which mobile delegates take whole, or
    after    by top-k and rows picked, which ONNX Runtime gains from

Both forms are edgevit/transforms/merge_forms.py's.
"""

from torch.export import ExportedProgram
from torch.fx import Node

from edgevit.transforms.merge_forms import MERGE, by_products, by_topk

from .graph import Graph, arguments
from .rule import rule


@rule(MERGE)
def merge_by_products(g: Graph, node: Node) -> Node:
    """Tokens are compared and merged by products and clamps."""
    return g.inlined(by_products, arguments(node))


@rule(MERGE)
def merge_by_topk(g: Graph, node: Node) -> Node:
    """Tokens are ranked, and picked by their places."""
    return g.inlined(by_topk, arguments(node))


RULES = (merge_by_products, merge_by_topk)


def without_operator(exported: ExportedProgram) -> ExportedProgram:
    """The same where no rewrite chose a form, in operators that everyone knows."""
    if all(node.target is not MERGE for node in exported.graph.nodes):
        return exported
    return exported.run_decompositions({MERGE: by_products})
