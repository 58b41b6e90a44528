"""rep(): what folding training-time structure changes in a model, and gains in each runtime.

in a child     the model folded in float64, with its proof
per target     the file without the rules that fold, all others applied ── and the file that
               `convert` makes ── run interleaved
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..converters.artifact import Artifact
from ..converters.card import card_of
from ..converters.folding import Folding
from ..converters.target import check_host, require
from ..errors import EdgevitError, sound
from ..profiles.compare import Ratio, ratio
from ..profiles.run import Run
from ..recipe import Recipe
from ..template import sharing
from .convert import Limits, convert
from .make import Watch
from .profile import item_of, session


@dataclass(frozen=True)
class Timed:
    """One target. artifact: the folded file. faster: how many times as fast it is."""

    target: str
    artifact: Artifact
    before: Run
    after: Run
    faster: Ratio


def rep(
    recipe: Recipe,
    *,
    to: Sequence[str] = (),
    out: Path = Path("rep"),
    threads: int = 1,
    rounds: int = 30,
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> tuple[Folding, list[Timed | EdgevitError]]:
    """The folding, and for each target its times or the error that ended it.

    out: where the files go, into before/ and after/.
    """
    for target in to:
        require(target, check_host(target).needs)
    with sharing():
        with limits.child() as child:
            watch("model", "build, fold in float64, prove")
            found = child.call(
                "edgevit.converters.reparameterize:of_recipe", recipe=recipe.as_dict()
            )
            watch("model", "done")
            others = {
                target: child.call(
                    "edgevit.converters.reparameterize:others", target=target, costs=recipe.costs
                )
                for target in to
            }
        files = [_files(recipe, t, names, out, limits, watch) for t, names in others.items()]
    timed = [
        made if isinstance(made, EdgevitError) else _timed(target, made, threads, rounds, watch)
        for target, made in zip(others, files, strict=True)
    ]
    return Folding.from_dict(found), timed


def _files(
    recipe: Recipe, target: str, others: list[str], out: Path, limits: Limits, watch: Watch
) -> list[Artifact] | EdgevitError:
    """Before and after; all are made before the first is timed."""
    files = []
    for name, rewrites in (("before", tuple(others)), ("after", recipe.rewrites)):

        def told(job: str, stage: str, name: str = name) -> None:
            watch(f"{name}, {job}", stage)

        (outcome,) = convert(
            replace(recipe, rewrites=rewrites),
            to=[target],
            out=out / name,
            precisions=[recipe.precision],
            limits=limits,
            watch=told,
        )
        if outcome.artifact is None:
            assert outcome.error
            return outcome.error
        files.append(outcome.artifact)
    return files


def _timed(
    target: str, files: list[Artifact], threads: int, rounds: int, watch: Watch
) -> Timed | EdgevitError:
    """Both files of a target, in rounds of one session."""
    items, job = [item_of(artifact) for artifact in files], f"measure {target}"
    try:
        before, after = sound(session(items, job=job, watch=watch, threads=threads, rounds=rounds))
    except EdgevitError as e:
        return e
    return Timed(target, files[1], before, after, ratio(before, after))


def left_out(row: Timed, out: Path) -> Path:
    """Remove the folded file of a target that folding makes slower; the costs that leave it out.

    A file for `convert --costs`: what edgevit knows of the target, and this speed for each rule
    that folds, so that none of them is applied.
    """
    from ..converters.rewrites import FOLDING
    from ..converters.rewrites.choice import Costs
    from ..converters.rewrites.rule import rules

    known, speed = Costs.of(row.target), (row.faster.value, row.faster.low, row.faster.high)
    every = {rule.name: speed for rule in rules(FOLDING)}
    file = out / f"{row.target}-costs.toml"
    file.write_text(Costs(known.measured, known.speed | every).as_toml())
    for made in (row.artifact.path, card_of(row.artifact.path)):
        made.unlink(missing_ok=True)
    return file
