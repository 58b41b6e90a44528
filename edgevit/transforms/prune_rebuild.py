"""Weights of a pruned model that write what the whole one wrote: least squares, layer by layer.

    W' = argmin ‖W x + b − W' x' − b'‖²    x what the layer reads in the whole model, x' in the
                                           pruned one, whose layers before it are rebuilt already

Linear layers and 1×1 convolutions; without labels and without a step of training. As He et al.,
"Channel Pruning", ICCV 2017, eq. 2 and 3, for all channels of a layer at once.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .prune_narrow import Kept, gone_of

RIDGE = 1e-3  # of the mean square: what these images do not tell apart stays as it was
ROWS = 8192  # positions that a layer is fitted to, at most


class _Reached(Exception):
    """What the layer read; the rest of the model need not run."""


def rebuild(pruned: nn.Module, whole: nn.Module, kept: Kept, images: Tensor) -> None:
    """Set the weights, and biases where there are any, of `pruned`. images: [N, C, H, W]."""
    gone, layers = gone_of(kept), dict(pruned.named_modules())
    sharpened = {group.name: group.sharpened(units) for group, units in kept}
    for path, (places, aim) in _written(whole, images).items():
        if path not in layers:  # of a block left out
            continue
        layer: Any = layers[path]
        aim[:, : aim.shape[1] // 3] *= sharpened.get(path, 1.0)
        rows = [
            i for i in range(aim.shape[1]) if i not in gone.get(f"{path}.weight", {}).get(0, ())
        ]
        x, y = _read(pruned, path, images)[places].double(), aim[:, rows].double()
        weight = layer.weight.detach().double().flatten(1)
        if layer.bias is not None:
            middle, height = x.mean(0), y.mean(0)
            x, y = x - middle, y - height
        square = x.T @ x / len(x)
        ridge = RIDGE * square.diagonal().mean().clamp_min(1e-30)
        left = (y - x @ weight.T).T @ x / len(x)
        weight += torch.linalg.solve(square + ridge * torch.eye(len(square)).double(), left.T).T
        with torch.no_grad():
            layer.weight.copy_(weight.reshape(layer.weight.shape))
            if layer.bias is not None:
                layer.bias.copy_(height - weight @ middle)


def _written(net: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """By layer, in the order in which they run once each: which positions, and what it writes."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    often: set[str] = set()
    drawn = torch.Generator().manual_seed(0)

    def hook_of(path: str) -> Any:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            rows = _rows(layer, out)
            places = torch.randperm(len(rows), generator=drawn)[:ROWS]
            (often.add(path) if path in found else found.update({path: (places, rows[places])}))

        return hook

    plain = {path: m for path, m in net.named_modules() if _plain(m)}
    hooks = [m.register_forward_hook(hook_of(path)) for path, m in plain.items()]
    try:
        with torch.no_grad():
            net(images)
    finally:
        for hook in hooks:
            hook.remove()
    return {path: v for path, v in found.items() if path not in often}


def _read(net: nn.Module, path: str, images: Tensor) -> Tensor:
    """[positions, channels]"""

    def stop(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        raise _Reached(_rows(layer, given[0]))

    hook = net.get_submodule(path).register_forward_pre_hook(stop)
    try:
        with torch.no_grad():
            net(images)
    except _Reached as reached:
        (found,) = reached.args
        assert isinstance(found, Tensor)
        return found
    finally:
        hook.remove()
    raise AssertionError(path)  # it ran in the whole model


def _rows(layer: nn.Module, x: Tensor) -> Tensor:
    last = x.movedim(1, -1) if isinstance(layer, nn.Conv2d) else x
    return last.reshape(-1, last.shape[-1])


def _plain(layer: nn.Module) -> bool:
    """What it writes at a position hangs on what it reads there alone, and linearly."""
    if isinstance(layer, nn.Conv2d):
        alone = layer.kernel_size == (1, 1) and layer.stride == (1, 1) and not any(layer.padding)
        return alone and layer.groups == 1
    return type(layer) is nn.Linear
