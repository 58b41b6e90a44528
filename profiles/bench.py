"""The measuring loop: interleaved rounds over artifacts, each in a child process of its own.

    load all ── warm up each ── round 1: B A C ── round 2: C B A ── ... ── round R
                                └ a block: k inferences, k such that it lasts `block_s`

Whatever slows the machine for a while slows all artifacts of the rounds it lasts, so that ratios
of the same round stay right (google-benchmark saw 40 % less variance from interleaving). The order
is random, so that nobody always follows the same neighbour. Nothing is discarded.
"""

import math
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import edgevit
from edgevit.errors import EdgevitError, InputError
from edgevit.sandbox import Child

from . import peak
from .devices import host
from .run import Context, Run

MAX_ITERATIONS = 10_000  # of one block; bounds the raw samples kept of a model of microseconds
BRACKETS = 3  # peak measurements: before, in the middle, after

Probe = Callable[[int], AbstractContextManager[Callable[[], float]]]


@dataclass(frozen=True)
class Item:
    """One artifact to measure. macs: of one inference; placement: in words, for the Context."""

    file: Path
    target: str
    name: str = ""
    sha256: str = ""
    precision: str = "fp32"
    macs: int | None = None
    placement: str = ""

    @property
    def label(self) -> str:
        return self.name or self.file.name


class Device(Protocol):
    """What answers the calls of `timed`: a sandbox Child, or a fake of known truth in tests."""

    def call(self, function: str, **arguments: Any) -> Any: ...

    def close(self) -> None: ...


def start_child(timeout_s: float) -> Device:
    return Child(timeout_s=timeout_s)


def profile(
    items: Sequence[Item],
    *,
    threads: int = 1,
    rounds: int = 30,
    warmup_s: float = 0.5,
    block_s: float = 0.02,
    seed: int = 0,
    timeout_s: float = 600.0,
    device: str = "",
    start: Callable[[float], Device] = start_child,
    probe: Probe | None = peak.probe,
    describe: Callable[[], dict[str, Any]] = host.describe,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Run | EdgevitError]:
    """Measure `items` side by side; for each, in order, its Run or the error that ended it.

    threads: of each artifact's runtime. timeout_s: seconds one call to a child may take. device: a
    name in place of the hardware's own. start, probe, describe: seams for tests and other machines;
    probe None skips the peak. on_progress: told what happens, and rounds done out of all.
    """
    if not items or threads < 1 or rounds < 1:
        raise InputError(
            f"nothing to measure: {len(items)} artifacts, {threads} threads, {rounds} rounds"
        )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    rng = np.random.default_rng(seed)
    brackets_at = {round(i * rounds / (BRACKETS - 1)) for i in range(BRACKETS)}
    bracket: list[float] = []
    benches = [_Bench(item) for item in items]
    with ExitStack() as stack:
        take = stack.enter_context(probe(threads)) if probe else None
        for bench in benches:
            stack.callback(bench.close)
            on_progress(f"load {bench.item.label}", 0, rounds)
            bench.attempt(bench.open, start, timeout_s, threads)
        for bench in benches:
            on_progress(f"warm up {bench.item.label}", 0, rounds)
            bench.attempt(bench.warm_up, warmup_s, block_s)
        for number in range(rounds):
            if take and number in brackets_at:
                bracket.append(take())
            for i in rng.permutation(len(benches)):
                benches[i].attempt(benches[i].one_round)
            on_progress("measure", number + 1, rounds)
        if take:
            bracket.append(take())
    facts = {**describe(), **({"device": device} if device else {})}
    return [b.error or b.run(facts, threads, tuple(bracket), started) for b in benches]


class _Bench:
    """An item with its device, and what was taken from it so far; at rest once it has failed."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.error: EdgevitError | None = None
        self.device: Device | None = None
        self.opened: dict[str, Any] = {}
        self.iterations = 1
        self.warmups_s: list[float] = []
        self.rounds_s: list[tuple[float, ...]] = []
        self.cpu_s = 0.0
        self.memory_bytes = 0

    def attempt(self, step: Callable[..., None], *arguments: Any) -> None:
        """Do a step; an error ends this artifact and leaves the others running."""
        if self.error:
            return
        try:
            step(*arguments)
        except EdgevitError as e:
            self.error = type(e)(f"{self.item.label}: {e}")
            self.close()

    def open(self, start: Callable[[float], Device], timeout_s: float, threads: int) -> None:
        self.device = start(timeout_s)
        arguments = {"target": self.item.target, "file": str(self.item.file), "threads": threads}
        self.opened = self.device.call(f"{__package__}.timed:open_artifact", **arguments)

    def warm_up(self, warmup_s: float, block_s: float) -> None:
        """Run for `warmup_s`, then choose how many inferences a block of `block_s` needs."""
        self.warmups_s = self._block(1)
        while (left_s := warmup_s - sum(self.warmups_s)) > 0:
            self.warmups_s += self._block(_iterations(left_s, self.warmups_s[-1]))
        settled_s = float(np.median(self.warmups_s[len(self.warmups_s) // 2 :]))
        # 5 % more, or half of the blocks would end just short of `block_s`.
        self.iterations = _iterations(1.05 * block_s, settled_s)
        self.cpu_s = 0.0

    def one_round(self) -> None:
        self.rounds_s.append(tuple(self._block(self.iterations)))

    def close(self) -> None:
        if self.device:
            self.device.close()
            self.device = None

    def run(self, facts: dict[str, Any], threads: int, bracket: tuple[float, ...], at: str) -> Run:
        keys = ("device", "host", "os", "cpu", "family", "flags", "cores")
        context = Context(
            **{key: facts[key] for key in keys},
            threads=threads,
            runtime=self.opened["runtime"],
            runtime_version=self.opened["version"],
            artifact=self.item.file.name,
            sha256=self.item.sha256,
            precision=self.item.precision,
            placement=self.item.placement,
            edgevit=edgevit.__version__,
            python=platform.python_version(),
            numpy=np.__version__,
        )
        return Run(
            name=self.item.label,
            context=context,
            rounds_s=tuple(self.rounds_s),
            warmups_s=tuple(self.warmups_s),
            load_s=self.opened["load_s"],
            first_run_s=self.opened["first_run_s"],
            peak_memory_bytes=self.memory_bytes,
            cores_used=self.cpu_s / sum(map(sum, self.rounds_s)),
            macs=self.item.macs,
            bracket_macs_per_s=bracket,
            started=at,
        )

    def _block(self, iterations: int) -> list[float]:
        assert self.device  # `attempt` asks nothing of a closed one
        answer = self.device.call(f"{__package__}.timed:block", iterations=iterations)
        self.cpu_s += answer["cpu_s"]
        self.memory_bytes = max(self.memory_bytes, answer["peak_memory_bytes"])
        return list(answer["seconds"])


def _iterations(total_s: float, one_s: float) -> int:
    return min(MAX_ITERATIONS, max(1, math.ceil(total_s / one_s)))
