"""Packages changed after they were saved, and the one sentence that refuses each."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import model, saved

from edgevit.converters.mil.evaluate import Evaluator
from edgevit.errors import ArtifactError


def tiny(folder: Path, *, ios: int = 17) -> Path:
    """Weights in a file of their own, constants of several kinds, two operators that read them."""
    weight = np.linspace(-1, 1, 4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3)

    def build(mb, x):
        held = mb.const(val=weight, name="p_stem_weight")
        y = mb.conv(x=x, weight=held, pad_type="custom", pad=[1, 1, 1, 1], name="first")
        return mb.softmax(x=mb.relu(x=y, name="middle"), axis=1, name="last")

    given = {"x": np.zeros((1, 3, 4, 4), np.float32)}
    return saved(model(build, given, ios=ios), folder)


def model_file(package: Path) -> Path:
    (found,) = package.rglob("*.mlmodel")
    return found


def weights_file(package: Path) -> Path:
    (found,) = package.rglob("weight.bin")
    return found


@contextmanager
def edited(package: Path) -> Iterator[Any]:
    """The package's model, written back as it is left."""
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model()
    spec.ParseFromString(model_file(package).read_bytes())
    yield spec
    model_file(package).write_bytes(spec.SerializeToString())


@contextmanager
def edited_manifest(package: Path) -> Iterator[dict[str, Any]]:
    file = package / "Manifest.json"
    content = json.loads(file.read_text())
    yield content
    file.write_text(json.dumps(content))


def block_of(spec: Any) -> Any:
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return block


def operation(spec: Any, name: str) -> Any:
    """The operation whose first output has this name."""
    (found,) = (o for o in block_of(spec).operations if o.outputs[0].name == name)
    return found


def answers(package: Path, function: str = "") -> tuple[np.ndarray, ...]:
    loaded = Evaluator(package, function)
    return loaded(*[np.zeros(p.shape, p.dtype) for p in loaded.inputs])


def sentence(package: Path, function: str = "") -> str:
    """Why it is refused when it is opened or called: one line, which begins with its path."""
    with pytest.raises(ArtifactError) as caught:
        answers(package, function)
    said = str(caught.value)
    assert said.startswith(str(package))
    said = said.removeprefix(str(package))
    assert said.isprintable(), "no line breaks, nor anything that a terminal would obey"
    assert 10 < len(said) <= 402
    return said
