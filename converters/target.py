"""What a target is, and how one is found: a file of this folder whose name is the target's.

Capabilities are attributes, so that nobody outside a target's file asks which target it is.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from edgevit.errors import MissingRuntime, NotOnThisSystem, UnknownName
from edgevit.lookup import lookup

from .grid import Stored

if TYPE_CHECKING:
    from edgevit.program import Program

Array = np.ndarray

TARGETS = {
    name: f"{__package__}.{name}" for name in ("executorch", "tflite", "coreml", "onnx", "null")
}


@dataclass(frozen=True)
class Tensor:
    """Name, numpy dtype name and shape of one input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Loaded(Protocol):
    """A file opened in its own runtime: call it on arrays that fit `inputs`."""

    inputs: tuple[Tensor, ...]

    def __call__(self, *arrays: Array) -> tuple[Array, ...]: ...


@dataclass(frozen=True)
class Placement:
    """Where a file's graph runs: delegate partitions, and what stays outside them.

    delegate: its name, or None where the runtime has none. partitions: graphs handed to it.
    outside: op → count of what the runtime's own kernels compute; moves of data included.
    """

    delegate: str | None
    partitions: int
    outside: dict[str, int]

    def __str__(self) -> str:
        """ "36 partitions + 87 ops", or "200 operators": what a table has room for."""
        ops = sum(self.outside.values())
        if self.delegate is None:
            return f"{ops} operators"
        parts = f"{self.partitions} partition{'s' * (self.partitions != 1)}"
        return f"{parts} + {ops} op{'s' * (ops != 1)}" if ops else parts


class Target(Protocol):
    suffix: ClassVar[str]  # ".pte"
    runtime: ClassVar[str]  # the package that runs the files, by the name pip knows
    needs: ClassVar[tuple[str, ...]]  # importable names; the extra called like the target has them
    rewrites: ClassVar[tuple[str, ...]]  # files of `rewrites/`, in the order they are tried
    executes: ClassVar[dict[str, str]]  # precision → what the runtime really computes
    in_half: ClassVar[tuple[str, ...]]  # those of them whose activations are fp16
    grids: ClassVar[dict[str, Stored]]  # precision → the steps its weights are stored on
    runs_on_torch: ClassVar[bool]  # whether `load` imports torch
    runs_here: ClassVar[bool]  # whether the runtime is there on this system; `load` works anyway

    def lower(self, program: "Program", file: Path, *, precision: str, ios: int) -> None:
        """Write `file` (or folder) from the exported float32 program."""

    def load(self, file: Path, *, threads: int = 1) -> Loaded:
        """Open `file` in the target's runtime, or where that is not, in what computes the same."""

    def placement(self, file: Path) -> Placement | None:
        """Read from the file (or its runtime) what runs where; None where nobody can know."""


def find(name: str) -> Target:
    """The target called `name`; its runtime is imported only when used."""
    target: Callable[[], Target] = importlib.import_module(lookup("target", name, TARGETS)).target
    return target()


def runner(name: str) -> Target:
    """The target to open files with; what follows a colon is for its runtime: "coreml:ane"."""
    name, _, told = name.partition(":")
    found = find(name)
    # Only Core ML's is made with such a word, so that no target name but its own may carry one.
    return type(found)(told) if told else found  # type: ignore[call-arg]


def check_host(name: str) -> Target:
    """The target, or NotOnThisSystem where its runtime exists on another operating system only."""
    target = find(name)
    if not target.runs_here:
        raise NotOnThisSystem(
            f"{name} files run on macOS only; this system can verify what they say, not time them"
        )
    return target


def calibrates(target: str, precision: str) -> bool:
    """Whether --calibrate decides what is in the file."""
    return precision == "w8a8" or precision in find(target).grids


def check_precision(name: str, precision: str) -> None:
    """UnknownName for what the target's runtime does not execute."""
    has = find(name).executes
    if precision not in has:
        raise UnknownName(f"{name} has no {precision}; it has {', '.join(has)}")


def require(target: str, needs: tuple[str, ...]) -> None:
    """MissingRuntime, with the pip command, unless every name in `needs` can be imported."""
    from importlib.util import find_spec

    missing = [name for name in needs if find_spec(name) is None]
    if missing:
        raise MissingRuntime(
            f"{target} needs {', '.join(missing)}: pip install 'edgevit[{target}]'"
        )
