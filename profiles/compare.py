"""Is one artifact faster than another? A ratio with its interval, from paired rounds.

    per round r   d_r = log(median of base's block r / median of other's block r)
    value         exp(median of d_r)
    interval      percentiles of the same over resampled rounds, each pair kept together
    verdict       faster when the interval lies above +1 %, slower below -1 %

Blocks of one round ran side by side, so that a slow moment cancels in d_r; the median lets single
rounds go astray; the bootstrap assumes no distribution. Rounds over which the machine's own speed
moved even when repeated are left out, unless that is most of them. Runs of two sessions are not
paired: their rounds are resampled apart, and what changed between the sessions is in no interval.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgevit.errors import InputError

from .run import Run

MARGIN = 0.01  # what nobody feels, and code layout alone can move
Verdict = Literal["faster", "slower", "indistinguishable"]


@dataclass(frozen=True)
class Ratio:
    """Speed of `other` relative to `base`: above 1, other is the faster one.

    paired: taken in one session.
    """

    value: float
    low: float
    high: float
    verdict: Verdict
    paired: bool = True

    def __str__(self) -> str:
        value, low, high = (f"{x:#.3g}".rstrip(".") for x in (self.value, self.low, self.high))
        return f"{value}× [{low}, {high}]"


def ratio(
    base: Run, other: Run, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Ratio:
    """How many times as fast as `base` is `other`; InputError for runs of unlike contexts."""
    base.require_like(other)
    paired = bool(base.started) and base.started == other.started
    mine, its = _log_medians(base), _log_medians(other)
    rng = np.random.default_rng(seed)

    def medians_of(rounds: np.ndarray) -> np.ndarray:
        # int32 and one sort over the short axis: 10 000 × 30 in about 10 ms.
        picks = rng.integers(0, len(rounds), (resamples, len(rounds)), dtype=np.int32)
        return np.median(rounds[picks], axis=1)

    if paired:
        if len(mine) != len(its):
            raise InputError(
                f"{base.name!r} has {len(mine)} rounds and {other.name!r} has {len(its)} of one "
                "session, whose rounds are compared in pairs; profile both again"
            )
        differences = (mine - its)[_settled(base, other)]
        value, drawn = float(np.median(differences)), medians_of(differences)
    else:
        value = float(np.median(mine) - np.median(its))
        drawn = medians_of(mine) - medians_of(its)
    tail = 50 * (1 - confidence)
    low, high = (math.exp(x) for x in np.percentile(drawn, (tail, 100 - tail)))
    return Ratio(math.exp(value), low, high, _verdict(low, high), paired)


def control(run: Run) -> Ratio | None:
    """The A/A control: the run against the same file in another process, in the same rounds."""
    return ratio(run, replace(run, rounds_s=run.control_s, unsettled=())) if run.control_s else None


def _settled(base: Run, other: Run) -> np.ndarray:
    """The rounds over which the machine's speed held still in both; all, where few are left."""
    rounds = np.arange(len(base.rounds_s))
    still = ~np.isin(rounds, [*base.unsettled, *other.unsettled])
    return rounds[still] if 2 * still.sum() >= len(rounds) else rounds


def _log_medians(run: Run) -> np.ndarray:
    return np.log([np.median(block) for block in run.rounds_s])


def _verdict(low: float, high: float) -> Verdict:
    if low > 1 + MARGIN:
        return "faster"
    if high < 1 / (1 + MARGIN):
        return "slower"
    return "indistinguishable"
