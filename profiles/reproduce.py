"""Does a paper's latency table hold on this machine? Ratios to its baseline row, and ranks.

    row          off by  (measured row / measured baseline) / (paper's row / paper's baseline)
    whole table  Spearman's ρ and Kendall's τ-b of measured against printed times, with 95 %
                 intervals from resampled rows; exp(mean |log off|) of all rows but the baseline

Milliseconds belong to one machine; what a paper claims of models is their order and proportions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .compare import Ratio, control, ratio
from .run import Run

NOISY = 0.1  # half width of an A/A interval above which nothing is said
OFF = 0.35  # from which on a row wants a reason

Interval = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True)
class Reproduced:
    """One row. times: as long as the baseline's, here. as_printed_ms: by the paper's own protocol.

    faster: how many times as fast the rewritten form is, where that was measured.
    """

    row: str
    model: str
    paper_ms: float
    paper_times: float
    measured: Run
    times: Ratio
    as_printed_ms: float
    noise: Ratio | None
    faster: Ratio | None = None

    @property
    def far_off(self) -> bool:
        return not 1 / (1 + OFF) <= self.off[0] <= 1 + OFF

    @property
    def off(self) -> Interval:
        """Measured over printed ratio to the baseline; 1 where the paper holds."""
        t = self.times
        return t.value / self.paper_times, t.low / self.paper_times, t.high / self.paper_times


@dataclass(frozen=True)
class Summary:
    """Of a table: rank correlations with intervals, and the mean factor by which ratios are off.

    furthest: the row that is off by the most; rest_spearman, rest_error: of the table without it.
    factor: milliseconds here over printed ones, the median row's. spread: the mean factor by which
    the others' differ from it, which owes nothing to the baseline row.
    noise: half width of the widest A/A interval among the rows; None without controls.
    """

    rows: int
    spearman: Interval
    kendall: Interval
    error: float
    furthest: str
    rest_spearman: float
    rest_error: float
    factor: float
    spread: float
    noise: float | None

    @property
    def too_noisy(self) -> bool:
        return self.noise is not None and self.noise > NOISY


def reproduced(
    row: str,
    model: str,
    *,
    paper_ms: float,
    baseline_ms: float,
    baseline: Run,
    plain: Run,
    rewritten: Run | None,
    as_printed_s: Sequence[float],
) -> Reproduced:
    """A row from the runs of its session; baseline_ms: the paper's time of its baseline row."""
    return Reproduced(
        row=row,
        model=model,
        paper_ms=paper_ms,
        paper_times=paper_ms / baseline_ms,
        measured=plain,
        times=ratio(plain, baseline),
        as_printed_ms=1e3 * float(np.mean(as_printed_s)),
        noise=control(baseline),
        faster=ratio(plain, rewritten) if rewritten else None,
    )


def summary(rows: Sequence[Reproduced], *, resamples: int = 2000, seed: int = 0) -> Summary | None:
    """Of at least four rows; with fewer, a rank says nothing."""
    if len(rows) < 4:
        return None
    printed = np.array([r.paper_times for r in rows])
    here = np.array([r.times.value for r in rows])
    off = np.array([abs(math.log(r.off[0])) for r in rows])
    compared = np.array([r.paper_times != 1 for r in rows])  # the baseline is off by nothing
    furthest = int(off.argmax())
    rest = np.arange(len(rows)) != furthest
    slower = np.array([math.log(r.measured.median_s * 1e3 / r.paper_ms) for r in rows])
    common = float(np.median(slower))
    widths = [math.sqrt(r.noise.high / r.noise.low) - 1 for r in rows if r.noise]
    return Summary(
        rows=len(rows),
        spearman=_interval(spearman, printed, here, resamples, seed),
        kendall=_interval(kendall, printed, here, resamples, seed),
        error=math.exp(float(off[compared].mean())) - 1,
        furthest=rows[furthest].row,
        rest_spearman=spearman(printed[rest], here[rest]),
        rest_error=math.exp(float(off[compared & rest].mean())) - 1,
        factor=math.exp(common),
        spread=math.exp(float(np.abs(slower - common).mean())) - 1,
        noise=max(widths, default=None),
    )


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of the ranks, ties sharing their mean rank; 0 for a constant."""
    a, b = _ranks(x), _ranks(y)
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread else 0.0


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """τ-b: concordant less discordant pairs, over the pairs that are tied in neither."""
    a, b = (np.sign(v[:, None] - v[None, :]) for v in (x, y))
    pairs = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / pairs) if pairs else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return (ends - (counts - 1) / 2)[inverse]


def _interval(
    of: Callable[[np.ndarray, np.ndarray], float],
    x: np.ndarray,
    y: np.ndarray,
    resamples: int,
    seed: int,
) -> Interval:
    picks = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    low, high = np.percentile([of(x[pick], y[pick]) for pick in picks], (2.5, 97.5))
    return of(x, y), float(low), float(high)
