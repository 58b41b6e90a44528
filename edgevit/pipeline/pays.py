"""pays(): whether a file of 8-bit integers is worth it, measured beside the same model in fp32.

Of a runtime that is not on this system nothing is measured, and the verdict says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ..converters.artifact import Artifact
from ..converters.card import card_of
from ..converters.target import check_host
from ..errors import EdgevitError, NotOnThisSystem, sound
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


@dataclass(frozen=True)
class Untimed:
    """why: its runtime is not here."""

    artifact: Artifact
    why: str
    pays: ClassVar[None] = None

    def as_dict(self) -> dict[str, Any]:
        return {"pays": None, "why": self.why}

    def __str__(self) -> str:
        return f"{self.artifact.path.name}: whether it pays is not known here, {self.why}"


Verdict = Pay | Untimed


def pays(
    outcomes: Sequence[Outcome],
    recipe: Recipe,
    *,
    watch: Watch = lambda job, stage: None,
    rounds: int = 30,
    threads: int = 1,
    **settings: Any,
) -> list[Verdict | EdgevitError]:
    """Of each file of 8-bit integers among `outcomes`.

    The same in fp32 is converted too where it is not among them and can be timed; settings: see
    `convert`. Says nothing of a file whose fp32 failed before.
    """
    found: list[Verdict | EdgevitError] = []
    files: list[tuple[str, Artifact]] = []
    for o in outcomes:
        if o.artifact and o.job.recipe.precision in INTEGER:
            try:
                check_host(o.job.target)
            except NotOnThisSystem as e:
                found.append(Untimed(o.artifact, str(e)))
            else:
                files.append((o.job.target, o.artifact))
    plain = {o.job.target: o for o in outcomes if o.job.recipe.precision == "fp32"}
    lacking = list(dict.fromkeys(target for target, _ in files if target not in plain))
    if lacking:
        try:
            made = convert(recipe, to=lacking, watch=watch, **settings)
        except EdgevitError as e:
            return [*found, e]
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


def leave(found: Iterable[Verdict]) -> None:
    """Remove the files that do not pay: those in fp32 stand in their place."""
    for pay in found:
        if pay.pays is False:
            remove(pay.artifact.path)
            remove(card_of(pay.artifact.path))
