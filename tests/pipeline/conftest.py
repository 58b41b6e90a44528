"""Fakes for the pipeline: children whose calls run here, and targets that are at fault.

A target made up for a test exists in this process only, so its children must be fakes too.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevit.converters import artifact
from edgevit.converters.null import LoadedProgram, Null
from edgevit.converters.target import TARGETS
from edgevit.errors import ChildDied, ChildError
from edgevit.pipeline import prepared
from edgevit.pipeline.convert import convert
from edgevit.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.drop(self.linear(x)), x.sum(1)


class InProcess:
    """A fake child: calls run here."""

    def __init__(self, *, log: Path | None = None, **limits: object) -> None:
        self.log = log

    def call(self, function: str, **arguments: object) -> object:
        module, name = function.split(":")
        arguments = {k: str(v) if isinstance(v, Path) else v for k, v in arguments.items()}
        try:
            return getattr(importlib.import_module(module), name)(**arguments)
        except RuntimeError as e:  # a library's, which does not cross a process border
            raise ChildError(f"RuntimeError: {e}") from e

    def close(self) -> None:
        pass

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Wrong(Null):
    """A faulty converter: the second output is off by a thousandth."""

    suffix = ".wrong"

    def load(self, file: Path, *, threads: int = 1):
        loaded = LoadedProgram(file, threads)

        def run(*arrays):
            first, second = loaded(*arrays)
            return first, second * np.float32(1.001)

        run.inputs = loaded.inputs
        return run


class Dying(Null):
    """A converter that takes its process down, and leaves words in the log."""

    suffix = ".dying"

    def lower(self, program, file: Path, *, precision: str, ios: int) -> None:
        (file.parent / "log").write_text("last words")
        raise ChildDied(f"the process died of SIGSEGV in lower (log: {file.parent / 'log'})")


class Interrupted(Null):
    """Ctrl-C while this converter works."""

    suffix = ".interrupted"

    def lower(self, program, file: Path, *, precision: str, ios: int) -> None:
        raise KeyboardInterrupt


class Absent(Null):
    suffix = ".absent"
    needs = ("a_package_that_is_not_there",)


class Fond(Null):
    """A target that wants its sums rewritten, and runs them."""

    suffix = ".fond"
    rewrites = ("pooling",)


class Averse(Fond):
    """A runtime that dies of a rewritten graph: sums must have stayed sums."""

    suffix = ".averse"

    def lower(self, program, file: Path, *, precision: str, ios: int) -> None:
        if not any("sum" in str(node.target) for node in program.exported.graph.nodes):
            raise ChildDied("the process died of SIGSEGV in lower")
        super().lower(program, file, precision=precision, ios=ios)


class Unable(Averse):
    """One that dies of every graph."""

    suffix = ".unable"

    def lower(self, program, file: Path, *, precision: str, ios: int) -> None:
        super().lower(program, file, precision=precision, ios=ios)
        raise ChildDied("the process died of SIGABRT")


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(prepared, "Child", InProcess)
    monkeypatch.setattr(artifact, "Child", InProcess)
    for kind in (Wrong, Dying, Interrupted, Absent, Fond, Averse, Unable):
        module = ModuleType(f"fake_{kind.__name__}")
        module.target = kind
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(TARGETS, kind.__name__.lower(), module.__name__)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net(), (torch.linspace(-1, 1, 12).reshape(2, 6),)


@pytest.fixture
def run(fakes, net) -> Callable:
    """Convert a live model to fake and real targets, one at a time."""

    def run(out: Path, *to: str, model=net, **settings):
        return convert(Recipe("net"), to=to, out=out, model=model, jobs=1, **settings)

    return run
