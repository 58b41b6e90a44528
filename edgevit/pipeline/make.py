"""One job of a conversion: its file lowered, placed, held against float64, and published.

A file that was rewritten and then does not load, computes something else, or leaves operators
outside the delegate is made once more from the graph as torch exported it, and the better one of
the two is kept. The card says which, and why.
"""

import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import digest
from ..converters.artifact import ASIDE, Artifact, Session
from ..converters.card import Card, card_of
from ..converters.stored import FEW
from ..converters.target import Placement, find
from ..converters.tools import tools
from ..converters.verify import REJECTED, SKIPPED, Agreement, agreement
from ..errors import (
    ChildError,
    ChildMemory,
    ChildTimeout,
    Disagreement,
    EdgevitError,
    InputError,
)
from ..reference import PROGRAM, Reference, reference_of
from ..sandbox import Child
from ..staging import explained, publish, remove
from .prepared import Limits
from .refused import explained_refusal
from .reuse import Job, key_of

# What the rewrites did, where the file runs, and how it agrees.
Lowered = tuple[dict[str, Any] | None, dict[str, Any] | None, Agreement]
Watch = Callable[[str, str], None]  # told the job ("executorch fp32") and its stage ("lower")


@dataclass(frozen=True)
class Outcome:
    """What became of a job: an artifact, fresh or found unchanged, or the error that ended it."""

    job: Job
    artifact: Artifact | None = None
    unchanged: bool = False
    error: EdgevitError | None = None


@dataclass(frozen=True)
class Maker:
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
            said = keep_log(keep_log(str(e), log, job), log.with_name("run.log"), job)
            return Outcome(job, error=type(e)(f"{job.title}: {said}"))
        self.watch(job.title, "done")
        return Outcome(job, artifact)

    def _make(self, job: Job, made: Path, log: Path) -> Artifact:
        report, placed, agreed = self._best(job, made, log)
        if self.stopped.is_set():
            raise EdgevitError("stopped by Ctrl-C")
        file = {"file": job.place.name, "sha256": digest.of(made), "bytes": digest.size_bytes(made)}
        if bits := self._stored(job, made, log):
            file["bits"] = bits
        card = Card(
            artifact=file,
            target=job.target,
            executes=find(job.target).executes[job.recipe.precision],
            recipe=job.recipe.as_dict(),
            model={
                k: v
                for k, v in self.facts["facts"].items()
                if k != "calibration_sha256" or job.recipe.calibrate
            },
            weights_sha256=self.facts["weights_sha256"],
            sources=self.facts["sources"],
            preprocess=self.facts["preprocess"],
            labels=list(self.labels) if self.labels else None,
            agreement=agreed,
            rewrites=report,
            placement=Placement(**placed) if placed else None,
            tools=tools(job.target),
            key=key_of(job, self.labels) if self.keyed else None,
        )
        if agreed.status == REJECTED:
            aside = job.place.with_name(job.place.name + ASIDE)
            _place(made, aside, card)
            raise Disagreement(f"{agreed}; the file is kept as {aside}")
        _place(made, job.place, card)
        for stale in (".log", ASIDE, ASIDE + ".json"):  # of a try that failed before
            remove(job.place.with_name(job.place.name + stale))
        return Artifact.read(job.place)

    def _best(self, job: Job, made: Path, log: Path) -> Lowered:
        """The rewritten form, unless it fails or the plain one leaves less outside the delegate."""
        asked = job.recipe.rewrites
        if not (find(job.target).rewrites if asked is None else asked):
            with self.limits.child(log) as child:
                report, placed = self._lowered(child, job, made, log, ())
            return report, placed, self._agreement(job, made, log)
        plain = made.with_name(f"plain-{made.name}")
        report, placed, plain_report, plainly, reason, cut_less = None, None, None, None, "", False
        try:
            with self.limits.child(log) as child:
                report, placed = self._lowered(child, job, made, log, asked)
                if report and report["applied"] and placed and placed["outside"]:
                    with suppress(ChildError, InputError):  # it may lack what is kept
                        plain_report, plainly = self._lowered(child, job, plain, log, ())
            before, after = _cuts(placed), _cuts(plainly)
            cut_less = after < before if plainly else False
            if cut_less:
                reason = f"it has {before} partitions and operators outside them, {after} without"
            else:
                agreed = self._agreement(job, made, log)
                if agreed.status != REJECTED:
                    if report and plainly:
                        report["before"] = plainly["outside"]
                    return report, placed, agreed
                reason = str(agreed)
        except (ChildTimeout, ChildMemory):
            raise
        except ChildError as e:
            if self.stopped.is_set():
                raise
            reason = _without_log(str(e), log)
        try:
            if not plainly:
                with self.limits.child(log) as child:
                    plain_report, plainly = self._lowered(child, job, plain, log, ())
            agreed = self._agreement(job, plain, log)
            if agreed.status == REJECTED and cut_less:
                return report, placed, self._agreement(job, made, log)
        except ChildError as e:
            if reason == _without_log(str(e), log):
                raise type(e)(f"rewritten or not, {e}") from e
            said = f"as torch exports it, {str(e).rstrip('.')}"
            raise type(e)(f"{said}. Once rewritten, {reason}") from e
        remove(made)
        plain.rename(made)
        left_alone = f"the form that torch exports stands, because once rewritten, {reason}"
        none = {"applied": {}, "refused": [], "left_alone": left_alone}
        return (plain_report or {}) | none, plainly, agreed

    def _lowered(
        self, child: Child, job: Job, made: Path, log: Path, rewrites: Sequence[str] | None
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Write `made`; what the rewrites did, and where it runs."""
        self.watch(job.title, "lower")
        report = child.call(
            "edgevit.converters.lowering:lower",
            target=job.target,
            program=self.work / PROGRAM,
            file=made,
            precision=job.recipe.precision,
            ios=job.recipe.ios,
            rewrites=rewrites,
            costs=job.recipe.costs,
            keep=job.recipe.keep,
        )
        self.watch(job.title, "place")
        with explained_refusal(made, job.target, self.limits):
            placed = child.call(
                "edgevit.converters.lowering:placement", target=job.target, file=made
            )
        return report, placed

    def _stored(self, job: Job, made: Path, log: Path) -> dict[str, int]:
        """In how many bits its numbers are, where the precision says that they are few."""
        if job.recipe.precision not in FEW:
            return {}
        with self.limits.child(log) as child:
            found: dict[str, int] = child.call(
                "edgevit.converters.stored:stored", file=made, precision=job.recipe.precision
            )
        return found

    def _agreement(self, job: Job, made: Path, log: Path) -> Agreement:
        """How `made` agrees with the model, computed in its own runtime."""
        self.watch(job.title, "verify")
        reference = Reference.load(self.work / reference_of(job.recipe.precision))
        names = [port["name"] for port in self.facts["facts"]["outputs"]]
        with (
            explained_refusal(made, job.target, self.limits),
            Session(
                made,
                job.target,
                threads=1,
                timeout_s=self.limits.timeout_s,
                memory_bytes=self.limits.memory_bytes,
                log=log.with_name("run.log"),
            ) as session,
        ):
            if not self.verify:
                return Agreement(SKIPPED)  # but it loads
            found = [session(*row) for row in reference.inputs]
        return agreement(reference, found, precision=job.recipe.precision, names=names)


def _without_log(message: str, log: Path) -> str:
    """For the card: the log of the form that was given up is not kept."""
    for file in (log, log.with_name("run.log")):
        message = message.replace(f" (log: {file})", "")
    return message


def _cuts(placed: dict[str, Any] | None) -> int:
    return placed["partitions"] + sum(placed["outside"].values()) if placed else 0


def keep_log(message: str, log: Path, job: Job) -> str:
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
