"""tome(): what merging tokens costs and what it gains, in the files that the app would ship.

r        how many tokens merge in each block; 0, the model itself, stands first
faster   its latency against r = 0, interleaved in one session, same runtime and threads
ideal    what its fewer multiplications would give if nothing else took time
same     of how many pictures it names the class that r = 0 names; labelled ones: accuracy
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..converters.artifact import Artifact
from ..converters.target import check_host, require
from ..errors import EdgevitError, InputError
from ..pictures import Picture
from ..preprocess import Preprocess
from ..profiles.compare import Ratio, ratio
from ..profiles.report import contents, html
from ..profiles.run import Run
from ..recipe import Recipe, Tome
from ..template import sharing
from .convert import Limits, convert
from .profile import item_of, session


@dataclass(frozen=True)
class Merged:
    """One r. faster: None for r = 0. same: the share of pictures, right: of labelled ones; or None.

    counts: tokens merged in each block.
    """

    tome: Tome
    artifact: Artifact
    counts: tuple[int, ...]
    run: Run
    ideal: float
    faster: Ratio | None = None
    same: float | None = None
    right: float | None = None

    def drop(self, plain: "Merged") -> float | None:
        """Points of accuracy lost against the model itself; without labels, of sameness."""
        if self.right is not None and plain.right is not None:
            return 100 * (plain.right - self.right)
        return None if self.same is None else 100 * (1 - self.same)


def tome(
    recipe: Recipe,
    counts: Sequence[Tome],
    *,
    target: str,
    out: Path,
    pictures: Sequence[Picture] = (),
    threads: int = 1,
    rounds: int = 30,
    device: str = "",
    limits: Limits = Limits(),
    model: tuple[Any, Sequence[Any]] | None = None,
    watch: Callable[[str, str], None] = lambda job, stage: None,
) -> list[Merged | EdgevitError]:
    """The model itself and then each of `counts`; one that fails is the error that ended it."""
    require(target, check_host(target).needs)
    tried = [0, *(c for c in dict.fromkeys(counts) if c != 0)]
    made: list[Artifact | EdgevitError] = []
    with sharing():
        for count in tried:

            def told(job: str, stage: str, r: Tome = count) -> None:
                watch(f"r = {r}, {job}", stage)

            (outcome,) = convert(
                replace(recipe, tome=count or None),
                to=[target],
                out=out,
                precisions=[recipe.precision],
                limits=limits,
                model=model,
                watch=told,
            )
            if outcome.error and not count:
                raise outcome.error
            made.append(outcome.artifact or outcome.error)  # type: ignore[arg-type]
    files = [a for a in made if isinstance(a, Artifact)]
    runs = iter(
        session(
            [item_of(a) for a in files],
            job="measure",
            watch=watch,
            threads=threads,
            rounds=rounds,
            device=device,
        )
    )
    found: list[Merged | EdgevitError] = []
    answers: list[np.ndarray] = []
    for count, artifact in zip(tried, made, strict=True):
        run = next(runs) if isinstance(artifact, Artifact) else artifact
        if not isinstance(artifact, Artifact) or not isinstance(run, Run):
            if not found:  # nothing to compare with
                raise run  # type: ignore[misc]
            found.append(run)  # type: ignore[arg-type]
            continue
        assert artifact.card
        row = Merged(count, artifact, tuple(artifact.card.model.get("merged", ())), run, 1.0)
        if pictures:
            watch("pictures", f"r = {count}")
            answers.append(_classes(artifact, pictures))
            row = replace(
                row,
                same=float(np.mean(answers[-1] == answers[0])),
                right=_right(answers[-1], pictures),
            )
        if found:
            base = found[0]
            assert isinstance(base, Merged)
            macs = [float(r.artifact.card.model["macs"]) for r in (base, row)]  # type: ignore[union-attr]
            row = replace(row, ideal=macs[0] / macs[1], faster=ratio(base.run, run))
        found.append(row)
    watch("pictures", "done")
    return found


def within(
    rows: Sequence[Merged], *, max_drop: float | None, min_faster: float | None
) -> Merged | None:
    """The fastest row that loses no more points than `max_drop`, or of those that are `min_faster`
    times as fast the one that loses least; None where none is.
    """
    plain = rows[0]
    if max_drop is None and min_faster is None:
        return None
    kept = [
        r
        for r in rows[1:]
        if (max_drop is None or (r.drop(plain) or 0) <= max_drop)
        and (min_faster is None or (r.faster and r.faster.value >= min_faster))
        and r.faster
        and r.faster.verdict == "faster"
    ]
    if min_faster is not None:
        return min(kept, key=lambda r: r.drop(plain) or 0, default=None)
    return max(kept, key=lambda r: r.faster.value if r.faster else 0, default=None)


def _classes(artifact: Artifact, pictures: Sequence[Picture]) -> np.ndarray:
    """The class that the file names for each picture."""
    assert artifact.card
    if artifact.card.preprocess is None:
        raise InputError(f"{artifact.path} says nothing of images: its card has no preprocessing")
    prepare = Preprocess.from_dict(artifact.card.preprocess)
    with artifact.open() as session:
        return np.array([np.argmax(session(prepare.apply(p.file))[0]) for p in pictures])


def _right(answers: np.ndarray, pictures: Sequence[Picture]) -> float | None:
    if any(p.label is None for p in pictures):
        return None
    return float(np.mean(answers == [p.label for p in pictures]))


def page(file: Path, title: str, rows: Sequence[Merged]) -> None:
    """The report of these files: speed, and accuracy over it where there are labels."""
    top1_pct = {r.artifact.path.name: 100 * r.right for r in rows if r.right is not None}
    pairs = [(r.artifact, [r.run]) for r in rows]
    found = contents.gather(pairs, left_out={}, top1_pct=top1_pct)
    html.write(file, contents=found, title=f"{title}, tokens merged")
