"""explain(): where an artifact's graph runs and why, read from the file in a child process.

lint(explain(file), "ane") of converters.lint holds it against what an accelerator refuses.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from ..converters.explain import Explanation, check
from ..recipe import Recipe
from ..sandbox import Child
from .convert import convert
from .prepared import Limits


def explain(artifact: Path | str, *, limits: Limits = Limits()) -> Explanation:
    """Of any .pte, .tflite, .onnx or .mlpackage, also one that edgevit did not write."""
    file = Path(artifact)
    check(file)
    with Child(timeout_s=limits.timeout_s, memory_bytes=limits.memory_bytes) as child:
        return Explanation.from_dict(child.call("edgevit.converters.explain:read", file=file))


def explain_model(
    recipe: Recipe | str,
    *,
    to: str,
    precision: str = "fp32",
    limits: Limits = Limits(),
    watch: Callable[[str, str], None] = lambda job, stage: None,
) -> Explanation:
    """Convert to `to` in a folder that vanishes, unverified, and explain what came out."""
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
        (outcome,) = convert(
            recipe,
            to=[to],
            out=Path(scratch) / "out",
            precisions=[precision],
            verify=False,
            limits=limits,
            jobs=1,
            watch=watch,
        )
        if outcome.error:
            raise outcome.error
        assert outcome.artifact is not None  # without an error there is one
        return explain(outcome.artifact.path, limits=limits)
