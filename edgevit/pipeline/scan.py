"""scan(): what of a model fp16 cannot hold, before and after the cures, in a child process."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..converters.fp16 import CERTAIN, Finding
from ..pictures import pictures_in
from ..recipe import Recipe
from ..reference import PROGRAM, REFERENCE
from .prepared import Limits, prepare_recipe


@dataclass(frozen=True)
class Scan:
    """before, after: findings of the model as exported, and once rewritten for fp16.

    error_before, error_after: of emulated fp16, relative to the largest output; None is NaN or
    infinity. images: how many inputs the ranges were taken over.
    """

    before: tuple[Finding, ...]
    after: tuple[Finding, ...]
    error_before: float | None
    error_after: float | None
    images: int

    def cured(self, finding: Finding) -> bool:
        """Whether nothing of the kind is left in the finding's module."""
        return all((f.module, f.kind) != (finding.module, finding.kind) for f in self.after)

    @property
    def islands(self) -> tuple[str, ...]:
        """Modules to be kept in fp32: what is certain to go wrong there has no cure."""
        left = (f.module for f in self.after if f.kind in CERTAIN)
        return tuple(dict.fromkeys(left)) if not self.safe else ()

    @property
    def safe(self) -> bool:
        """Whether fp16 costs no more than a hundredth of the largest output once cured."""
        return self.error_after is not None and self.error_after < 0.01


def scan(
    recipe: Recipe,
    *,
    images: Path | None = None,
    limits: Limits = Limits(),
    watch: Callable[[str, str], None] = lambda job, stage: None,
) -> Scan:
    """images: a folder of pictures to take ranges over, beside the sixteen inputs of `verify`."""
    pictures = pictures_in(images, "--images") if images else []
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
        folder = Path(scratch)
        watch("model", "build, export")
        facts = prepare_recipe(recipe, ["fp16"], folder, limits)
        watch("model", "run in fp16")
        with limits.child(folder / "log") as child:
            found: dict[str, Any] = child.call(
                "edgevit.converters.fp16:examine",
                program=folder / PROGRAM,
                reference=folder / REFERENCE,
                preprocess=facts["preprocess"],
                images=[str(p.file) for p in pictures],
            )
        watch("model", "done")
    return Scan(
        tuple(Finding(**f) for f in found["before"]),
        tuple(Finding(**f) for f in found["after"]),
        found["error_before"],
        found["error_after"],
        found["images"],
    )
