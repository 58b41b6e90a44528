"""measure(): which graph rewrites pay on this machine, each timed in a small net made for it.

    per case     the net without the rule, and once with each form ── lowered ── run interleaved
    a form       is as many times as fast as the median over rounds of (without / with)

Cases come in an order in which what won before is in the graph of those that follow, and what lost
is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch

from ..converters.rewrites import NAMES
from ..converters.rewrites.cases import CASES, Case
from ..converters.rewrites.choice import Costs
from ..converters.rewrites.rule import rules
from ..converters.target import check_host, find, require
from ..errors import ChildError, EdgevitError
from ..profiles.bench import profile
from ..profiles.compare import ratio
from ..profiles.devices import host
from ..profiles.run import Run
from ..profiles.variant import Item
from ..program import export
from ..reference import PROGRAM
from ..sandbox import Child
from .make import Watch
from .prepared import Limits

Speed = tuple[float, float, float]
FAILS, NEEDED = (0.0,) * 3, (float("inf"),) * 3


def measure(
    target: str,
    *,
    rounds: int = 30,
    cases: tuple[Case, ...] = CASES,
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> Costs:
    """The speed of every form of `cases` on `target`, here, with one thread."""
    found = check_host(target)
    require(target, found.needs)
    facts = host.describe()
    costs = Costs(
        {
            "cpu": facts["cpu"],
            "flags": " ".join(facts["flags"]),
            "threads": "1",
            "date": date.today().isoformat(),
            "runtime": f"{found.runtime} {metadata.version(found.runtime)}",
        }
    )
    with TemporaryDirectory() as folder, _Bench(target, Path(folder), limits) as bench:
        for number, case in enumerate(cases):
            watch(target, f"{number + 1}/{len(cases)} {' or '.join(case.forms)}")
            runs = bench.runs(case, costs, rounds)
            for form, run in zip(case.forms, runs[1:], strict=True):
                costs.speed[form] = speed(runs[0], run)
    watch(target, "done")
    return costs


class _Bench:
    """One child that lowers the nets and runs them in turn; a fresh one after an error.

    A process for each file, as `profile` has, would spend nearly all of its time on imports.
    """

    def __init__(self, target: str, folder: Path, limits: Limits) -> None:
        self.target, self.folder, self.limits = target, folder, limits
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.close()
            self._child = None

    def runs(self, case: Case, costs: Costs, rounds: int) -> list[Run | EdgevitError]:
        """Without the rule, then with each form; an error where a form does not lower or run."""
        torch.manual_seed(0)
        net = case.net().eval().requires_grad_(False)
        export(net, [torch.randn(case.shape)], name=case.forms[0]).save(self.folder / PROGRAM)
        unmeasured = {form for c in CASES for form in c.forms} - {*costs.speed}
        others = [r.name for r in costs.chosen(rules(NAMES)) if r.name not in unmeasured]
        found = [self._lowered("without", others)]
        found += [self._lowered(form, [*others, form]) for form in case.forms]
        slots = (_Slot(self, slot) for slot in count())
        runs = iter(
            profile(
                [item for item in found if isinstance(item, Item)],
                rounds=rounds,
                probe=None,
                control=False,
                start=lambda timeout_s: next(slots),
            )
        )
        return [next(runs) if isinstance(item, Item) else item for item in found]

    def _lowered(self, name: str, rewrites: Sequence[str]) -> Item | EdgevitError:
        file = self.folder / f"{name}{find(self.target).suffix}"
        try:
            self.call(
                "edgevit.converters.lowering:lower",
                target=self.target,
                program=self.folder / PROGRAM,
                file=file,
                precision="fp32",
                ios=17,
                rewrites=rewrites,
            )
        except ChildError as e:
            return e
        return Item(file, self.target)

    def call(self, function: str, **arguments: Any) -> Any:
        self._child = self._child or self.limits.child(self.folder / "log")
        try:
            return self._child.call(function, **arguments)
        except ChildError:
            self.__exit__()
            raise


@dataclass(frozen=True)
class _Slot:
    """A device of `profile`: one file that is open in the bench's child."""

    bench: _Bench
    slot: int

    def call(self, function: str, **arguments: Any) -> Any:
        return self.bench.call(function, slot=self.slot, **arguments)

    def close(self) -> None:
        """The child goes on; what it holds open makes room for the next case."""


def speed(without: Run | EdgevitError, form: Run | EdgevitError) -> Speed:
    """How many times as fast as `without` is `form`; 0 for an error, infinite instead of one."""
    if not isinstance(form, Run):
        return FAILS
    if not isinstance(without, Run):
        return NEEDED
    found = ratio(without, form)
    return found.value, found.low, found.high
