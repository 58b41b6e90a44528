"""convert(): a model in, verified artifacts out. Reads top to bottom; children do the heavy work.

build, export, float64 reference ── per target, side by side: lower ── place ── verify ── publish
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import digest, sandbox
from ..converters.artifact import Artifact, Session
from ..converters.card import Card, card_of
from ..converters.target import TARGETS, Placement, find, require
from ..converters.tools import tools
from ..converters.verify import NOT_EXECUTED, REJECTED, SKIPPED, Agreement, agreement
from ..errors import ChildError, Disagreement, EdgevitError
from ..lookup import lookup
from ..recipe import Recipe
from ..reference import Reference
from ..staging import explained, publish, remove, staging
from .prepared import PROGRAM, REFERENCE, Limits, prepare_live, prepare_recipe
from .reuse import Job, key_of, refuse_strangers, unchanged

__all__ = ["Limits", "Outcome", "Watch", "as_json", "convert"]

Watch = Callable[[str, str], None]  # told the job ("executorch fp32") and its stage ("lower")


@dataclass(frozen=True)
class Outcome:
    """What became of a job: an artifact, fresh or found unchanged, or the error that ended it."""

    job: Job
    artifact: Artifact | None = None
    unchanged: bool = False
    error: EdgevitError | None = None


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
    wanted = [
        Job(t, r, out / (r.stem + find(t).suffix))
        for t in dict.fromkeys(to)
        for r in (replace(recipe, precision=p) for p in dict.fromkeys(precisions))
    ]
    refuse_strangers(out, wanted, force=force)
    done: dict[Job, Outcome] = {}
    for job in wanted:
        try:
            require(job.target, find(job.target).needs)
            if job.recipe.precision not in find(job.target).executes:
                lookup("precision", job.recipe.precision, find(job.target).executes)
        except EdgevitError as e:
            done[job] = Outcome(job, error=e)
        else:
            if model is None and (found := unchanged(job, labels, verify=verify)):
                done[job] = Outcome(job, found, unchanged=True)
    todo = [job for job in wanted if job not in done]
    if todo:
        with staging(out) as work:
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
                raise type(e)(_keep_log(str(e), work / "model.log", todo[0])) from e
            watch("model", "done")
            make = _Maker(work, out, facts, labels, limits, watch, verify, keyed=model is None)
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


@dataclass(frozen=True)
class _Maker:
    """Makes one job's artifact from the prepared model; called side by side."""

    work: Path
    out: Path
    facts: dict[str, Any]
    labels: Sequence[str] | None
    limits: Limits
    watch: Watch
    verify: bool
    keyed: bool
    stopped: threading.Event = field(default_factory=threading.Event)

    def __call__(self, job: Job) -> Outcome:
        folder = self.work / job.title.replace(" ", "-")
        folder.mkdir()
        log = folder / "log"
        try:
            with explained(self.out):
                artifact = self._make(job, folder / job.place.name, log)
        except EdgevitError as e:
            if self.stopped.is_set():  # ended by Ctrl-C: its log tells nothing
                return Outcome(job, error=e)
            self.watch(job.title, "failed")
            said = _keep_log(_keep_log(str(e), log, job), log.with_name("run.log"), job)
            return Outcome(job, error=type(e)(f"{job.title}: {said}"))
        self.watch(job.title, "done")
        return Outcome(job, artifact)

    def _make(self, job: Job, made: Path, log: Path) -> Artifact:
        self.watch(job.title, "lower")
        with self.limits.child(log) as child:
            child.call(
                "edgevit.converters.lowering:lower",
                target=job.target,
                program=self.work / PROGRAM,
                file=made,
                precision=job.recipe.precision,
                ios=job.recipe.ios,
            )
            self.watch(job.title, "place")
            placed = child.call(
                "edgevit.converters.lowering:placement", target=job.target, file=made
            )
        self.watch(job.title, "verify")
        agreed = self._agreement(job, made, log)
        if self.stopped.is_set():
            raise EdgevitError("stopped by Ctrl-C")
        card = Card(
            artifact={
                "file": job.place.name,
                "sha256": digest.of(made),
                "bytes": digest.size_bytes(made),
            },
            target=job.target,
            executes=find(job.target).executes[job.recipe.precision],
            recipe=job.recipe.as_dict(),
            model=self.facts["facts"],
            weights_sha256=self.facts["weights_sha256"],
            sources=self.facts["sources"],
            preprocess=self.facts["preprocess"],
            labels=list(self.labels) if self.labels else None,
            agreement=agreed,
            placement=Placement(**placed) if placed else None,
            tools=tools(job.target),
            key=key_of(job, self.labels) if self.keyed else None,
        )
        if agreed.status == REJECTED:
            aside = job.place.with_name(job.place.name + ".rejected")
            _place(made, aside, card)
            raise Disagreement(f"{agreed}; the file is kept as {aside}")
        _place(made, job.place, card)
        for stale in (".log", ".rejected", ".rejected.json"):  # of a try that failed before
            remove(job.place.with_name(job.place.name + stale))
        return Artifact.read(job.place)

    def _agreement(self, job: Job, made: Path, log: Path) -> Agreement:
        if not find(job.target).runs_here:
            return Agreement(NOT_EXECUTED)
        if not self.verify:
            return Agreement(SKIPPED)
        reference = Reference.load(self.work / REFERENCE)
        names = [port["name"] for port in self.facts["facts"]["outputs"]]
        with Session(
            made,
            job.target,
            threads=1,
            timeout_s=self.limits.timeout_s,
            memory_bytes=self.limits.memory_bytes,
            log=log.with_name("run.log"),
        ) as session:
            found = [session(*row) for row in reference.inputs]
        return agreement(reference, found, precision=job.recipe.precision, names=names)


def _keep_log(message: str, log: Path, job: Job) -> str:
    """Move a log that the message names out of the scratch folder; the message, corrected."""
    if str(log) not in message:
        return message
    kept = job.place.with_name(job.place.name + ".log")
    shutil.move(log, kept)
    return message.replace(str(log), str(kept))


def _place(made: Path, place: Path, card: Card) -> None:
    """Publish a file after its card: a lone card is ours, a lone file is a stranger's."""
    card.write(card_of(place))
    publish(made, place)


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
