"""Tiny ML Programs, written by coremltools as they are said and read back by the evaluator."""

import gc
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """The converted model of `build(mb, *inputs)`, every operator as it was written: no pass runs.

    half: arrays of float16 enter as they are, too, which iOS 15 does not know.
    """
    t = tools()
    options = {
        "compute_precision": t.ct.precision.FLOAT32,
        "pass_pipeline": t.ct.PassPipeline.EMPTY,
    } | options
    program = t.mil.Program()
    as_is = (*PLAIN, "float16") if half else PLAIN
    held = {}
    for name, a in arrays.items():
        kind = a.dtype.type if a.dtype.name in as_is else plain(a.dtype)
        mil_type = t.types.numpy_type_to_builtin_type(kind)
        held[name] = t.mb.placeholder(shape=a.shape, dtype=mil_type)
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


def answer(file: Path, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return Evaluator(file)(*[a.astype(plain(a.dtype)) for a in arrays.values()])


def evaluated(build: Callable, *arrays: Any, ios: int = 17) -> tuple[np.ndarray, ...]:
    """What the evaluator makes of the saved program, for these inputs."""
    named = {f"input_{i}": np.asarray(a) for i, a in enumerate(arrays)}
    with tempfile.TemporaryDirectory() as folder:
        return answer(saved(model(build, named, ios=ios), Path(folder)), named)


def plain(dtype: np.dtype) -> type:
    """The format in which arrays of this one enter a program."""
    return np.float32 if dtype.kind == "f" else np.int32


def mil_name(dtype: np.dtype) -> str:
    return {"float16": "fp16", "float32": "fp32"}.get(dtype.name, dtype.name)
