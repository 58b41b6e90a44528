"""One operator, what it is given, and what it gives: as written, and with its defaults left out."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from programs import answer, mil_name, model, saved, tools
from spoiled import block_of, edited


@dataclass(frozen=True)
class Case:
    """One operator on arrays (run-time inputs) and attributes (constants), and what it gives."""

    arrays: dict[str, Any]
    expected: Any  # an array or several
    attributes: dict[str, Any] = field(default_factory=dict)
    ios: int = 17
    tolerance: float = 1e-5  # of fp32, both relative and absolute; 1e-3 of fp16


Maker = Callable[[np.random.Generator], Case]


def op_of(name: str) -> str:
    """A case is named for its operator and what is special: "conv, dilated"."""
    return re.match(r"\w+", name).group()


def kind(value: Any) -> str:
    return np.asarray(value).dtype.kind


def check(name: str, make: Maker, seed: int) -> None:
    """The operator that `name` begins with gives what is expected: formats, shapes, values.

    It gives the same without the inputs that have their default, which coremltools writes out. A
    list of arrays is an input of several values (those of concat).
    """
    case = make(np.random.default_rng(seed))
    flat = [a for v in case.arrays.values() for a in (v if isinstance(v, list) else [v])]
    arrays = {f"input_{i}": np.asarray(a) for i, a in enumerate(flat)}
    formats: list[str] = []
    defaults: list[str] = []

    def build(mb: Any, *variables: Any) -> list[Any]:
        left = list(variables)
        given = {
            k: tuple(left.pop(0) for _ in v) if isinstance(v, list) else left.pop(0)
            for k, v in case.arrays.items()
        }
        made = getattr(mb, op_of(name))(**given, **case.attributes)
        made = list(made) if isinstance(made, list | tuple) else [made]
        operation = made[0].op
        for key, value in operation.default_inputs().items():
            held = operation.inputs.get(key)
            if value is None or held is None or held.val is None:
                continue
            if np.array_equal(held.val, value) and kind(held.val) == kind(value):
                defaults.append(key)
        formats.extend(tools().types.builtin_to_string(v.dtype) for v in made)
        return [
            v if f in ("fp32", "int32") else mb.cast(x=v, dtype="fp32" if f == "fp16" else "int32")
            for v, f in zip(made, formats, strict=True)
        ]

    with tempfile.TemporaryDirectory() as folder:
        file = saved(model(build, arrays, ios=case.ios), Path(folder))
        _compare(answer(file, arrays), case, formats)
        with edited(file) as spec:
            for operation in block_of(spec).operations:
                for key in defaults if operation.type == op_of(name) else ():
                    operation.inputs.pop(key)
        _compare(answer(file, arrays), case, formats)


def _compare(found: tuple[np.ndarray, ...], case: Case, formats: list[str]) -> None:
    expected = case.expected if isinstance(case.expected, list | tuple) else [case.expected]
    assert len(found) == len(expected)
    for a, b, form in zip(found, map(np.asarray, expected), formats, strict=True):
        assert a.shape == b.shape
        assert form == mil_name(b.dtype), "coremltools declares another format"
        near = 1e-3 if form == "fp16" else case.tolerance
        wide = [np.asarray(v, np.float64) for v in (a, b)]
        np.testing.assert_allclose(*wide, rtol=near, atol=near)
