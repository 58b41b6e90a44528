"""Tiny ML Programs, written by coremltools as they are said and read back by the evaluator."""

import gc
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from edgevit.converters.mil.evaluate import Evaluator

# What every program may take as it is; all else enters as int32 or float32 and is cast inside.
PLAIN = ("float32", "int32")


@cache
def tools() -> SimpleNamespace:
    """coremltools: `ct`, its builder `mb`, and what makes a program by hand.

    Imported late, as tests are collected without it too, and quietly: it warns of the versions of
    others, and its own sources do when they are compiled first.
    """
    with quiet():
        logging.disable(logging.WARNING)
        import coremltools as ct
        from coremltools.converters.mil import Builder, mil

        logging.disable(logging.NOTSET)
    return SimpleNamespace(ct=ct, mb=Builder, mil=mil, types=mil.types)


@contextmanager
def quiet() -> Iterator[None]:
    """What coremltools does in here warns of nothing, and takes as long as it must.

    It collects garbage before each conversion, which takes half a second in a process as large as
    that of tests: 30 times as long as the conversion itself. It leaves temporary folders behind.
    """
    with mock.patch.object(gc, "collect"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def target(ios: int) -> Any:
    return getattr(tools().ct.target, f"iOS{ios}")


def model(
    build: Callable,
    arrays: dict[str, np.ndarray],
    *,
    ios: int = 17,
    half: bool = False,
    **options: Any,
) -> Any:
    """The converted model of `build(mb, *inputs)`, every operator as it was written.

    half: arrays of float16 enter as they are, too, which iOS 15 does not know.

    No pass runs unless asked for.
    """
    t = tools()
    options = {
        "compute_precision": t.ct.precision.FLOAT32,
        "pass_pipeline": t.ct.PassPipeline.EMPTY,
    } | options
    program = t.mil.Program()
    as_is = (*PLAIN, "float16") if half else PLAIN
    held = {
        name: t.mb.placeholder(
            shape=a.shape,
            dtype=t.types.fp16 if half and a.dtype == np.float16 else plain(a.dtype),
        )
        for name, a in arrays.items()
    }
    with t.mil.Function(held, opset_version=target(ios)) as function:
        entered = [
            function.inputs[name]
            if a.dtype.name in as_is
            else t.mb.cast(x=function.inputs[name], dtype=mil_name(a.dtype))
            for name, a in arrays.items()
        ]
        found = build(t.mb, *entered)
        function.set_outputs(list(found) if isinstance(found, list | tuple) else [found])
    program.add_function("main", function)
    with quiet():
        return t.ct.convert(
            program,
            convert_to="mlprogram",
            skip_model_load=True,
            minimum_deployment_target=target(ios),
            **options,
        )


def saved(converted: Any, folder: Path, name: str = "tiny") -> Path:
    file = folder / f"{name}.mlpackage"
    converted.save(str(file))
    return file


def evaluated(build: Callable, *arrays: Any, ios: int = 17) -> tuple[np.ndarray, ...]:
    """What the evaluator makes of the saved program, for these inputs."""
    named = {f"input_{i}": np.asarray(a) for i, a in enumerate(arrays)}
    with tempfile.TemporaryDirectory() as folder:
        loaded = Evaluator(saved(model(build, named, ios=ios), Path(folder)))
    return loaded(*[a.astype(numpy_name(plain(a.dtype))) for a in named.values()])


def plain(dtype: np.dtype) -> Any:
    """The format in which arrays of this one enter a program."""
    return tools().types.fp32 if dtype.kind == "f" else tools().types.int32


def numpy_name(mil_type: Any) -> str:
    return "float32" if mil_type is tools().types.fp32 else "int32"


def mil_name(dtype: np.dtype) -> str:
    return {"float16": "fp16", "float32": "fp32"}.get(dtype.name, dtype.name)


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


def check(name: str, make: Maker, seed: int) -> None:
    """The operator that `name` begins with gives what is expected: formats, shapes, values.

    A list of arrays is an input of several values (those of concat).
    """
    case = make(np.random.default_rng(seed))
    flat = [a for v in case.arrays.values() for a in (v if isinstance(v, list) else [v])]
    formats: list[str] = []

    def build(mb: Any, *variables: Any) -> list[Any]:
        left = list(variables)
        given = {
            k: tuple(left.pop(0) for _ in v) if isinstance(v, list) else left.pop(0)
            for k, v in case.arrays.items()
        }
        made = getattr(mb, op_of(name))(**given, **case.attributes)
        made = list(made) if isinstance(made, list | tuple) else [made]
        formats.extend(tools().types.builtin_to_string(v.dtype) for v in made)
        return [
            v if f in ("fp32", "int32") else mb.cast(x=v, dtype="fp32" if f == "fp16" else "int32")
            for v, f in zip(made, formats, strict=True)
        ]

    found = evaluated(build, *flat, ios=case.ios)
    expected = case.expected if isinstance(case.expected, list | tuple) else [case.expected]
    assert len(found) == len(expected)
    for a, b, kind in zip(found, map(np.asarray, expected), formats, strict=True):
        assert a.shape == b.shape
        assert kind == mil_name(b.dtype), "coremltools declares another format"
        near = 1e-3 if kind == "fp16" else case.tolerance
        wide = [np.asarray(v, np.float64) for v in (a, b)]
        np.testing.assert_allclose(*wide, rtol=near, atol=near)
