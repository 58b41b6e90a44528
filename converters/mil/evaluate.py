"""Run a saved ML Program in torch, checking each declared format and shape on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgevit.errors import ArtifactError, EdgevitError

from ..target import Array, Tensor
from . import (  # noqa: F401  (they fill the table of operators)
    constexpr,
    elementwise,
    linear,
    resizing,
    scatter_gather,
    tensor_operation,
    tensor_transformation,
    windows,
)
from .operators import OPERATORS, Operator
from .package import read
from .values import Shape, Type, Weights, declared, value_of

Value = torch.Tensor | str


@dataclass(frozen=True)
class Step:
    """One operation: what it reads, what it gives, and the values nobody reads after it."""

    operator: Operator
    said: str  # "conv 'conv2d_3'", for messages
    reads: dict[str, Sequence[str]]
    gives: Sequence[tuple[str, Type | None, Shape]]
    frees: Sequence[str]


class Evaluator:
    """A function of an .mlpackage: called on arrays, it returns arrays.

    Inputs are the program's own tensors: of an image, pixels 0 to 255 as [1, 3, H, W] in the order
    that it declares; scale and bias are operators of the program.
    """

    def __init__(self, file: Path, function: str = "") -> None:
        self._file = file
        found, block, weights = read(file, function)
        self._values: dict[str, Value] = {}
        self._types = [self._input(port) for port in found.inputs]
        self.inputs = tuple(
            Tensor(port.name, kind.numpy_name, tuple(n or 1 for n in shape))
            for port, (kind, shape) in zip(found.inputs, self._types, strict=True)
        )
        self._outputs = list(block.outputs)
        self._steps = self._planned(block.operations, weights)

    def _input(self, port: Any) -> tuple[Type, Shape]:
        try:
            kind, shape = declared(port.type)
            if kind is None:
                raise ArtifactError("is text")
        except ArtifactError as e:
            raise self._fault(f"input {port.name!r}", "read", e) from None
        return kind, shape

    def _fault(self, said: str, done: str, why: Exception) -> ArtifactError:
        """In one line. A damaged file can name anything, and make torch raise anything."""
        if not isinstance(why, EdgevitError):
            why = ValueError(f"cannot be {done}: {str(why)[:150] or type(why).__name__}")
        line = "".join(c if c.isprintable() else " " for c in f"{said} {why}"[:400])
        return ArtifactError(f"{self._file}: {line}")

    def _planned(self, operations: Any, weights: Weights) -> list[Step]:
        """The operations that are to be run; constants are known from here on."""
        steps: list[Step] = []
        known = {port.name for port in self.inputs}
        last = self._last_use(operations)
        module = "the input"
        for i, operation in enumerate(operations):
            given = [name.name for name in operation.outputs]
            said = f"{operation.type} {given[0] if given else ''!r}"
            try:
                step = self._step(operation, said, weights, known, last.get(i, ()))
            except Exception as e:
                raise self._fault(f"{said}, after {module},", "read", e) from None
            known.update(given)
            if step:
                steps.append(step)
            elif operation.type == "const" and given[0].startswith("p_"):
                module = f"weight {given[0][2:]!r}"
        missing = [name for name in self._outputs if name not in known]
        if missing:
            raise ArtifactError(f"{self._file}: nothing computes the output {missing[0]!r}")
        return steps

    def _step(
        self, operation: Any, said: str, weights: Weights, known: set[str], frees: Sequence[str]
    ) -> Step | None:
        gives = [(o.name, *declared(o.type)) for o in operation.outputs]
        held = {k: v for k, v in operation.attributes.items() if k != "name"}
        if operation.type == "const":
            if declared(held["val"].type) != gives[0][1:]:
                raise ArtifactError("declares another type than its value has")
            self._values[gives[0][0]] = value_of(held["val"], weights)
            return None
        if operation.type not in OPERATORS:
            raise ArtifactError("is an operator that edgevit does not know")
        reads: dict[str, Sequence[str]] = {}
        for name, argument in operation.inputs.items():
            reads[name] = [
                b.name or f"{gives[0][0]}.{name}.{j}" for j, b in enumerate(argument.arguments)
            ]
            for key, binding in zip(reads[name], argument.arguments, strict=True):
                if not binding.name:
                    self._values[key] = value_of(binding.value, weights)
                elif key not in known:
                    raise ArtifactError(f"reads {key!r}, which nothing before it computes")
        step = Step(OPERATORS[operation.type], said, reads, gives, frees)
        if not operation.type.startswith("constexpr_"):
            return step
        for name, value in held.items():  # iOS 16 keeps them as attributes
            reads[name] = [f"{gives[0][0]}.{name}"]
            self._values[reads[name][0]] = value_of(value, weights)
        self._run(step, self._values)
        return None

    def _last_use(self, operations: Any) -> dict[int, list[str]]:
        """Index of an operation → the names that it is the last to read."""
        last = {
            b.name: i
            for i, operation in enumerate(operations)
            for argument in operation.inputs.values()
            for b in argument.arguments
        }
        frees: dict[int, list[str]] = {}
        for name, i in last.items():
            if name and name not in self._outputs:
                frees.setdefault(i, []).append(name)
        return frees

    def _run(self, step: Step, values: dict[str, Value]) -> None:
        given = {name: [values[key] for key in keys] for name, keys in step.reads.items()}
        found = step.operator(given)
        if len(found) != len(step.gives):
            raise ArtifactError(f"gives {len(found)} values, declares {len(step.gives)}")
        for value, (name, kind, shape) in zip(found, step.gives, strict=True):
            fits = len(shape) == value.dim() and all(
                n in (None, size) for n, size in zip(shape, value.shape, strict=True)
            )
            if kind is None or value.dtype != kind.torch or not fits:
                raise ArtifactError(
                    f"gives {value.dtype} {list(value.shape)}, declares "
                    f"{kind.name if kind else 'text'} {list(shape)}"
                )
            values[name] = value

    @torch.no_grad()
    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        values = dict(self._values)
        for port, (kind, _), array in zip(self.inputs, self._types, arrays, strict=True):
            values[port.name] = torch.from_numpy(np.ascontiguousarray(array)).to(kind.torch)
        for step in self._steps:
            try:
                self._run(step, values)
            except Exception as e:
                raise self._fault(step.said, "computed", e) from None
            for name in step.frees:
                del values[name]
        found = [values[name] for name in self._outputs]
        return tuple(np.asarray(f).copy() for f in found)
