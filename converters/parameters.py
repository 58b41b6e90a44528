"""The tensors of an exported module: which of them one operator alone reads, and their values."""

from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from torch import Tensor, nn
from torch.fx import Node


def own(module: Any) -> Callable[[Any], bool]:
    """Whether a node is a parameter, or constant, of the module that is read only once."""
    readers: Counter[Any] = Counter()
    for n in module.graph.find_nodes(op="get_attr"):
        readers[n.target] += len(n.users)

    def found(node: Any) -> bool:
        return isinstance(node, Node) and node.op == "get_attr" and readers[node.target] == 1

    return found


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
