"""An .mlpackage on disk: its manifest, the model it names, and the function of it to run."""

import json
import os
from pathlib import Path
from typing import Any

from edgevit.errors import ArtifactError

from .protobuf import classes
from .values import Weights

OPSETS = ("CoreML5", "CoreML6", "CoreML7", "CoreML8")  # iOS 15 to 18


def read(file: Path, function: str = "") -> tuple[Any, Any, Weights]:
    """(function, its block, the weights): the named function, or the package's default one.

    ArtifactError, in one sentence, where the package is damaged or holds no program for iOS 15–18.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    model = _model_file(file)
    spec = classes().Model_pb2.Model()
    try:
        spec.ParseFromString(model.read_bytes())
    except DecodeError:
        raise ArtifactError(f"{file} is damaged: {model.name} is no Core ML model") from None
    kind = spec.WhichOneof("Type")
    if kind != "mlProgram":
        raise ArtifactError(
            f"{file} holds a {kind or 'model of no kind'}, not an ML Program; convert it again for "
            "iOS 15 or newer"
        )
    functions = spec.mlProgram.functions
    name = function or spec.description.defaultFunctionName or "main"
    if name not in functions:
        known = ", ".join(map(repr, sorted(functions))) or "none"
        raise ArtifactError(f"{file} has no function {name!r}; there are: {known}")
    found = functions[name]
    if found.opset not in OPSETS:
        raise ArtifactError(
            f"{file} is of opset {found.opset!r}, which edgevit does not know: only "
            f"{OPSETS[0]} to {OPSETS[-1]}"
        )
    if found.opset not in found.block_specializations:
        raise ArtifactError(f"{file} is damaged: no block for its opset {found.opset}")
    return found, found.block_specializations[found.opset], Weights(model.parent)


def _model_file(file: Path) -> Path:
    """The file that the manifest names as the model, inside the package."""
    manifest, data = file / "Manifest.json", file / "Data"
    try:
        content = json.loads(manifest.read_bytes())
        path = content["itemInfoEntries"][content["rootModelIdentifier"]]["path"]
        found = (data / path).resolve()
    except OSError:
        raise ArtifactError(f"{file} is damaged: it has no Manifest.json to be read") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ArtifactError(f"{file} is damaged: its Manifest.json names no model") from None
    there = os.path.isfile(found)  # noqa: PTH113  (Path.is_file raises where a name is too long)
    if not there or not found.is_relative_to(data.resolve()):
        raise ArtifactError(f"{file} is damaged: its model {path[:80]!r} is missing")
    return found
