"""pays(): whether a file of 8-bit integers is worth it, measured beside the same model in fp32."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..converters.artifact import Artifact
from ..converters.card import card_of
from ..converters.target import find
from ..errors import EdgevitError, sound
from ..profiles.compare import Ratio, ratio
from ..recipe import INTEGER, Recipe
from ..staging import remove
from .convert import Outcome, convert
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
    watch: Watch = lambda job, stage: None,
    rounds: int = 30,
    threads: int = 1,
    **settings: Any,
) -> list[Pay | EdgevitError]:
    """Of each file of 8-bit integers among `outcomes` whose runtime is here.

    The same in fp32 is converted too where it is not among them; settings: see `convert`. Says
    nothing of a file whose fp32 failed before.
    """
    files = [
        (o.job.target, o.artifact)
        for o in outcomes
        if o.artifact and o.job.recipe.precision in INTEGER and find(o.job.target).runs_here
    ]
    plain = {o.job.target: o for o in outcomes if o.job.recipe.precision == "fp32"}
    lacking = list(dict.fromkeys(target for target, _ in files if target not in plain))
    found: list[Pay | EdgevitError] = []
    if lacking:
        try:
            made = convert(recipe, to=lacking, watch=watch, **settings)
        except EdgevitError as e:
            return [e]
        plain |= {o.job.target: o for o in made}
        found += [o.error for o in made if o.error]
    for target, artifact in files:
        base, job = plain[target].artifact, f"measure {target}"
        if base is None:
            continue
        try:
            items = [item_of(base), item_of(artifact)]
            runs = session(items, job=job, watch=watch, rounds=rounds, threads=threads)
            before, after = sound(runs)
        except EdgevitError as e:
            found.append(e)
        else:
            found.append(Pay(artifact, base, ratio(before, after)))
    return found


def leave(found: Iterable[Pay]) -> None:
    """Remove the files that do not pay: those in fp32 stand in their place."""
    for pay in found:
        if not pay.pays:
            remove(pay.artifact.path)
            remove(card_of(pay.artifact.path))
