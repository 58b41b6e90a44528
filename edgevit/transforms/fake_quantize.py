"""A net that is trained to stand 8 bits: what its products read and write is rounded to steps.

    before   y = linear(x, w)
    after    y = q(linear(q(x), q(w)))

q's gradient is that of x within the range, and 0 beyond (Jacob et al., CVPR 2018, arXiv 1712.05877,
section 3). Weights: 127 steps each way of an output channel, so that a batch norm behind them folds
without moving a step. Activations: 255 steps of their range over the calibration (w8a8), or of each
picture's own (dyn8, which rounds linear layers alone, and nothing they write). What a batch norm,
ReLU or clip reads at once is rounded behind it, as in the files.

Calls are caught on their way into torch: the module is as it was, and an attention that calls
F.linear is rounded, too; inside nn.MultiheadAttention all stays float. The rounding is torch's own:
torchao, which only ExecuTorch brings, has it for linear layers alone outside of exported graphs.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgevit.recipe import FEWEST

PRODUCTS: dict[str, tuple[Any, ...]] = {"dyn8": (F.linear,), "w8a8": (F.linear, F.conv2d)}
BEHIND: tuple[Any, ...] = (F.batch_norm, F.relu, F.relu6, F.hardtanh, torch.relu, torch.clamp)
BEHIND += (Tensor.relu, Tensor.clamp)


class FakeQuantized(nn.Module):
    """`net` in 8 bits. It shares net's parameters, adds none, and leaves it in one piece."""

    def __init__(self, net: nn.Module, precision: str) -> None:
        super().__init__()
        self.net, self._rounding = net, _Rounding(precision)

    def forward(self, x: Tensor) -> Tensor:
        self._rounding.product = 0
        with self._rounding:
            found: Tensor = self.net(x)
        return found

    def watch(self, batches: Iterable[Tensor]) -> None:
        """Take the ranges of w8a8 anew, in float."""
        if not self._rounding.static:
            return
        self._rounding.watching, self._rounding.ranges = True, {}
        with torch.no_grad():
            for x in batches:
                self(x)
        self._rounding.watching = False


class _Rounding(TorchFunctionMode):
    """product: how many there were in this call. behind: norms and clips since the last one.

    ranges: of what a product reads (-1), and of what it and the functions right behind it write,
    by their number; the last of these is rounded.
    """

    def __init__(self, precision: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products, self.static = PRODUCTS[precision], precision == "w8a8"
        self.watching = False
        self.ranges: dict[tuple[int, int], tuple[float, float]] = {}
        self.product = self.behind = 0
        self.written: Any = None

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in self.products and len(args) > 1 and _in_integers(args[1]):
            self.product, self.behind = self.product + 1, 0
            weight: Tensor = args[1] if self.watching else _weight(args[1])
            found = function(self._rounded(args[0], -1), weight, *args[2:], **kwargs)
        elif function in BEHIND and args and args[0] is self.written:
            self.behind += 1
            found = function(*args, **kwargs)
        else:
            return function(*args, **kwargs)
        last = (self.product, self.behind + 1) not in self.ranges
        self.written = self._rounded(found, self.behind) if self.static and last else found
        return self.written

    def _rounded(self, x: Tensor, place: int) -> Tensor:
        least, most = (float(v) for v in x.detach().aminmax())
        if not math.isfinite(most - least):
            return x  # rounding would hide it from the loss
        if not self.static:
            return _by_row(x)
        low, high = self.ranges.get((self.product, place), (0.0, 0.0))
        if self.watching:
            self.ranges[self.product, place] = min(low, least), max(high, most)
            return x
        step = max(high - low, 1e-12) / 255
        return torch.fake_quantize_per_tensor_affine(x, step, round(-low / step), 0, 255)


def _in_integers(weight: Any) -> bool:
    """A model's own, and not of a convolution of a picture's few channels, which stays in fp32."""
    of_picture = weight.dim() == 4 and 1 < weight.shape[1] < FEWEST
    return isinstance(weight, nn.Parameter) and not of_picture


def _weight(weight: Tensor) -> Tensor:
    step = weight.detach().flatten(1).abs().amax(1).clamp(min=1e-12) / 127
    return torch.fake_quantize_per_channel_affine(
        weight, step, torch.zeros_like(step), 0, -127, 127
    )


def _by_row(x: Tensor) -> Tensor:
    """Each entry of the first axis on steps of its own range, 0 in it."""
    rows = x.detach().reshape(len(x), -1)
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    step = (high - low).clamp(min=1e-12) / 255
    return torch.fake_quantize_per_channel_affine(x, step, (-low / step).round(), 0, 0, 255)
