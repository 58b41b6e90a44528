"""MACs and weights, of a model and of each layer as it narrows."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from edgevit.program import counting, outputs_of

from .prune_budget import Layer


def size(net: nn.Module, inputs: Sequence[Tensor], of: str) -> int:
    """Its weights, or MACs."""
    if of == "params":
        return sum(p.numel() for p in net.parameters())
    with counting() as flops:
        outputs_of(net, inputs)
    return flops.get_total_flops() // 2


def counted(net: nn.Module, inputs: Sequence[Tensor], of: str) -> list[Layer]:
    """Straight lines: a layer's weights, or its MACs, go by the share of its weights that stays."""
    positions: dict[str, int] = {}
    layers = {p: m for p, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}

    def hook_of(path: str) -> Any:
        def hook(layer: nn.Module, given: Any, out: Tensor) -> None:
            positions[path] = positions.get(path, 0) + out.numel()

        return hook

    hooks = [layer.register_forward_hook(hook_of(path)) for path, layer in layers.items()]
    try:
        outputs_of(net, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for path, layer in layers.items():
        macs = positions.get(path, 0) * layer.weight[0].numel()
        amount = float(macs if of == "macs" else layer.weight.numel())
        found.append(Layer((f"{path}.weight",), (0.0, 1.0), (0.0, amount)))
    return found
