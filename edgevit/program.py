"""Program: a model as torch.export sees it, with the facts every later stage needs.

This is the one place that calls torch.export. What crosses to the converters is a file, so that
each of them runs in a process of its own.
"""

import json
import os
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx.traceback import NodeSource
from torch.utils.flop_counter import FlopCounterMode

from .errors import ExportError, InputError
from .reference import CALIBRATION

# Every pass of a converter copies the history of every node, which grows with each pass: up to a
# third of a conversion. Nothing writes into a history, so that its copy may be itself.
NodeSource.__deepcopy__ = lambda self, _: self  # type: ignore[attr-defined]

_LIBRARIES = ("site-packages", "dist-packages", str(Path(traceback.__file__).parent))


@dataclass(frozen=True)
class Port:
    """One input or output: name, numpy dtype name, shape with its batch axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, name: str, tensor: Tensor) -> Self:
        return cls(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


@dataclass(frozen=True)
class Facts:
    """parameters: count of weights. macs: multiply-accumulates of convolutions and products."""

    name: str
    parameters: int
    macs: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        def ports(key: str) -> tuple[Port, ...]:
            return tuple(Port(p["name"], p["dtype"], tuple(p["shape"])) for p in d[key])

        return cls(d["name"], d["parameters"], d["macs"], ports("inputs"), ports("outputs"))


@dataclass(frozen=True)
class Range:
    """What 8 bits tell apart of a tensor; the rest is clipped. by: how it was chosen."""

    low: float
    high: float
    by: str


@dataclass(frozen=True)
class Program:
    """`exported` is float32 with static shapes; its example inputs have batch 1 by default.

    calibration: a file of inputs to take ranges over, see calibration.py, where there is one.
    keep: paths of modules that stay in fp32. ranges: of what modules, by path, read (False) and
    write (True), where it is to be clipped.
    """

    exported: ExportedProgram
    facts: Facts
    calibration: Path | None = None
    keep: tuple[str, ...] = ()
    ranges: Mapping[tuple[str, bool], Range] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Write `file` (.pt2) and, beside it, the facts (.json)."""
        torch.export.save(self.exported, file)
        file.with_suffix(".json").write_text(json.dumps(asdict(self.facts)))

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what `save` wrote. Only for files of our own making: .pt2 is not a safe format."""
        facts = Facts.from_dict(json.loads(file.with_suffix(".json").read_text()))
        beside = file.with_name(CALIBRATION)
        return cls(torch.export.load(file), facts, beside if beside.exists() else None)

    def kept(self, path: str) -> bool:
        """Whether the module at `path` is, or is in, one that stays in fp32."""
        return any(within(path, module) for module in self.keep)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        args, _ = self.exported.example_inputs
        return tuple(args)


def within(path: str, module: str) -> bool:
    """Whether `path` is the module or in it."""
    return path == module or path.startswith(f"{module}.")


def outputs_of(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Call `module` without gradients; its tensors in order, however they are nested."""
    from torch.utils._pytree import tree_leaves

    with torch.no_grad():
        return [leaf for leaf in tree_leaves(module(*inputs)) if isinstance(leaf, Tensor)]


def export(module: nn.Module, inputs: Sequence[Tensor], *, name: str) -> Program:
    """Export `module` (in eval mode) for inputs of these shapes.

    Raises InputError when the module does not run on the inputs, and ExportError, with the line of
    the module's code, when it runs but torch.export refuses it.
    """
    inputs = [t.clone() for t in inputs]  # a module may write into its input
    try:
        with counting() as flops:
            outputs = outputs_of(module, inputs)
    except Exception as e:
        shapes = ", ".join(str(list(t.shape)) for t in inputs)
        raise InputError(f"{name} does not run on inputs {shapes}: {_reason(e)}{line_of(e)}") from e
    if not outputs:
        raise InputError(f"{name} returns no tensor; a model to convert returns at least one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(module, tuple(inputs))
    except Exception as e:
        raise ExportError(f"torch.export refuses {name}{line_of(e)}: {_reason(e)}") from e
    names = [n for n in exported.graph_signature.user_inputs if isinstance(n, str)]
    labels = ["output"] if len(outputs) == 1 else [f"output_{i}" for i in range(len(outputs))]
    facts = Facts(
        name=name,
        parameters=sum(p.numel() for p in module.parameters()),
        macs=flops.get_total_flops() // 2,
        inputs=tuple(map(Port.of, names, inputs)),
        outputs=tuple(map(Port.of, labels, outputs)),
    )
    return Program(exported, facts)


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Count what convolutions and products cost in here, 2 for each multiply-accumulate.

    Attention is computed from its parts meanwhile: torch 2.13 counts nothing in the fused kernels
    that the CPU takes, neither of scaled_dot_product_attention nor of nn.MultiheadAttention.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    products = {torch.ops.aten.mv: lambda a, b, **kw: 2 * a[0] * a[1]}
    try:
        with (
            sdpa_kernel(SDPBackend.MATH),
            FlopCounterMode(display=False, custom_mapping=products) as flops,
        ):
            yield flops
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _reason(e: BaseException) -> str:
    """First meaningful line of a torch error, which may run over pages."""
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(e).__name__


def line_of(e: BaseException) -> str:
    """ " at FILE:LINE (`code`)": the innermost frame of the user's own code in the traceback."""
    own = str(Path(__file__).parent) + os.sep
    at: BaseException | None = e
    while at is not None:
        for frame in reversed(traceback.extract_tb(at.__traceback__)):
            place = frame.filename
            outside = any(part in place for part in _LIBRARIES) or place.startswith("<")
            if not outside and (not place.startswith(own) or "models" in Path(place).parts):
                return f" at {place}:{frame.lineno} (`{frame.line}`)"
        at = at.__cause__ or at.__context__
    return ""
