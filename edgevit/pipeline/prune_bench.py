"""Bench: where a pruned model is made a file and timed, and how."""

from dataclasses import dataclass, field
from pathlib import Path

from ..converters.artifact import Artifact
from ..converters.target import check_host, find, require
from ..errors import InputError, NotOnThisSystem, sound
from ..profiles.compare import Ratio, ratio
from ..profiles.run import Run
from ..recipe import Recipe
from ..transforms.prune_budget import TILE
from .convert import Limits, Watch, convert
from .profile import item_of, session
from .pruned import Budget


@dataclass(frozen=True)
class Bench:
    """out: the folder of all that is made. tile: channels that the kernels take at once."""

    target: str
    out: Path
    tile: int = TILE
    threads: int = 1
    rounds: int = 30
    force: bool = False
    limits: Limits = field(default_factory=Limits)
    watch: Watch = lambda job, stage: None

    def ready(self, budget: Budget) -> None:
        """Raise where no file can be made, or none be measured as the budget needs it."""
        require(self.target, find(self.target).needs)
        if budget.of == "latency":
            check_host(self.target)

    def file(self, recipe: Recipe, out: Path) -> Artifact:
        (made,) = convert(
            recipe,
            to=[self.target],
            precisions=[recipe.precision],
            out=out,
            force=self.force,
            limits=self.limits,
            watch=self.watch,
        )
        if made.artifact is None:
            assert made.error
            raise made.error
        return made.artifact

    def beside(self, base: Artifact, made: Artifact) -> tuple[Ratio, float] | None:
        """How many times as fast, and its own latency in seconds; None without the runtime."""
        try:
            check_host(self.target)
        except NotOnThisSystem:
            return None
        before, after = self._runs(base, made)
        return ratio(before, after), after.median_s

    def share(self, seconds: float, base: Artifact) -> float:
        """A latency as a part of the whole model's."""
        (run,) = self._runs(base)
        if seconds >= run.median_s:
            raise InputError(
                f"{base.path.name} takes {run.median_s * 1e3:.3g} ms here as it is: the budget of "
                f"{seconds * 1e3:g} ms is met"
            )
        return seconds / run.median_s

    def _runs(self, *files: Artifact) -> list[Run]:
        return sound(
            session(
                [item_of(file) for file in files],
                job="measure",
                watch=self.watch,
                threads=self.threads,
                rounds=self.rounds,
            )
        )
