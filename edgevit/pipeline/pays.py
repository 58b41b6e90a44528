"""pays(): whether a file of 8-bit integers is worth it, measured beside the same model in fp32."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..converters.artifact import Artifact
from ..converters.card import card_of
from ..converters.target import find
from ..errors import EdgevitError, sound
from ..profiles.compare import Ratio, ratio
from ..recipe import INTEGER, Recipe
from .convert import Limits, Outcome, convert
from .make import Watch
from .profile import item_of, session


@dataclass(frozen=True)
class Pay:
    """faster: how many times as fast as `plain`, the same in fp32, is `artifact`."""

    artifact: Artifact
    plain: Artifact
    faster: Ratio

    @property
    def pays(self) -> bool:
        return self.faster.verdict == "faster"

    @property
    def smaller(self) -> float:
        sizes = [a.card.artifact["bytes"] for a in (self.plain, self.artifact) if a.card]
        return float(sizes[0] / sizes[1])

    def as_dict(self) -> dict[str, Any]:
        return {
            "pays": self.pays,
            "faster": asdict(self.faster),
            "smaller": self.smaller,
            "plain": str(self.plain.path),
        }

    def __str__(self) -> str:
        card = self.artifact.card
        worst = card.agreement.worst if card else None
        snr = f", SNR {worst.snr_db:.0f} dB" if worst and worst.snr_db else ""
        said = f"{self.faster} as fast as fp32, {self.smaller:.1f}× smaller{snr}"
        name = self.artifact.path.name
        if self.pays:
            return f"{name} pays: {said}"
        return f"{name} does not pay here: {said}; keep {self.plain.path.name}"


def pays(
    outcomes: Sequence[Outcome],
    recipe: Recipe,
    *,
    out: Path,
    labels: Sequence[str] | None = None,
    rounds: int = 30,
    threads: int = 1,
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> list[Pay | EdgevitError]:
    """Of each file of 8-bit integers among `outcomes` whose runtime is here.

    The same in fp32 is made into `out` too, unless it is there.
    """
    files = [
        (o.job.target, o.artifact)
        for o in outcomes
        if o.artifact and o.job.recipe.precision in INTEGER and find(o.job.target).runs_here
    ]
    if not files:
        return []
    plain = convert(
        replace(recipe, precision="fp32", calibrate=None),
        to=[target for target, _ in files],
        out=out,
        labels=labels,
        limits=limits,
        watch=watch,
    )
    of = {o.job.target: o for o in plain}
    return [_pay(a, of[target], rounds, threads, watch) for target, a in files]


def _pay(
    artifact: Artifact, plain: Outcome, rounds: int, threads: int, watch: Watch
) -> Pay | EdgevitError:
    if plain.artifact is None:
        assert plain.error
        return plain.error
    job, items = f"measure {plain.job.target}", [item_of(plain.artifact), item_of(artifact)]
    try:
        before, after = sound(session(items, job=job, watch=watch, rounds=rounds, threads=threads))
    except EdgevitError as e:
        return e
    return Pay(artifact, plain.artifact, ratio(before, after))


def leave(found: Iterable[Pay]) -> None:
    """Remove the files that do not pay: those in fp32 stand in their place."""
    for pay in found:
        if not pay.pays:
            pay.artifact.path.unlink()
            card_of(pay.artifact.path).unlink()
