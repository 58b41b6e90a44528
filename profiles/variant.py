"""One artifact, the warm child process that it is in, and the samples taken from it so far."""

import math
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import edgevit
from edgevit.errors import EdgevitError
from edgevit.sandbox import Callee

from .run import Context, Run

T = TypeVar("T")
MAX_ITERATIONS = 10_000  # of one block; bounds the raw samples kept of a model of microseconds
SETTLED = 0.02  # by how much the machine's peak may move over a block
REPEATS = 2  # of a block over which it moved more


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


def measured(
    given: Iterable[T],
    prepare: Callable[[T], Item],
    measure: Callable[[list[Item]], list[Run | EdgevitError]],
) -> list[Run | EdgevitError]:
    """For each, in order, what `measure` makes of it, or the error that kept it from being one."""
    found: list[Item | EdgevitError] = []
    for one in given:
        try:
            found.append(prepare(one))
        except EdgevitError as e:
            found.append(e)
    items = [one for one in found if isinstance(one, Item)]
    runs = iter(measure(items) if items else ())
    return [next(runs) if isinstance(one, Item) else one for one in found]


class Machine:
    """The machine's peak, taken between any two blocks; without a probe, one that never moves."""

    def __init__(self, take: Callable[[], float] | None) -> None:
        self._take = take
        self._last = take() if take else 0.0

    def settled(self) -> bool:
        """Whether the peak moved by no more than `SETTLED` since the last time this was asked."""
        if not self._take:
            return True
        before, self._last = self._last, self._take()
        return abs(self._last / before - 1) <= SETTLED


class Variant:
    """An item with its device; at rest once it has failed."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.error: EdgevitError | None = None
        self.rounds_s: list[tuple[float, ...]] = []
        self._device: Callee | None = None
        self._opened: dict[str, Any] = {}
        self._iterations = 1
        self._warmups_s: list[float] = []
        self._repeated_s: list[tuple[float, ...]] = []
        self._unsettled: list[int] = []
        self._cpu_s = 0.0
        self._memory_bytes = 0

    def attempt(self, step: Callable[..., None], *arguments: Any) -> None:
        """Do a step; an error ends this artifact and leaves the others running."""
        if self.error:
            return
        try:
            step(*arguments)
        except EdgevitError as e:
            self.error = type(e)(f"{self.item.label}: {e}")
            self.close()

    def open(self, start: Callable[[], Callee], threads: int, cores: tuple[int, ...]) -> None:
        """Load in a new process, in place of the one before."""
        self.close()
        self._device = start()
        self._opened = self._device.call(
            f"{__package__}.timed:open_artifact",
            target=self.item.target,
            file=str(self.item.file),
            threads=threads,
            cores=list(cores),
        )

    def warm_up(self, warmup_s: float, block_s: float) -> None:
        """Run for `warmup_s`, then choose how many inferences a block of `block_s` needs."""
        cpu_s = self._cpu_s
        taken_s = self._block(1)
        while (left_s := warmup_s - sum(taken_s)) > 0:
            taken_s += self._block(_iterations(left_s, taken_s[-1]))
        settled_s = float(np.median(taken_s[len(taken_s) // 2 :]))
        # 5 % more, or half of the blocks would end just short of `block_s`.
        self._iterations = _iterations(1.05 * block_s, settled_s)
        self._cpu_s = cpu_s  # of what is timed only
        self._warmups_s += taken_s

    def one_round(self, machine: Machine) -> None:
        """A block, taken again while the machine's own speed moves over it; all are kept."""
        for left in reversed(range(REPEATS + 1)):
            block = tuple(self._block(self._iterations))
            if settled := machine.settled():
                break
            if left:
                self._repeated_s.append(block)
        if not settled:
            self._unsettled.append(len(self.rounds_s))
        self.rounds_s.append(block)

    def close(self) -> None:
        if self._device:
            self._device.close()
            self._device = None

    def run(self, facts: dict[str, Any], threads: int, **session: Any) -> Run:
        """The samples as a Run; facts: what `host.describe` says; session: fields of the Run."""
        keys = ("device", "host", "os", "cpu", "family", "flags", "cores")
        # A device says its own Python; where it has none, it is this one that asks.
        python, numpy = platform.python_version(), np.__version__
        context = Context(
            **{key: facts[key] for key in keys},
            threads=threads,
            runtime=self._opened["runtime"],
            runtime_version=self._opened["version"],
            artifact=self.item.file.name,
            sha256=self.item.sha256,
            precision=self.item.precision,
            placement=self.item.placement,
            edgevit=edgevit.__version__,
            python=facts.get("python", python),
            numpy=facts.get("numpy", numpy),
        )
        blocks = [*self.rounds_s, *self._repeated_s]
        return Run(
            name=self.item.label,
            context=context,
            rounds_s=tuple(self.rounds_s),
            repeated_s=tuple(self._repeated_s),
            unsettled=tuple(self._unsettled),
            warmups_s=tuple(self._warmups_s),
            load_s=self._opened["load_s"],
            first_run_s=self._opened["first_run_s"],
            peak_memory_bytes=self._memory_bytes,
            cores_used=self._cpu_s / sum(map(sum, blocks)),
            macs=self.item.macs,
            **session,
        )

    def _block(self, iterations: int) -> list[float]:
        assert self._device  # `attempt` asks nothing of a closed one
        answer = self._device.call(f"{__package__}.timed:block", iterations=iterations)
        self._cpu_s += answer["cpu_s"]
        self._memory_bytes = max(self._memory_bytes, answer["peak_memory_bytes"])
        return list(answer["seconds"])


def _iterations(total_s: float, one_s: float) -> int:
    return min(MAX_ITERATIONS, max(1, math.ceil(total_s / one_s)))
