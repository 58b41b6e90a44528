"""The tensors of an exported module: which of them one operator alone reads, and their values."""

from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node


def own(module: Any) -> Callable[[Any], bool]:
    """Whether a node is a parameter, or constant, of the module that is read only once."""
    readers: Counter[Any] = Counter()
    for n in module.graph.find_nodes(op="get_attr"):
        readers[n.target] += len(n.users)

    def found(node: Any) -> bool:
        return isinstance(node, Node) and node.op == "get_attr" and readers[node.target] == 1

    return found


def keeps_state(exported: ExportedProgram, module: Any) -> bool:
    """Whether a run changes the tensors, so that a calibration would leave its traces in them."""

    def writes(n: Node) -> bool:
        schema = getattr(n.target, "_schema", None)
        return bool(schema and schema.is_mutable) and getattr(n.args[0], "op", None) == "get_attr"

    return bool(exported.graph_signature.buffers_to_mutate) or any(map(writes, module.graph.nodes))


def value_of(module: Any, node: Any) -> Tensor:
    """Without gradients."""
    found: Tensor = attrgetter(str(node.target))(module)
    return found.detach()


def put(module: Any, node: Any, value: Tensor) -> None:
    """A tensor of its own: the old one may belong to another program too."""
    owner, _, name = str(node.target).rpartition(".")
    place = module.get_submodule(owner)
    learnt = isinstance(getattr(place, name), nn.Parameter)
    setattr(place, name, nn.Parameter(value, requires_grad=False) if learnt else value)
