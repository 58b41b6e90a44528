"""LayerNorm replaced by a batch norm that folds; the model then computes something else.

    before   x ── LayerNorm ── linear
    after    x ── BN(x) + η x ── linear      which is one linear layer once it is folded

A layer norm needs each token's own mean and variance when it runs; a batch norm and η x are one
scale and one shift per channel, known beforehand. SLAB (Guo et al., ICML 2024, arXiv 2405.11582)
trains ViTs with that form, going over from LayerNorm to it progressively.

`calibrate` gives the form its first values: statistics of the user's images, and the scale and
shift per channel that come nearest to the layer norm there, by least squares. Each norm is fitted
to what it gets from those already replaced before it, in a single pass.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevit.errors import InputError

AXES = (-1, 1)  # of the channels: tokens [..., C], maps [B, C, H, W]


class FoldableNorm(nn.Module):
    """BN(x) + η x over the channels of `axis`; (1 − λ) that + λ layer(x) while it is kept.

    share: λ, 1 for the layer norm alone.
    """

    def __init__(self, layer: nn.Module, channels: int, axis: int) -> None:
        super().__init__()
        self.axis, self.eps = axis, float(getattr(layer, "eps", 1e-5))
        self.weight, self.bias = (
            nn.Parameter(torch.ones(channels)),
            nn.Parameter(torch.zeros(channels)),
        )
        self.eta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.layer: nn.Module | None = layer
        self.share, self.fitting, self.fitted = 0.0, False, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.fitting:
            self._fit(x)
        # Channels last as rows [n, C]: no transpose between it and what it folds into.
        rows = x.reshape(-1, x.shape[-1]) if self.axis == -1 else x
        eta = self.eta if self.axis == -1 else self.eta.view(1, -1, 1, 1)
        mean, var = self.get_buffer("running_mean"), self.get_buffer("running_var")
        y = F.batch_norm(rows, mean, var, self.weight, self.bias, self.training, 0.1, self.eps)
        y = (y + eta * rows).reshape(x.shape)
        if self.layer is not None and self.share:
            y = torch.lerp(y, self.layer(x), self.share)
        return y

    @torch.no_grad()
    def _fit(self, x: Tensor) -> None:
        """Statistics of x, and the slope and shift per channel nearest to the layer norm of x."""
        assert self.layer is not None
        a, b = (t.movedim(self.axis, 0).flatten(1).double() for t in (x, self.layer(x)))
        mean, var, aim = a.mean(1), a.var(1, correction=0), b.mean(1)
        slope = ((a - mean[:, None]) * (b - aim[:, None])).mean(1) / var.clamp_min(1e-30)
        self.get_buffer("running_mean").copy_(mean)
        self.get_buffer("running_var").copy_(var)
        self.weight.copy_(slope * (var + self.eps).sqrt())
        self.bias.copy_(aim)
        self.fitted += 1


def foldable(module: nn.Module, *, keep: bool = False) -> nn.Module:
    """A copy in evaluation mode whose layer norms are FoldableNorms, not calibrated yet.

    keep: hold each layer norm beside its successor, to calibrate and to go over from. InputError
    for a module in training mode or without layer norms over one axis of channels.
    """
    training = [path for path, part in module.named_modules() if part.training]
    if training:
        raise InputError(f"{training[0] or 'the model'} is in training mode: call .eval() first")
    made = copy.deepcopy(module)
    norms: dict[int, FoldableNorm] = {}
    for part in [*made.modules()]:
        for name, layer in [*part._modules.items()]:  # named_children() tells a shared one once
            if layer is None:
                continue
            if id(layer) not in norms and (found := _channels(layer)):
                norms[id(layer)] = FoldableNorm(layer, *found)
            if norm := norms.get(id(layer)):
                setattr(part, name, norm)
    if not norms:
        raise InputError(f"{type(module).__name__} has no layer norm over channels to replace")
    if not keep:
        drop_layers(made)
    return made.eval()


def norms_of(module: nn.Module) -> dict[str, FoldableNorm]:
    return {path: m for path, m in module.named_modules() if isinstance(m, FoldableNorm)}


def calibrate(module: nn.Module, images: Tensor) -> None:
    """Fit the norms of `foldable(net, keep=True)` to images [n, C, H, W], in place."""
    norms = norms_of(module)
    for norm in norms.values():
        norm.fitting, norm.fitted, norm.share = True, 0, 0.0
    try:
        with torch.no_grad():
            module(images)
    finally:
        for norm in norms.values():
            norm.fitting = False
    for path, norm in norms.items():
        if norm.fitted != 1:
            where = f"at {norm.fitted} places" if norm.fitted else "nowhere"
            raise InputError(
                f"the layer norm {path} is used {where}, and a batch norm has one set of "
                "statistics: give each place its own"
            )


def set_share(module: nn.Module, share: float) -> None:
    """How much of each norm is the layer norm still: 1 for all, 0 for none."""
    for norm in norms_of(module).values():
        norm.share = share


def drop_layers(module: nn.Module) -> None:
    """Forget the layer norms: what remains is the form that folds."""
    for norm in norms_of(module).values():
        norm.layer, norm.share = None, 0.0


def _channels(layer: nn.Module) -> tuple[int, int] | None:
    """(number, axis) of the channels over which a module is a layer norm, by what it computes."""
    if not isinstance(layer, nn.LayerNorm) and "layernorm" not in type(layer).__name__.lower():
        return None
    given: Any = getattr(layer, "weight", None)
    shape = tuple(getattr(layer, "normalized_shape", () if given is None else given.shape))
    if len(shape) != 1:
        return None
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, shape[0], 3, shape[0], generator=generator)
    with torch.no_grad():
        try:
            found = layer(x)
        except (RuntimeError, ValueError):
            return None
        for axis in AXES:
            bias = getattr(layer, "bias", None)
            y = F.layer_norm(x.movedim(axis, -1), shape, given, bias, getattr(layer, "eps", 1e-5))
            if torch.allclose(found, y.movedim(-1, axis), atol=1e-4):
                return shape[0], axis
    return None
