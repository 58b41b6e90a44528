"""What already lies in the output folder: ours and unchanged, ours and stale, or not ours."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import digest
from ..converters.artifact import ASIDE, Artifact
from ..converters.card import card_of
from ..converters.target import TARGETS, find
from ..converters.tools import tools
from ..converters.verify import SKIPPED
from ..errors import EdgevitError, OutputError
from ..pictures import pictures_in
from ..recipe import Recipe


@dataclass(frozen=True)
class Job:
    """One file to make: a target, a recipe and the place the file goes."""

    target: str
    recipe: Recipe
    place: Path

    @property
    def title(self) -> str:
        return f"{self.target} {self.recipe.precision}"


def refuse_strangers(out: Path, jobs: Sequence[Job], *, force: bool) -> None:
    """OutputError when writing would touch what edgevit did not make."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"-o {out} is a file; name a folder")
    if force or not out.is_dir():
        return
    for job in jobs:
        if job.place.exists() and not card_of(job.place).exists():
            raise OutputError(
                f"{job.place} exists and has no edgevit card: it is not ours to replace; "
                "choose another -o, or pass --force"
            )
    # m.pte.json, m.pte.log, m.pte.rejected: what an artifact, or a job that failed, leaves.
    suffixes = {find(name).suffix for name in TARGETS}
    ours = any(
        f.suffix in (".json", ".log", ASIDE) and Path(f.stem).suffix in suffixes
        for f in out.iterdir()
    )
    if not ours and any(not f.name.startswith(".") for f in out.iterdir()):
        raise OutputError(
            f"the folder {out} holds other things and no edgevit artifact; choose another -o, "
            "or pass --force"
        )


def unchanged(job: Job, labels: Sequence[str] | None, *, verify: bool) -> Artifact | None:
    """The artifact already in place, when nothing that decides it has changed."""
    if ".py:" in (job.recipe.calibrate or ""):
        return None  # what a function reads, only the function knows
    try:
        found = Artifact.read(job.place)
    except EdgevitError:
        return None
    card = found.card
    assert card is not None  # `read` demands one
    same = card.key == key_of(job, labels) and all(
        Path(f).is_file() and digest.of(Path(f)) == sha for f, sha in card.sources.items()
    )
    return found if same and not (verify and card.agreement.status == SKIPPED) else None


def key_of(job: Job, labels: Sequence[str] | None) -> str:
    """Digest of all that decides the file: recipe, weights, user's code, tools, edgevit itself."""
    files = (job.recipe.weights, job.recipe.costs, job.recipe.user_file)
    parts = [
        job.recipe.as_dict(),
        job.target,
        tools(job.target),
        digest.of_edgevit(),
        [digest.of(Path(f)) for f in files if f and Path(f).is_file()],
        _calibrated_on(job.recipe.calibrate),
        list(labels) if labels else None,
    ]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _calibrated_on(source: str | None) -> Any:
    """What tells the inputs of --calibrate from others, without reading each picture."""
    place = Path(source or "")
    if source and place.is_dir():
        stats = [(p.file, p.file.stat()) for p in pictures_in(place, "--calibrate")]
        return [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in stats]
    return digest.of(place) if source and place.is_file() else None
