"""What is doubtful about a Run: each doubt says what was seen, why it matters and what helps.

Nothing is removed on their account; they are returned, for whoever shows the number to show too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .compare import control
from .run import Run

MIN_ROUNDS = 20  # pyperf's number of processes; with fewer, the interval of a median is a guess
MIN_SAMPLE_S = 100e-6  # below, the call through Python and the clock is a visible part
MAX_SPREAD_PCT = 5.0  # what MLPerf Mobile demands of a repetition
MAX_DRIFT = 0.03  # of the median, from the first third of the rounds to the last
MIN_RANK_CORRELATION = 0.5  # of round medians with time: 0.5 comes by chance once in 200 at n = 30
OUTLIER_Z = 14.826  # hyperfine's: |x - median| / MAD, ten standard deviations of a normal
MAX_OUTLIER_SHARE = 0.01
MAX_PEAK_FALL = 0.05
MAX_UNSETTLED = 0.5  # of the rounds
MAX_FRACTION = 1.10  # the peak is a lower bound: direct convolutions were seen at 1.05 of sgemm


@dataclass(frozen=True)
class Doubt:
    """`kind` is its stable short name; the other three are sentences without a full stop."""

    kind: str
    seen: str
    why: str
    cure: str


def doubts(run: Run) -> list[Doubt]:
    """Everything doubtful about `run`, the gravest first; empty for a sound one."""
    return [doubt for check in CHECKS if (doubt := check(run))]


def _above_peak(run: Run) -> Doubt | None:
    # Only where the kernels are of the peak's own kind: 8 bits go faster than fp32, fp16 may.
    fraction, kind = run.fraction_of_peak, run.peak_of
    of_its_kind = kind == "int8" or run.context.precision == "fp32"
    if fraction is None or fraction <= MAX_FRACTION or not of_its_kind:
        return None
    return Doubt(
        "above peak",
        f"{fraction:.0%} of the machine's {kind} peak",
        f"no {kind} kernel can do that: the MAC count or the number of threads is wrong",
        "count the MACs of the graph that is in the file, and look at the cores used",
    )


def _threads(run: Run) -> Doubt | None:
    used, threads = run.cores_used, run.context.threads
    if used <= 1.15 * threads and (threads == 1 or used >= 0.6 * threads):
        return None
    return Doubt(
        "threads",
        f"{used:.1f} cores busy with {threads} thread{'s' if threads > 1 else ''} asked for",
        "the number stands for another setting than its context says",
        "set the runtime's own thread option, or profile with the threads it takes",
    )


def _slowed(run: Run) -> Doubt | None:
    bracket = run.bracket_macs_per_s
    if len(bracket) < 2 or min(bracket) >= (1 - MAX_PEAK_FALL) * max(bracket):
        return None
    fall = 1 - min(bracket) / max(bracket)
    return Doubt(
        "machine slowed",
        f"the machine's own peak fell by {fall:.0%} during the session",
        "heat or other programs slowed it; times are too long, ratios of rounds still hold",
        "stop other work, let it cool, and profile again",
    )


def _drift(run: Run) -> Doubt | None:
    blocks = np.array([np.median(block) for block in run.rounds_s])
    third = len(blocks) // 3
    if third < 2:
        return None
    shift = float(np.median(blocks[-third:]) / np.median(blocks[:third]) - 1)
    ranks = blocks.argsort(kind="stable").argsort(kind="stable")
    correlation = float(np.corrcoef(ranks, np.arange(len(blocks)))[0, 1])
    if abs(shift) <= MAX_DRIFT or abs(correlation) <= MIN_RANK_CORRELATION:
        return None
    return Doubt(
        "drift",
        f"{abs(shift):.0%} {'slower' if shift > 0 else 'faster'} at the end than at the beginning",
        "the median mixes two states of the machine, and belongs to neither",
        "warm up for longer, or let it cool between sessions",
    )


def _noisy(run: Run) -> Doubt | None:
    if run.spread_pct <= MAX_SPREAD_PCT:
        return None
    return Doubt(
        "noisy",
        f"the middle half of the samples spreads over {run.spread_pct:.0f} % of the median",
        "smaller differences between sessions mean nothing",
        "stop other work, take more rounds, and rely on ratios within a session",
    )


def _outliers(run: Run) -> Doubt | None:
    samples = run.samples_s
    off = np.abs(samples - run.median_s)
    # A clock of coarse ticks gives a MAD of 0, against which everything would lie far out.
    mad = max(float(np.median(off)), 0.005 * run.median_s)
    count = int((off > OUTLIER_Z * mad).sum())
    if count <= MAX_OUTLIER_SHARE * len(samples):
        return None
    return Doubt(
        "outliers",
        f"{count} of {len(samples)} samples lie far out, the longest {samples.max() * 1e3:.3g} ms",
        "something interrupts the inference; the median hides it, a user's frame does not",
        "look at the raw samples in the saved run; kept, and counted in the 90th percentile",
    )


def _short(run: Run) -> Doubt | None:
    if run.median_s >= MIN_SAMPLE_S:
        return None
    return Doubt(
        "short",
        f"one inference takes {run.median_s * 1e6:.3g} µs",
        "the clock and the call through Python are a visible part of that",
        "compare only with runs of the same kind, or measure a larger input",
    )


def _unsettled(run: Run) -> Doubt | None:
    share = len(run.unsettled) / len(run.rounds_s)
    if share <= MAX_UNSETTLED:
        return None
    return Doubt(
        "unsettled",
        f"over {share:.0%} of the blocks the machine's own speed moved by more than 2 %",
        "other work shares the cores; times are too long, and the ratios' intervals wide",
        "stop other work, or take more rounds until the intervals are narrow enough",
    )


def _control(run: Run) -> Doubt | None:
    found = control(run)
    if found is None or found.verdict == "indistinguishable":
        return None
    return Doubt(
        "control",
        f"against itself it is {found.verdict}, {found}",
        "the machine treats two equal processes differently; no smaller difference means anything",
        "stop other work, take more rounds, and profile again",
    )


def _power(run: Run) -> Doubt | None:
    seen = {key: value for state in run.state for key, value in state.items()}
    reasons = (
        (seen.get("on_battery"), "on battery"),
        (seen.get("governor") == "powersave", "the CPU's governor is powersave"),
        (seen.get("power_save"), "power saving is on"),
    )
    found = next((words for holds, words in reasons if holds), None)
    if found is None:
        return None
    return Doubt(
        "power",
        found,
        "the clock follows the load, and times belong to no fixed speed",
        "plug it in, and end power saving or set the governor to performance",
    )


def _hot(run: Run) -> Doubt | None:
    # Android's scale: 0 none, 1 light, 2 moderate, 3 severe, and up to 6, shutting down.
    status = max((state.get("thermal_status") or 0 for state in run.state), default=0)
    if status < 1:
        return None
    return Doubt(
        "hot",
        f"Android gives the phone's thermal status as {status} of 6",
        "a hot phone slows its clocks, and times are those of no cool one",
        "let it cool, take it out of its case, and profile again",
    )


def _few_rounds(run: Run) -> Doubt | None:
    if len(run.rounds_s) >= MIN_ROUNDS:
        return None
    return Doubt(
        "few rounds",
        f"{len(run.rounds_s)} rounds",
        "one busy moment of the machine can move the median, and intervals are too narrow",
        f"take {MIN_ROUNDS} or more",
    )


CHECKS: tuple[Callable[[Run], Doubt | None], ...] = (
    _above_peak,
    _threads,
    _slowed,
    _drift,
    _noisy,
    _outliers,
    _short,
    _unsettled,
    _control,
    _power,
    _hot,
    _few_rounds,
)
