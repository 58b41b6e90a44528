"""Latency over time: what a device still does once it is warm.

A phone holds its highest clock for seconds; a camera app runs for minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .run import Run

MINUTE_S = 60.0


@dataclass(frozen=True)
class Moment:
    """minutes: into the session, at the end of a round; ms: of an inference, the round's median."""

    minutes: float
    ms: float
    celsius: float | None = None
    mhz: float | None = None


def over_time(run: Run) -> list[Moment]:
    """A moment for each round; none of a run that says nothing of time."""
    after = run.state[1:]
    if len(after) != len(run.rounds_s) or not all("seconds" in state for state in after):
        return []
    return [
        Moment(
            state["seconds"] / MINUTE_S,
            1e3 * float(np.median(block)),
            state.get("celsius"),
            state.get("mhz"),
        )
        for state, block in zip(after, run.rounds_s, strict=True)
    ]


def in_words(run: Run) -> str:
    """The first minute against the last; "" for what took less than two."""
    moments = over_time(run)
    if not moments or moments[-1].minutes < 2:
        return ""
    end = moments[-1].minutes
    first = _median([m.ms for m in moments if m.minutes <= moments[0].minutes + 1])
    last = _median([m.ms for m in moments if m.minutes > end - 1])
    heat = [m.celsius for m in moments if m.celsius is not None]
    warmer = f", {heat[0]:.0f} to {heat[-1]:.0f} °C" if heat else ""
    return (
        f"{run.name}: {first:.4g} ms in the first minute, {last:.4g} ms in the last of {end:.0f}, "
        f"{last / first:.2f}×{warmer}"
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
