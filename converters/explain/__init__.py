"""Why a file runs the way it does, read from the file alone: no card, no model, no device.

`read` finds the reader by the file's suffix; heavy and fallible, so callers run it in a child.
"""

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgevit.errors import ArtifactError, EdgevitError

from ..target import find
from .explanation import Explanation

__all__ = ["READERS", "Explanation", "check", "read"]

# A reader is a file of this folder with `explain(file) -> Explanation`.
READERS = {
    ".pte": ("executorch", "pte"),
    ".tflite": ("tflite", "tflite"),
    ".onnx": ("onnx", "onnx"),
    ".mlpackage": ("coreml", "mlpackage"),
}


def check(file: Path) -> str:
    """The target of the artifact at `file`; ArtifactError where there is none to be explained."""
    if not file.exists():
        raise ArtifactError(f"no artifact at {file}; check the path")
    if file.suffix not in READERS:
        raise ArtifactError(
            f"{file} cannot be explained: its name ends in none of {', '.join(READERS)}"
        )
    if file.is_file() and not file.stat().st_size:
        raise ArtifactError(f"{file} is empty; convert it again")
    return READERS[file.suffix][0]


def read(*, file: str) -> dict[str, Any]:
    """The Explanation of an artifact, as plain values: what a child answers."""
    path = Path(file)
    target = check(path)
    reader = importlib.import_module(f"{__package__}.{READERS[path.suffix][1]}")
    try:
        return asdict(reader.explain(path))
    except (EdgevitError, MemoryError):
        raise
    except ImportError as e:
        from ..target import require

        require(target, find(target).needs)
        raise ArtifactError(f"{path} cannot be read: {e}") from None
    except Exception as e:  # parsers of four formats, each with errors of its own
        said = " ".join(str(e).split())[:200]
        raise ArtifactError(
            f"{path} is damaged or no {path.suffix} file: {type(e).__name__}: {said}"
        ) from e
