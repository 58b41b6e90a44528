"""Put the normalisation into the model, so that an app hands over plain pixels.

before   0..255 ── /255 ── −mean ── /std ── model
after    0..255 ── −255·mean ── ·1/(255·std) ── model
Why: the app has nothing to get wrong, and a quantized input costs a quarter of the bytes.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from edgevit.preprocess import Preprocess


class EmbedPreprocess(nn.Module):
    """`module` behind its normalisation: takes [B, C, H, W] with values of 0..255.

    Only the values are normalised; resizing and cropping stay outside. `module(p.apply(x))` equals
    `EmbedPreprocess(module, preprocess=p)(q.apply(x))` with q as p but `embedded`.
    """

    shift: Tensor
    rate: Tensor

    def __init__(self, module: nn.Module, *, preprocess: Preprocess) -> None:
        super().__init__()
        self.module = module
        self._exact = {
            "shift": [255 * m for m in preprocess.mean],
            "rate": [1 / (255 * s) for s in preprocess.std],
        }
        like = next(module.parameters(), torch.empty(0))
        for name, values in self._exact.items():
            buffer = torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
            self.register_buffer(name, buffer, persistent=False)
        self.train(module.training)

    def forward(self, x: Tensor) -> Any:
        return self.module((x - self.shift) * self.rate)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # `.double()` would widen constants already rounded to float32, and 1e-7 is no reference.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, values in self._exact.items():
            old = getattr(self, name)
            if not old.is_meta:
                new = torch.tensor(values, dtype=old.dtype, device=old.device)
                setattr(self, name, new.view(1, -1, 1, 1))
        return self
