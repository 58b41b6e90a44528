"""convert(): a model in, verified artifacts out. Reads top to bottom; children do the heavy work.

build, export, float64 reference ── per target, side by side: lower ── place ── verify ── publish
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import sandbox
from ..converters.target import TARGETS, calibrates, check_precision, find, require
from ..errors import ChildError, EdgevitError
from ..lookup import lookup
from ..recipe import INTEGER, Recipe
from ..staging import explained, staging
from ..template import sharing
from .make import Maker, Outcome, Watch, keep_log
from .prepared import Limits, prepare_live, prepare_recipe
from .reuse import Job, refuse_strangers, unchanged

__all__ = ["Limits", "Outcome", "Watch", "as_json", "convert"]


def convert(
    recipe: Recipe | str,
    *,
    to: Sequence[str],
    out: Path | str,
    precisions: Sequence[str] = ("fp32",),
    labels: Sequence[str] | None = None,
    verify: bool = True,
    force: bool = False,
    limits: Limits = Limits(),
    jobs: int | None = None,
    watch: Watch = lambda job, stage: None,
    model: tuple[Any, Sequence[Any]] | None = None,
) -> list[Outcome]:
    """Convert to every target in `to` and every precision, verify, and put the files into `out`.

    recipe: or just a model's name. model: a module and its example inputs (a tuple of tensors),
    converted under the recipe's name in place of the model of that name; never cached then.
    jobs: how many targets at a time (all cores). Raises what concerns all jobs; what concerns one
    is in its Outcome, and the others still finish.
    """
    out = Path(out)
    recipe = (Recipe(recipe) if isinstance(recipe, str) else recipe).absolute()
    for target in to:
        lookup("target", target, TARGETS)
    if recipe.costs:
        from ..converters.rewrites.choice import Costs

        Costs.read(Path(recipe.costs))  # before the minute that the model may take
    wanted = [
        Job(t, r, out / (r.stem + find(t).suffix))
        for t in dict.fromkeys(to)
        for r in (_of(recipe, t, p) for p in dict.fromkeys(precisions))
    ]
    refuse_strangers(out, wanted, force=force)
    done: dict[Job, Outcome] = {}
    for job in wanted:
        try:
            require(job.target, find(job.target).needs)
            check_precision(job.target, job.recipe.precision)
        except EdgevitError as e:
            done[job] = Outcome(job, error=e)
        else:
            if model is None and (found := unchanged(job, labels, verify=verify)):
                done[job] = Outcome(job, found, unchanged=True)
    todo = [job for job in wanted if job not in done]
    if todo:
        with sharing(), staging(out) as work:
            watch("model", "build, export, float64 reference")
            needed = sorted({job.recipe.precision for job in todo})
            try:
                with explained(out):
                    facts = (
                        prepare_recipe(recipe, needed, work, limits)
                        if model is None
                        else prepare_live(model, recipe, needed, work)
                    )
            except ChildError as e:
                raise type(e)(keep_log(str(e), work / "model.log", todo[0])) from e
            watch("model", "done")
            make = Maker(work, out, facts, labels, limits, watch, verify, keyed=model is None)
            with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
                futures = [pool.submit(make, job) for job in todo]
                try:
                    done |= {job: f.result() for job, f in zip(todo, futures, strict=True)}
                except BaseException:
                    make.stopped.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    while not all(f.done() for f in futures):
                        sandbox.close_all()  # again and again: a job may just be starting one
                        time.sleep(0.05)
                    raise
    return [done[job] for job in wanted]


def _of(recipe: Recipe, target: str, precision: str) -> Recipe:
    """The recipe of one job, without what is of no concern to its precision."""
    chosen: dict[str, Any] = {"precision": precision}
    if not calibrates(target, precision):
        chosen |= {"calibrate": None, "samples": Recipe.samples}
    if precision not in INTEGER:
        chosen |= {"keep": ()}
    return replace(recipe, **chosen)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An Outcome for machines."""
    artifact, error = outcome.artifact, outcome.error
    return {
        "target": outcome.job.target,
        "precision": outcome.job.recipe.precision,
        "path": str(artifact.path) if artifact else None,
        "unchanged": outcome.unchanged,
        "card": asdict(artifact.card) if artifact and artifact.card else None,
        "error": {"kind": type(error).__name__, "message": str(error)} if error else None,
    }
