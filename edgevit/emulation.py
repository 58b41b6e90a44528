"""What the precisions of artifacts cost, computed by torch in fp32.

fp16        every operator's result is rounded
w8 ... w4   so are the weights, to evenly spaced levels of a channel, and all that follows to fp16
w8a8        weights, and what convolutions and linear layers read and write, are rounded to 255
            levels over their ranges: of a channel, and of a tensor over all inputs (Core ML's lie
            up to twice as far apart, having no zero point; that all else is fp16 there is less)
dyn8        weights, and what linear layers read, over the range of each input
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from .recipe import INTEGER, SMALL

# Core ML's activations are fp16 in these; a target that keeps them in fp32 errs no more than that.
HALF = ("fp16", "w8", "w6", "w4", "w4-sparse")
LEVELS = dict.fromkeys(("w8", *INTEGER), 255) | {"w6": 63, "w4": 15, "w4-sparse": 15}
aten = torch.ops.aten
# The operators that read an activation and a weight, and the activation's place.
LINEAR = {aten.addmm.default: 1, aten.mm.default: 0, aten.linear.default: 0}
PRODUCTS = {"dyn8": LINEAR, "w8a8": {**LINEAR, aten.convolution.default: 0}}
T = TypeVar("T")


class Precision:
    """Rounds the weights of `module`, a copy, where they lie; compute with it inside `rounding`."""

    def __init__(self, module: nn.Module, precision: str) -> None:
        self.half = precision in HALF
        self.module = _rounded_weights(module, precision)
        self._mode: AbstractContextManager[Any] = nullcontext()
        if self.half:
            self._mode = _RoundToHalf()  # type: ignore[no-untyped-call]
        elif precision in INTEGER:
            self._mode = _RoundWhatIsRead(precision)

    def rounding(self) -> AbstractContextManager[Any]:
        return self._mode

    def passes(self, rows: Sequence[T]) -> Iterator[T]:
        """The rows, all of them once before where ranges are taken over them; the last count."""
        mode = self._mode
        if not isinstance(mode, _RoundWhatIsRead):
            yield from rows
            return
        for watching in (True, False) if mode.watching else (False,):
            mode.watching = watching
            for row in rows:
                mode.product = 0
                yield row


class _RoundToHalf(TorchDispatchMode):
    """Round what every operator returns to fp16, computing it in fp32.

    This is fp16 storage with fp32 accumulation, as mobile kernels have it on most CPUs. torch's own
    fp16 kernels accumulate likewise on a CPU, a hundred times slower.
    """

    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **kwargs or {})
        aliases = [r.alias_info for r in function._schema.returns]
        if any(a is not None and not a.is_write for a in aliases):
            return result  # a view: rounded already, and what is written to it must arrive
        return tree_map(_round, result)


def _round(value: Any) -> Any:
    """Round a float32 tensor where it lies: an operator in place returns its own input."""
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        value.copy_(value.half())
    return value


class _RoundWhatIsRead(TorchDispatchMode):
    """Round the activations that products read, and in w8a8 write, to 255 levels.

    product: how many there were since the model was called. watching: only take their ranges,
    product by product; w8a8 begins so, and keeps them. Multi-head attention is computed from its
    parts meanwhile: torch's fused kernel shows no products.
    """

    def __init__(self, precision: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._products = PRODUCTS[precision]
        self._ranges: dict[tuple[str, int], tuple[float, float]] = {}
        self.product = 0
        self._static = self.watching = precision == "w8a8"

    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function not in self._products:
            return function(*args, **kwargs or {})
        x = self._products[function]
        self.product += 1
        read = self._rounded(args[x], ("read", self.product))
        found = function(*args[:x], read, *args[x + 1 :], **kwargs or {})
        return self._rounded(found, ("written", self.product)) if self._static else found

    def __enter__(self) -> Any:
        self._fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *raised: Any) -> None:
        torch.backends.mha.set_fastpath_enabled(self._fused)
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def _rounded(self, x: Tensor, place: tuple[str, int]) -> Tensor:
        low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
        before = self._ranges.get(place, (low, high))
        if self.watching:
            self._ranges[place] = min(low, before[0]), max(high, before[1])
            return x
        return on_steps(x, *before)


def on_steps(x: Tensor, low: float, high: float) -> Tensor:
    """Rounded to 255 even steps of the range, 0 being one, and clipped to it."""
    step = max(high - low, 1e-12) / 255
    return ((x / step).round() * step).clamp(low, high)


def _rounded_weights(module: nn.Module, precision: str) -> nn.Module:
    """Weights as a file of that precision stores them, on evenly spaced levels."""
    for p in module.parameters():
        rounded = p.dim() == 2 if precision == "dyn8" else p.dim() > 1
        if precision in LEVELS and rounded and p.numel() > SMALL:
            p.data = _on_levels(p.data, precision)
    return module.half().float() if precision in HALF else module


def _on_levels(weight: Tensor, precision: str) -> Tensor:
    """Each channel, for w6 the tensor, on even steps from its least to its largest weight."""
    count = LEVELS[precision]
    rows = weight.reshape(1, -1) if precision == "w6" else weight.flatten(1)
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    step = (high - low).clamp(min=1e-12) / count
    levels = low + ((rows - low) / step).round() * step
    if precision.endswith("sparse"):  # the smaller half is zero
        levels = torch.where(rows.abs() > rows.abs().median(), levels, 0)
    return levels.reshape(weight.shape)
